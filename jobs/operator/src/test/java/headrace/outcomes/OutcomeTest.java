package headrace.outcomes;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.types.Row;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Which labels of an event count: the rules of docs/outcomes.md, each in a few rows. */
class OutcomeTest {
    private static final long AT = 1000;

    private final Outcome rules = new Outcome(10);
    private final Row outcome = Row.withNames();

    @BeforeEach
    void begin() {
        Row prediction = Row.withNames();
        for (String column : new String[] {"key", "plan", "model", "version", "sha256", "complete", "scored_at"}) {
            prediction.setField(column, column);
        }
        prediction.setField("event_time", AT);
        prediction.setField("score", 0.5);
        outcome.setField("event_time", null);
        assertFalse(Outcome.isPredicted(outcome));
        for (String column : new String[] {"label", "known_at", "label_at"}) {
            outcome.setField(column, null);
        }
        Outcome.begin(outcome, prediction);
        assertTrue(Outcome.isPredicted(outcome));
        assertEquals("model", outcome.getField("model"));
        assertLabel(null, null, null, 0);
    }

    /** The newest time holds, whatever order they come in; the first is when it became known. */
    @Test
    void theNewestLabelHolds() {
        add(AT + 5, 1);
        assertLabel(1.0, AT + 5, AT + 5, 1);
        add(AT - 3, 0);
        assertLabel(1.0, AT - 3, AT + 5, 2);
        add(AT + 6, 0);
        assertLabel(0.0, AT - 3, AT + 6, 3);
    }

    /** Of equal times the one that came last holds; equal labels are counted too. */
    @Test
    void ofOneTimeTheLastHolds() {
        add(AT, 1);
        add(AT, 0);
        add(AT, 0);
        assertLabel(0.0, AT, AT, 3);
    }

    /** Several of one time, which waited for the prediction, count as so many. */
    @Test
    void thoseThatWaitedAreCounted() {
        assertTrue(rules.add(outcome, AT + 1, 1, 4));
        assertLabel(1.0, AT + 1, AT + 1, 4);
    }

    /** The horizon itself is within it, on either side. */
    @Test
    void labelsBeyondTheHorizonDoNotCount() {
        assertFalse(rules.add(outcome, AT + 11, 1, 1));
        assertFalse(rules.add(outcome, AT - 11, 1, 1));
        assertLabel(null, null, null, 0);
        add(AT + 10, 1);
        add(AT - 10, 0);
        assertLabel(1.0, AT - 10, AT + 10, 2);
    }

    private void add(long at, double label) {
        assertTrue(rules.add(outcome, at, label, 1));
    }

    private void assertLabel(Double label, Long knownAt, Long labelAt, long labels) {
        assertEquals(label, outcome.getField("label"));
        assertEquals(knownAt, outcome.getField("known_at"));
        assertEquals(labelAt, outcome.getField("label_at"));
        assertEquals(labels, outcome.getField("labels"));
    }
}
