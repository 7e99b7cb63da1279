package headrace.files;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;

/**
 * Gives each reader its files when it starts, and none later. A reader that took a file when it is done with another would read rows
 * that are older than the watermark.
 */
final class FilesEnumerator implements SplitEnumerator<FileSplit, FileSplit> {
    private final SplitEnumeratorContext<FileSplit> context;
    private final List<FileSplit> files;

    FilesEnumerator(SplitEnumeratorContext<FileSplit> context, int count) {
        this.context = context;
        files = new ArrayList<>(IntStream.range(0, count).mapToObj(FileSplit::new).toList());
    }

    @Override
    public void start() {}

    @Override
    public void addReader(int reader) {
        for (FileSplit file : List.copyOf(files)) {
            if (file.number() % context.currentParallelism() == reader) {
                context.assignSplit(file, reader);
                files.remove(file);
            }
        }
        context.signalNoMoreSplits(reader);
    }

    /** Of a reader that failed, and starts again. */
    @Override
    public void addSplitsBack(List<FileSplit> splits, int reader) {
        files.addAll(splits);
        files.sort(Comparator.comparingInt(FileSplit::number));
    }

    @Override
    public void handleSplitRequest(int reader, String host) {}

    @Override
    public FileSplit snapshotState(long checkpoint) {
        throw new UnsupportedOperationException("a job over files has no checkpoints: it begins again");
    }

    @Override
    public void close() throws IOException {}
}
