package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import headrace.state.CountedBlocks;
import headrace.state.MemoryBlocks;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.flink.table.api.DataTypes;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Functions without small partials: what a query costs, and what becomes of the values that are kept for it. */
class KeptValuesTest {
    private static final long WINDOW = 20;
    private static final long LATENESS = 10;
    private static final int MANY = 20_000;

    /** However many rows are in the window, a row reads few blocks, late ones too. */
    @ParameterizedTest
    @ValueSource(strings = {"count_distinct", "quantile 0.99", "last_n 10"})
    void aRowReadsFewBlocksOfALongWindow(String function) {
        Stage stage = Stages.over(DataTypes.BIGINT()).feature(function, MANY / 2).lateness(100).bind();
        Windower windower = new Windower(stage, Mode.of(stage));
        CountedBlocks blocks = new CountedBlocks(new MemoryBlocks(false));
        int most = 0;
        for (int i = 0; i < MANY; i++) {
            blocks.nextRow();
            long time = i > MANY / 2 && i % 50 == 0 ? i - 1 : i;
            windower.step(blocks, Stages.row(stage, time, true, true, (long) i % 1_000), Long.MIN_VALUE);
            most = Math.max(most, blocks.read.size());
        }
        assertTrue(most <= 16, function + " read " + most + " blocks for one row");
    }

    /** A column of nulls is not searched for values. */
    @Test
    void aListOfNullsReadsFewBlocks() {
        Stage stage = Stages.over(DataTypes.BIGINT()).feature("last_n 10", MANY).bind();
        Windower windower = new Windower(stage, Mode.of(stage));
        CountedBlocks blocks = new CountedBlocks(new MemoryBlocks(false));
        Object[] vector = null;
        for (int i = 0; i < MANY; i++) {
            blocks.nextRow();
            vector = windower.step(blocks, Stages.row(stage, i, true, true, i == 5 ? 7L : null), Long.MIN_VALUE);
        }
        assertArrayEquals(new Object[] {7L}, (Object[]) Values.external(stage, vector)[0]);
        assertTrue(blocks.read.size() <= 10, blocks.read.size() + " blocks");
    }

    /** A key that was cleared while the window of its last query still held rows keeps none of them. */
    @Test
    void aClearedKeyKeepsNothing() {
        Stage stage = Stages.over(DataTypes.BIGINT()).feature("count_distinct", WINDOW).lateness(LATENESS).bind();
        Windower windower = new Windower(stage, Mode.of(stage));
        MemoryBlocks blocks = new MemoryBlocks(false);
        windower.step(blocks, Stages.row(stage, 100, true, false, 1L), 90);
        assertEquals(1L, windower.step(blocks, Stages.row(stage, 115, false, true), 110)[0]);
        windower.clear(blocks, 130);
        assertEquals(0L, windower.step(blocks, Stages.row(stage, 126, false, true), 130)[0]);
    }

    /** Where there is no room for two keys' values, feature vectors are as right as where there is. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1_000_000})
    void keysThatTakeTurnsAreKeptApart(int room) {
        String spec = Stages.over(DataTypes.BIGINT()).feature("count_distinct", WINDOW).feature("quantile 0.5", WINDOW).spec();
        String roomy = "\"kept\": 1000000";
        Stage stage = Stage.bind(spec.replace(roomy, "\"kept\": " + room), Stages.over(DataTypes.BIGINT()).table());
        assertEquals(room, stage.kept);
        Windower windower = new Windower(stage, Mode.of(stage));
        List<MemoryBlocks> keys = List.of(new MemoryBlocks(false), new MemoryBlocks(false), new MemoryBlocks(false));
        for (int i = 0; i < 100; i++) {
            for (int k = 0; k < keys.size(); k++) {
                StagedRow row = Stages.row(stage, i, true, true, (long) (i % (k + 2)));
                Object[] vector = windower.step(keys.get(k), row, Long.MIN_VALUE);
                if (i > WINDOW) {
                    assertEquals((long) k + 2, vector[0]);
                    assertEquals((double) ((k + 1) / 2), vector[1]);
                }
            }
        }
    }

    /** Values that come and go, as often as they do, are those that a map counts. */
    @ParameterizedTest
    @ValueSource(ints = {3, 40, 3_000})
    void distinctValuesAreThoseOfAMap(int values) {
        Random random = new Random(values);
        Multiset.Distinct distinct = new Multiset.Distinct();
        Map<Long, Integer> counts = new HashMap<>();
        List<Long> there = new ArrayList<>();
        for (int step = 0; step < 60_000; step++) {
            boolean shrinks = step / 10_000 % 2 == 1;
            if (!there.isEmpty() && random.nextInt(10) < (shrinks ? 8 : 3)) {
                long value = there.remove(random.nextInt(there.size()));
                distinct.remove(value, value * 31);
                counts.computeIfPresent(value, (key, count) -> count == 1 ? null : count - 1);
            } else {
                long value = random.nextInt(values);
                there.add(value);
                distinct.add(value, value * 31);
                counts.merge(value, 1, Integer::sum);
            }
            assertEquals((long) counts.size(), distinct.result(null));
        }
        there.forEach(value -> distinct.remove(value, value * 31));
        assertEquals(0L, distinct.result(null));
        assertTrue(distinct.bytes() < 1_000, "what is empty is small again: " + distinct.bytes());
    }

    /** The quantile of values that come and go is that of those that are there. */
    @Test
    void quantilesAreThoseOfAMap() {
        Random random = new Random(1);
        Stage stage = Stages.over(DataTypes.BIGINT()).feature("quantile 0.9", WINDOW).bind();
        Multiset.Histogram histogram = new Multiset.Histogram(stage.values[0]);
        TreeMap<Long, Integer> counts = new TreeMap<>();
        List<Long> there = new ArrayList<>();
        for (int step = 0; step < 20_000; step++) {
            if (!there.isEmpty() && random.nextInt(10) < (step / 5_000 % 2 == 1 ? 8 : 3)) {
                long value = there.remove(random.nextInt(there.size()));
                histogram.remove(value, 0);
                counts.computeIfPresent(value, (key, count) -> count == 1 ? null : count - 1);
            } else {
                long value = random.nextInt(200) - 100; // 8 bits: not rounded
                there.add(value);
                histogram.add(value, 0);
                counts.merge(value, 1, Integer::sum);
            }
            Double expected = null;
            long before = Math.max(1, (90L * there.size() + 99) / 100);
            for (Map.Entry<Long, Integer> entry : counts.entrySet()) {
                before -= entry.getValue();
                if (before <= 0) {
                    expected = entry.getKey().doubleValue();
                    break;
                }
            }
            assertEquals(expected, histogram.result(stage.features[0].call()));
        }
    }
}
