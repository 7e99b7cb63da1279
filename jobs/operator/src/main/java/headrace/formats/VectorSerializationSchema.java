package headrace.formats;

import headrace.warmup.Samples;
import headrace.warmup.WarmUp;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonGenerator;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.SerializableString;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.StreamWriteFeature;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.io.SerializedString;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;

/** Rows of numbers, strings, booleans, bytes (base64), lists and rows as JSON objects in UTF-8; a null is {@code null}. */
final class VectorSerializationSchema implements SerializationSchema<RowData> {
    private static final long serialVersionUID = 1L;

    /** Writes one field of a row. */
    @FunctionalInterface
    private interface Field {
        void write(RowData row, int position, JsonGenerator json) throws IOException;
    }

    private final RowType type;
    private transient Field whole;
    private transient JsonFactory factory;
    private transient DataOutputSerializer out;

    VectorSerializationSchema(RowType type) {
        this.type = type;
    }

    @Override
    public void open(InitializationContext context) {
        opened();
        RowData sample = Samples.row(type.getChildren(), 1);
        WarmUp.run("encoding of " + type.getFieldNames(), number -> serialize(sample));
    }

    /** Ready to serialize. */
    VectorSerializationSchema opened() {
        whole = object(type, (row, position) -> row);
        // Shortest digits that give the double back, and quickly (Schubfach).
        factory = JsonFactory.builder().enable(StreamWriteFeature.USE_FAST_DOUBLE_WRITER).build();
        out = new DataOutputSerializer(1024);
        return this;
    }

    @Override
    public byte[] serialize(RowData row) {
        out.clear();
        try (JsonGenerator json = factory.createGenerator((java.io.DataOutput) out)) {
            whole.write(row, 0, json);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return out.getCopyOfBuffer();
    }

    /** Finds the row to write: the one given, or one within it. */
    @FunctionalInterface
    private interface Within {
        RowData get(RowData row, int position);
    }

    private static Field object(RowType type, Within within) {
        int width = type.getFieldCount();
        SerializableString[] names = new SerializableString[width];
        Field[] fields = new Field[width];
        boolean[] nothing = new boolean[width]; // a row without fields: SQL has no value of that type but null
        for (int i = 0; i < width; i++) {
            names[i] = new SerializedString(type.getFieldNames().get(i));
            fields[i] = field(type.getTypeAt(i));
            nothing[i] = type.getTypeAt(i) instanceof RowType inner && inner.getFieldCount() == 0;
        }
        return (outer, position, json) -> {
            RowData row = within.get(outer, position);
            json.writeStartObject();
            for (int i = 0; i < width; i++) {
                json.writeFieldName(names[i]);
                if (row.isNullAt(i) && !nothing[i]) {
                    json.writeNull();
                } else {
                    fields[i].write(row, i, json);
                }
            }
            json.writeEndObject();
        };
    }

    private static Field field(LogicalType type) {
        return switch (type.getTypeRoot()) {
            case BIGINT -> (row, i, json) -> json.writeNumber(row.getLong(i));
            case INTEGER -> (row, i, json) -> json.writeNumber(row.getInt(i));
            case DOUBLE -> (row, i, json) -> json.writeNumber(row.getDouble(i));
            case BOOLEAN -> (row, i, json) -> json.writeBoolean(row.getBoolean(i));
            case VARCHAR, CHAR -> (row, i, json) -> string(row.getString(i).toBytes(), json);
            case VARBINARY, BINARY -> (row, i, json) -> json.writeBinary(row.getBinary(i));
            case DECIMAL -> decimal((DecimalType) type);
            case ARRAY -> array(((ArrayType) type).getElementType());
            case ROW -> object((RowType) type, (row, i) -> row.getRow(i, ((RowType) type).getFieldCount()));
            default -> throw new IllegalArgumentException("no message has a field of type " + type);
        };
    }

    /** As it came: from a String, Jackson would write each character beyond 16 bits as two escapes, of 12 bytes in all. */
    private static void string(byte[] utf8, JsonGenerator json) throws IOException {
        json.writeUTF8String(utf8, 0, utf8.length);
    }

    /** An element is written as a field is: of a row of one field, in its turn. */
    private static Field array(LogicalType type) {
        ArrayData.ElementGetter element = ArrayData.createElementGetter(type);
        Field field = field(type);
        return (row, i, json) -> {
            ArrayData list = row.getArray(i);
            GenericRowData one = new GenericRowData(1);
            json.writeStartArray();
            for (int at = 0; at < list.size(); at++) {
                one.setField(0, element.getElementOrNull(list, at));
                if (one.isNullAt(0)) {
                    json.writeNull();
                } else {
                    field.write(one, 0, json);
                }
            }
            json.writeEndArray();
        };
    }

    private static Field decimal(DecimalType type) {
        int precision = type.getPrecision();
        int scale = type.getScale();
        return (row, i, json) -> json.writeNumber(row.getDecimal(i, precision, scale).toBigDecimal().toPlainString());
    }
}
