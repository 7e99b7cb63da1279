package headrace.formats;

import java.time.Instant;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.functions.ScalarFunction;

/** {@code epoch_millis(timestamp)}: SQL has no cast from TIMESTAMP_LTZ to milliseconds. */
public final class EpochMillis extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    /** UTC milliseconds of {@code timestamp}. */
    public Long eval(@DataTypeHint("TIMESTAMP_LTZ(3)") Instant timestamp) {
        return timestamp == null ? null : timestamp.toEpochMilli();
    }
}
