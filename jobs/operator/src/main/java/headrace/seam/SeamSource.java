package headrace.seam;

import java.util.List;
import java.util.stream.IntStream;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.table.data.RowData;

/**
 * A source of a backfilled job: its history, and then its topic (docs/backfill.md).
 *
 * <pre>
 * orders    files ●●●●●●●●●●│        checkpoint        │ topic ● ● ●  ●
 * returns   files ●●●│                   │             │ topic  ●     ●
 *                    sent on         all histories are   open
 *                                    in the state
 * </pre>
 *
 * <p>So no row of a topic is processed before all rows of all histories have been, at every stage, and what a topic gets meanwhile
 * waits in Kafka.
 */
public final class SeamSource<S extends SourceSplit, E> implements Source<RowData, SeamSplit<S>, SeamState<E>> {
    private static final long serialVersionUID = 1L;

    private final Source<RowData, S, E> topic;
    private final History history;
    private final RowShape shape;

    public SeamSource(Source<RowData, S, E> topic, History history, RowShape shape) {
        this.topic = topic;
        this.history = history;
        this.shape = shape;
    }

    @Override
    public Boundedness getBoundedness() {
        return topic.getBoundedness();
    }

    @Override
    public SourceReader<RowData, SeamSplit<S>> createReader(SourceReaderContext context) throws Exception {
        return new SeamReader<>(topic.createReader(context), context, history, shape);
    }

    @Override
    public SplitEnumerator<SeamSplit<S>, SeamState<E>> createEnumerator(SplitEnumeratorContext<SeamSplit<S>> context) {
        List<Integer> files = IntStream.range(0, history.files()).boxed().toList();
        return new SeamEnumerator<>(topic, history, context, new SeamState<>(files, history.files() == 0, null));
    }

    @Override
    public SplitEnumerator<SeamSplit<S>, SeamState<E>> restoreEnumerator(
            SplitEnumeratorContext<SeamSplit<S>> context, SeamState<E> state) {
        return new SeamEnumerator<>(topic, history, context, state);
    }

    @Override
    public SimpleVersionedSerializer<SeamSplit<S>> getSplitSerializer() {
        return new SeamSplit.Serializer<>(topic.getSplitSerializer());
    }

    @Override
    public SimpleVersionedSerializer<SeamState<E>> getEnumeratorCheckpointSerializer() {
        return new SeamState.Serializer<>(topic.getEnumeratorCheckpointSerializer());
    }
}
