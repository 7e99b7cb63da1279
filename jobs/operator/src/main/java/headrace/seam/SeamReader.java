package headrace.seam;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceEvent;
import org.apache.flink.api.connector.source.SourceOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.table.data.RowData;
import org.apache.flink.util.IOUtils;

/** Reads its files of the history one after the other, and then its splits of the topic. */
@SuppressWarnings("try") // the interface says that close() throws any exception
final class SeamReader<S extends SourceSplit> implements SourceReader<RowData, SeamSplit<S>> {
    private static final int ROWS_A_POLL = 64;

    private final SourceReader<RowData, S> topic;
    private final SourceReaderContext context;
    private final History history;
    private final RowShape shape;
    private final Deque<SeamSplit<S>> files = new ArrayDeque<>();

    /** The first of {@link #files}, once it is read. */
    private HistoryFile file;

    private boolean hasAll;
    private boolean hasSaid;
    private CompletableFuture<Void> woken = new CompletableFuture<>();

    SeamReader(SourceReader<RowData, S> topic, SourceReaderContext context, History history, RowShape shape) {
        this.topic = topic;
        this.context = context;
        this.history = history;
        this.shape = shape;
    }

    @Override
    public void start() {
        topic.start();
    }

    @Override
    public InputStatus pollNext(ReaderOutput<RowData> output) throws Exception {
        if (hasSaid) {
            return topic.pollNext(output);
        }
        if (!files.isEmpty()) {
            sendOn(output);
            return InputStatus.MORE_AVAILABLE;
        }
        woken = new CompletableFuture<>();
        if (hasAll) {
            hasSaid = true;
            context.sendSourceEventToCoordinator(SeamEvent.ALL_SENT);
        }
        return topic.pollNext(output);
    }

    private void sendOn(ReaderOutput<RowData> output) throws IOException {
        SeamSplit<S> split = files.getFirst();
        if (file == null) {
            file = new HistoryFile(history.file(split.number()), shape, split.frame(), split.row());
        }
        SourceOutput<RowData> rows = output.createOutputForSplit(split.splitId());
        for (int i = 0; i < ROWS_A_POLL; i++) {
            RowData row = file.next();
            if (row == null) {
                file.close();
                file = null;
                files.removeFirst();
                output.releaseOutputForSplit(split.splitId());
                return;
            }
            rows.collect(row);
        }
    }

    @Override
    public List<SeamSplit<S>> snapshotState(long checkpoint) {
        List<SeamSplit<S>> splits = new ArrayList<>(files);
        if (file != null) {
            splits.set(0, new SeamSplit<>(splits.get(0).number(), file.frame(), file.row(), null));
        }
        topic.snapshotState(checkpoint).forEach(split -> splits.add(SeamSplit.ofTopic(split)));
        return splits;
    }

    @Override
    public CompletableFuture<Void> isAvailable() {
        if (hasSaid) {
            return topic.isAvailable();
        }
        return files.isEmpty() ? woken : CompletableFuture.completedFuture(null);
    }

    @Override
    public void addSplits(List<SeamSplit<S>> splits) {
        files.addAll(splits.stream().filter(SeamSplit::isHistory).toList());
        List<S> ofTopic = splits.stream().filter(split -> !split.isHistory()).map(SeamSplit::topic).toList();
        if (!ofTopic.isEmpty()) {
            topic.addSplits(ofTopic);
        }
        woken.complete(null);
    }

    @Override
    public void handleSourceEvents(SourceEvent event) {
        if (event == SeamEvent.ALL_ASSIGNED) {
            hasAll = true;
            woken.complete(null);
        } else {
            topic.handleSourceEvents(event);
        }
    }

    @Override
    public void notifyNoMoreSplits() {
        topic.notifyNoMoreSplits();
        woken.complete(null);
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) throws Exception {
        topic.notifyCheckpointComplete(checkpoint);
    }

    @Override
    public void notifyCheckpointAborted(long checkpoint) throws Exception {
        topic.notifyCheckpointAborted(checkpoint);
    }

    /** Rows of history move no watermark, and so are never ahead of another source. */
    @Override
    public void pauseOrResumeSplits(Collection<String> pause, Collection<String> resume) {
        topic.pauseOrResumeSplits(pause, resume);
    }

    @Override
    public void close() throws Exception {
        IOUtils.closeAll(file, topic);
    }
}
