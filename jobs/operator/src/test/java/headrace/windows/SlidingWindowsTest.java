package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The function in a real job, in this process, a row and a watermark at a time. Flink 2.3 has no test
 * harness for process table functions (2.4 is to bring one), hence jobs.
 */
class SlidingWindowsTest {
    static final String COLUMNS = "rowid, sum_100, mean_100, _complete";

    private RunningJob running;

    @AfterEach
    void stop() throws Exception {
        if (running != null) {
            running.cancel();
        }
    }

    /** In arrival mode a query is processed when it arrives, a late one as of its own time, each key for itself. */
    @Test
    void arrivalModeProcessesAtOnce() throws Exception {
        running = RunningJob.start(stages(), null);
        running.send(spine("a", 1, 1_000, 1L));
        assertEquals("+I[a, 1, 1.0, true]", running.nextVector());
        running.send(spine("other key", 2, 1_000, 5L));
        assertEquals("+I[other key, 5, 5.0, true]", running.nextVector());
        running.send(spine("b", 1, 1_050, 2L));
        assertEquals("+I[b, 3, 1.5, true]", running.nextVector());
        running.send(spine("late", 1, 1_000, 4L));
        assertEquals("+I[late, 5, 2.5, true]", running.nextVector());
        assertEquals("late of key 1: +I[view, 1000, 50, 1, 2, true]", running.late());
        running.send(spine("null", 1, 1_100, null));
        assertEquals("+I[null, 2, 2.0, true]", running.nextVector());
    }

    /** In arrival mode rows of another source contribute, and are no queries. */
    @Test
    void arrivalModeTakesRowsThatOnlyContributeOrQuery() throws Exception {
        running = RunningJob.start(stages(), null);
        running.send(query("a", 1, 1_000, 0));
        assertEquals("+I[a, 0, null, true]", running.nextVector());
        running.send(other(1, 1_000, 7L));
        running.send(query("b", 1, 1_000, 1));
        assertEquals("+I[b, 7, 7.0, true]", running.nextVector());
    }

    /** In event-time mode a row waits for the watermark; at equal times rows of other sources come first. */
    @Test
    void eventTimeModeWaitsForTheWatermark() throws Exception {
        running = RunningJob.start(stages().eventTime(), null);
        running.send(query("third", 1, 1_010, 2));
        running.send(query("second", 1, 1_000, 1));
        running.send(query("first", 1, 1_000, 0));
        running.watermark(999);
        running.send(other(1, 1_000, 7L));
        assertEquals(0, running.vectors.size());
        running.watermark(1_000);
        assertEquals("+I[first, 7, 7.0, true]", running.nextVector());
        assertEquals("+I[second, 7, 7.0, true]", running.nextVector());
        running.send(other(1, 1_005, 1L));
        running.watermark(2_000);
        assertEquals("+I[third, 8, 4.0, true]", running.nextVector());
    }

    /** In event-time mode a row behind the watermark is processed at once, as of its time, and is kept for later queries. */
    @Test
    void eventTimeModeProcessesLateRowsAtOnce() throws Exception {
        running = RunningJob.start(stages().eventTime(), null);
        running.send(spine("a", 1, 1_000, 1L));
        running.watermark(1_500);
        assertEquals("+I[a, 1, 1.0, true]", running.nextVector());
        running.send(spine("late", 1, 1_000, 2L));
        assertEquals("+I[late, 3, 1.5, true]", running.nextVector());
        running.send(spine("b", 1, 1_501, 4L));
        running.send(other(1, 1_490, 8L));
        running.watermark(1_501);
        assertEquals("+I[b, 12, 6.0, true]", running.nextVector());
    }

    /** Rows of one key that become due together are processed in order, though they wait for one timer. */
    @Test
    void eventTimeModeProcessesInOrderAcrossAJumpOfTheWatermark() throws Exception {
        running = RunningJob.start(stages().eventTime(), null);
        for (long time : new long[] {1_030, 1_010, 1_020}) {
            running.send(spine("at " + time, 1, time, 1L));
        }
        running.watermark(5_000);
        assertEquals("+I[at 1010, 1, 1.0, true]", running.nextVector());
        assertEquals("+I[at 1020, 2, 1.0, true]", running.nextVector());
        assertEquals("+I[at 1030, 3, 1.0, true]", running.nextVector());
    }

    /** After a restore a row that waited is processed by its timer, before any other row has arrived. */
    @Test
    void eventTimeModeProcessesWhatWaitedAfterARestore(@TempDir Path folder) throws Exception {
        running = RunningJob.start(stages().eventTime(), null);
        running.send(spine("before", 1, 1_000, 1L));
        running.watermark(1_000);
        assertEquals("+I[before, 1, 1.0, true]", running.nextVector());
        running.send(spine("waits", 1, 1_050, 2L));
        running.send(spine("late, and so processed at once", 2, 1_000, 1L));
        assertEquals("+I[late, and so processed at once, 1, 1.0, true]", running.nextVector());
        String savepoint = running.stopWithSavepoint(folder);
        assertEquals(0, running.vectors.size());
        running = RunningJob.start(stages().eventTime(), savepoint);
        running.watermark(2_000);
        assertEquals("+I[waits, 3, 1.5, true]", running.nextVector());
    }

    /** After a restore in arrival mode the windows are as full as they were. */
    @Test
    void arrivalModeGoesOnAfterARestore(@TempDir Path folder) throws Exception {
        running = RunningJob.start(stages(), null);
        running.send(spine("a", 1, 1_000, 1L));
        assertEquals("+I[a, 1, 1.0, true]", running.nextVector());
        String savepoint = running.stopWithSavepoint(folder);
        running = RunningJob.start(stages(), savepoint);
        running.send(spine("b", 1, 1_010, 2L));
        assertEquals("+I[b, 3, 1.5, true]", running.nextVector());
    }

    /** After a restore, at another parallelism, a key's many blocks are all there, and so is what waited. */
    @Test
    void manyBlocksGoOnAfterARestoreAtAnotherParallelism(@TempDir Path folder) throws Exception {
        Stages stages = stages(10_000).eventTime();
        running = RunningJob.start(stages, null);
        for (int i = 0; i < 600; i++) {
            running.send(other(i % 3, 1_000 + i, 1L));
        }
        running.send(query("all of key 0", 0, 2_000, 0));
        running.watermark(2_000);
        assertEquals("+I[all of key 0, 200, 1.0, true]", running.nextVector());
        for (int i = 0; i < 300; i++) {
            running.send(other(1, 2_001 + i, 2L)); // kilobytes that wait
        }
        running.send(query("all of key 1", 1, 2_400, 1));
        running.send(query("late", 2, 1_500, 2));
        assertEquals("+I[late, 167, 1.0, true]", running.nextVector());
        String savepoint = running.stopWithSavepoint(folder);
        running = RunningJob.start(stages, savepoint, COLUMNS.replace("100", "10000"), 2);
        running.watermark(2_000); // it is not in a savepoint
        running.send(other(0, 1_500, 10L));
        running.send(query("late too", 0, 1_500, 3));
        assertEquals("+I[late too, 177, 1.0535714285714286, true]", running.nextVector());
        assertEquals("other of key 0: +I[view, 1500, 500, 1, 2, true]", running.late());
        running.watermark(3_000);
        assertEquals("+I[all of key 1, 800, 1.6, true]", running.nextVector());
    }

    /** A late row has an entry in the ledger of each view, before its feature vector. */
    @Test
    void arrivalModeKeepsALedgerOfLateRows() throws Exception {
        Stages stages = stages().view("far").feature("count", 1_000);
        running = RunningJob.start(stages, null);
        running.send(spine("a", 1, 1_000, 1L));
        running.send(spine("b", 1, 1_200, 1L));
        running.send(spine("late", 1, 1_150, 0L));
        assertEquals("+I[a, 1, 1.0, true]", running.nextVector());
        assertEquals("+I[b, 1, 1.0, true]", running.nextVector());
        assertEquals("+I[late, 0, 0.0, true]", running.nextVector());
        assertEquals("late of key 1: +I[view, 1150, 50, 1, 1, true]", running.late());
        assertEquals("late of key 1: +I[far, 1150, 50, 1, 1, true]", running.late());
        assertEquals(0, running.ledger.size());
    }

    /** In event-time mode rows that wait are in time, in whatever order they came; one behind the watermark is not. */
    @Test
    void eventTimeModeKeepsALedgerOfLateRows() throws Exception {
        running = RunningJob.start(stages().eventTime(), null);
        running.send(query("b", 1, 1_020, 1));
        running.send(query("a", 1, 1_010, 0));
        running.watermark(1_050);
        assertEquals("+I[a, 0, null, true]", running.nextVector());
        assertEquals("+I[b, 0, null, true]", running.nextVector());
        running.send(other(1, 1_020, 7L));
        assertEquals("other of key 1: +I[view, 1020, 30, 1, 2, true]", running.late());
        assertEquals(0, running.ledger.size());
    }

    /** A key that is silent for as long as its rows are kept is forgotten, as a query from before then shows. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aSilentKeyIsForgotten(boolean eventTime) throws Exception {
        Stages stages = stages().lateness(1_000);
        running = RunningJob.start(eventTime ? stages.eventTime() : stages, null);
        running.send(other(1, 1_000, 1L));
        running.send(query("a", 1, 1_050, 0));
        running.send(other(2, 59_500, 1L));
        running.watermark(59_998);
        assertEquals("+I[a, 1, 1.0, true]", running.nextVector());
        running.send(query("still there", 1, 1_050, 0));
        assertEquals("+I[still there, 1, 1.0, true]", running.nextVector());
        running.watermark(59_999);
        running.send(query("gone", 1, 1_050, 0));
        assertEquals("+I[gone, 0, null, false]", running.nextVector());
        running.send(query("as late as is allowed", 1, 59_000, 0));
        assertEquals("+I[as late as is allowed, 0, null, true]", running.nextVector());
        running.send(query("of a key that is not silent", 2, 59_500, 0));
        assertEquals("+I[of a key that is not silent, 1, 1.0, true]", running.nextVector());
        running.watermark(119_998);
        running.send(query("still there", 2, 59_500, 0));
        assertEquals("+I[still there, 1, 1.0, true]", running.nextVector());
        running.watermark(119_999);
        running.send(query("gone", 2, 59_500, 0));
        assertEquals("+I[gone, 0, null, false]", running.nextVector());
    }

    /** Every type of result of a column of longs goes through a job, fill values too. */
    @Test
    void everyResultComesOut() throws Exception {
        Stages stages =
                Stages.over(DataTypes.BIGINT())
                        .feature("count", 100)
                        .feature("sum", 100)
                        .feature("mean", 100, 0.5)
                        .feature("min", 100, 3.0)
                        .feature("max", 100)
                        .feature("last_n 2", 100)
                        .feature("quantile 0.5", 100)
                        .feature("std_samp", 100)
                        .feature("count_distinct", 100)
                        .carrying("rowid", DataTypes.STRING());
        running =
                RunningJob.start(
                        stages,
                        null,
                        "rowid, count_100, sum_100, mean_100, min_100, max_100, last_n_2_100, quantile_0_5_100, std_samp_100,"
                                + " count_distinct_100");
        running.send(query("a", 1, 1_000, 0));
        assertEquals("+I[a, 0, 0, 0.5, 3, null, [], null, null, 0]", running.nextVector());
        running.send(spine("b", 1, 1_000, Long.MAX_VALUE));
        running.nextVector();
        running.send(spine("c", 1, 1_000, Long.MAX_VALUE));
        BigDecimal sum = BigDecimal.valueOf(Long.MAX_VALUE).multiply(BigDecimal.valueOf(2));
        String most = String.valueOf(Long.MAX_VALUE);
        String real = "9.223372036854776E18";
        String rest = String.join(", ", real, most, most, "[" + most + ", " + most + "]", real, "0.0", "1");
        assertEquals("+I[c, 2, " + sum + ", " + rest + "]", running.nextVector());
    }

    /** Values are kept of each key, of several columns too, and made anew after a restore, whatever row or timer comes first. */
    @ParameterizedTest
    @ValueSource(strings = {"k", "ROW(k, `text`)"})
    void keptValuesGoOnAfterARestore(String key, @TempDir Path folder) throws Exception {
        Stages stages =
                Stages.over(DataTypes.BIGINT())
                        .feature("count_distinct", 100)
                        .feature("quantile 0.5", 100)
                        .carrying("rowid", DataTypes.STRING())
                        .eventTime();
        String columns = "rowid, count_distinct_100, quantile_0_5_100";
        running = RunningJob.start(stages, null, columns, 1, key);
        running.send(keyed("a", 1, 1_000, 1L));
        running.send(keyed("of another key", 2, 1_000, 9L));
        running.watermark(1_000);
        assertEquals(List.of("+I[a, 1, 1.0]", "+I[of another key, 1, 9.0]"), twoVectors());
        running.send(keyed("waits", 1, 1_050, 3L));
        String savepoint = running.stopWithSavepoint(folder);
        running = RunningJob.start(stages, savepoint, columns, 1, key);
        running.watermark(1_060);
        assertEquals("+I[waits, 2, 1.0]", running.nextVector());
        running.send(keyed("b", 1, 1_100, 3L));
        running.send(keyed("of another key", 2, 1_099, 8L));
        running.watermark(1_100);
        assertEquals(List.of("+I[b, 1, 3.0]", "+I[of another key, 2, 8.0]"), twoVectors());
    }

    /** Columns of every type are aggregated and come out, lists of them too. */
    @Test
    void everyTypeComesOut() throws Exception {
        Stages stages = Stages.over(DataTypes.BIGINT()).feature("last_n 9", 100);
        List<String> names = new ArrayList<>(List.of("rowid", "last_n_9_100"));
        for (String column : List.of("real", "exact", "flag")) {
            stages.column(column, DataTypes.BIGINT());
            for (String function : List.of("first", "last", "last_n 9", "count_distinct")) {
                stages.feature(function, 100);
                names.add("`" + (names.size() + 2) / 4 + "_" + Stages.nameOf(function) + "_100`");
            }
        }
        stages.column("text", DataTypes.STRING()).feature("count_distinct", 100).carrying("rowid", DataTypes.STRING());
        running = RunningJob.start(stages, null, String.join(", ", names) + ", `4_count_distinct_100`");
        running.send(typed("a", 0.5, "-1.10", true, "x"));
        running.send(typed("b", -0.0, "2.20", false, "y"));
        running.send(typed("c", null, null, null, null));
        running.send(typed("d", 0.5, "2.20", true, "x"));
        running.nextVector();
        running.nextVector();
        String half = "0.5, 0.0, [0.5, 0.0], 2, -1.10, 2.20, [-1.10, 2.20], 2, true, false, [true, false], 2, 2]";
        assertEquals("+I[c, [7, 7, 7], " + half, running.nextVector());
        String all = "0.5, 0.5, [0.5, 0.0, 0.5], 2, -1.10, 2.20, [-1.10, 2.20, 2.20], 2, true, true, [true, false, true], 2, 2]";
        assertEquals("+I[d, [7, 7, 7, 7], " + all, running.nextVector());
    }

    /** A spec that names a column which the table lacks is refused when the job is planned. */
    @Test
    void aSpecThatDoesNotFitTheTableIsRefused() {
        Stages stages = stages().carrying("nowhere", DataTypes.STRING());
        ValidationException refused = assertThrows(ValidationException.class, () -> RunningJob.start(stages, null));
        assertTrue(RunningJob.causes(refused).contains("the table has no column nowhere"), RunningJob.causes(refused));
    }

    private static Stages stages() {
        return stages(100);
    }

    private static Stages stages(long window) {
        return Stages.over(DataTypes.BIGINT())
                .feature("sum", window)
                .feature("mean", window)
                .carrying("rowid", DataTypes.STRING());
    }

    private static long offsets;

    /** A query that contributes. */
    private static Row spine(String id, long key, long time, Long value) {
        return Row.of(key, time, true, true, 0, offsets++, value, id, null, null, null, null);
    }

    /** The next two feature vectors, of keys in no order, sorted as texts. */
    private List<String> twoVectors() throws InterruptedException {
        return Stream.of(running.nextVector(), running.nextVector()).sorted().toList();
    }

    /** A query that contributes, with a text that is of its key. */
    private static Row keyed(String id, long key, long time, Long value) {
        return Row.of(key, time, true, true, 0, offsets++, value, id, null, null, null, "text of " + key);
    }

    /** A query that contributes, with a value of each type. */
    private static Row typed(String id, Double real, String exact, Boolean flag, String text) {
        BigDecimal digits = exact == null ? null : new BigDecimal(exact);
        return Row.of(1L, 1_000L, true, true, 0, offsets++, 7L, id, real, digits, flag, text);
    }

    /** A row of the spine, of another source than the windows. */
    private static Row query(String id, long key, long time, long offset) {
        return Row.of(key, time, false, true, 0, offset, null, id, null, null, null, null);
    }

    /** A row of a source that is not the spine. */
    private static Row other(long key, long time, Long value) {
        return Row.of(key, time, true, false, 0, offsets++, value, "other", null, null, null, null);
    }
}
