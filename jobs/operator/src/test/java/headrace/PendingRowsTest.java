package headrace;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.apache.flink.table.api.DataTypes;
import org.junit.jupiter.api.Test;

class PendingRowsTest {
    private static final Object[] NOTHING = new Object[0];

    private final PendingRows pending = new PendingRows(Stages.over(DataTypes.BIGINT()).feature("count", 100).bind());

    /** The rows at or before the watermark are ready, those after it stay. */
    @Test
    void splitsAtTheWatermark() {
        byte[] state = null;
        for (long time : new long[] {30, 10, 20, 40}) {
            state = pending.append(state, spine(time, 0, time));
        }
        PendingRows.Split split = pending.split(state, 20);
        assertEquals(List.of(10L, 20L), times(split.ready()));
        assertEquals(30, split.earliest());
        assertEquals(List.of(30L, 40L), times(pending.split(split.rest(), 50).ready()));
    }

    /** Where the watermark has reached every row, nothing is kept. */
    @Test
    void keepsNothingWhenAllAreReady() {
        byte[] state = pending.append(null, spine(10, 0, 0));
        assertNull(pending.split(state, 10).rest());
    }

    /** Where the watermark has reached no row, all are kept and none is ready. */
    @Test
    void keepsAllWhenNoneIsReady() {
        byte[] state = pending.append(pending.append(null, spine(10, 0, 0)), spine(11, 0, 1));
        PendingRows.Split split = pending.split(state, 9);
        assertEquals(List.of(), split.ready());
        assertEquals(10, split.earliest());
        assertEquals(List.of(10L, 11L), times(pending.split(split.rest(), 99).ready()));
    }

    /** A timer may come when nothing waits any more. */
    @Test
    void splitsNothingIntoNothing() {
        PendingRows.Split split = pending.split(null, 10);
        assertEquals(List.of(), split.ready());
        assertNull(split.rest());
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
                        asking(10, 0, 4),
                        spine(10, 0, 12),
                        spine(10, 1, 2),
                        other(11, 0, 0),
                        asking(11, 0, 0));
        for (int seed = 0; seed < 200; seed++) {
            List<StagedRow> shuffled = new ArrayList<>(expected);
            Collections.shuffle(shuffled, new Random(seed));
            byte[] state = null;
            for (StagedRow row : shuffled) {
                state = pending.append(state, row);
            }
            List<String> got = pending.split(state, 11).ready().stream().map(PendingRowsTest::line).toList();
            assertEquals(expected.stream().map(PendingRowsTest::line).toList(), got, "seed " + seed);
        }
    }

    /** Every type that a row may carry comes back as it was, and so does null. */
    @Test
    void carriesEveryType() {
        Stages stages =
                Stages.over(DataTypes.BIGINT())
                        .feature("count", 100)
                        .carrying("long", DataTypes.BIGINT())
                        .carrying("int", DataTypes.INT())
                        .carrying("double", DataTypes.DOUBLE())
                        .carrying("boolean", DataTypes.BOOLEAN())
                        .carrying("string", DataTypes.STRING())
                        .carrying("decimal", DataTypes.DECIMAL(38, 2));
        PendingRows wide = new PendingRows(stages.bind());
        BigDecimal digits = new BigDecimal("-123456789012345678901234.50");
        Object[] full = {Long.MIN_VALUE, Integer.MAX_VALUE, -0.5, true, "naïve 水 🌊", digits};
        byte[] state = wide.append(null, new StagedRow(1, false, true, 0, 0, new long[1], new boolean[1], full));
        Object[] empty = new Object[full.length];
        state = wide.append(state, new StagedRow(2, false, true, 0, 0, new long[1], new boolean[1], empty));
        List<StagedRow> got = wide.split(state, 2).ready();
        assertArrayEquals(full, got.get(0).carry);
        assertArrayEquals(empty, got.get(1).carry);
    }

    /** The values of a row that contributes come back as they were, and so does null. */
    @Test
    void keepsValues() {
        byte[] state = pending.append(null, value(1, Long.MIN_VALUE, false));
        state = pending.append(state, value(2, 0, true));
        List<StagedRow> got = pending.split(state, 2).ready();
        assertArrayEquals(new long[] {Long.MIN_VALUE}, got.get(0).values);
        assertArrayEquals(new boolean[] {false}, got.get(0).nulls);
        assertArrayEquals(new boolean[] {true}, got.get(1).nulls);
    }

    /** Five thousand rows that wait at once are all there. */
    @Test
    void holdsManyRows() {
        byte[] state = null;
        for (int i = 0; i < 5_000; i++) {
            state = pending.append(state, spine(i, 0, i));
        }
        PendingRows.Split split = pending.split(state, 2_499);
        assertEquals(2_500, split.ready().size());
        assertEquals(2_500, pending.split(split.rest(), 4_999).ready().size());
    }

    private static StagedRow spine(long time, int partition, long offset) {
        return new StagedRow(time, true, true, partition, offset, new long[1], new boolean[1], NOTHING);
    }

    /** A row of the spine at a stage over another source. */
    private static StagedRow asking(long time, int partition, long offset) {
        return new StagedRow(time, false, true, partition, offset, new long[1], new boolean[1], NOTHING);
    }

    private static StagedRow other(long time, int partition, long offset) {
        return new StagedRow(time, true, false, partition, offset, new long[1], new boolean[1], NOTHING);
    }

    private static StagedRow value(long time, long value, boolean isNull) {
        return new StagedRow(time, true, false, 0, 0, new long[] {value}, new boolean[] {isNull}, NOTHING);
    }

    private static String line(StagedRow row) {
        return row.time + " " + row.contributes + " " + row.asks + " " + row.partition + " " + row.offset;
    }

    private static List<Long> times(List<StagedRow> rows) {
        return rows.stream().map(row -> row.time).toList();
    }
}
