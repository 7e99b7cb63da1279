package headrace.formats;

import static headrace.formats.EventDecoderTest.assertBad;
import static headrace.formats.EventDecoderTest.assertGood;
import static headrace.formats.EventDecoderTest.decoder;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.Charset;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.apache.flink.table.data.GenericRowData;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Records of any bytes, and of any length. */
class EventBytesTest {
    private static final EventDecoder DECODER = decoder(new EventDecoder.Room(Long.MAX_VALUE, List.of(), Integer.MAX_VALUE));

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

    /** Whatever becomes of the bytes of an event on the way, it is a row: good, or bad with its bytes. */
    @Test
    void noBytesStopTheJob() {
        byte[] good =
                """
                {"id": 7, "at": 1600000000000, "shop": "Aé", "amount": -12.5e0, "ratio": 3.25E-2, "online": true}"""
                        .getBytes(UTF_8);
        int bad = 0;
        for (int seed = 0; seed < 20_000; seed++) {
            Random random = new Random(seed);
            byte[] value = good.clone();
            for (int i = random.nextInt(4); i >= 0; i--) {
                int at = random.nextInt(value.length);
                boolean other = random.nextBoolean();
                value[at] = other ? good[random.nextInt(good.length)] : (byte) random.nextInt(256);
            }
            GenericRowData row = DECODER.decode(value);
            if (row.getString(EventDecoderTest.REASON) != null) {
                bad++;
                assertArrayEquals(value, row.getBinary(EventDecoderTest.VALUE));
            }
        }
        assertTrue(bad > 5_000, bad + " bad ones");
    }

    /** A record without a value is empty. */
    @Test
    void noValueIsEmpty() {
        assertBad("empty", DECODER.decode(null), "no value");
        assertBad("empty", DECODER.decode(new byte[0]), "no value");
    }

    /** Bytes that are not UTF-8 are not JSON, wherever they stand. */
    @Test
    void invalidUtf8IsNotJson() {
        byte[] value = "{\"id\": 7, \"at\": 1, \"shop\": \"A??\"}".getBytes(UTF_8);
        value[value.length - 4] = (byte) 0xc3;
        value[value.length - 3] = (byte) 0x28;
        assertBad("not_json", DECODER.decode(value), "");
        assertBad("not_json", DECODER.decode(new byte[] {(byte) 0xff, (byte) 0xfe, (byte) 0xfd}), "");
        for (String other : new String[] {"UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "UTF-32LE", "UTF-32BE"}) {
            assertBad("not_json", DECODER.decode("{\"id\": 7, \"at\": 1, \"shop\": \"A\"}".getBytes(Charset.forName(other))), "");
        }
    }

    /** Jackson reads more than UTF-8: two bytes for a letter of one, surrogates, and what is beyond Unicode. */
    @ParameterizedTest
    @ValueSource(strings = {"c080", "c1bf", "e08080", "f0808080", "eda080", "edb080eda080", "edbd80", "f4908080", "f5808080"})
    void onlyUtf8IsJson(String hex) {
        byte[] other = HexFormat.of().parseHex(hex);
        for (String event : new String[] {"\"shop\": \"A\", \"new\": \"?\"", "\"shop\": \"A\", \"?\": 1", "\"shop\": \"?\""}) {
            byte[] before = ("{\"id\": 7, \"at\": 1, " + event.substring(0, event.indexOf('?'))).getBytes(UTF_8);
            byte[] behind = (event.substring(event.indexOf('?') + 1) + "}").getBytes(UTF_8);
            ByteBuffer value = ByteBuffer.allocate(before.length + other.length + behind.length).put(before).put(other).put(behind);
            GenericRowData row = DECODER.decode(value.array());
            assertTrue(row.getString(EventDecoderTest.REASON) != null, event);
        }
        byte[] good = "{\"id\": 7, \"at\": 1, \"shop\": \"é水🌊\", \"new\": \"é水🌊\"}".getBytes(UTF_8);
        assertGood(DECODER.decode(good));
    }

    /** A megabyte of random bytes is refused at once, and comes back whole. */
    @Test
    void aMegabyteOfNoiseIsNotJson() {
        for (int seed = 0; seed < 5; seed++) {
            byte[] value = new byte[1_000_000];
            new Random(seed).nextBytes(value);
            GenericRowData row = assertTimeoutPreemptively(Duration.ofSeconds(5), () -> DECODER.decode(value));
            assertBad("not_json", row, "");
            assertArrayEquals(value, row.getBinary(EventDecoderTest.VALUE));
            assertTrue(row.getString(EventDecoderTest.DETAIL).toString().length() <= 201, "one line for a person");
        }
    }
}
