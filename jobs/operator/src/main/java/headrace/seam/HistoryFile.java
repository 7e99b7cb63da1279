package headrace.seam;

import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/**
 * A file of history, as {@code jobs/history/frames.py} writes it: rows in frames, each column of a frame as Apache Arrow has it in
 * memory. All numbers are little-endian.
 *
 * <pre>
 * file     length int │ the columns' names, a line each │ frames
 * frame    rows int │ length int │ columns
 * column   has nulls byte │ [bits of those that are not null] │ values
 * values   BIGINT, DOUBLE: 8 bytes each │ BOOLEAN: bits │ DECIMAL: 16 bytes each │ STRING: ends int each, after a 0 │ texts
 *          ARRAY, written only: ends int each, after a 0 │ the elements, a column
 * </pre>
 */
public final class HistoryFile implements Closeable {
    private final FileChannel channel;
    private final RowShape shape;
    private final int[] positions;
    private final LogicalType[] types;
    private long frame;
    private long nextFrame;
    private int row;
    private int rows;
    private Column[] columns;

    /** From the row at place {@code row} of the frame that begins at {@code frame}; at 0: from the first row. */
    public HistoryFile(Path path, RowShape shape, long frame, int row) throws IOException {
        this.shape = shape;
        channel = FileChannel.open(path, StandardOpenOption.READ);
        try {
            int length = read(0, Integer.BYTES).getInt();
            positions = positions(path, text(read(Integer.BYTES, length), 0, length).split("\n"));
            types = Arrays.stream(positions).mapToObj(shape.columns()::getTypeAt).toArray(LogicalType[]::new);
            nextFrame = frame == 0 ? Integer.BYTES + length : frame;
            this.frame = nextFrame;
            if (row > 0) {
                readFrame();
                this.row = row;
            }
        } catch (IOException | RuntimeException e) {
            channel.close(); // nobody else has it
            throw e;
        }
    }

    private int[] positions(Path path, String[] names) throws IOException {
        int[] found = new int[names.length];
        for (int c = 0; c < names.length; c++) {
            found[c] = shape.columns().getFieldIndex(names[c]);
            if (found[c] < 0) {
                throw new IOException(path + " has a column " + names[c] + ", which its source has not");
            }
        }
        return found;
    }

    /** Where the frame of the next row begins. */
    long frame() {
        return frame;
    }

    /** The place in its frame of the next row. */
    int row() {
        return row;
    }

    /** The next row; null at the end. */
    public RowData next() throws IOException {
        while (row == rows) {
            frame = nextFrame;
            row = 0;
            rows = 0;
            if (nextFrame >= channel.size()) {
                return null;
            }
            readFrame();
        }
        GenericRowData next = shape.row(frame + row);
        for (int c = 0; c < columns.length; c++) {
            next.setField(positions[c], columns[c].value(row));
        }
        row++;
        return next;
    }

    private void readFrame() throws IOException {
        ByteBuffer lengths = read(nextFrame, 2 * Integer.BYTES);
        rows = lengths.getInt();
        int length = lengths.getInt();
        ByteBuffer bytes = read(nextFrame + 2 * Integer.BYTES, length);
        nextFrame += 2 * Integer.BYTES + length;
        columns = new Column[types.length];
        for (int c = 0; c < columns.length; c++) {
            columns[c] = new Column(types[c], bytes, rows);
        }
    }

    private ByteBuffer read(long at, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, at + buffer.position()) < 0) {
                throw new EOFException("a file of history ends within a frame");
            }
        }
        return buffer.flip();
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }

    private static String text(ByteBuffer bytes, int from, int length) {
        return new String(bytes.array(), from, length, StandardCharsets.UTF_8);
    }

    /** A column of a frame. */
    private static final class Column {
        private static final int NONE = -1;
        private static final int DECIMAL_BYTES = 16;

        private final LogicalType type;
        private final ByteBuffer bytes;
        private final int valid;
        private final int values;
        private final int texts;

        /** Reads on from the position of {@code bytes} to where the next column begins. */
        Column(LogicalType type, ByteBuffer bytes, int rows) {
            this.type = type;
            this.bytes = bytes;
            int bits = (rows + 7) / 8;
            boolean hasNulls = bytes.get() != 0;
            valid = hasNulls ? bytes.position() : NONE;
            values = bytes.position() + (hasNulls ? bits : 0);
            int length =
                    switch (type.getTypeRoot()) {
                        case BOOLEAN -> bits;
                        case DECIMAL -> DECIMAL_BYTES * rows;
                        case VARCHAR -> Integer.BYTES * (rows + 1);
                        default -> Long.BYTES * rows;
                    };
            texts = values + length;
            int more = type.is(LogicalTypeRoot.VARCHAR) ? bytes.getInt(texts - Integer.BYTES) : 0;
            bytes.position(texts + more);
        }

        Object value(int row) {
            if (valid != NONE && !isSet(valid, row)) {
                return null;
            }
            return switch (type.getTypeRoot()) {
                case BIGINT -> bytes.getLong(values + row * Long.BYTES);
                case DOUBLE -> bytes.getDouble(values + row * Long.BYTES);
                case BOOLEAN -> isSet(values, row);
                case DECIMAL -> decimal(values + row * DECIMAL_BYTES, (DecimalType) type);
                case VARCHAR -> {
                    int from = bytes.getInt(values + row * Integer.BYTES);
                    int to = bytes.getInt(values + (row + 1) * Integer.BYTES);
                    yield StringData.fromString(text(bytes, texts + from, to - from));
                }
                default -> throw new IllegalStateException("no column of an event has the type " + type);
            };
        }

        private boolean isSet(int at, int bit) {
            return (bytes.get(at + (bit >> 3)) & 1 << (bit & 7)) != 0;
        }

        private DecimalData decimal(int at, DecimalType decimal) {
            long low = bytes.getLong(at);
            if (DecimalData.isCompact(decimal.getPrecision())) {
                return DecimalData.fromUnscaledLong(low, decimal.getPrecision(), decimal.getScale());
            }
            byte[] unscaled = ByteBuffer.allocate(DECIMAL_BYTES).putLong(bytes.getLong(at + Long.BYTES)).putLong(low).array();
            return DecimalData.fromUnscaledBytes(new BigInteger(unscaled).toByteArray(), decimal.getPrecision(), decimal.getScale());
        }
    }
}
