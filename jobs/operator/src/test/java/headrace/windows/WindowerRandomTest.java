package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import headrace.state.Blocks;
import headrace.state.MemoryBlocks;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.function.Supplier;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.types.DataType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** {@link Windower} against the slow obvious way, on more than a thousand random streams with fixed seeds. */
class WindowerRandomTest {
    private static final int STREAMS = 40;
    private static final int STEPS = 90;
    private static final long SHORT = 7;
    private static final long LONG = 20;
    private static final long LATENESS = 10;
    private static final long NONE = Long.MIN_VALUE / 2;
    private static final List<String> OF_ANY = List.of("count", "count_distinct");
    private static final List<String> OF_BOOLEANS = List.of("count", "count_distinct", "first", "last", "last_n 3");
    private static final List<String> OF_NUMBERS =
            List.of(
                    "count", "count_distinct", "sum", "mean", "min", "max", "first", "last", "last_n 3", "last_n 100", "quantile 0.01", "quantile 0.5",
                    "quantile 0.999");

    /** Functions whose bits depend on how they are computed: the ledger may see a change that exact numbers have not. */
    private static final List<String> SPREADS = List.of("var_pop", "var_samp", "std_pop", "std_samp");

    /** A kind of column: its type, its functions, and a random value of it. */
    enum Kind {
        LONG_COLUMN(DataTypes.BIGINT(), OF_NUMBERS, SPREADS) {
            @Override
            Object draw(Random random) {
                return random.nextInt(4) == 0 ? random.nextLong() : (Object) (long) random.nextInt(100);
            }
        },
        FEW_LONGS(DataTypes.BIGINT(), OF_NUMBERS, SPREADS) {
            @Override
            Object draw(Random random) {
                return (long) random.nextInt(4);
            }
        },
        DECIMAL_COLUMN(DataTypes.DECIMAL(18, 3), OF_NUMBERS, SPREADS) {
            @Override
            Object draw(Random random) {
                long digits = random.nextInt(4) == 0 ? 999_999_999_999_999_999L : 100_000;
                return BigDecimal.valueOf(random.nextLong() % digits, 3);
            }
        },
        DOUBLE_COLUMN(DataTypes.DOUBLE(), OF_NUMBERS, SPREADS) {
            @Override
            Object draw(Random random) {
                double value = random.nextDouble() - 0.5;
                int which = random.nextInt(8);
                return which == 0 ? -0.0 : which == 1 ? 0.0 : which < 4 ? value * 1e15 : value;
            }
        },
        CLOSE_DOUBLES(DataTypes.DOUBLE(), OF_NUMBERS, SPREADS) {
            @Override
            Object draw(Random random) {
                return 1e9 + random.nextDouble();
            }
        },
        BOOLEAN_COLUMN(DataTypes.BOOLEAN(), OF_BOOLEANS, List.of()) {
            @Override
            Object draw(Random random) {
                return random.nextBoolean();
            }
        },
        STRING_COLUMN(DataTypes.STRING(), OF_ANY, List.of()) {
            @Override
            Object draw(Random random) {
                return "水🌊".repeat(random.nextInt(3)) + random.nextInt(4);
            }
        };

        final DataType type;
        final List<String> exact;
        final List<String> spreads;

        Kind(DataType type, List<String> exact, List<String> spreads) {
            this.type = type;
            this.exact = exact;
            this.spreads = spreads;
        }

        abstract Object draw(Random random);
    }

    record Fact(long time, Object value) {}

    /**
     * Every complete feature vector is that of the whole history, every query within the lateness is complete, the ledger says what late
     * rows would have changed, and a silent key leaves nothing.
     */
    @ParameterizedTest
    @EnumSource(Kind.class)
    void agreesWithTheObviousWay(Kind kind) {
        int incomplete = 0;
        int late = 0;
        for (int seed = 0; seed < STREAMS; seed++) {
            for (int which = 0; which < 4; which++) {
                Stream stream = new Stream(kind, which % 2 == 0, which / 2 == 0, seed);
                stream.run();
                incomplete += stream.incomplete;
                late += stream.counted;
            }
        }
        assertTrue(incomplete > STREAMS, incomplete + " incomplete vectors: too few for this test to mean much");
        assertTrue(late > STREAMS, late + " entries that are counted: too few for this test to mean much");
    }

    /** One key, its rows and its watermark. */
    private static final class Stream {
        private final Kind kind;
        private final boolean eventTime;
        private final boolean own;
        private final Random random;
        private final String name;
        private final List<String> functions = new ArrayList<>();
        private final List<Long> lengths = new ArrayList<>();
        private final List<String> views = new ArrayList<>();
        private final Stage stage;
        private final Windower windower;
        private final MemoryBlocks blocks;
        private final List<Fact> history = new ArrayList<>();
        private final List<Long> queried = new ArrayList<>();
        private long newestRow = NONE;
        private long newestQuery = NONE;
        private long watermark = Long.MIN_VALUE;
        private long timer = Windower.NOTHING;
        int incomplete;
        int counted;

        Stream(Kind kind, boolean eventTime, boolean own, int seed) {
            this.kind = kind;
            this.eventTime = eventTime;
            this.own = own;
            random = new Random(seed);
            name = kind + (eventTime ? " event time" : " arrival") + (own ? " own" : " other") + " seed " + seed;
            Stages stages = Stages.over(kind.type).lateness(LATENESS);
            view(stages, "near", kind.exact, SHORT);
            view(stages, "far", kind.exact, LONG);
            view(stages, "spread", kind.spreads, LONG);
            stage = (eventTime ? stages.eventTime() : stages).bind();
            int leafRows = random.nextInt(4) == 0 ? RowTree.LEAF_ROWS : 2 + random.nextInt(3);
            windower = new Windower(stage, Mode.of(stage), leafRows, 2 + random.nextInt(3));
            blocks = new MemoryBlocks(random.nextBoolean());
        }

        private void view(Stages stages, String view, List<String> names, long length) {
            stages.view(view).all(names, length);
            functions.addAll(names);
            names.forEach(function -> lengths.add(length));
            names.forEach(function -> views.add(view));
        }

        void run() {
            long now = 1_000;
            for (int step = 0; step < STEPS; step++) {
                now += random.nextInt(40) == 0 ? random.nextInt(80) : random.nextInt(4) == 0 ? 1 : 0;
                if (eventTime) {
                    eventTime(now);
                } else {
                    row(now + (random.nextInt(5) == 0 ? -random.nextInt(40) : random.nextInt(3)), random.nextBoolean());
                    if (random.nextInt(4) == 0) {
                        reach(now - random.nextInt(8));
                    }
                }
            }
            reach(now + 1_000);
            assertTrue(blocks.blocks.isEmpty(), name);
        }

        /** Rows of a time that the watermark has come to, those of other sources first; then late ones. */
        private void eventTime(long now) {
            if (now > watermark) {
                long reached = watermark;
                watermark = now - 1; // as SlidingWindows gives it for rows that have waited
                boolean contributes = random.nextBoolean();
                row(now, contributes);
                row(now, contributes && random.nextBoolean());
                watermark = reached;
                reach(now + random.nextInt(3));
            } else {
                row(watermark - random.nextInt(random.nextInt(3) == 0 ? 30 : 5), random.nextBoolean());
            }
        }

        /** Brings the watermark to {@code time}, and the timers that it passes. */
        private void reach(long time) {
            watermark = Math.max(watermark, time);
            while (timer <= watermark) {
                timer = windower.clear(blocks, timer);
                newestRow = blocks.get(Blocks.ROWS) == null ? NONE : newestRow;
                newestQuery = blocks.get(Blocks.QUERIES) == null ? NONE : newestQuery;
            }
        }

        /** Of what is still known. */
        private long newest() {
            return Math.max(newestRow, newestQuery);
        }

        private void row(long time, boolean contributes) {
            boolean adds = contributes || own;
            boolean isQuery = !contributes || own && random.nextInt(5) > 0;
            Object value = random.nextInt(6) == 0 ? null : kind.draw(random);
            String where = name + " at " + time + " behind " + newest();
            long behind = eventTime ? watermark : newest();
            List<Fact> before = new ArrayList<>(history);
            if (adds) {
                int place = history.size();
                while (place > 0 && history.get(place - 1).time > time) {
                    place--;
                }
                history.add(place, new Fact(time, value instanceof Double number ? (Double) (number + 0.0) : value));
            }
            Object[] vector = windower.step(blocks, Stages.row(stage, time, adds, isQuery, value), watermark);
            timer = Math.min(timer, windower.expires());
            if (adds && (behind > time || behind == time && (eventTime || newestQuery == time))) {
                ledger(before, time, behind, where);
            } else {
                assertEquals(List.of(), windower.late(), where);
            }
            newestRow = adds ? Math.max(newestRow, time) : newestRow;
            newestQuery = adds ? newestQuery : Math.max(newestQuery, time);
            if (!isQuery) {
                assertNull(vector, where);
                return;
            }
            Object[] got = Values.external(stage, vector);
            queried.add(time);
            boolean complete = (Boolean) got[functions.size()];
            assertTrue(complete || time < Math.max(newest(), watermark) - LATENESS, where);
            if (!complete) {
                incomplete++;
                return;
            }
            for (int v = 0; v < stage.views.length; v++) {
                long length = stage.views[v].equals("near") ? SHORT : LONG;
                assertEquals(validUntil(time, length), got[functions.size() + 1 + v], where);
            }
            Map<Long, List<Object>> windows = new HashMap<>();
            Map<Long, Oracle> oracles = new HashMap<>();
            for (long length : List.of(SHORT, LONG)) {
                windows.put(length, window(history, time, length));
                oracles.put(length, new Oracle(windows.get(length)));
            }
            for (int f = 0; f < functions.size(); f++) {
                String function = functions.get(f);
                long length = lengths.get(f);
                check(function, oracles.get(length), got[f], () -> where + " " + function + " of " + windows.get(length));
            }
        }

        /** When the oldest row of the window leaves it. */
        private Long validUntil(long at, long length) {
            return history.stream()
                    .map(Fact::time)
                    .filter(time -> at - length < time && time <= at)
                    .min(Long::compare)
                    .map(oldest -> oldest + length)
                    .orElse(null);
        }

        private static List<Object> window(List<Fact> history, long at, long length) {
            return history.stream()
                    .filter(fact -> at - length < fact.time && fact.time <= at)
                    .map(Fact::value)
                    .filter(Objects::nonNull)
                    .toList();
        }

        /** Checks what the last row, at {@code time}, would have changed, by computing every feature vector again. */
        private void ledger(List<Fact> before, long time, long behind, String where) {
            assertEquals(stage.views.length, windower.late().size(), where);
            for (LateRow entry : windower.late()) {
                assertEquals(time, entry.time(), where);
                assertEquals(behind - time, entry.late(), where);
                int length = (int) (entry.view().equals("near") ? SHORT : LONG);
                List<Long> given =
                        queried.stream()
                                .filter(at -> (own ? at > time : at >= time) && at < time + length)
                                .toList();
                boolean within = time >= Math.max(newest(), watermark) - LATENESS;
                assertTrue(entry.counted() || !within, where);
                assertTrue(entry.vectors() <= given.size(), where);
                if (!entry.counted()) {
                    continue;
                }
                counted++;
                assertEquals(given.size(), entry.vectors(), where);
                if (kind == Kind.FEW_LONGS && !entry.view().equals("spread") || functions.size() < 12) {
                    long changed = given.stream().mapToLong(at -> differing(before, at, entry.view())).sum();
                    assertEquals(changed, entry.changed(), () -> where + " " + entry + " of " + given);
                }
            }
        }

        private long differing(List<Fact> before, long at, String view) {
            long differing = 0;
            long length = view.equals("near") ? SHORT : LONG;
            Oracle was = new Oracle(window(before, at, length));
            Oracle is = new Oracle(window(history, at, length));
            for (int f = 0; f < functions.size(); f++) {
                if (views.get(f).equals(view)) {
                    differing += Objects.equals(was.result(functions.get(f)), is.result(functions.get(f))) ? 0 : 1;
                }
            }
            return differing;
        }

        private void check(String function, Oracle window, Object got, Supplier<String> where) {
            Object expected = window.result(function);
            if (got instanceof Object[] list) {
                assertEquals(expected, Arrays.asList(list), where);
            } else if (!(expected instanceof BigDecimal exact)) {
                assertEquals(expected, got, where);
            } else if (got instanceof BigDecimal || got instanceof Long || function.startsWith("m") && !function.equals("mean")) {
                assertEquals(0, exact.compareTo(Oracle.exact(got)), where);
            } else if (function.equals("mean") && !kind.type.equals(DataTypes.DOUBLE()) && small(window)) {
                assertEquals(exact.doubleValue(), got, where); // one division of two doubles
            } else if (function.equals("sum") || function.equals("mean")) {
                double weight = 1e-28 * window.most() * Math.max(1, (Long) window.result("count"));
                assertClose(exact, 1e-12 * Math.abs(exact.doubleValue()), weight, got, where);
            } else {
                spread(function, exact, window.most(), (Double) got, where);
            }
        }

        private static boolean small(Oracle window) {
            return ((BigDecimal) window.result("sum")).unscaledValue().bitLength() <= 53;
        }

        /** Within 1e-9 of the result, where the values are not all but equal; then within 1e-15 of their square. */
        private static void spread(String function, BigDecimal exact, double most, double got, Supplier<String> where) {
            boolean root = function.startsWith("std");
            double std = root ? exact.doubleValue() : Math.sqrt(exact.doubleValue());
            if (std >= 1e-6 * most) {
                assertClose(exact, 1e-9 * exact.doubleValue(), 0, got, where);
            } else {
                BigDecimal variance = root ? exact.multiply(exact) : exact;
                assertClose(variance, 1e-15 * most * most, 0, root ? got * got : got, where);
            }
        }

        private static void assertClose(BigDecimal exact, double allowed, double orAllowed, Object got, Supplier<String> where) {
            double error = exact.subtract(new BigDecimal((Double) got)).abs().doubleValue();
            assertTrue(error <= Math.max(allowed, orAllowed), () -> where.get() + ": " + got + ", not " + exact);
        }
    }
}
