package headrace.formats;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.StringData;
import org.junit.jupiter.api.Test;

class TraceHeadersTest {
    private static final StringData NAMES = StringData.fromString("traceparent;x-request-id");
    private static final int LONGEST = 4;

    private final TraceHeaders function = new TraceHeaders();

    /** Those of the names, whatever else the record has. */
    @Test
    void keepsTheNamed() {
        MapData kept = kept(Map.of("traceparent", new byte[] {-1, 2}, "baggage", new byte[1], "Traceparent", new byte[1]));
        assertEquals(1, kept.size());
        assertEquals("traceparent", kept.keyArray().getString(0).toString());
        assertArrayEquals(new byte[] {-1, 2}, kept.valueArray().getBinary(0));
    }

    /** A value that is too long is left out, one that is just not too long, or empty, is kept; none is not a value. */
    @Test
    void leavesOutWhatIsTooLong() {
        assertEquals(2, kept(Map.of("traceparent", new byte[LONGEST], "x-request-id", new byte[0])).size());
        assertEquals(1, kept(Map.of("traceparent", new byte[LONGEST + 1], "x-request-id", new byte[0])).size());
        assertNull(kept(Collections.singletonMap("traceparent", null)));
    }

    /** Where there is nothing to carry, no row has a map. */
    @Test
    void isNullWhereNoneIsLeft() {
        assertNull(kept(Map.of()));
        assertNull(kept(Map.of("baggage", new byte[1])));
        assertNull(function.eval(null, NAMES, LONGEST));
    }

    private MapData kept(Map<String, byte[]> headers) {
        Map<StringData, byte[]> map = new HashMap<>();
        headers.forEach((name, value) -> map.put(StringData.fromString(name), value));
        return function.eval(new GenericMapData(map), NAMES, LONGEST);
    }
}
