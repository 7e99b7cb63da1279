package headrace.state;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;

/** The value of a column as Flink's tables have it, or null, as bytes. */
public final class FieldCodec {
    private FieldCodec() {}

    public static void write(LogicalType type, Object value, DataOutputSerializer out) throws IOException {
        out.writeBoolean(value != null);
        if (value == null) {
            return;
        }
        switch (type.getTypeRoot()) {
            case BIGINT -> out.writeLong((Long) value);
            case INTEGER -> out.writeInt((Integer) value);
            case DOUBLE -> out.writeDouble((Double) value);
            case BOOLEAN -> out.writeBoolean((Boolean) value);
            case VARCHAR -> writeBytes(((StringData) value).toBytes(), out);
            case DECIMAL -> writeBytes(((DecimalData) value).toUnscaledBytes(), out);
            case ARRAY -> {
                LogicalType element = ((ArrayType) type).getElementType();
                ArrayData list = (ArrayData) value;
                ArrayData.ElementGetter getter = ArrayData.createElementGetter(element);
                out.writeInt(list.size());
                for (int i = 0; i < list.size(); i++) {
                    write(element, getter.getElementOrNull(list, i), out);
                }
            }
            default -> throw new IllegalStateException("no row carries a column of the type " + type);
        }
    }

    public static Object read(LogicalType type, DataInputDeserializer in) throws IOException {
        if (!in.readBoolean()) {
            return null;
        }
        return switch (type.getTypeRoot()) {
            case BIGINT -> in.readLong();
            case INTEGER -> in.readInt();
            case DOUBLE -> in.readDouble();
            case BOOLEAN -> in.readBoolean();
            case VARCHAR -> StringData.fromBytes(readBytes(in));
            case DECIMAL -> {
                DecimalType decimal = (DecimalType) type;
                yield DecimalData.fromUnscaledBytes(readBytes(in), decimal.getPrecision(), decimal.getScale());
            }
            case ARRAY -> {
                LogicalType element = ((ArrayType) type).getElementType();
                Object[] list = new Object[in.readInt()];
                for (int i = 0; i < list.length; i++) {
                    list[i] = read(element, in);
                }
                yield new GenericArrayData(list);
            }
            default -> throw new IllegalStateException("no row carries a column of the type " + type);
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
