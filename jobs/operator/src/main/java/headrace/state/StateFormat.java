package headrace.state;

import org.apache.flink.runtime.execution.SuppressRestartsException;

/**
 * The format of the operator's state, which is the first byte of the entry that each key's heads share.
 *
 * <p>A checkpoint of another format is refused: read as if it were of this one, its windows would be wrong, or look empty. Before
 * format 5 the entry began with the length of a head, whose first byte is 0.
 */
public final class StateFormat {
    /** Every change to the content of a block, of an entry or of their numbers raises it. */
    static final byte VERSION = 5;

    private StateFormat() {}

    /** Refuses an entry of another format. */
    static void check(byte[] heads) {
        if (heads[0] != VERSION) {
            throw refusal(heads[0] == 0 ? "is of an earlier format" : "is of format " + heads[0]);
        }
    }

    /** Says why the checkpoint cannot be read, and that Flink need not try again. */
    static SuppressRestartsException refusal(String found) {
        String rule = "this job needs state of format " + VERSION + ", and the checkpoint " + found;
        String advice = "start the job anew with 'headrace down --wipe', or run the version that wrote the checkpoint";
        return new SuppressRestartsException(new IllegalStateException(rule + "; " + advice));
    }
}
