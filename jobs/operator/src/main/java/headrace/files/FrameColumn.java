package headrace.files;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.BitSet;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/** A column of the frame that is being written, in the form that {@link headrace.seam.HistoryFile} describes. */
final class FrameColumn {
    private static final int DECIMAL_BYTES = 16;

    private final LogicalTypeRoot type;

    /** Those of a list; null where the column is none. */
    private final FrameColumn elements;

    private final ArrayData.ElementGetter element;
    private final BitSet valid = new BitSet();
    private final BitSet bits = new BitSet();
    private ByteBuffer values = ByteBuffer.allocate(1024).order(ByteOrder.LITTLE_ENDIAN);
    private ByteBuffer texts = ByteBuffer.allocate(0).order(ByteOrder.LITTLE_ENDIAN);
    private int rows;

    FrameColumn(LogicalType type) {
        this.type = type.getTypeRoot();
        LogicalType of = type instanceof ArrayType list ? list.getElementType() : null;
        elements = of == null ? null : new FrameColumn(of);
        element = of == null ? null : ArrayData.createElementGetter(of);
        begin();
    }

    private void begin() {
        valid.clear();
        bits.clear();
        values.clear();
        texts.clear();
        rows = 0;
        if (type == LogicalTypeRoot.VARCHAR || type == LogicalTypeRoot.ARRAY) {
            values.putInt(0);
        }
    }

    void add(Object value) {
        if (value != null) {
            valid.set(rows);
        }
        switch (type) {
            case BIGINT -> room(Long.BYTES).putLong(value == null ? 0 : (Long) value);
            case DOUBLE -> room(Long.BYTES).putDouble(value == null ? 0 : (Double) value);
            case BOOLEAN -> bits.set(rows, value != null && (Boolean) value);
            case DECIMAL -> room(DECIMAL_BYTES).put(decimal(value == null ? BigInteger.ZERO : unscaled((DecimalData) value)));
            case VARCHAR -> {
                byte[] text = value == null ? new byte[0] : ((StringData) value).toBytes();
                texts = with(texts, text.length).put(text);
                room(Integer.BYTES).putInt(texts.position());
            }
            case ARRAY -> {
                for (int i = 0, size = value == null ? 0 : ((ArrayData) value).size(); i < size; i++) {
                    elements.add(element.getElementOrNull((ArrayData) value, i));
                }
                room(Integer.BYTES).putInt(elements.rows);
            }
            default -> throw new IllegalArgumentException("no column of a frame has the type " + type);
        }
        rows++;
    }

    private static BigInteger unscaled(DecimalData value) {
        return value.toBigDecimal().unscaledValue();
    }

    /** Two's complement, the least byte first. */
    private static byte[] decimal(BigInteger unscaled) {
        byte[] big = unscaled.toByteArray();
        byte[] little = new byte[DECIMAL_BYTES];
        Arrays.fill(little, (byte) (unscaled.signum() < 0 ? -1 : 0));
        for (int i = 0; i < big.length; i++) {
            little[i] = big[big.length - 1 - i];
        }
        return little;
    }

    private ByteBuffer room(int bytes) {
        values = with(values, bytes);
        return values;
    }

    /** {@code buffer}, or a longer one with the same bytes, which has room for so many more. */
    private static ByteBuffer with(ByteBuffer buffer, int more) {
        if (buffer.remaining() >= more) {
            return buffer;
        }
        int wanted = Math.max(2 * buffer.capacity(), buffer.position() + more);
        return ByteBuffer.allocate(wanted).order(ByteOrder.LITTLE_ENDIAN).put(buffer.flip());
    }

    private boolean hasNulls() {
        return valid.cardinality() < rows;
    }

    private int bitBytes() {
        return (rows + 7) / 8;
    }

    /** How many bytes {@link #moveTo} writes. */
    int length() {
        int length = 1 + (hasNulls() ? bitBytes() : 0) + values.position() + texts.position();
        return length + (type == LogicalTypeRoot.BOOLEAN ? bitBytes() : 0) + (elements == null ? 0 : elements.length());
    }

    /** Writes the column, and begins that of the next frame. */
    void moveTo(ByteBuffer frame) {
        frame.put((byte) (hasNulls() ? 1 : 0));
        if (hasNulls()) {
            frame.put(Arrays.copyOf(valid.toByteArray(), bitBytes()));
        }
        if (type == LogicalTypeRoot.BOOLEAN) {
            frame.put(Arrays.copyOf(bits.toByteArray(), bitBytes()));
        }
        frame.put(values.flip()).put(texts.flip());
        if (elements != null) {
            elements.moveTo(frame);
        }
        begin();
    }
}
