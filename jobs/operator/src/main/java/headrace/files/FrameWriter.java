package headrace.files;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;

/** Writes rows as {@link headrace.seam.HistoryFile} describes and {@code jobs/history/frames.py} reads them. */
final class FrameWriter implements Closeable {
    static final int FRAME_ROWS = 4096;

    private final FileChannel channel;
    private final RowData.FieldGetter[] fields;
    private final FrameColumn[] columns;
    private int rows;

    FrameWriter(Path path, RowType type) throws IOException {
        channel = FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);
        int width = type.getFieldCount();
        fields = new RowData.FieldGetter[width];
        columns = new FrameColumn[width];
        for (int c = 0; c < width; c++) {
            fields[c] = RowData.createFieldGetter(type.getTypeAt(c), c);
            columns[c] = new FrameColumn(type.getTypeAt(c));
        }
        byte[] names = String.join("\n", type.getFieldNames()).getBytes(StandardCharsets.UTF_8);
        try {
            write(buffer(Integer.BYTES + names.length).putInt(names.length).put(names));
        } catch (IOException e) {
            channel.close(); // nobody else has it
            throw e;
        }
    }

    /** Nothing of the row is kept. */
    void add(RowData row) throws IOException {
        for (int c = 0; c < columns.length; c++) {
            columns[c].add(fields[c].getFieldOrNull(row));
        }
        if (++rows == FRAME_ROWS) {
            writeFrame();
        }
    }

    private void writeFrame() throws IOException {
        int length = 0;
        for (FrameColumn column : columns) {
            length += column.length();
        }
        ByteBuffer frame = buffer(2 * Integer.BYTES + length).putInt(rows).putInt(length);
        for (FrameColumn column : columns) {
            column.moveTo(frame);
        }
        write(frame);
        rows = 0;
    }

    private static ByteBuffer buffer(int length) {
        return ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    }

    private void write(ByteBuffer bytes) throws IOException {
        for (bytes.flip(); bytes.hasRemaining(); ) {
            channel.write(bytes);
        }
    }

    /** Writes what is left; a second time does nothing. */
    @Override
    public void close() throws IOException {
        try (channel) {
            if (rows > 0 && channel.isOpen()) {
                writeFrame();
            }
        }
    }
}
