package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import headrace.state.MemoryBlocks;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.junit.jupiter.api.Test;

class PendingRowsTest {
    private static final Stages LONGS = Stages.over(DataTypes.BIGINT()).feature("max", 100);

    private Stage stage = LONGS.bind();
    private PendingRows pending = new PendingRows(stage);
    private MemoryBlocks blocks = new MemoryBlocks(true);

    /** The rows at or before the watermark are ready, those after it stay. */
    @Test
    void splitsAtTheWatermark() {
        for (long time : new long[] {30, 10, 20, 40}) {
            add(spine(time, 0, time));
        }
        assertEquals(List.of(10L, 20L), times(take(20)));
        assertEquals(30, earliest());
        assertEquals(List.of(30L, 40L), times(take(50)));
    }

    /** Where the watermark has reached every row, nothing is kept. */
    @Test
    void keepsNothingWhenAllAreReady() {
        add(spine(10, 0, 0));
        assertEquals(1, take(10).size());
        assertTrue(blocks.blocks.isEmpty());
    }

    /** Where the watermark has reached no row, all are kept and none is ready. */
    @Test
    void keepsAllWhenNoneIsReady() {
        add(spine(10, 0, 0));
        add(spine(11, 0, 1));
        assertEquals(List.of(), take(9));
        assertEquals(10, earliest());
        assertEquals(List.of(10L, 11L), times(take(99)));
    }

    /** A timer may come when nothing waits any more. */
    @Test
    void takesNothingOfNothing() {
        assertEquals(List.of(), take(10));
        assertEquals(PendingRows.NOTHING, earliest());
        assertTrue(blocks.blocks.isEmpty());
    }

    /** The timer that is set is kept with the rows, and is gone with the last of them. */
    @Test
    void remembersItsTimer() {
        assertEquals(PendingRows.NOTHING, timer());
        for (int i = 0; i < 500; i++) {
            pending.open(blocks);
            pending.add(spine(1_000 - i, 0, i));
            pending.setTimer(1_000 - i);
            pending.save();
            assertEquals(1_000 - i, timer());
        }
        take(600);
        assertEquals(501, timer());
        take(1_000);
        assertEquals(PendingRows.NOTHING, timer());
    }

    /** Rows stand by time, then those of other sources, then by partition, then by offset: however they came. */
    @Test
    void ordersByTheContract() {
        List<StagedRow> expected =
                List.of(
                        spine(9, 7, 700),
                        other(10, 5, 500),
                        other(10, 6, 1),
                        spine(10, 0, 3),
                        query(10, 0, 4),
                        spine(10, 0, 12),
                        spine(10, 1, 2),
                        other(11, 0, 0),
                        query(11, 0, 0));
        for (int seed = 0; seed < 200; seed++) {
            List<StagedRow> shuffled = new ArrayList<>(expected);
            Collections.shuffle(shuffled, new Random(seed));
            shuffled.forEach(this::add);
            List<String> got = take(11).stream().map(PendingRowsTest::line).toList();
            assertEquals(expected.stream().map(PendingRowsTest::line).toList(), got, "seed " + seed);
        }
    }

    /** Of random rows and watermarks, many at a time, all come, in order, once; and nothing is left. */
    @Test
    void agreesWithASortedList() {
        for (int seed = 0; seed < 300; seed++) {
            Random random = new Random(seed);
            blocks = new MemoryBlocks(random.nextBoolean());
            List<String> expected = new ArrayList<>();
            List<StagedRow> waiting = new ArrayList<>();
            long watermark = 0;
            int spread = 1 + random.nextInt(300); // of times: ties to fill many chunks, or few
            int often = 1 + random.nextInt(400);
            for (int step = 0; step < 1_200; step++) {
                StagedRow row = spine(watermark + 1 + random.nextInt(spread), random.nextInt(3), step);
                row.contributes = random.nextBoolean();
                add(row);
                waiting.add(row);
                if (random.nextInt(often) == 0 || step == 1_199) {
                    watermark += step == 1_199 ? spread : random.nextInt(spread);
                    long through = watermark;
                    List<StagedRow> ready = new ArrayList<>(waiting.stream().filter(r -> r.time <= through).toList());
                    ready.sort(PendingRowsTest::byContract);
                    waiting.removeAll(ready);
                    assertEquals(
                            ready.stream().map(PendingRowsTest::line).toList(),
                            take(watermark).stream().map(PendingRowsTest::line).toList(),
                            "seed " + seed);
                    long earliest = waiting.stream().mapToLong(r -> r.time).min().orElse(PendingRows.NOTHING);
                    assertEquals(earliest, earliest(), "seed " + seed);
                }
            }
            assertTrue(blocks.blocks.isEmpty(), "seed " + seed);
        }
    }

    /** However many rows wait, one more touches a few kilobytes. */
    @Test
    void blocksStaySmall() {
        Random random = new Random(1);
        for (int i = 0; i < 20_000; i++) {
            add(spine(random.nextInt(1_000_000), 0, i));
        }
        assertTrue(blocks.blocks.entrySet().stream().filter(e -> e.getKey() >= 0).allMatch(e -> e.getValue().length < 16_384));
        assertEquals(20_000, take(1_000_000).size());
        assertTrue(blocks.blocks.isEmpty());
    }

    /** A row that is larger than a chunk has one to itself, or shares that of its time. */
    @Test
    void keepsRowsThatAreLargerThanAChunk() {
        stage = Stages.over(DataTypes.BIGINT()).feature("count", 100).carrying("string", DataTypes.STRING()).bind();
        pending = new PendingRows(stage);
        Object[] large = {"x".repeat(10_000)};
        for (long time : new long[] {30, 10, 20, 20, 40}) {
            StagedRow row = query(time, 0, 0);
            row.carry = carried(large);
            add(row);
        }
        List<StagedRow> got = take(100);
        assertEquals(List.of(10L, 20L, 20L, 30L, 40L), times(got));
        got.forEach(row -> assertEquals(carried(large), row.carry));
        assertTrue(blocks.blocks.isEmpty());
    }

    /** Every type that a row may carry comes back as it was, lists too, and so does null. */
    @Test
    void carriesEveryType() {
        stage =
                Stages.over(DataTypes.BIGINT())
                        .feature("count", 100)
                        .carrying("long", DataTypes.BIGINT())
                        .carrying("int", DataTypes.INT())
                        .carrying("double", DataTypes.DOUBLE())
                        .carrying("boolean", DataTypes.BOOLEAN())
                        .carrying("string", DataTypes.STRING())
                        .carrying("decimal", DataTypes.DECIMAL(38, 2))
                        .carrying("longs", DataTypes.ARRAY(DataTypes.BIGINT()))
                        .carrying("decimals", DataTypes.ARRAY(DataTypes.DECIMAL(12, 2)))
                        .carrying("booleans", DataTypes.ARRAY(DataTypes.BOOLEAN()))
                        .bind();
        pending = new PendingRows(stage);
        BigDecimal digits = new BigDecimal("-123456789012345678901234.50");
        Object[] full = {
            Long.MIN_VALUE,
            Integer.MAX_VALUE,
            -0.5,
            true,
            "naïve 水 🌊",
            digits,
            new Long[] {1L, Long.MAX_VALUE},
            new BigDecimal[] {new BigDecimal("0.10")},
            new Boolean[0]
        };
        for (int time = 0; time < 200; time++) {
            StagedRow row = query(time, 0, 0);
            if (time % 2 == 0) {
                row.carry = carried(full);
            }
            add(row);
        }
        for (StagedRow row : take(200)) {
            assertEquals(row.time % 2 == 0 ? carried(full) : new GenericRowData(full.length), row.carry);
        }
    }

    /** The values of a row that contributes come back as they were, and so does null. */
    @Test
    void keepsValues() {
        add(Stages.row(stage, 1, true, false, Long.MIN_VALUE));
        add(Stages.row(stage, 2, true, false));
        List<StagedRow> got = take(2);
        assertArrayEquals(new long[] {Long.MIN_VALUE}, got.get(0).words);
        assertArrayEquals(new boolean[] {false}, got.get(0).nulls);
        assertArrayEquals(new boolean[] {true}, got.get(1).nulls);
    }

    private RowData carried(Object[] values) {
        GenericRowData row = new GenericRowData(values.length);
        for (int i = 0; i < values.length; i++) {
            row.setField(i, Values.internal(stage.carryTypes[i], values[i]));
        }
        return row;
    }

    private void add(StagedRow row) {
        pending.open(blocks);
        pending.add(row);
        pending.save();
    }

    /** All that are ready, as a timer takes them. */
    private List<StagedRow> take(long watermark) {
        List<StagedRow> all = new ArrayList<>();
        pending.open(blocks);
        for (List<StagedRow> some = pending.take(watermark); !some.isEmpty(); some = pending.take(watermark)) {
            all.addAll(some);
        }
        pending.earliest();
        pending.save();
        return all;
    }

    private long earliest() {
        pending.open(blocks);
        long earliest = pending.earliest();
        pending.save();
        return earliest;
    }

    private long timer() {
        pending.open(blocks);
        return pending.timer();
    }

    private StagedRow spine(long time, int partition, long offset) {
        return row(time, true, true, partition, offset);
    }

    /** A row of the spine at a stage over another source. */
    private StagedRow query(long time, int partition, long offset) {
        return row(time, false, true, partition, offset);
    }

    private StagedRow other(long time, int partition, long offset) {
        return row(time, true, false, partition, offset);
    }

    private StagedRow row(long time, boolean contributes, boolean isQuery, int partition, long offset) {
        StagedRow row = Stages.row(stage, time, contributes, isQuery);
        row.partition = partition;
        row.offset = offset;
        return row;
    }

    private static int byContract(StagedRow one, StagedRow other) {
        if (one.time != other.time) {
            return Long.compare(one.time, other.time);
        }
        return one.partition != other.partition
                ? Integer.compare(one.partition, other.partition)
                : Long.compare(one.offset, other.offset);
    }

    private static String line(StagedRow row) {
        return row.time + " " + row.contributes + " " + row.isQuery + " " + row.partition + " " + row.offset;
    }

    private static List<Long> times(List<StagedRow> rows) {
        return rows.stream().map(row -> row.time).toList();
    }
}
