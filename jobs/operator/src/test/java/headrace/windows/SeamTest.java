package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import headrace.seam.History;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.types.logical.RowType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@link SlidingWindows} with a history against the same function over a stream from the beginning. */
class SeamTest {
    private static final int STREAMS = 40;
    private static final long SEAM = 10_000;
    private static final long SHORT = 60;
    private static final long LONG = 200;
    private static final long LATENESS = 100;
    private static final long FROM = SEAM - LONG - LATENESS;
    private static final List<String> FUNCTIONS =
            List.of("count", "count_distinct", "sum", "mean", "min", "max", "first", "last", "last_n 3", "quantile 0.5");

    /** One event, with all that a row of it says. */
    record Fact(long id, long key, long time, BigDecimal value, boolean contributes, boolean isQuery) {}

    /**
     * After a random seam each complete vector is, to the bit, that of a stream in which the rows of the history came first and those
     * that the topic repeats came once; vectors within the lateness are complete; a silent key leaves nothing.
     */
    @ParameterizedTest
    @CsvSource({"arrival, true", "arrival, false", "event_time, true", "event_time, false"})
    void isAStreamFromTheBeginning(String mode, boolean own) throws Exception {
        int compared = 0;
        int repeats = 0;
        for (int seed = 0; seed < STREAMS; seed++) {
            Both both = new Both(mode, own, seed);
            both.run();
            compared += both.compared;
            repeats += both.repeats;
        }
        assertTrue(compared > 20 * STREAMS, compared + " vectors: too few for this test to mean much");
        assertTrue(repeats > 5 * STREAMS, repeats + " repeats: too few for this test to mean much");
    }

    /** Once no window holds a row from before the seam, nothing is left of the ids: the state is as large as without a history. */
    @Test
    void idsAreForgotten() throws Exception {
        long later = SEAM + LONG + LATENESS + 120_000; // timers that clear fall on a minute's end
        List<Object> backfilled = new ArrayList<>();
        List<Object> plain = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            Fact fact = new Fact(i, 1, FROM + i, BigDecimal.ONE, true, false);
            backfilled.add(row(fact, History.PARTITION, i, "BIGINT"));
            plain.add(row(fact, 0, i, "BIGINT"));
        }
        Object live = row(new Fact(99, 1, later, BigDecimal.ONE, true, true), 0, 0, "BIGINT");
        for (List<Object> rows : List.of(backfilled, plain)) {
            rows.add(live);
        }
        int before = left(stages("arrival", "BIGINT"), backfilled);
        for (List<Object> rows : List.of(backfilled, plain)) {
            rows.add(later);
        }
        int after = left(stages("arrival", "BIGINT"), backfilled);
        assertTrue(after < before, after + " blocks of " + before);
        assertEquals(left(unseamed(), plain), after);
    }

    /** A key whose rows are behind the watermark, as those of a partition that stood still, knows its ids as long as its rows. */
    @Test
    void idsAreForgottenWithTheRowsOfTheirKey() throws Exception {
        long minute = 59_999; // when keys are cleared: by the watermark, the seam's rows are too old by then
        long seam = minute - LONG - LATENESS - 1;
        List<Object> rows = new ArrayList<>();
        rows.add(row(new Fact(1, 1, seam - 8, BigDecimal.ONE, true, false), History.PARTITION, 0, "BIGINT"));
        rows.add(row(new Fact(2, 1, seam + 102, BigDecimal.ONE, true, true), 0, 1, "BIGINT"));
        rows.add(minute);
        rows.add(row(new Fact(1, 1, seam - 8, BigDecimal.ONE, true, false), 0, 0, "BIGINT"));
        rows.add(row(new Fact(3, 1, seam + 152, BigDecimal.ONE, true, true), 0, 2, "BIGINT"));
        JsonNode out = Harness.output(stream(unseamed().seam(seam, DataTypes.BIGINT()), rows, 0, true, "BIGINT")).get("rows");
        assertEquals(2, out.size(), out.toString());
        assertEquals(3, out.get(1).get(1 + FUNCTIONS.size()).longValue(), out.toString()); // the count of the long window
    }

    /** Where the ids are forgotten before the rows, a repeat counts again: no window that holds it is complete. */
    @Test
    void aRepeatThatIsNotKnownIsInNoCompleteWindow() throws Exception {
        Stages stages = stages("arrival", "BIGINT");
        long minute = 59_999;
        List<Object> rows = new ArrayList<>();
        rows.add(row(new Fact(1, 1, SEAM - 1, BigDecimal.ONE, true, false), History.PARTITION, 0, "BIGINT"));
        rows.add(row(new Fact(2, 1, minute - LONG, BigDecimal.ONE, true, false), 0, 1, "BIGINT"));
        rows.add(minute);
        rows.add(row(new Fact(1, 1, SEAM - 1, BigDecimal.ONE, true, false), 0, 0, "BIGINT"));
        rows.add(row(new Fact(3, 1, SEAM + LONG - 2, BigDecimal.ONE, true, true), 0, 2, "BIGINT"));
        Map<Long, JsonNode> found = Both.vectors(Harness.output(stream(stages, rows, 0, true, "BIGINT")));
        int complete = ((RowType) Stage.output(stages.spec(), stages.table()).getLogicalType()).getFieldIndex("_complete");
        assertFalse(found.get(3L).get(complete).booleanValue(), found.toString());
    }

    /** A row of history that a later stage needs comes out with what it carries, and with a null in each other column. */
    @ParameterizedTest
    @CsvSource({"true", "false"})
    void aRowOfHistoryPassesOnWithoutValues(boolean contributes) throws Exception {
        Object passing = row(new Fact(7, 1, FROM, BigDecimal.ONE, contributes, true), History.PARTITION, 0, "BIGINT");
        JsonNode out = Harness.output(stream(stages("arrival", "BIGINT"), List.of(passing), 0, true, "BIGINT")).get("rows");
        assertEquals(1, out.size());
        assertEquals(7, out.get(0).get(0).longValue());
        for (int i = 1; i < out.get(0).size(); i++) {
            assertTrue(out.get(0).get(i).isNull(), out.toString());
        }
    }

    /** A row of the topic that was in the history gets its vector, where one is wanted, and counts once. */
    @ParameterizedTest
    @CsvSource({"arrival", "event_time"})
    void aRepeatThatIsAQueryCountsOnce(String mode) throws Exception {
        Fact fact = new Fact(7, 1, SEAM - 10, BigDecimal.ONE, true, true);
        List<Object> rows = new ArrayList<>();
        rows.add(row(new Fact(7, 1, SEAM - 10, BigDecimal.ONE, true, false), History.PARTITION, 0, "BIGINT"));
        rows.add(row(fact, 0, 3, "BIGINT"));
        rows.add(row(new Fact(8, 1, SEAM, BigDecimal.ONE, true, true), 0, 4, "BIGINT"));
        rows.add(SEAM + 1);
        JsonNode out = Harness.output(stream(stages(mode, "BIGINT"), rows, 0, true, "BIGINT")).get("rows");
        assertEquals(2, out.size(), out.toString());
        for (int i = 0; i < 2; i++) {
            assertEquals(7 + i, out.get(i).get(0).longValue());
            assertEquals(1 + i, out.get(i).get(1).longValue(), out.toString());
        }
    }

    private static int left(Stages stages, List<Object> rows) throws Exception {
        return Harness.output(stream(stages, rows, 0, true, "BIGINT")).get("left").intValue();
    }

    private static Stages unseamed() {
        Stages stages = Stages.over(DataTypes.DECIMAL(12, 2)).lateness(LATENESS).carrying("id", DataTypes.BIGINT());
        return stages.all(FUNCTIONS, SHORT).all(FUNCTIONS, LONG);
    }

    private static Stages stages(String mode, String id) {
        Stages stages = unseamed().seam(SEAM, id.equals("STRING") ? DataTypes.STRING() : DataTypes.BIGINT());
        return mode.equals("event_time") ? stages.eventTime() : stages;
    }

    private static Map<String, Object> stream(Stages stages, List<Object> rows, int restart, boolean copies, String id) {
        List<List<String>> columns =
                List.of(
                        List.of("_key", "BIGINT"), List.of("_time", "BIGINT"), List.of("_contributes", "BOOLEAN"),
                        List.of("_is_query", "BOOLEAN"), List.of("_partition", "INT"), List.of("_offset", "BIGINT"),
                        List.of("v", "DECIMAL(12, 2)"), List.of("id", "BIGINT"), List.of("_id", id));
        return Map.of(
                "spec", stages.spec(), "columns", columns, "rows", rows, "restart", restart, "copies", copies, "leaf", 4, "fanout", 3);
    }

    private static List<Object> row(Fact fact, int partition, long offset, String id) {
        List<Object> row = new ArrayList<>(List.of(fact.key, fact.key, fact.time, fact.contributes, fact.isQuery, partition, offset));
        row.add(fact.value == null ? null : fact.value.toPlainString());
        row.add(fact.id);
        row.add(id.equals("STRING") ? (Object) ("event-" + fact.id) : (Object) fact.id);
        return row;
    }

    /** The same events twice: with a history, and as a stream from the beginning. */
    private static final class Both {
        private final String mode;
        private final boolean own;
        private final String name;
        private final String id;
        private final int complete;
        private final Random random;
        private long ids;
        int compared;
        int repeats;

        Both(String mode, boolean own, int seed) {
            this.mode = mode;
            this.own = own;
            name = mode + (own ? " own" : " other") + " seed " + seed;
            random = new Random(seed);
            id = random.nextBoolean() ? "STRING" : "BIGINT";
            Stages stages = stages(mode, id);
            complete = ((RowType) Stage.output(stages.spec(), stages.table()).getLogicalType()).getFieldIndex("_complete");
        }

        private Fact fact(long time) {
            boolean contributes = own || random.nextInt(3) > 0;
            boolean isQuery = own ? time >= SEAM : !contributes;
            BigDecimal value = random.nextInt(8) == 0 || !contributes ? null : BigDecimal.valueOf(random.nextInt(2_000) - 500, 2);
            return new Fact(ids++, random.nextInt(2), time, value, contributes, isQuery);
        }

        /** A row that contributes. */
        private Fact past(long time) {
            Fact fact = fact(time);
            while (!fact.contributes) {
                fact = fact(time);
            }
            return fact;
        }

        void run() throws Exception {
            List<Fact> history = new ArrayList<>();
            for (int i = random.nextInt(80); i > 0; i--) {
                history.add(past(FROM + random.nextInt((int) (SEAM - FROM))));
            }
            history.sort(Comparator.comparingLong(Fact::time));
            List<Object> backfilled = new ArrayList<>();
            List<Object> whole = new ArrayList<>();
            for (Fact fact : files(history)) {
                backfilled.add(row(fact, History.PARTITION, 0, id));
            }
            history.forEach(fact -> whole.add(row(fact, 0, whole.size(), id)));
            topic(history, backfilled, whole);
            int restart = random.nextInt(3) * 7;
            boolean copies = random.nextBoolean();
            compare(
                    Harness.output(stream(stages(mode, id), backfilled, restart, copies, id)),
                    Harness.output(stream(stages(mode, id), whole, restart, copies, id)));
        }

        /** Rows of one time are in one file, in their order; two files are read side by side. */
        private List<Fact> files(List<Fact> history) {
            List<List<Fact>> files = List.of(new ArrayList<>(), new ArrayList<>());
            history.forEach(fact -> files.get((int) (fact.time % 2)).add(fact));
            List<Fact> read = new ArrayList<>();
            while (read.size() < history.size()) {
                List<Fact> file = files.get(random.nextInt(2));
                if (!file.isEmpty()) {
                    read.add(file.remove(0));
                }
            }
            return read;
        }

        private void topic(List<Fact> history, List<Object> backfilled, List<Object> whole) {
            long now = SEAM - LATENESS;
            long watermark = now;
            Set<Integer> repeated = new HashSet<>();
            for (int i = 0; i < 150; i++) {
                now += random.nextInt(6);
                int which = random.nextInt(8);
                int place = history.isEmpty() ? 0 : random.nextInt(history.size());
                if (which == 0 && now > watermark) {
                    watermark = now - random.nextInt(20);
                    backfilled.add(watermark);
                    whole.add(watermark);
                } else if (which < 3 && !history.isEmpty() && now < SEAM + LATENESS && repeated.add(place)) {
                    backfilled.add(row(history.get(place), 0, backfilled.size(), id));
                    repeats++;
                } else {
                    Fact fact = fact(now - (random.nextInt(4) == 0 ? random.nextInt(90) : 0));
                    if (fact.contributes || fact.time >= SEAM) {
                        backfilled.add(row(fact, 0, 1_000 + i, id));
                        whole.add(row(fact, 0, 1_000 + i, id));
                    }
                }
            }
            backfilled.add(now + 1_000_000);
            whole.add(now + 1_000_000);
        }

        private void compare(JsonNode backfilled, JsonNode whole) {
            Map<Long, JsonNode> found = vectors(backfilled);
            Map<Long, JsonNode> expected = vectors(whole);
            assertEquals(expected.keySet(), found.keySet(), name);
            for (Map.Entry<Long, JsonNode> entry : expected.entrySet()) {
                JsonNode got = found.get(entry.getKey());
                if (isComplete(got) && isComplete(entry.getValue())) {
                    assertEquals(entry.getValue(), got, name);
                    compared++;
                }
            }
            assertEquals(0, backfilled.get("left").intValue(), name);
        }

        private boolean isComplete(JsonNode vector) {
            return vector.get(complete).booleanValue();
        }

        /** By the id of the query. */
        private static Map<Long, JsonNode> vectors(JsonNode output) {
            Map<Long, JsonNode> vectors = new HashMap<>();
            for (JsonNode row : output.get("rows")) {
                if (row.get(row.size() - 1).isNull()) {
                    vectors.put(row.get(0).longValue(), row);
                }
            }
            return vectors;
        }
    }
}
