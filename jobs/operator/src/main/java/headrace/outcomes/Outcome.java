package headrace.outcomes;

import org.apache.flink.types.Row;

/**
 * A prediction and what is known of its label, as a row: the one of {@link JoinLabels}, of which this has the rules that
 * docs/outcomes.md gives.
 */
final class Outcome {
    /** The type of the row; the first columns are the prediction's. */
    static final String TYPE =
            "ROW<`key` STRING, `event_time` BIGINT, `score` DOUBLE, `plan` STRING, `model` STRING, `version` BIGINT,"
                    + " `sha256` STRING, `complete` BOOLEAN, `scored_at` BIGINT, `label` DOUBLE, `known_at` BIGINT,"
                    + " `label_at` BIGINT, `labels` BIGINT>";

    private static final String[] PREDICTION = {
        "key", "event_time", "score", "plan", "model", "version", "sha256", "complete", "scored_at"
    };

    private final long horizon;

    Outcome(long horizon) {
        this.horizon = horizon;
    }

    /** Whether there is a prediction. */
    static boolean isPredicted(Row outcome) {
        return outcome.getField("event_time") != null;
    }

    /** Begins with a prediction, of which no label is known. */
    static void begin(Row outcome, Row prediction) {
        for (String column : PREDICTION) {
            outcome.setField(column, prediction.getField(column));
        }
        outcome.setField("labels", 0L);
    }

    /**
     * Adds labels of one time, {@code count} of them, the last of which is {@code label}. Those that came before have been added
     * before. False where their time is beyond the horizon, so that they do not count.
     */
    boolean add(Row outcome, long at, double label, long count) {
        if (Math.abs(at - outcome.<Long>getFieldAs("event_time")) > horizon) {
            return false;
        }
        Long knownAt = outcome.getFieldAs("known_at");
        Long labelAt = outcome.getFieldAs("label_at");
        outcome.setField("known_at", knownAt == null ? at : Math.min(knownAt, at));
        outcome.setField("labels", outcome.<Long>getFieldAs("labels") + count);
        if (labelAt == null || at >= labelAt) {
            outcome.setField("label_at", at);
            outcome.setField("label", label);
        }
        return true;
    }
}
