package headrace;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.io.IOException;
import java.util.Arrays;
import org.apache.flink.util.InstantiationUtil;

/** What the tests of {@link Windower} share: the rows of one key, and the answers as tests write them. */
abstract class OneKey {
    MemoryBlocks blocks;
    Stage stage;
    long watermark = Long.MIN_VALUE;
    Windower windower;

    /** Of a stage that has been sent to where the job runs. */
    final void windows(Stages stages) {
        try {
            stage = InstantiationUtil.clone(stages.bind());
        } catch (IOException | ClassNotFoundException e) {
            throw new AssertionError(e);
        }
        windower = new Windower(stage);
        blocks = new MemoryBlocks(true);
    }

    final Object[] row(long time, Object value) {
        return step(time, true, true, value);
    }

    final void contribute(long time, Object value) {
        assertNull(step(time, true, false, value));
    }

    final Object[] ask(long time) {
        return step(time, false, true);
    }

    final Object[] step(long time, boolean contributes, boolean asks, Object... values) {
        Object[] answer = windower.step(blocks, Stages.row(stage, time, contributes, asks, values), watermark);
        return answer == null ? null : Values.external(stage, answer);
    }

    /** The features, of a complete answer. */
    static void assertAnswer(Object[] got, Object... expected) {
        Object[] complete = Arrays.copyOf(expected, expected.length + 1);
        complete[expected.length] = true;
        assertArrayEquals(complete, got);
    }
}
