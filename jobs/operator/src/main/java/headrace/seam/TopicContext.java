package headrace.seam;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.BiConsumer;
import org.apache.flink.api.connector.source.ReaderInfo;
import org.apache.flink.api.connector.source.SourceEvent;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.SplitsAssignment;
import org.apache.flink.metrics.groups.SplitEnumeratorMetricGroup;

/** What the topic's own enumerator sees of the one around it. */
record TopicContext<S extends SourceSplit>(SplitEnumeratorContext<SeamSplit<S>> context) implements SplitEnumeratorContext<S> {
    @Override
    public void assignSplits(SplitsAssignment<S> splits) {
        Map<Integer, List<SeamSplit<S>>> assigned = new HashMap<>();
        splits.assignment().forEach((reader, some) -> assigned.put(reader, some.stream().map(SeamSplit::ofTopic).toList()));
        context.assignSplits(new SplitsAssignment<>(assigned));
    }

    @Override
    public SplitEnumeratorMetricGroup metricGroup() {
        return context.metricGroup();
    }

    @Override
    public void sendEventToSourceReader(int reader, SourceEvent event) {
        context.sendEventToSourceReader(reader, event);
    }

    @Override
    public int currentParallelism() {
        return context.currentParallelism();
    }

    @Override
    public Map<Integer, ReaderInfo> registeredReaders() {
        return context.registeredReaders();
    }

    @Override
    public void signalNoMoreSplits(int reader) {
        context.signalNoMoreSplits(reader);
    }

    @Override
    public <T> void callAsync(Callable<T> call, BiConsumer<T, Throwable> then) {
        context.callAsync(call, then);
    }

    @Override
    public <T> void callAsync(Callable<T> call, BiConsumer<T, Throwable> then, long delayMillis, long periodMillis) {
        context.callAsync(call, then, delayMillis, periodMillis);
    }

    @Override
    public void runInCoordinatorThread(Runnable run) {
        context.runInCoordinatorThread(run);
    }
}
