package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import headrace.state.MemoryBlocks;
import java.io.IOException;
import java.util.Arrays;
import org.apache.flink.util.InstantiationUtil;

/** What the tests of {@link Windower} share: the rows of one key, and feature vectors as tests write them. */
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
        windower = new Windower(stage, Mode.of(stage));
        blocks = new MemoryBlocks(true);
    }

    final Object[] row(long time, Object value) {
        return step(time, true, true, value);
    }

    final void contribute(long time, Object value) {
        assertNull(step(time, true, false, value));
    }

    final Object[] query(long time) {
        return step(time, false, true);
    }

    /** Until when the features of each view of a vector are valid. */
    final Object[] validUntil(Object[] vector) {
        return Arrays.copyOfRange(vector, stage.features.length + 1, vector.length);
    }

    final Object[] step(long time, boolean contributes, boolean isQuery, Object... values) {
        Object[] vector = windower.step(blocks, Stages.row(stage, time, contributes, isQuery, values), watermark);
        return vector == null ? null : Values.external(stage, vector);
    }

    /** Expects these features, complete, whatever they are valid until. */
    static void assertVector(Object[] got, Object... expected) {
        Object[] complete = Arrays.copyOf(expected, expected.length + 1);
        complete[expected.length] = true;
        assertArrayEquals(complete, Arrays.copyOf(got, complete.length));
    }
}
