package headrace.files;

import headrace.seam.HistoryFile;
import headrace.seam.RowShape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.table.data.RowData;
import org.apache.flink.util.IOUtils;

/**
 * Reads its files side by side, each with a watermark of its own: the least of them counts. So it sends nothing on before it has all
 * of them.
 */
final class FilesReader implements SourceReader<RowData, FileSplit> {
    private static final int ROWS_A_POLL = 256;

    /** A file that is read. */
    private record Open(FileSplit split, HistoryFile file) {}

    private final TableFiles files;
    private final RowShape shape;
    private final Queue<Open> open = new ArrayDeque<>();
    private final Set<String> paused = new HashSet<>();
    private CompletableFuture<Void> available = new CompletableFuture<>();
    private boolean hasAll;
    private boolean hasBegun;

    FilesReader(TableFiles files, RowShape shape) {
        this.files = files;
        this.shape = shape;
    }

    @Override
    public void start() {}

    @Override
    public InputStatus pollNext(ReaderOutput<RowData> output) throws IOException {
        if (hasAll && open.isEmpty()) {
            return InputStatus.END_OF_INPUT;
        }
        Open next = hasAll ? next() : null;
        if (next == null) {
            available = new CompletableFuture<>();
            return InputStatus.NOTHING_AVAILABLE;
        }
        if (!hasBegun) {
            hasBegun = true;
            open.forEach(one -> output.createOutputForSplit(one.split.splitId()));
        }
        if (!sendOn(next, output.createOutputForSplit(next.split.splitId()))) {
            open.remove(next);
            next.file.close();
            output.releaseOutputForSplit(next.split.splitId());
        }
        return InputStatus.MORE_AVAILABLE;
    }

    /** The files in turn; null where all of them are ahead of other sources. */
    private Open next() {
        for (int i = 0; i < open.size(); i++) {
            Open one = open.remove();
            open.add(one);
            if (!paused.contains(one.split.splitId())) {
                return one;
            }
        }
        return null;
    }

    @Override
    public void pauseOrResumeSplits(Collection<String> pause, Collection<String> resume) {
        paused.addAll(pause);
        paused.removeAll(resume);
        available.complete(null);
    }

    /** Whether there may be more. */
    private static boolean sendOn(Open from, SourceOutput<RowData> output) throws IOException {
        for (int i = 0; i < ROWS_A_POLL; i++) {
            RowData row = from.file.next();
            if (row == null) {
                return false;
            }
            output.collect(row);
        }
        return true;
    }

    @Override
    public void addSplits(List<FileSplit> splits) {
        try {
            for (FileSplit split : splits) {
                open.add(new Open(split, new HistoryFile(files.file(split.number()), shape, 0, 0)));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void notifyNoMoreSplits() {
        hasAll = true;
        available.complete(null);
    }

    @Override
    public CompletableFuture<Void> isAvailable() {
        return available;
    }

    @Override
    public List<FileSplit> snapshotState(long checkpoint) {
        throw new UnsupportedOperationException("a job over files has no checkpoints: it begins again");
    }

    @Override
    public void close() {
        IOUtils.closeAllQuietly(open.stream().map(Open::file).toList());
    }
}
