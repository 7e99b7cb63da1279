package headrace.formats;

import static headrace.formats.EventDecoderTest.assertBad;
import static headrace.formats.EventDecoderTest.assertGood;
import static headrace.formats.EventDecoderTest.decoder;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.apache.flink.table.data.GenericRowData;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What Kafka would not take on its way out. */
class EventRoomTest {
    /** A text counts as often as it is in a vector, and as long as it is in JSON: at the limit it is good, one byte on it is not. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {"x|1", "é|2", "水|3", "🌊|4", "\\ud83c\\udf0a|4", "\\\\|2", "\\\"|2", "\\u0000|6", "\\u0078|1"})
    void whatIsTooLongForAVectorIsTooLarge(String written, int bytes) {
        String value = "{\"id\": 7, \"at\": 1, \"shop\": \"" + written.repeat(500) + "\"}";
        EventDecoder.Room room = new EventDecoder.Room(1_000 * bytes, List.of("shop", "id", "shop"), 1 << 20);
        assertGood(decoder(room).decode(value.getBytes(UTF_8)));
        EventDecoder.Room less = new EventDecoder.Room(1_000 * bytes - 1, List.of("shop", "id", "shop"), 1 << 20);
        GenericRowData row = decoder(less).decode(value.getBytes(UTF_8));
        String expected = "take " + 1_000 * bytes + " bytes in a feature vector, which has room for " + (1_000 * bytes - 1);
        assertBad("too_large", row, expected);
        assertArrayEquals(value.getBytes(UTF_8), row.getBinary(EventDecoderTest.VALUE));
        EventDecoder.Room elsewhere = new EventDecoder.Room(1, List.of("id"), 1 << 20);
        assertGood(decoder(elsewhere).decode(value.getBytes(UTF_8)));
    }

    /** A record that no dead letter can hold is told of without its bytes. */
    @Test
    void aRecordTooLongForADeadLetterIsNamed() {
        EventDecoder brief = decoder(new EventDecoder.Room(Long.MAX_VALUE, List.of(), 10));
        assertArrayEquals(new byte[10], brief.decode(new byte[10]).getBinary(EventDecoderTest.VALUE));
        GenericRowData row = brief.decode(new byte[11]);
        assertBad("not_json", row, "; its 11 bytes are left out");
        assertTrue(row.isNullAt(EventDecoderTest.VALUE));
    }
}
