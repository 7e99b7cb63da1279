package headrace;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.types.DataType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** {@link Windower} against the slow obvious answer, on thousands of random streams with fixed seeds. */
class WindowerRandomTest {
    private static final int STREAMS = 1_000;
    private static final long SHORT = 7;
    private static final long LONG = 20;
    private static final long LATENESS = 10;
    private static final MathContext DIGITS = new MathContext(40);

    /** A kind of column: its type, and a random value of it. */
    enum Kind {
        LONG_COLUMN(DataTypes.BIGINT()) {
            @Override
            Object draw(Random random) {
                return random.nextInt(4) == 0 ? random.nextLong() : (Object) (long) random.nextInt(100);
            }
        },
        DECIMAL_COLUMN(DataTypes.DECIMAL(18, 3)) {
            @Override
            Object draw(Random random) {
                long digits = random.nextInt(4) == 0 ? 999_999_999_999_999_999L : 100_000;
                return BigDecimal.valueOf(random.nextLong() % digits, 3);
            }
        },
        DOUBLE_COLUMN(DataTypes.DOUBLE()) {
            @Override
            Object draw(Random random) {
                double value = random.nextDouble() - 0.5;
                return random.nextInt(4) == 0 ? value * 1e15 : value;
            }
        };

        final DataType type;

        Kind(DataType type) {
            this.type = type;
        }

        abstract Object draw(Random random);
    }

    record Fact(long time, Object value) {}

    /** Every complete answer is that of the whole history, and every row within the lateness is complete. */
    @ParameterizedTest
    @EnumSource(Kind.class)
    void agreesWithTheObviousAnswer(Kind kind) {
        Stage stage = Stages.over(kind.type).allOf(SHORT).allOf(LONG).lateness(LATENESS).bind();
        int incomplete = 0;
        for (int seed = 0; seed < STREAMS; seed++) {
            incomplete += stream(kind, stage, new Random(seed), "seed " + seed);
        }
        assertTrue(incomplete > STREAMS, incomplete + " incomplete answers: too few for this test to mean much");
    }

    private static int stream(Kind kind, Stage stage, Random random, String seed) {
        Windower windower = new Windower(stage);
        byte[] rows = null;
        List<Fact> history = new ArrayList<>();
        long newest = Long.MIN_VALUE / 2;
        int incomplete = 0;
        for (int step = 0; step < 60; step++) {
            long time = 1_000 + step / 2 + (random.nextInt(8) == 0 ? -random.nextInt(40) : random.nextInt(4));
            boolean contributes = random.nextInt(5) > 0;
            boolean asks = !contributes || random.nextInt(5) > 0;
            Object value = random.nextInt(6) == 0 ? null : kind.draw(random);
            if (contributes) {
                history.add(new Fact(time, value));
                newest = Math.max(newest, time);
            }
            Object[] got = windower.step(rows, row(time, contributes, asks, value));
            rows = contributes ? windower.rows() : rows;
            if (!asks) {
                assertEquals(null, got);
                continue;
            }
            boolean complete = (Boolean) got[10];
            String where = seed + " step " + step + " at " + time;
            assertTrue(complete || time < newest - LATENESS, where);
            if (complete) {
                check(history, time, SHORT, got, 0, where);
                check(history, time, LONG, got, 5, where);
            } else {
                incomplete++;
            }
        }
        return incomplete;
    }

    private static StagedRow row(long time, boolean contributes, boolean asks, Object value) {
        long[] values = {value == null ? 0 : SlidingWindows.bits(value)};
        return new StagedRow(time, contributes, asks, 0, 0, values, new boolean[] {value == null}, new Object[0]);
    }

    /** The oracle. */
    private static void check(List<Fact> history, long at, long length, Object[] got, int first, String where) {
        List<Object> window =
                history.stream()
                        .filter(fact -> at - length < fact.time && fact.time <= at)
                        .map(Fact::value)
                        .filter(Objects::nonNull)
                        .toList();
        assertEquals((long) window.size(), got[first], where);
        BigDecimal sum = window.stream().map(WindowerRandomTest::exact).reduce(BigDecimal.ZERO, BigDecimal::add);
        BigDecimal weight = window.stream().map(v -> exact(v).abs()).reduce(BigDecimal.ZERO, BigDecimal::add);
        if (got[first + 1] instanceof BigDecimal exact) {
            assertEquals(0, sum.compareTo(exact), where);
        } else {
            assertClose(sum, weight, (Double) got[first + 1], where);
        }
        if (window.isEmpty()) {
            assertEquals(null, got[first + 2], where);
            assertEquals(null, got[first + 3], where);
            assertEquals(null, got[first + 4], where);
            return;
        }
        BigDecimal mean = sum.divide(BigDecimal.valueOf(window.size()), DIGITS);
        if (!(window.get(0) instanceof Double) && sum.unscaledValue().bitLength() <= 53) {
            assertEquals(mean.doubleValue(), got[first + 2], where);
        } else {
            assertClose(mean, weight, (Double) got[first + 2], where);
        }
        assertEquals(window.stream().min(WindowerRandomTest::compare).orElseThrow(), got[first + 3], where);
        assertEquals(window.stream().max(WindowerRandomTest::compare).orElseThrow(), got[first + 4], where);
    }

    private static BigDecimal exact(Object value) {
        if (value instanceof Long number) {
            return BigDecimal.valueOf(number);
        }
        return value instanceof Double number ? new BigDecimal(number) : (BigDecimal) value;
    }

    private static int compare(Object one, Object other) {
        return exact(one).compareTo(exact(other));
    }

    /** Within 1e-12 of the result; or, where it all but cancels, within 1e-28 of what was added. */
    private static void assertClose(BigDecimal expected, BigDecimal weight, double got, String where) {
        double allowed = Math.max(1e-12 * expected.abs().doubleValue(), 1e-28 * weight.doubleValue());
        assertTrue(expected.subtract(new BigDecimal(got)).abs().doubleValue() <= allowed, where + ": " + got);
    }
}
