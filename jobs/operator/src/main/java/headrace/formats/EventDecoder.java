package headrace.formats;

import static java.nio.charset.StandardCharsets.UTF_8;

import headrace.warmup.Samples;
import java.io.IOException;
import java.io.Serializable;
import java.math.BigDecimal;
import java.time.DateTimeException;
import java.time.OffsetDateTime;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.LongSupplier;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonProcessingException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.exc.InputCoercionException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.json.JsonReadFeature;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/** Bytes of one JSON event to a row, good or bad; see {@link EventFormatFactory} for the columns. */
final class EventDecoder {
    private static final int DETAIL_LENGTH = 200;
    private static final int DIAGNOSTICS = 3;
    private static final int LONGEST_ESCAPE = 6;
    private static final int DATE_LENGTH = 10;
    private static final long DAY_MS = 86_400_000;
    private static final long LIKELY = 100_000_000_000L; // March 1973: before, any number is a time in one unit or another

    /**
     * What a good event must have; {@code timestamps} name the columns that may also be ISO 8601, {@code within} the objects in it
     * whose fields are columns too, as {@code object.field}.
     */
    record Rules(
            Set<String> required,
            String time,
            Set<String> timestamps,
            Set<String> within,
            long maxAheadMs,
            long maxAgeMs,
            Room room)
            implements Serializable {}

    /**
     * How much of an event goes on to Kafka.
     *
     * @param vectorBytes what its texts may take in a feature vector, with the vector's key
     * @param inVector the columns in a vector, each as often as it is there
     * @param valueBytes the longest value of a record that a dead letter holds
     */
    record Room(long vectorBytes, List<String> inVector, int valueBytes) implements Serializable {}

    private final RowType rowType;
    private final Rules rules;
    private final LongSupplier clock;
    private final List<String> names;
    private final LogicalType[] types;
    private final boolean[] required;
    private final boolean[] timestamp;
    private final int[] copies;
    private final int mostCopies;
    private final int width;
    private final int time;
    private final Map<String, Integer> positions = new HashMap<>();
    private final JsonFactory json =
            JsonFactory.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();

    EventDecoder(RowType type, Rules rules, LongSupplier clock) {
        rowType = type;
        this.rules = rules;
        this.clock = clock;
        names = type.getFieldNames();
        width = names.size() - DIAGNOSTICS;
        types = type.getChildren().toArray(new LogicalType[0]);
        required = new boolean[width];
        timestamp = new boolean[width];
        copies = new int[width];
        for (int i = 0; i < width; i++) {
            positions.put(names.get(i), i);
            required[i] = rules.required().contains(names.get(i));
            timestamp[i] = rules.timestamps().contains(names.get(i));
            boolean text = types[i].is(LogicalTypeRoot.VARCHAR);
            copies[i] = text ? Collections.frequency(rules.room().inVector(), names.get(i)) : 0;
        }
        mostCopies = Arrays.stream(copies).max().orElse(0);
        time = positions.get(rules.time());
    }

    /** An event that is good, with a value in each column. */
    byte[] sample() {
        RowType event = new RowType(rowType.getFields().subList(0, width));
        GenericRowData row = Samples.row(event.getChildren(), 1);
        row.setField(time, clock.getAsLong());
        return new VectorSerializationSchema(event).opened().serialize(row);
    }

    GenericRowData decode(byte[] value) {
        GenericRowData row = new GenericRowData(width + DIAGNOSTICS);
        try {
            read(value, row);
            check(row);
            checkRoom(value, row);
            return row;
        } catch (BadEventException e) {
            return bad(e.reason, e.getMessage(), value);
        } catch (RuntimeException e) { // of a parser whose every corner no one knows: a record must not stop the job
            return bad("not_json", "it cannot be read: " + e, value);
        }
    }

    private GenericRowData bad(String reason, String detail, byte[] value) {
        GenericRowData row = new GenericRowData(width + DIAGNOSTICS);
        String line = detail.length() <= DETAIL_LENGTH ? detail : detail.substring(0, DETAIL_LENGTH) + "…";
        boolean tooLong = value != null && value.length > rules.room().valueBytes();
        String rest = tooLong ? "; its " + value.length + " bytes are left out" : "";
        row.setField(width, StringData.fromString(reason));
        row.setField(width + 1, StringData.fromBytes((line + rest).getBytes(UTF_8))); // half a pair, where it was cut, becomes '?'
        row.setField(width + 2, tooLong ? null : value);
        return row;
    }

    private void read(byte[] value, GenericRowData row) throws BadEventException {
        if (value == null || value.length == 0) {
            throw new BadEventException("empty", "the record has no value");
        }
        boolean otherMark = value[0] == (byte) 0xfe || value[0] == (byte) 0xff;
        if (otherMark || value[0] == 0 || value.length > 1 && value[1] == 0) { // the parser would find out which, and read it
            throw new BadEventException("not_json", "an event is UTF-8; got UTF-16, UTF-32 or no text");
        }
        try (JsonParser parser = json.createParser(value)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new BadEventException("not_json", "an event is one JSON object; got " + parser.currentToken());
            }
            fields(parser, "", row);
            if (parser.nextToken() != null) {
                throw new BadEventException("not_json", "an event is one JSON object; got more after it");
            }
        } catch (JsonProcessingException e) {
            throw new BadEventException("not_json", e.getOriginalMessage().lines().findFirst().orElse("no JSON"));
        } catch (IOException e) {
            throw new BadEventException("not_json", String.valueOf(e.getMessage()));
        }
    }

    /** The fields of an object, to its end; {@code within} begins their names. */
    private void fields(JsonParser parser, String within, GenericRowData row) throws IOException, BadEventException {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = within.isEmpty() ? parser.currentName() : within + parser.currentName();
            Integer position = positions.get(name);
            JsonToken token = parser.nextToken();
            if (position != null) {
                row.setField(position, token == JsonToken.VALUE_NULL ? null : column(parser, token, position));
            } else if (token == JsonToken.START_OBJECT && rules.within().contains(name)) {
                fields(parser, name + ".", row);
            } else {
                parser.skipChildren(); // producers may add fields
            }
        }
    }

    private Object column(JsonParser parser, JsonToken token, int i) throws IOException, BadEventException {
        switch (types[i].getTypeRoot()) {
            case BIGINT:
                return timestamp[i] && token == JsonToken.VALUE_STRING ? instant(parser, i) : integer(parser, token, i);
            case DOUBLE:
                return floating(parser, token, i);
            case DECIMAL:
                return decimal(parser, token, i);
            case VARCHAR:
                expect(token == JsonToken.VALUE_STRING && isUnicode(parser.getText()), parser, i);
                return StringData.fromString(parser.getText());
            case BOOLEAN:
                expect(token == JsonToken.VALUE_TRUE || token == JsonToken.VALUE_FALSE, parser, i);
                return parser.getBooleanValue();
            default:
                throw new IllegalStateException("no column of an event has the type " + types[i]);
        }
    }

    /** JSON can escape half a surrogate pair, but no UTF-8 holds one: it could be read, and never be written. */
    private static boolean isUnicode(String text) {
        return text.codePoints().noneMatch(point -> Character.MIN_SURROGATE <= point && point <= Character.MAX_SURROGATE);
    }

    private Object integer(JsonParser parser, JsonToken token, int i) throws IOException, BadEventException {
        expectFinite(parser, token, i);
        expect(token.isNumeric(), parser, i);
        try {
            return token == JsonToken.VALUE_NUMBER_INT ? parser.getLongValue() : whole(number(parser, i));
        } catch (InputCoercionException | ArithmeticException e) {
            throw wrongType(parser, i);
        }
    }

    /** 3.0 and 3e0 are 3: so whole numbers are written that have stood beside nulls in a column of doubles. */
    private static long whole(BigDecimal value) {
        return value.signum() == 0 ? 0 : value.longValueExact(); // which counts the digits of 1e999999999 first
    }

    private Object floating(JsonParser parser, JsonToken token, int i) throws IOException, BadEventException {
        expectFinite(parser, token, i);
        expect(token.isNumeric(), parser, i);
        double value = parser.getDoubleValue();
        if (!Double.isFinite(value)) {
            throw new BadEventException("not_finite", names.get(i) + " is beyond a double: " + brief(parser));
        }
        return value == 0 ? 0.0 : value; // one zero: engines need not agree on which
    }

    private Object decimal(JsonParser parser, JsonToken token, int i) throws IOException, BadEventException {
        expectFinite(parser, token, i);
        expect(token.isNumeric(), parser, i);
        DecimalType type = (DecimalType) types[i];
        BigDecimal value = number(parser, i);
        // The digits are counted before they are written out: 1e999999999 has one.
        boolean fits = value.signum() == 0 || (long) value.precision() - value.scale() <= type.getPrecision() - type.getScale();
        if (!fits || value.stripTrailingZeros().scale() > type.getScale()) {
            throw wrongType(parser, i);
        }
        return DecimalData.fromBigDecimal(value, type.getPrecision(), type.getScale());
    }

    private BigDecimal number(JsonParser parser, int i) throws IOException, BadEventException {
        try {
            return parser.getDecimalValue();
        } catch (NumberFormatException e) { // an exponent beyond an int; Jackson 2.20 lets it through
            throw wrongType(parser, i);
        }
    }

    /** Digits finer than milliseconds are cut off. */
    private Object instant(JsonParser parser, int i) throws IOException, BadEventException {
        String text = parser.getText();
        boolean spaced = text.length() > DATE_LENGTH && text.charAt(DATE_LENGTH) == ' '; // as in RFC 3339
        try {
            String iso = spaced ? text.substring(0, DATE_LENGTH) + 'T' + text.substring(DATE_LENGTH + 1) : text;
            return OffsetDateTime.parse(iso).toInstant().toEpochMilli();
        } catch (DateTimeException | ArithmeticException e) {
            throw wrongType(parser, i);
        }
    }

    private void expectFinite(JsonParser parser, JsonToken token, int i) throws IOException, BadEventException {
        if (token == JsonToken.VALUE_NUMBER_FLOAT && parser.isNaN()) {
            throw new BadEventException("not_finite", names.get(i) + " is " + brief(parser));
        }
    }

    private void expect(boolean fits, JsonParser parser, int i) throws IOException, BadEventException {
        if (!fits) {
            throw wrongType(parser, i);
        }
    }

    private BadEventException wrongType(JsonParser parser, int i) throws IOException {
        boolean time = timestamp[i];
        String wanted = time ? "UTC milliseconds or ISO 8601 with its offset" : described(types[i]);
        return new BadEventException("wrong_type", names.get(i) + " is " + wanted + "; got " + brief(parser));
    }

    private static String described(LogicalType type) {
        if (type.getTypeRoot() == LogicalTypeRoot.DECIMAL) {
            DecimalType decimal = (DecimalType) type;
            return "decimal(" + decimal.getPrecision() + "," + decimal.getScale() + ")";
        }
        boolean integer = type.getTypeRoot() == LogicalTypeRoot.BIGINT;
        return integer ? "long" : type.asSummaryString().toLowerCase(java.util.Locale.ROOT); // as definitions have it
    }

    private static String brief(JsonParser parser) throws IOException {
        String text = parser.getText();
        String quote = parser.currentToken() == JsonToken.VALUE_STRING ? "\"" : "";
        return quote + (text.length() <= 40 ? text : text.substring(0, 40) + "…") + quote;
    }

    private void check(GenericRowData row) throws BadEventException {
        if (row.isNullAt(time)) {
            throw new BadEventException("missing_time", rules.time() + " is missing");
        }
        for (int i = 0; i < width; i++) {
            if (required[i] && row.isNullAt(i)) {
                throw new BadEventException("missing_key", names.get(i) + " is missing");
            }
        }
        long at = row.getLong(time);
        long now = clock.getAsLong();
        if (!isPossible(at, now)) {
            throw new BadEventException("time_out_of_bounds", rules.time() + " " + outOfBounds(at, now) + "; got " + at);
        }
    }

    /** A vector holds its event's texts, some more than once; for the rest of it room is kept. */
    private void checkRoom(byte[] value, GenericRowData row) throws BadEventException {
        long room = rules.room().vectorBytes();
        if ((long) value.length * mostCopies * LONGEST_ESCAPE <= room) {
            return; // nearly always
        }
        long bytes = 0;
        for (int i = 0; i < width; i++) {
            if (copies[i] > 0 && !row.isNullAt(i)) {
                bytes += copies[i] * bytesInJson(row.getString(i).toBytes());
            }
        }
        if (bytes > room) {
            String detail = "its texts take " + bytes + " bytes in a feature vector, which has room for " + room;
            throw new BadEventException("too_large", detail);
        }
    }

    private static long bytesInJson(byte[] utf8) {
        long bytes = 0;
        for (byte b : utf8) {
            bytes += b == '"' || b == '\\' ? 2 : 0 <= b && b < ' ' ? LONGEST_ESCAPE : 1;
        }
        return bytes;
    }

    private boolean isPossible(long at, long now) {
        return at >= 0 && now - rules.maxAgeMs() <= at && at <= now + rules.maxAheadMs();
    }

    /** Names the unit in which the time would be possible: a producer that sends another unit does so with every event. */
    private String outOfBounds(long at, long now) {
        if (at < 0) {
            return "is before 1970";
        }
        if (at < now && isLikely(at * 1000, now)) {
            return "looks like seconds";
        }
        if (isLikely(at / 1000, now)) {
            return "looks like microseconds";
        }
        if (isLikely(at / 1_000_000, now)) {
            return "looks like nanoseconds";
        }
        return at < now ? "is " + (now - at) / DAY_MS + " days old" : "is " + (at - now) + " ms ahead of the clock";
    }

    private boolean isLikely(long at, long now) {
        return at >= LIKELY && isPossible(at, now);
    }
}
