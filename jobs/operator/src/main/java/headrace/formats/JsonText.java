package headrace.formats;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;

/** What makes bytes text that is JSON, and that Jackson does not look at where it passes over a value. */
final class JsonText {
    private static final int HEX = 16;
    private static final int UNIT = 6; // bytes of an escaped unit of UTF-16

    private JsonText() {}

    /** Refuses JSON that is no UTF-8, to the letter, or that escapes half a surrogate pair: the other readers of events do, too. */
    static void check(byte[] json) throws BadEventException {
        boolean isAscii = true;
        for (int i = 0; i < json.length; i++) {
            isAscii &= json[i] >= 0;
            if (json[i] == '\\') {
                i += escape(json, i) - 1;
            }
        }
        if (!isAscii) {
            checkUtf8(json);
        }
    }

    private static void checkUtf8(byte[] json) throws BadEventException {
        try {
            UTF_8.newDecoder().decode(ByteBuffer.wrap(json));
        } catch (CharacterCodingException e) {
            throw new BadEventException("not_json", "an event is UTF-8; got other bytes");
        }
    }

    /** The length of the escape that begins at {@code at}: of a surrogate pair, of both. */
    private static int escape(byte[] json, int at) throws BadEventException {
        if (json[at + 1] != 'u') {
            return 2;
        }
        char unit = unit(json, at);
        if (!Character.isSurrogate(unit)) {
            return UNIT;
        }
        int next = at + UNIT;
        boolean isPair = Character.isHighSurrogate(unit) && json[next] == '\\' && json[next + 1] == 'u';
        if (!isPair || !Character.isLowSurrogate(unit(json, next))) {
            throw new BadEventException("not_json", "an event is Unicode; got half of a surrogate pair");
        }
        return 2 * UNIT;
    }

    private static char unit(byte[] json, int at) {
        int unit = 0;
        for (int i = at + 2; i < at + UNIT; i++) {
            unit = unit * HEX + Character.digit(json[i], HEX);
        }
        return (char) unit;
    }
}
