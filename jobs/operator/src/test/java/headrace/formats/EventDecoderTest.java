package headrace.formats;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.types.logical.RowType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class EventDecoderTest {
    static final long NOW = 1_700_000_000_000L;
    static final long AHEAD = 3_600_000;
    static final int REASON = 7;
    static final int DETAIL = 8;
    static final int VALUE = 9;
    private static final long AGE = 100 * 365 * 86_400_000L;
    private static final RowType TYPE =
            (RowType)
                    DataTypes.ROW(
                                    DataTypes.FIELD("id", DataTypes.BIGINT()),
                                    DataTypes.FIELD("at", DataTypes.BIGINT()),
                                    DataTypes.FIELD("shop", DataTypes.STRING()),
                                    DataTypes.FIELD("amount", DataTypes.DECIMAL(12, 2)),
                                    DataTypes.FIELD("ratio", DataTypes.DOUBLE()),
                                    DataTypes.FIELD("online", DataTypes.BOOLEAN()),
                                    DataTypes.FIELD("seen", DataTypes.BIGINT()),
                                    DataTypes.FIELD("_reason", DataTypes.STRING()),
                                    DataTypes.FIELD("_detail", DataTypes.STRING()),
                                    DataTypes.FIELD("_value", DataTypes.BYTES()))
                            .getLogicalType();

    static final EventDecoder.Room ALL = new EventDecoder.Room(Long.MAX_VALUE, List.of(), Integer.MAX_VALUE);

    private final EventDecoder decoder = decoder(ALL);

    static EventDecoder decoder(EventDecoder.Room room) {
        return decoder(room, AGE);
    }

    static EventDecoder decoder(EventDecoder.Room room, long age) {
        Set<String> timestamps = Set.of("at", "seen");
        return new EventDecoder(
                TYPE, new EventDecoder.Rules(Set.of("id", "shop"), "at", timestamps, Set.of(), AHEAD, age, room), () -> NOW);
    }

    /** What a decoder warms up with is a good event with a value in every column. */
    @Test
    void theSampleIsGood() {
        GenericRowData row = decoder.decode(decoder.sample());
        for (int i = 0; i < REASON; i++) {
            assertNotNull(row.getField(i), TYPE.getFieldNames().get(i));
        }
        assertNull(row.getField(REASON));
    }

    /** Every column of a good event comes out with its type, and the diagnostics are null. */
    @Test
    void aGoodEventGivesItsColumns() {
        GenericRowData row =
                decode(
                        """
                        {"id": 7, "at": 1600000000000, "shop": "A\\u00e9", "amount": 12.5, "ratio": 3,
                         "online": true, "seen": 0}""");
        assertGood(row);
        assertEquals(7, row.getLong(0));
        assertEquals(1_600_000_000_000L, row.getLong(1));
        assertEquals("Aé", row.getString(2).toString());
        assertEquals(new BigDecimal("12.50"), row.getDecimal(3, 12, 2).toBigDecimal());
        assertEquals(3.0, row.getDouble(4));
        assertTrue(row.getBoolean(5));
        assertEquals(0, row.getLong(6));
        assertNull(row.getField(VALUE));
    }

    /** A column that is absent or null, and not required, is null. */
    @Test
    void optionalColumnsMayBeAbsentOrNull() {
        GenericRowData row = decode("{\"id\": 7, \"at\": 1, \"shop\": \"A\", \"amount\": null}");
        assertGood(row);
        for (int i = 3; i < REASON; i++) {
            assertTrue(row.isNullAt(i), "column " + i);
        }
    }

    /** Fields that no column names are passed over, nested ones too. */
    @Test
    void unknownFieldsAreIgnored() {
        assertGood(
                decode(
                        """
                        {"new": {"id": "x", "deep": [1, {"at": -5}]}, "id": 7, "more": [[]], "at": 1, "shop": "A",
                         "": null}"""));
    }

    /** Where the rules name an object, its fields are columns, required ones too; those of other objects are not. */
    @Test
    void fieldsOfANamedObjectAreColumns() {
        RowType type =
                (RowType)
                        DataTypes.ROW(
                                        DataTypes.FIELD("at", DataTypes.BIGINT()),
                                        DataTypes.FIELD("receipt.model", DataTypes.STRING()),
                                        DataTypes.FIELD("receipt.at", DataTypes.BIGINT()),
                                        DataTypes.FIELD("_reason", DataTypes.STRING()),
                                        DataTypes.FIELD("_detail", DataTypes.STRING()),
                                        DataTypes.FIELD("_value", DataTypes.BYTES()))
                                .getLogicalType();
        Set<String> required = Set.of("receipt.model");
        EventDecoder.Rules rules = new EventDecoder.Rules(required, "at", Set.of(), Set.of("receipt"), AHEAD, AGE, ALL);
        EventDecoder nested = new EventDecoder(type, rules, () -> NOW);
        String receipt = "{\"model\": \"m\", \"deep\": {\"model\": \"x\"}, \"at\": null}";
        GenericRowData row =
                nested.decode(("{\"other\": " + receipt + ", \"receipt\": " + receipt + ", \"at\": 7}").getBytes(UTF_8));
        assertNull(row.getField(3));
        assertEquals(7, row.getLong(0));
        assertEquals("m", row.getString(1).toString());
        assertTrue(row.isNullAt(2));
        List<String> without =
                List.of(
                        "{\"at\": 7, \"other\": " + receipt + "}",
                        "{\"at\": 7, \"receipt\": \"m\"}",
                        "{\"at\": 7, \"receipt\": " + receipt + ", \"receipt\": {\"at\": 3}}",
                        "{\"at\": 7, \"receipt\": " + receipt + ", \"receipt\": null}");
        for (String bad : without) {
            assertEquals("missing_key", String.valueOf(nested.decode(bad.getBytes(UTF_8)).getField(3)), bad);
        }
    }

    /** ISO 8601 with an offset is as good as milliseconds, in every timestamp column. */
    @ParameterizedTest
    @CsvSource({
        "2023-11-14T22:13:20Z, 1700000000000",
        "2023-11-15T00:13:20.123+02:00, 1700000000123",
        "2023-11-14T22:13:20.123999999Z, 1700000000123",
        "2023-11-14 22:13:20.123999999+00:00, 1700000000123",
        "1970-01-01T00:00:00.0009Z, 0",
        "1970-01-01T00:00Z, 0",
        "2023-11-15t00:13:20.1+02, 1700000000100",
        "2023-11-15T00:13:20+02:00:01, 1699999999000",
        "2023-11-14T04:13:20-18:00:00, 1700000000000"
    })
    void timestampsMayBeIso(String written, long expected) {
        GenericRowData row = event("\"at\": \"" + written + "\", \"seen\": \"" + written + "\"");
        assertGood(row);
        assertEquals(expected, row.getLong(1));
        assertEquals(expected, row.getLong(6));
    }

    /** Decimals keep their digits, however they are written. */
    @ParameterizedTest
    @CsvSource({
        "12.34, 12.34",
        "12, 12.00",
        "1.2e1, 12.00",
        "12.340000, 12.34",
        "-0.0, 0.00",
        "9999999999.99, 9999999999.99",
        "1e9, 1000000000.00",
        "0e999999999, 0.00",
        "0e-999999999, 0.00"
    })
    void decimalsAreExact(String written, BigDecimal expected) {
        GenericRowData row = quickly("\"at\": 1, \"amount\": " + written);
        assertGood(row);
        assertEquals(expected, row.getDecimal(3, 12, 2).toBigDecimal());
    }

    /** A whole number is one however it is written: where it stood beside nulls, pandas writes 3.0. */
    @ParameterizedTest
    @CsvSource({
        "3.0, 3",
        "3e0, 3",
        "-1.50e1, -15",
        "0e999999999, 0",
        "9223372036854775807.0, 9223372036854775807",
        "1.7e12, 1700000000000"
    })
    void wholeNumbersAreExact(String written, long expected) {
        GenericRowData row = quickly("\"at\": 1.0, \"seen\": " + written);
        assertGood(row);
        assertEquals(expected, row.getLong(6));
    }

    /** Minus zero comes in as zero: engines need not agree on which is less. */
    @Test
    void thereIsOneZero() {
        GenericRowData row = event("\"at\": 1, \"ratio\": -0.0");
        assertEquals(0L, Double.doubleToRawLongBits(row.getDouble(4)));
    }

    /** A value that does not fit its column is of the wrong type, and the detail says which. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "\"id\": \"7\"|id is long; got \"7\"",
                "\"id\": 1.5|id is long; got 1.5",
                "\"id\": 1e-3|id is long",
                "\"id\": 1e19|id is long",
                "\"id\": true|id is long",
                "\"id\": {\"id\": 7}|id is long",
                "\"id\": [7]|id is long",
                "\"id\": 9223372036854775808|id is long; got 9223372036854775808",
                "\"shop\": 7|shop is string; got 7",
                "\"shop\": [\"A\"]|shop is string",
                "\"amount\": \"12.34\"|amount is decimal(12,2); got \"12.34\"",
                "\"amount\": 12.345|amount is decimal(12,2); got 12.345",
                "\"amount\": 1e-3|amount is decimal(12,2)",
                "\"amount\": 10000000000|amount is decimal(12,2)",
                "\"amount\": -10000000000.00|amount is decimal(12,2)",
                "\"amount\": true|amount is decimal(12,2)",
                "\"ratio\": \"1\"|ratio is double; got \"1\"",
                "\"ratio\": false|ratio is double",
                "\"online\": 1|online is boolean; got 1",
                "\"online\": \"true\"|online is boolean; got \"true\"",
                "\"at\": \"yesterday\"|at is UTC milliseconds or ISO 8601 with its offset; got \"yesterday\"",
                "\"at\": \"2023-11-14T22:13:20\"|at is UTC milliseconds or ISO 8601 with its offset",
                "\"at\": \"+999999999-01-01T00:00:00Z\"|at is UTC milliseconds",
                "\"seen\": \"-0001-01-01T00:00:00Z\"|seen is UTC milliseconds",
                "\"at\": \"2023-11-14T22:13:20.Z\"|at is UTC milliseconds",
                "\"at\": \"2023-11-14T22:13:20+0200\"|at is UTC milliseconds",
                "\"at\": \"2023-11-14T22:13:20+18:01\"|at is UTC milliseconds",
                "\"at\": \"2023-11-14T24:00:00Z\"|at is UTC milliseconds",
                "\"at\": \"2023-02-29T22:13:20Z\"|at is UTC milliseconds",
                "\"id\": 1.ZEROS|id is long; got 1.000",
                "\"at\": 1.5|at is UTC milliseconds",
                "\"seen\": \"\"|seen is UTC milliseconds"
            })
    void aValueOfAnotherTypeIsRefused(String field, String detail) {
        assertBad("wrong_type", event("\"at\": 1, " + field.replace("ZEROS", "0".repeat(999))), detail);
    }

    /** Numbers that would take gigabytes to write out are refused, or taken, without writing them out. */
    @ParameterizedTest
    @CsvSource({
        "amount, 1e999999999, wrong_type",
        "amount, -1e999999999, wrong_type",
        "amount, 1e-999999999, wrong_type",
        "amount, 12345e999999999, wrong_type",
        "id, 1e999999999, wrong_type",
        "at, 1e999999999, wrong_type",
        "ratio, 1e999999999, not_finite"
    })
    void hugeExponentsAreQuick(String column, String number, String reason) {
        assertBad(reason, quickly("\"at\": 1, \"" + column + "\": " + number), column);
    }

    /** Numbers beyond all reason are refused as one or the other, never thrown out. */
    @ParameterizedTest
    @ValueSource(strings = {"1e99999999999", "1e-99999999999", "1e2147483647", "1e-2147483648", "0e99999999999"})
    void noNumberStopsTheJob(String number) {
        for (String column : new String[] {"id", "at", "amount", "ratio", "seen"}) {
            quickly("\"at\": 1, \"" + column + "\": " + number);
            quickly("\"at\": 1, \"" + column + "\": " + "9".repeat(900) + number);
        }
        for (String digits : new String[] {"9".repeat(5_000), "0." + "1".repeat(5_000)}) {
            for (String column : new String[] {"id", "at", "amount", "ratio", "seen"}) {
                GenericRowData row = quickly("\"at\": 1, \"" + column + "\": " + digits);
                assertTrue(column.equals("ratio") || row.getString(REASON) != null, column);
            }
        }
    }

    /** NaN, the infinities, and what is beyond a double are not finite. */
    @ParameterizedTest
    @CsvSource({"NaN", "Infinity", "-Infinity", "1e400", "-1e400"})
    void whatIsNotFiniteIsRefused(String number) {
        assertBad("not_finite", event("\"at\": 1, \"ratio\": " + number), "ratio");
        if (!number.contains("e")) {
            assertBad("not_finite", event("\"at\": 1, \"amount\": " + number), "amount is " + number);
            assertBad("not_finite", event("\"at\": 1, \"id\": " + number), "id is " + number);
            assertBad("not_finite", event("\"at\": 1, \"online\": " + number), "online is " + number);
        }
    }

    /** An event needs its id and its keys. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"at\": 1, \"shop\": \"A\"}|id is missing",
                "{\"id\": null, \"at\": 1, \"shop\": \"A\"}|id is missing",
                "{\"id\": 7, \"at\": 1}|shop is missing",
                "{\"id\": 7, \"at\": 1, \"Shop\": \"A\"}|shop is missing"
            })
    void anEventHasItsKeys(String value, String detail) {
        assertBad("missing_key", decode(value), detail);
    }

    /** An event needs its time; that is said first where the key is missing too. */
    @ParameterizedTest
    @ValueSource(strings = {"{}", "{\"id\": 7, \"shop\": \"A\"}", "{\"id\": 7, \"shop\": \"A\", \"at\": null}"})
    void anEventHasItsTime(String value) {
        assertBad("missing_time", decode(value), "at is missing");
    }

    /** The line for a person can be written out, wherever it was cut. */
    @Test
    void aDetailIsAlwaysText() {
        for (int before = 0; before < 4; before++) {
            String waves = "a".repeat(before) + "🌊".repeat(500);
            for (String value : new String[] {"{\"at\": 1, \"amount\": \"" + waves + "\"}", "{\"at\": 1, " + waves, waves}) {
                String detail = decode(value).getString(DETAIL).toString();
                assertEquals(detail, new String(detail.getBytes(UTF_8), UTF_8));
                assertTrue(detail.length() <= 201, detail);
            }
        }
    }

    /** A bad event leaves nothing in the event's columns. */
    @Test
    void aBadEventHasNoColumns() {
        GenericRowData row = event("\"at\": -1, \"amount\": 3");
        for (int i = 0; i < REASON; i++) {
            assertTrue(row.isNullAt(i), "column " + i);
        }
    }

    private GenericRowData decode(String value) {
        return decoder.decode(value.getBytes(UTF_8));
    }

    /** An event with these fields behind its id and key. */
    private GenericRowData event(String fields) {
        return decode("{\"id\": 7, \"shop\": \"A\", " + fields + "}");
    }

    private GenericRowData quickly(String fields) {
        return assertTimeoutPreemptively(Duration.ofSeconds(2), () -> event(fields), fields);
    }

    static void assertGood(GenericRowData row) {
        assertNull(row.getField(REASON), () -> row.getString(REASON) + ": " + row.getString(DETAIL));
    }

    static void assertBad(String reason, GenericRowData row, String detail) {
        assertEquals(reason, String.valueOf(row.getString(REASON)), () -> String.valueOf(row.getString(DETAIL)));
        String line = row.getString(DETAIL).toString();
        assertTrue(line.contains(detail), line);
        assertEquals(1, line.lines().count(), line);
    }
}
