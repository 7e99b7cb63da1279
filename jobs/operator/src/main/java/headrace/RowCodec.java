package headrace;

import java.io.IOException;
import java.lang.reflect.Array;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;

/** A row of a stage as bytes, whole, for as long as it waits. The time is in front. */
final class RowCodec {
    private final Stage stage;
    private final DataInputDeserializer in = new DataInputDeserializer();

    RowCodec(Stage stage) {
        this.stage = stage;
    }

    void write(StagedRow row, DataOutputSerializer out) throws IOException {
        out.writeLong(row.time);
        if (stage.cached()) {
            writeField(stage.keyType, row.key, out);
        }
        out.writeBoolean(row.contributes);
        out.writeBoolean(row.asks);
        out.writeInt(row.partition);
        out.writeLong(row.offset);
        for (int i = 0; row.contributes && i < row.nulls.length; i++) {
            out.writeBoolean(row.nulls[i]);
        }
        for (int i = 0; row.contributes && i < row.words.length; i++) {
            out.writeLong(row.words[i]);
        }
        for (int i = 0; row.asks && i < row.carry.length; i++) {
            writeField(stage.carryTypes[i], row.carry[i], out);
        }
    }

    StagedRow read(byte[] bytes, int start, int length) throws IOException {
        StagedRow row = new StagedRow(stage);
        row.key = readKey(bytes, start, length);
        row.time = Bytes.getLong(bytes, start);
        row.contributes = in.readBoolean();
        row.asks = in.readBoolean();
        row.partition = in.readInt();
        row.offset = in.readLong();
        for (int i = 0; row.contributes && i < row.nulls.length; i++) {
            row.nulls[i] = in.readBoolean();
        }
        for (int i = 0; row.contributes && i < row.words.length; i++) {
            row.words[i] = in.readLong();
        }
        for (int i = 0; row.asks && i < row.carry.length; i++) {
            row.carry[i] = readField(stage.carryTypes[i]);
        }
        return row;
    }

    /** The key of a row, where the stage has a cache; else null. Leaves the reader behind it. */
    Object readKey(byte[] bytes, int start, int length) throws IOException {
        in.setBuffer(bytes, start + Long.BYTES, length - Long.BYTES);
        return stage.cached() ? readField(stage.keyType) : null;
    }

    private static void writeField(LogicalType type, Object value, DataOutputSerializer out) throws IOException {
        out.writeBoolean(value != null);
        if (value == null) {
            return;
        }
        switch (type.getTypeRoot()) {
            case BIGINT -> out.writeLong((Long) value);
            case INTEGER -> out.writeInt((Integer) value);
            case DOUBLE -> out.writeDouble((Double) value);
            case BOOLEAN -> out.writeBoolean((Boolean) value);
            case VARCHAR -> writeBytes(((String) value).getBytes(StandardCharsets.UTF_8), out);
            case DECIMAL -> {
                out.writeInt(((BigDecimal) value).scale());
                writeBytes(((BigDecimal) value).unscaledValue().toByteArray(), out);
            }
            case ARRAY -> {
                out.writeInt(((Object[]) value).length);
                for (Object element : (Object[]) value) {
                    writeField(((ArrayType) type).getElementType(), element, out);
                }
            }
            default -> throw new IllegalStateException("no row carries a column of type " + type);
        }
    }

    private Object readField(LogicalType type) throws IOException {
        if (!in.readBoolean()) {
            return null;
        }
        return switch (type.getTypeRoot()) {
            case BIGINT -> in.readLong();
            case INTEGER -> in.readInt();
            case DOUBLE -> in.readDouble();
            case BOOLEAN -> in.readBoolean();
            case VARCHAR -> new String(readBytes(), StandardCharsets.UTF_8);
            case DECIMAL -> {
                int scale = in.readInt();
                yield new BigDecimal(new BigInteger(readBytes()), scale);
            }
            case ARRAY -> {
                LogicalType element = ((ArrayType) type).getElementType();
                Object[] list = (Object[]) Array.newInstance(element.getDefaultConversion(), in.readInt());
                for (int i = 0; i < list.length; i++) {
                    list[i] = readField(element);
                }
                yield list;
            }
            default -> throw new IllegalStateException("no row carries a column of type " + type);
        };
    }

    private static void writeBytes(byte[] value, DataOutputSerializer out) throws IOException {
        out.writeInt(value.length);
        out.write(value);
    }

    private byte[] readBytes() throws IOException {
        byte[] value = new byte[in.readInt()];
        in.readFully(value);
        return value;
    }
}
