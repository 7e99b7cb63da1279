package headrace.formats;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * {@code written(topic, partition, offset, arrived)}: whether a record had its dead letter before this job began.
 *
 * <p>The job is told by its parameter {@code headrace.written.<topic>}: {@code partition-offset-arrived} for each of them, with
 * slashes between. The time of arrival is there since a topic may have been deleted and made again.
 */
public final class Written extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    private transient FunctionContext context;
    private transient Map<String, Set<String>> known;

    @Override
    public void open(FunctionContext context) {
        this.context = context;
        known = new HashMap<>();
    }

    /** Asked of bad records alone, which are few. */
    public Boolean eval(String topic, Integer partition, Long offset, Long arrived) {
        return known.computeIfAbsent(topic, this::told).contains(partition + "-" + offset + "-" + arrived);
    }

    private Set<String> told(String topic) {
        return Set.of(context.getJobParameter("headrace.written." + topic, "").split("/"));
    }
}
