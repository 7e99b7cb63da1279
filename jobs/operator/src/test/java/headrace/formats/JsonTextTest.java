package headrace.formats;

import static headrace.formats.EventDecoderTest.ALL;
import static headrace.formats.EventDecoderTest.VALUE;
import static headrace.formats.EventDecoderTest.assertBad;
import static headrace.formats.EventDecoderTest.assertGood;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.table.data.GenericRowData;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is JSON, and what it says, before a value is held against its column. */
class JsonTextTest {
    private final EventDecoder decoder = EventDecoderTest.decoder(ALL);

    /** What is not one JSON object is not JSON to us. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                " ",
                "noise",
                "{",
                "}",
                "{\"id\": }",
                "{\"id\": 7",
                "{\"id\": 7,}",
                "{'id': 7}",
                "[]",
                "[{\"id\": 7, \"at\": 1, \"shop\": \"A\"}]",
                "\"text\"",
                "7",
                "null",
                "true",
                "NaN",
                "{\"id\": 7, \"at\": 1, \"shop\": \"A\"}{}",
                "{\"id\": 7, \"at\": 1, \"shop\": \"A\"} {\"id\": 8, \"at\": 1, \"shop\": \"A\"}",
                "{\"id\": 7, \"at\": 1, \"shop\": \"A\"} x",
                "{\"id\": 007, \"at\": 1, \"shop\": \"A\"}",
                "{\"id\": 7, \"at\": 1, \"shop\": \"A\", \"amount\": .5}",
                "{\"id\": 7, \"at\": 1, \"shop\": \"A\", \"new\": [}"
            })
    void onlyOneObjectIsJson(String value) {
        GenericRowData row = decode(value);
        assertBad("not_json", row, "");
        assertArrayEquals(value.getBytes(UTF_8), row.getBinary(VALUE));
    }

    /** Nesting without end is refused, not followed. */
    @Test
    void bottomlessNestingIsNotJson() {
        assertBad("not_json", decode("{\"new\": " + "[".repeat(100_000)), "");
    }

    /** JSON has no NaN and no infinities: one in a field that no column names is no JSON either, nor where a later value counts. */
    @ParameterizedTest
    @ValueSource(strings = {"NaN", "Infinity", "-Infinity"})
    void constantsAreNotJson(String constant) {
        for (String fields : new String[] {"\"new\": ", "\"new\": [1, {\"a\": [", "\"ratio\": 2, \"new\": [", "\"ratio\": "}) {
            String end = fields.contains("{") ? "]}]" : fields.endsWith("[") ? "]" : "";
            GenericRowData row = event("\"at\": 1, " + fields + constant + end + ", \"ratio\": 1");
            assertBad("not_json", row, "an event is JSON, which has no " + constant);
        }
        assertGood(event("\"at\": 1, \"new\": [1e999, \"NaN\"]"));
    }

    /** Half a surrogate pair is no text: it is refused, alone or beside text, and a whole pair is not. */
    @Test
    void halfASurrogatePairIsRefused() {
        String pair = "\\ud83c\\udf0a";
        assertEquals("🌊", decode("{\"id\": 7, \"at\": 1, \"shop\": \"" + pair + "\"}").getString(2).toString());
        for (String half : new String[] {"\\ud83c", "\\udf0a", "\\udf0a\\ud83c", "a\\ud83cb"}) {
            assertBad("wrong_type", decode("{\"id\": 7, \"at\": 1, \"shop\": \"" + half + "\"}"), "shop is string");
            String text = "\"" + half + "\"";
            for (String field : new String[] {"\"new\": " + text, text + ": 1", "\"new\": [{\"a\": \"\\\\" + half + "\"}]"}) {
                assertBad("not_json", event("\"at\": 1, " + field), "half of a surrogate pair");
            }
        }
        assertGood(event("\"at\": 1, \"new\": \"\\\\ud83c" + pair + "\\n\""));
    }

    /** A field that is repeated has its last value, as in most readers of JSON. */
    @Test
    void theLastOfARepeatedFieldCounts() {
        assertEquals(9, decode("{\"id\": 7, \"at\": 1, \"shop\": \"A\", \"id\": 9}").getLong(0));
        assertBad("missing_key", decode("{\"id\": 7, \"at\": 1, \"shop\": \"A\", \"id\": null}"), "id is missing");
    }

    /** A value that does not fit is bad where no later one of its name takes its place, and only there. */
    @ParameterizedTest
    @ValueSource(strings = {"\"x\"", "[1, {\"seen\": 2}]", "{\"seen\": true}", "1.5", "1e99", "true", "null", "9223372036854775808"})
    void anEarlierValueMayBeAnything(String first) {
        String event = "{\"seen\": " + first + ", \"id\": 7, \"at\": 1, \"shop\": \"A\", \"s\\u0065en\": ";
        GenericRowData row = decode(event + "3}");
        assertGood(row);
        assertEquals(3, row.getLong(6));
        assertTrue(decode(event + "null}").isNullAt(6));
        assertBad("wrong_type", decode(event + "\"no time\"}"), "with its offset; got \"no time\"");
        assertBad("not_json", decode(event + "3"), "");
    }

    private GenericRowData decode(String value) {
        return decoder.decode(value.getBytes(UTF_8));
    }

    private GenericRowData event(String fields) {
        return decode("{\"id\": 7, \"shop\": \"A\", " + fields + "}");
    }
}
