package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import headrace.state.StateBlocks;
import java.nio.file.Path;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** State that another version has written is refused, and not read as windows that are empty. */
class StateFormatTest {
    private static final long HEADS_ENTRY = 0;
    private static final String ADVICE =
            "; start the job anew with 'headrace down --wipe', or run the version that wrote the checkpoint";

    private final MapView<Long, byte[]> state = new MapView<>();
    private RunningJob running;

    @AfterEach
    void stop() throws Exception {
        if (running != null) {
            running.cancel();
        }
    }

    /** The first byte of a key's heads is the format, and of this format they are read again. */
    @ParameterizedTest
    @ValueSource(strings = {"count", "count_distinct"})
    void stateSaysItsFormat(String function) throws Exception {
        assertEquals(1L, count(function));
        assertEquals(5, state.get(HEADS_ENTRY)[0]);
        assertEquals(2L, count(function));
    }

    /** Heads of another format are refused in one line that says which it is; before format 5 the first byte was 0. */
    @ParameterizedTest
    @CsvSource({"0, an earlier format", "4, format 4", "6, format 6"})
    void anotherFormatIsRefused(byte format, String name) throws Exception {
        count("count");
        state.get(HEADS_ENTRY)[0] = format;
        SuppressRestartsException refused = assertThrows(SuppressRestartsException.class, () -> count("count"));
        String line = "this job needs state of format 5, and the checkpoint is of " + name + ADVICE;
        assertEquals(line, refused.getCause().getMessage());
    }

    /** A key that has blocks and no heads was written by a version that kept them elsewhere. */
    @Test
    void blocksWithoutTheirHeadsAreRefused() throws Exception {
        state.put(7L, new byte[100]);
        SuppressRestartsException refused = assertThrows(SuppressRestartsException.class, () -> count("count"));
        String line = "this job needs state of format 5, and the checkpoint has blocks without their heads" + ADVICE;
        assertEquals(line, refused.getCause().getMessage());
    }

    /** A job that is restored from a checkpoint of another version fails with that line, and is not restarted for it. */
    @ParameterizedTest
    @CsvSource({"0, 0, is of an earlier format", "0, 6, is of format 6", "3, 0, has blocks without their heads"})
    void aJobRefusesAnotherFormatOnce(long block, int firstByte, String what, @TempDir Path folder) throws Exception {
        Stages stages = Stages.over(DataTypes.BIGINT()).feature("sum", 100).carrying("rowid", DataTypes.STRING());
        running = RunningJob.startAnotherVersion(stages);
        running.send(Row.of(1L, 1_000L, true, true, firstByte, 0L, block, "a", null, null, null, null));
        assertEquals("+I[a]", running.nextVector());
        String savepoint = running.stopWithSavepoint(folder);
        running = RunningJob.start(stages, savepoint, "rowid, sum_100");
        running.send(Row.of(1L, 1_010L, true, true, 0, 0L, 1L, "b", null, null, null, null));
        ExecutionException failed =
                assertThrows(ExecutionException.class, () -> running.job.getJobExecutionResult().get(20, TimeUnit.SECONDS));
        String causes = RunningJob.causes(failed);
        assertTrue(causes.contains("this job needs state of format 5, and the checkpoint " + what + ADVICE), causes);
        assertEquals(1, running.starts.get());
        assertEquals(0, running.vectors.size());
        running = null; // it has ended
    }

    /** The count of a key's rows, one more than before. */
    private Object count(String function) {
        Stage stage = Stages.over(DataTypes.BIGINT()).feature(function, 1_000).bind();
        Windower windower = new Windower(stage, Mode.of(stage));
        StateBlocks blocks = new StateBlocks(stage.key, stage.cache);
        blocks.open(state, stage.key == null ? null : GenericRowData.of(1L));
        long value = state.getMap().isEmpty() ? 1 : 2;
        Object count = windower.step(blocks, Stages.row(stage, 1_000, true, true, value), Long.MIN_VALUE)[0];
        blocks.save();
        return count;
    }
}
