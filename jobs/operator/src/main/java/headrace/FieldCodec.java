package headrace;

import java.io.IOException;
import java.lang.reflect.Array;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;

/** The value of a column, or null, as bytes. That of a key of several columns is a list. */
final class FieldCodec {
    private FieldCodec() {}

    static void write(LogicalType type, Object value, DataOutputSerializer out) throws IOException {
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
                    write(((ArrayType) type).getElementType(), element, out);
                }
            }
            case ROW -> {
                List<?> fields = (List<?>) value;
                for (int i = 0; i < fields.size(); i++) {
                    write(((RowType) type).getTypeAt(i), fields.get(i), out);
                }
            }
            default -> throw new IllegalStateException("no row carries a column of type " + type);
        }
    }

    static Object read(LogicalType type, DataInputDeserializer in) throws IOException {
        if (!in.readBoolean()) {
            return null;
        }
        return switch (type.getTypeRoot()) {
            case BIGINT -> in.readLong();
            case INTEGER -> in.readInt();
            case DOUBLE -> in.readDouble();
            case BOOLEAN -> in.readBoolean();
            case VARCHAR -> new String(readBytes(in), StandardCharsets.UTF_8);
            case DECIMAL -> {
                int scale = in.readInt();
                yield new BigDecimal(new BigInteger(readBytes(in)), scale);
            }
            case ARRAY -> {
                LogicalType element = ((ArrayType) type).getElementType();
                Object[] list = (Object[]) Array.newInstance(element.getDefaultConversion(), in.readInt());
                for (int i = 0; i < list.length; i++) {
                    list[i] = read(element, in);
                }
                yield list;
            }
            case ROW -> {
                List<Object> fields = new ArrayList<>();
                for (LogicalType field : type.getChildren()) {
                    fields.add(read(field, in));
                }
                yield fields;
            }
            default -> throw new IllegalStateException("no row carries a column of type " + type);
        };
    }

    private static void writeBytes(byte[] value, DataOutputSerializer out) throws IOException {
        out.writeInt(value.length);
        out.write(value);
    }

    private static byte[] readBytes(DataInputDeserializer in) throws IOException {
        byte[] value = new byte[in.readInt()];
        in.readFully(value);
        return value;
    }
}
