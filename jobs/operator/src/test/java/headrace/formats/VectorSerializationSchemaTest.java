package headrace.formats;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigDecimal;
import java.util.Random;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;
import org.junit.jupiter.api.Test;

class VectorSerializationSchemaTest {
    /** Every type that a message has is written as JSON has it: decimals with all their digits, bytes in base64. */
    @Test
    void everyTypeIsWritten() {
        DataType type =
                DataTypes.ROW(
                        DataTypes.FIELD("long", DataTypes.BIGINT()),
                        DataTypes.FIELD("int", DataTypes.INT()),
                        DataTypes.FIELD("double", DataTypes.DOUBLE()),
                        DataTypes.FIELD("boolean", DataTypes.BOOLEAN()),
                        DataTypes.FIELD("string", DataTypes.STRING()),
                        DataTypes.FIELD("literal", DataTypes.CHAR(2)),
                        DataTypes.FIELD("bytes", DataTypes.BYTES()),
                        DataTypes.FIELD("decimal", DataTypes.DECIMAL(38, 2)),
                        DataTypes.FIELD("small", DataTypes.DECIMAL(18, 10)));
        GenericRowData row =
                GenericRowData.of(
                        Long.MIN_VALUE,
                        Integer.MAX_VALUE,
                        0.1,
                        true,
                        StringData.fromString("\"é\\ 水\n"),
                        StringData.fromString("ab"),
                        new byte[] {(byte) 0xff, 0, 1, 2},
                        decimal("123456789012345678901234567890123456.70", 38, 2),
                        decimal("0.0000000001", 18, 10));
        String expected =
                "{'long':-9223372036854775808,'int':2147483647,'double':0.1,'boolean':true,'string':'\\'é\\\\ 水\\n',"
                        + "'literal':'ab','bytes':'/wABAg==','decimal':123456789012345678901234567890123456.70,"
                        + "'small':0.0000000001}";
        assertEquals(expected.replace('\'', '"'), write(type, row));
    }

    /** Text goes out in UTF-8 as it came in, whatever is in it and however long it is: only what JSON must escape is. */
    @Test
    void textIsWrittenInUtf8() throws Exception {
        VectorSerializationSchema schema = open(DataTypes.ROW(DataTypes.FIELD("x", DataTypes.STRING())));
        assertEquals("{\"x\":\"naïve 🌊 \\u0000\\n\"}", text(schema.serialize(row("naïve 🌊 \0\n"))));
        ObjectMapper reader = new ObjectMapper();
        Random random = new Random(1);
        String[] some = {"a", "é", "水", "🌊", "\"", "\\", "\0", "\u007f", "\u2028", "\ufffe"};
        for (int i = 0; i < 2_000; i++) {
            StringBuilder text = new StringBuilder();
            for (int length = random.nextInt(i % 50 == 0 ? 20_000 : 50); length > 0; length--) {
                text.append(some[random.nextInt(some.length)]);
            }
            assertEquals(text.toString(), reader.readTree(schema.serialize(row(text.toString()))).get("x").textValue());
        }
        assertEquals(8 + 4 * 90_000, schema.serialize(row("🌊".repeat(90_000))).length);
    }

    private static GenericRowData row(String text) {
        return GenericRowData.of(StringData.fromString(text));
    }

    /** A null is written as null, whatever the type, and the next row does not see it. */
    @Test
    void nullsAreWritten() {
        DataType type =
                DataTypes.ROW(
                        DataTypes.FIELD("a", DataTypes.BIGINT()),
                        DataTypes.FIELD("b", DataTypes.DECIMAL(12, 2)),
                        DataTypes.FIELD("c", DataTypes.BYTES()),
                        DataTypes.FIELD("d", DataTypes.ROW(DataTypes.FIELD("e", DataTypes.STRING()))));
        VectorSerializationSchema schema = open(type);
        String nothing = "{\"a\":null,\"b\":null,\"c\":null,\"d\":null}";
        assertEquals(nothing, text(schema.serialize(new GenericRowData(4))));
        GenericRowData row = GenericRowData.of(1L, null, null, GenericRowData.of((Object) null));
        assertEquals("{\"a\":1,\"b\":null,\"c\":null,\"d\":{\"e\":null}}", text(schema.serialize(row)));
        assertEquals(nothing, text(schema.serialize(new GenericRowData(4))));
    }

    /** Lists are arrays of what is in them, of any type, and are empty or null as they come. */
    @Test
    void listsAreArrays() {
        DataType type =
                DataTypes.ROW(
                        DataTypes.FIELD("longs", DataTypes.ARRAY(DataTypes.BIGINT())),
                        DataTypes.FIELD("doubles", DataTypes.ARRAY(DataTypes.DOUBLE())),
                        DataTypes.FIELD("decimals", DataTypes.ARRAY(DataTypes.DECIMAL(12, 2))),
                        DataTypes.FIELD("booleans", DataTypes.ARRAY(DataTypes.BOOLEAN())),
                        DataTypes.FIELD("strings", DataTypes.ARRAY(DataTypes.STRING())));
        GenericRowData row =
                GenericRowData.of(
                        new GenericArrayData(new Object[] {Long.MAX_VALUE, null, -1L}),
                        new GenericArrayData(new double[] {0.1, -2e300}),
                        new GenericArrayData(new Object[] {decimal("0.10", 12, 2)}),
                        new GenericArrayData(new Object[] {true, false}),
                        new GenericArrayData(new Object[] {StringData.fromString("水\"")}));
        String expected =
                "{'longs':[9223372036854775807,null,-1],'doubles':[0.1,-2.0E300],'decimals':[0.10],"
                        + "'booleans':[true,false],'strings':['水\\'']}";
        assertEquals(expected.replace('\'', '"'), write(type, row));
        VectorSerializationSchema schema = open(type);
        GenericRowData empty = GenericRowData.of(new GenericArrayData(new Object[0]), null, null, null, null);
        String nothing = "{'longs':[],'doubles':null,'decimals':null,'booleans':null,'strings':null}";
        assertEquals(nothing.replace('\'', '"'), text(schema.serialize(empty)));
    }

    /** Rows within rows are objects within objects, and one without fields is empty: SQL has only a null for it. */
    @Test
    void rowsAreObjects() {
        DataType type =
                DataTypes.ROW(
                        DataTypes.FIELD("outer", DataTypes.ROW(DataTypes.FIELD("inner", DataTypes.INT()))),
                        DataTypes.FIELD("empty", DataTypes.ROW()));
        assertEquals(
                "{\"outer\":{\"inner\":1},\"empty\":{}}",
                write(type, GenericRowData.of(GenericRowData.of(1), null)));
    }

    /** Names are escaped as JSON has it. */
    @Test
    void namesAreEscaped() {
        DataType type = DataTypes.ROW(DataTypes.FIELD("a\"b\\é", DataTypes.INT()));
        assertEquals("{\"a\\\"b\\\\é\":1}", write(type, GenericRowData.of(1)));
    }

    /** Every double comes back as it was, to the bit. */
    @Test
    void doublesComeBack() throws Exception {
        VectorSerializationSchema schema = open(DataTypes.ROW(DataTypes.FIELD("x", DataTypes.DOUBLE())));
        ObjectMapper reader = new ObjectMapper();
        Random random = new Random(1);
        for (int i = 0; i < 100_000; i++) {
            double value = i % 2 == 0 ? Double.longBitsToDouble(random.nextLong()) : random.nextInt(1_000_000) / 100.0;
            if (Double.isFinite(value)) {
                assertEquals(value, reader.readTree(schema.serialize(GenericRowData.of(value))).get("x").doubleValue());
            }
        }
    }

    private static DecimalData decimal(String value, int precision, int scale) {
        return DecimalData.fromBigDecimal(new BigDecimal(value), precision, scale);
    }

    private static String write(DataType type, GenericRowData row) {
        return text(open(type).serialize(row));
    }

    private static VectorSerializationSchema open(DataType type) {
        VectorSerializationSchema schema = new VectorSerializationSchema((RowType) type.getLogicalType());
        schema.open(null);
        return schema;
    }

    private static String text(byte[] json) {
        return new String(json, UTF_8);
    }
}
