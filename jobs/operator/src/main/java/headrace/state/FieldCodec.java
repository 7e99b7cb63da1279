package headrace.state;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.MapType;

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
            case VARBINARY -> writeBytes((byte[]) value, out);
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
            case MAP -> {
                MapType map = (MapType) type;
                ArrayData keys = ((MapData) value).keyArray();
                ArrayData values = ((MapData) value).valueArray();
                ArrayData.ElementGetter key = ArrayData.createElementGetter(map.getKeyType());
                ArrayData.ElementGetter of = ArrayData.createElementGetter(map.getValueType());
                out.writeInt(keys.size());
                for (int i = 0; i < keys.size(); i++) {
                    write(map.getKeyType(), key.getElementOrNull(keys, i), out);
                    write(map.getValueType(), of.getElementOrNull(values, i), out);
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
            case VARBINARY -> readBytes(in);
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
            case MAP -> {
                MapType map = (MapType) type;
                int size = in.readInt();
                Map<Object, Object> found = new LinkedHashMap<>();
                for (int i = 0; i < size; i++) {
                    Object key = read(map.getKeyType(), in);
                    found.put(key, read(map.getValueType(), in));
                }
                yield new GenericMapData(found);
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
