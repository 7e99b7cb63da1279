package headrace.windows;

import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;

/** The ledger of one view's late rows as metrics, {@code headrace.<view>.late_…}: sums over all its entries. */
final class LedgerMetrics {
    private final Counter rows;
    private final Counter milliseconds;
    private final Counter vectors;
    private final Counter values;

    private LedgerMetrics(MetricGroup group) {
        rows = group.counter("late_rows");
        milliseconds = group.counter("late_ms");
        vectors = group.counter("late_vectors");
        values = group.counter("late_values");
    }

    static LedgerMetrics[] of(String[] views, MetricGroup group) {
        LedgerMetrics[] metrics = new LedgerMetrics[views.length];
        for (int v = 0; v < views.length; v++) {
            metrics[v] = new LedgerMetrics(group.addGroup("headrace").addGroup(views[v]));
        }
        return metrics;
    }

    void count(LateRow entry) {
        rows.inc();
        milliseconds.inc(entry.late());
        vectors.inc(entry.vectors());
        values.inc(entry.changed());
    }
}
