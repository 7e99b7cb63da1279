package headrace.files;

import headrace.seam.RowShape;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.table.data.RowData;

/** Files of rows, each in the order of event time: a subtask reads those whose numbers are its own. */
record FilesSource(TableFiles files, RowShape shape) implements Source<RowData, FileSplit, FileSplit> {
    private static final long serialVersionUID = 1L;

    @Override
    public Boundedness getBoundedness() {
        return Boundedness.BOUNDED;
    }

    @Override
    public SourceReader<RowData, FileSplit> createReader(SourceReaderContext context) {
        return new FilesReader(files, shape);
    }

    @Override
    public SplitEnumerator<FileSplit, FileSplit> createEnumerator(SplitEnumeratorContext<FileSplit> context) {
        return new FilesEnumerator(context, files.count());
    }

    /** No checkpoint was ever made. */
    @Override
    public SplitEnumerator<FileSplit, FileSplit> restoreEnumerator(SplitEnumeratorContext<FileSplit> context, FileSplit checkpoint) {
        return createEnumerator(context);
    }

    @Override
    public SimpleVersionedSerializer<FileSplit> getSplitSerializer() {
        return new FileSplit.Serializer();
    }

    @Override
    public SimpleVersionedSerializer<FileSplit> getEnumeratorCheckpointSerializer() {
        return new FileSplit.Serializer();
    }
}
