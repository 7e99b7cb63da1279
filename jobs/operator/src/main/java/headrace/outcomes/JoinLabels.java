package headrace.outcomes;

import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import java.util.Map;
import org.apache.flink.metrics.Counter;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.types.Row;

/**
 * Predictions and labels of an event, in whatever order they come, to its outcomes: one with the prediction, and one more with each
 * label that counts. The rules are those of docs/outcomes.md.
 *
 * <pre>
 * SELECT … FROM join_labels(r => TABLE rows PARTITION BY id, horizon_ms => …, lateness_ms => …, uid => '…')
 * </pre>
 *
 * <p>A row of the table is a prediction, with a {@code score}, or a label, with a {@code label}; {@code at} is its time. An event is
 * forgotten once the watermark has passed its time, the horizon and the lateness: so the state is bounded, and what comes no more
 * than the lateness behind the watermark finds all that it needs.
 */
@DataTypeHint(Outcome.TYPE)
public final class JoinLabels extends ProcessTableFunction<Row> {
    private static final long serialVersionUID = 1L;

    private static final String EVENT = "event";

    private transient Counter late;

    /** Labels of one time that wait for their prediction. */
    public static final class Waiting {
        /** The one that came last. */
        public Double label;

        /** How many there are. */
        public Long count;
    }

    @Override
    public void open(FunctionContext context) {
        late = context.getMetricGroup().addGroup("headrace").counter("late_for_outcomes");
    }

    /** One row of the table. {@code waiting} has labels by their times, for as long as there is no {@code outcome}. */
    public void eval(
            Context context,
            @StateHint(name = "outcome", ttl = "0 ms", type = @DataTypeHint(Outcome.TYPE)) Row outcome,
            @StateHint(name = "waiting", ttl = "0 ms") MapView<Long, Waiting> waiting,
            @ArgumentHint(name = "r", value = SET_SEMANTIC_TABLE) Row r,
            @ArgumentHint(name = "horizon_ms") Long horizon,
            @ArgumentHint(name = "lateness_ms") Long lateness)
            throws Exception {
        TimeContext<Long> time = context.timeContext(Long.class);
        Outcome rules = new Outcome(horizon);
        boolean isPrediction = r.getField("score") != null;
        long at = r.<Long>getFieldAs("at");
        if (Outcome.isPredicted(outcome)) { // a second prediction is none: the first is what was acted upon
            if (!isPrediction && rules.add(outcome, at, r.<Double>getFieldAs("label"), 1)) {
                collect(outcome);
            }
            return;
        }
        long forgotten = at + horizon + lateness;
        Long known = time.currentWatermark();
        long watermark = known == null ? Long.MIN_VALUE : known;
        if (at + lateness < watermark) { // what it belongs to may have been forgotten
            late.inc();
        }
        if (forgotten < watermark) {
            return; // a repeat, perhaps, of what has its outcome
        }
        time.registerOnTime(isPrediction ? EVENT : String.valueOf(at), forgotten + 1);
        if (!isPrediction) {
            put(waiting, at, r.<Double>getFieldAs("label"));
            return;
        }
        Outcome.begin(outcome, r);
        for (Map.Entry<Long, Waiting> entry : waiting.entries()) {
            rules.add(outcome, entry.getKey(), entry.getValue().label, entry.getValue().count);
        }
        waiting.clear();
        collect(outcome);
    }

    /** The watermark has come to where the event, or a label that waits, is forgotten: a timer of a label is called by its time. */
    public void onTimer(OnTimerContext context, Row outcome, MapView<Long, Waiting> waiting) throws Exception {
        String timer = context.currentTimer();
        if (timer.equals(EVENT)) {
            context.clearAll();
        } else {
            waiting.remove(Long.valueOf(timer));
        }
    }

    private static void put(MapView<Long, Waiting> waiting, long at, double label) throws Exception {
        Waiting before = waiting.get(at);
        Waiting now = new Waiting();
        now.label = label;
        now.count = before == null ? 1 : before.count + 1;
        waiting.put(at, now);
    }
}
