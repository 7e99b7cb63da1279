package headrace.state;

import org.apache.flink.runtime.execution.SuppressRestartsException;

/**
 * The format of the operator's state, which the heads' entry of each key names in its first byte.
 *
 * <p>A checkpoint of another format is refused: read as this one, its windows would be wrong, or look empty. Before format 5 the
 * entry began with the length of its first head, whose first byte is 0.
 */
public final class StateFormat {
    /** To be raised by every change of what a block or an entry holds. */
    static final byte VERSION = 5;

    private StateFormat() {}

    /** Refuses an entry of another format. */
    static void check(byte[] heads) {
        if (heads[0] != VERSION) {
            throw refusal(heads[0] == 0 ? "is of an earlier format" : "is of format " + heads[0]);
        }
    }

    /** Why a checkpoint that {@code was} something else cannot be read, for Flink not to try again. */
    static SuppressRestartsException refusal(String was) {
        return new SuppressRestartsException(
                new IllegalStateException(
                        "this job needs state of format "
                                + VERSION
                                + ", and the checkpoint "
                                + was
                                + "; start the job anew with 'headrace down --wipe', or run the version that wrote the checkpoint"));
    }
}
