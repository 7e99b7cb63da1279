package headrace.files;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.apache.flink.api.common.TaskInfo;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;

/** Writes rows in frames. A job that begins again replaces what it wrote before. */
record FilesSink(TableFiles files, RowType columns) implements Sink<RowData> {
    private static final long serialVersionUID = 1L;

    @Override
    public SinkWriter<RowData> createWriter(WriterInitContext context) throws IOException {
        TaskInfo task = context.getTaskInfo();
        Path unfinished = files.unfinished(task.getIndexOfThisSubtask(), task.getAttemptNumber());
        return new Writer(unfinished, files.file(task.getIndexOfThisSubtask()), new FrameWriter(unfinished, columns));
    }

    /** One subtask's file, which gets its name at the end of the rows. */
    private record Writer(Path unfinished, Path file, FrameWriter rows) implements SinkWriter<RowData> {
        @Override
        public void write(RowData row, Context context) throws IOException {
            rows.add(row);
        }

        @Override
        public void flush(boolean endOfInput) throws IOException {
            if (endOfInput) {
                rows.close();
                Files.move(unfinished, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            }
        }

        @Override
        public void close() throws IOException {
            rows.close();
        }
    }
}
