package headrace.seam;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceEvent;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.table.data.RowData;
import org.apache.flink.util.FlinkRuntimeException;

/** Gives readers the files of a history, and the splits of the topic once the {@link Gate} is open. */
final class SeamEnumerator<S extends SourceSplit, E> implements SplitEnumerator<SeamSplit<S>, SeamState<E>> {
    private static final long NO_CHECKPOINT = -1;

    private final Source<RowData, S, E> source;
    private final History history;
    private final Gate gate;
    private final SplitEnumeratorContext<SeamSplit<S>> context;
    private final E restored;
    private final List<SeamSplit<S>> files = new ArrayList<>();

    /** The readers that have sent on all of their files since they started. */
    private final Set<Integer> finished = new HashSet<>();

    /** Whether a complete checkpoint has all of the history. */
    private boolean kept;

    /** The first checkpoint that began when all of the history had been sent on. */
    private long candidate = NO_CHECKPOINT;

    private final Runnable opened;
    private SplitEnumerator<S, E> topic;

    SeamEnumerator(Source<RowData, S, E> source, History history, SplitEnumeratorContext<SeamSplit<S>> context, SeamState<E> state) {
        this.source = source;
        this.history = history;
        this.context = context;
        gate = Gate.of(history);
        opened = () -> context.runInCoordinatorThread(this::open);
        restored = state.topic();
        kept = state.sent();
        state.files().forEach(number -> files.add(SeamSplit.ofFile(number)));
    }

    @Override
    public void start() {
        if (kept) {
            gate.sent(history.source());
            gate.kept(history.source());
        }
        if (restored != null) {
            open();
        } else {
            gate.whenOpen(opened);
        }
    }

    private void open() {
        try {
            TopicContext<S> of = new TopicContext<>(context);
            topic = restored == null ? source.createEnumerator(of) : source.restoreEnumerator(of, restored);
        } catch (Exception e) {
            throw new FlinkRuntimeException(e);
        }
        topic.start();
        context.registeredReaders().keySet().forEach(topic::addReader);
    }

    /** A reader that starts anew may have to send its files on again. */
    @Override
    public void addReader(int reader) {
        forget(reader);
        for (SeamSplit<S> file : List.copyOf(files)) {
            if (file.number() % context.currentParallelism() == reader) {
                context.assignSplit(file, reader);
                files.remove(file);
            }
        }
        context.sendEventToSourceReader(reader, SeamEvent.ALL_ASSIGNED);
        if (topic != null) {
            topic.addReader(reader);
        }
    }

    @Override
    public void addSplitsBack(List<SeamSplit<S>> splits, int reader) {
        forget(reader);
        files.addAll(splits.stream().filter(SeamSplit::isHistory).toList());
        List<S> ofTopic = splits.stream().filter(split -> !split.isHistory()).map(SeamSplit::topic).toList();
        if (!ofTopic.isEmpty()) {
            topic.addSplitsBack(ofTopic, reader);
        }
    }

    private void forget(int reader) {
        finished.remove(reader);
        candidate = NO_CHECKPOINT;
    }

    @Override
    public void handleSourceEvent(int reader, SourceEvent event) {
        if (event != SeamEvent.ALL_SENT) {
            topic.handleSourceEvent(reader, event);
            return;
        }
        finished.add(reader);
        if (isSent()) {
            gate.sent(history.source());
        }
    }

    private boolean isSent() {
        return kept || finished.size() == context.currentParallelism();
    }

    @Override
    public void handleSplitRequest(int reader, String host) {
        if (topic != null) {
            topic.handleSplitRequest(reader, host);
        }
    }

    /** Runs before the checkpoint's barrier goes to the readers: what they have sent on by now comes before it. */
    @Override
    public SeamState<E> snapshotState(long checkpoint) throws Exception {
        if (!isSent()) {
            candidate = NO_CHECKPOINT;
        } else if (candidate == NO_CHECKPOINT) {
            candidate = checkpoint;
        }
        E ofTopic = topic == null ? restored : topic.snapshotState(checkpoint);
        return new SeamState<>(files.stream().map(SeamSplit::number).toList(), isSent(), ofTopic);
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) throws Exception {
        if (!kept && candidate != NO_CHECKPOINT && checkpoint >= candidate) {
            kept = true;
            gate.kept(history.source());
        }
        if (topic != null) {
            topic.notifyCheckpointComplete(checkpoint);
        }
    }

    @Override
    public void notifyCheckpointAborted(long checkpoint) throws Exception {
        if (topic != null) {
            topic.notifyCheckpointAborted(checkpoint);
        }
    }

    @Override
    public void close() throws IOException {
        gate.leave(opened);
        if (topic != null) {
            topic.close();
        }
    }
}
