package headrace.formats;

import static java.nio.charset.StandardCharsets.UTF_8;

import headrace.warmup.Samples;
import java.io.IOException;
import java.io.Serializable;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.LongSupplier;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonProcessingException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.StreamReadConstraints;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.json.JsonReadFeature;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/** Bytes of one JSON event to a row, good or bad; see {@link EventFormatFactory} for the columns. */
final class EventDecoder {
    private static final int DETAIL_LENGTH = 200;
    private static final int DIAGNOSTICS = 3;
    private static final int LONGEST_ESCAPE = 6;
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
    private final JsonColumn[] columns;
    private final boolean[] required;
    private final int[] copies;
    private final int mostCopies;
    private final int width;
    private final int time;
    private final Map<String, Integer> positions = new HashMap<>();
    private final JsonFactory json =
            JsonFactory.builder()
                    .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS) // to be named
                    .streamReadConstraints(StreamReadConstraints.builder().maxNumberLength(Integer.MAX_VALUE).build())
                    .build();

    /** Of the event in hand, by column, what does not fit; of a field that is repeated the last value counts. */
    private final Map<Integer, BadEventException> misfits = new LinkedHashMap<>();

    /** Of the event in hand, NaN or an infinity in it; null where there is none. */
    private String constant;

    EventDecoder(RowType type, Rules rules, LongSupplier clock) {
        rowType = type;
        this.rules = rules;
        this.clock = clock;
        names = type.getFieldNames();
        width = names.size() - DIAGNOSTICS;
        columns = new JsonColumn[width];
        required = new boolean[width];
        copies = new int[width];
        for (int i = 0; i < width; i++) {
            positions.put(names.get(i), i);
            required[i] = rules.required().contains(names.get(i));
            LogicalType kind = type.getTypeAt(i);
            columns[i] = new JsonColumn(names.get(i), kind, rules.timestamps().contains(names.get(i)));
            boolean text = kind.is(LogicalTypeRoot.VARCHAR);
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
        misfits.clear();
        constant = null;
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
        if (!misfits.isEmpty()) {
            throw misfits.values().iterator().next();
        }
        if (constant != null) {
            throw new BadEventException("not_json", "an event is JSON, which has no " + constant);
        }
        JsonText.check(value);
    }

    /** The fields of an object, to its end; {@code within} begins their names. */
    private void fields(JsonParser parser, String within, GenericRowData row) throws IOException, BadEventException {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = within.isEmpty() ? parser.currentName() : within + parser.currentName();
            Integer position = positions.get(name);
            JsonToken token = parser.nextToken();
            if (position != null) {
                set(row, position, parser, token);
            } else if (rules.within().contains(name)) {
                String inner = name + ".";
                forget(row, inner); // of an object that is repeated the last one counts, too
                if (token == JsonToken.START_OBJECT) {
                    fields(parser, inner, row);
                } else {
                    pass(parser, token);
                }
            } else {
                pass(parser, token); // producers may add fields
            }
        }
    }

    private void set(GenericRowData row, int i, JsonParser parser, JsonToken token) throws IOException {
        row.setField(i, null);
        misfits.remove(i);
        try {
            row.setField(i, columns[i].read(parser, token));
        } catch (BadEventException e) {
            misfits.put(i, e);
        }
        pass(parser, token);
    }

    private void forget(GenericRowData row, String within) {
        for (int i = 0; i < width; i++) {
            if (names.get(i).startsWith(within)) {
                row.setField(i, null);
                misfits.remove(i);
            }
        }
    }

    /** Goes to the end of a value. */
    private void pass(JsonParser parser, JsonToken first) throws IOException {
        JsonToken token = first;
        int depth = 0;
        while (true) {
            if (JsonColumn.isConstant(parser, token)) {
                constant = parser.getText();
            }
            depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
            if (depth == 0) {
                return;
            }
            token = parser.nextToken();
        }
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
