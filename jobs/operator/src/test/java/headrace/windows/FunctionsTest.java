package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.math.BigDecimal;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.table.api.DataTypes;
import org.junit.jupiter.api.Test;

/** What the functions give, at the ends of their types and where rows leave the window. */
class FunctionsTest extends OneKey {
    private static final List<String> BASIC = List.of("count", "sum", "mean", "min", "max");

    /** Rule 7: a sum of longs goes beyond 64 bits, both ways. */
    @Test
    void sumsOfLongsDoNotOverflow() {
        windows(Stages.over(DataTypes.BIGINT()).feature("sum", 100).feature("mean", 100));
        BigDecimal most = BigDecimal.valueOf(Long.MAX_VALUE);
        row(1_000, Long.MAX_VALUE);
        row(1_000, Long.MAX_VALUE);
        assertVector(row(1_000, Long.MAX_VALUE), most.multiply(BigDecimal.valueOf(3)), 9223372036854775807.0);
        BigDecimal least = BigDecimal.valueOf(Long.MIN_VALUE);
        row(2_000, Long.MIN_VALUE);
        row(2_000, Long.MIN_VALUE);
        assertVector(row(2_000, Long.MIN_VALUE), least.multiply(BigDecimal.valueOf(3)), -9223372036854775808.0);
    }

    /** Rule 7: decimals add up without a rounding, where doubles would not. */
    @Test
    void sumsOfDecimalsAreExact() {
        windows(Stages.over(DataTypes.DECIMAL(12, 2)).all(BASIC, 100));
        row(1_000, new BigDecimal("0.10"));
        Object[] got = row(1_001, new BigDecimal("0.20"));
        BigDecimal ten = new BigDecimal("0.10");
        assertVector(got, 2L, new BigDecimal("0.30"), 0.15, ten, new BigDecimal("0.20"));
    }

    /** Rule 7: a sum of doubles loses nothing to a large value that cancels out. */
    @Test
    void sumsOfDoublesDoNotCancel() {
        windows(Stages.over(DataTypes.DOUBLE()).feature("sum", 100));
        row(1_000, 1.0);
        row(1_001, 1e100);
        row(1_002, 1.0);
        assertVector(row(1_003, -1e100), 2.0);
    }

    /** A column that is neither a number nor a decimal can be counted. */
    @Test
    void countTakesAnyColumn() {
        windows(Stages.over(DataTypes.STRING()).feature("count", 100));
        row(1_000, "a");
        row(1_000, null);
        assertVector(row(1_000, "b"), 2L);
    }

    /** Windows come out as they are listed, in whatever order of length. */
    @Test
    void windowsNestInAnyOrder() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 50).feature("count", 1_000).feature("count", 100));
        row(1_000, 1L);
        row(1_940, 1L);
        row(1_960, 1L);
        assertVector(row(1_999, 1L), 2L, 4L, 3L);
    }

    /** Each aggregated column has nulls and values of its own; more than a byte of nulls too. */
    @Test
    void columnsAreIndependent() {
        Stages stages = Stages.over(DataTypes.BIGINT()).feature("max", 100);
        for (int c = 1; c < 12; c++) {
            stages.column("w" + c, c % 2 == 0 ? DataTypes.BIGINT() : DataTypes.STRING())
                    .feature(c % 2 == 0 ? "max" : "count_distinct", 100);
        }
        windows(stages);
        Object[] values = new Object[12];
        Object[] expected = new Object[13];
        for (int c = 0; c < 12; c++) {
            Object[] one = new Object[12];
            one[c] = c % 2 == 0 ? (Object) (long) c : "text " + c;
            values[c] = one[c];
            expected[c] = c % 2 == 0 ? c : 1L;
            step(1_000, true, false, one);
        }
        for (int c = 0; c < 12; c += 2) {
            expected[c] = (long) c;
        }
        expected[12] = true;
        assertArrayEquals(expected, Arrays.copyOf(step(1_001, false, true), expected.length));
        assertArrayEquals(expected, Arrays.copyOf(step(1_002, true, true, values), expected.length));
    }

    /** The first and the last are in the order of the contract, and null is neither. */
    @Test
    void firstAndLastAreInOrder() {
        windows(Stages.over(DataTypes.BOOLEAN()).feature("first", 100).feature("last", 100));
        assertVector(query(1_000), null, null);
        assertVector(row(1_010, true), true, true);
        assertVector(row(1_010, false), true, false);
        contribute(1_005, false);
        contribute(1_020, null);
        assertVector(query(1_020), false, false);
        contribute(1_010, true);
        assertVector(query(1_020), false, true);
    }

    /** The last n are a list of as many values as there are, oldest first; of none an empty one, which no fill value changes. */
    @Test
    void theLastAreAList() {
        windows(Stages.over(DataTypes.DECIMAL(12, 2)).feature("last_n 2", 100).feature("last_n 1", 50));
        BigDecimal[] none = {};
        assertVector(query(1_000), none, none);
        row(1_000, new BigDecimal("1.00"));
        row(1_001, null);
        row(1_002, new BigDecimal("2.00"));
        BigDecimal[] two = {new BigDecimal("2.00"), new BigDecimal("3.00")};
        assertVector(row(1_003, two[1]), two, new BigDecimal[] {two[1]});
        assertVector(query(1_060), two, none);
        windows(Stages.over(DataTypes.BOOLEAN()).feature("last_n 3", 100));
        assertVector(row(1_000, true), (Object) new Object[] {true});
    }

    /** Both zeros are one value, and strings are told apart however long. */
    @Test
    void distinctValuesAreCounted() {
        windows(Stages.over(DataTypes.DOUBLE()).feature("count_distinct", 100).feature("min", 100));
        row(1_000, -0.0);
        assertVector(row(1_000, 0.0), 1L, 0.0);
        assertVector(row(1_000, Double.MIN_VALUE), 2L, 0.0);
        windows(Stages.over(DataTypes.STRING()).feature("count_distinct", 100_000));
        for (int i = 0; i < 5_000; i++) {
            row(1_000 + i, "x".repeat(100) + i % 1_000);
        }
        assertVector(query(6_000), 1_000L);
    }

    /** A table of values that a hot key has made large is as good for the next. */
    @Test
    void distinctValuesOfTheNextAreItsOwn() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count_distinct", 100));
        for (long i = 0; i < 2_000; i++) {
            contribute(1_000, i * 1_000_003);
        }
        assertVector(query(1_000), 2_000L);
        contribute(2_000, 7L);
        assertVector(query(2_000), 1L);
    }

    /** A quantile is the value of its rank, to 8 significant bits; whole numbers up to 256 are exact. */
    @Test
    void quantilesAreOfTheirRank() {
        windows(Stages.over(DataTypes.BIGINT()).all(List.of("quantile 0.01", "quantile 0.5", "quantile 0.99", "quantile 0.999", "quantile 0.005"), 100));
        assertVector(query(1_000), null, null, null, null, null);
        for (long value = 256; value > 0; value--) {
            contribute(1_000, value);
        }
        assertVector(query(1_000), 3.0, 128.0, 254.0, 256.0, 2.0); // 2.56, 128, 253.44, 255.744, 1.28 of 256
        windows(Stages.over(DataTypes.DECIMAL(12, 2)).feature("quantile 0.5", 100));
        assertVector(row(1_000, new BigDecimal("1000.01")), 1_000.0);
        windows(Stages.over(DataTypes.DOUBLE()).feature("quantile 0.5", 100));
        assertVector(row(1_000, 1e300), 1e300);
        windows(Stages.over(DataTypes.DOUBLE()).feature("quantile 0.5", 100));
        assertVector(row(1_000, -1_001.0), -1_000.0);
    }

    /** A variance of values that all but agree loses no digits: of integers none, of doubles as many as there are. */
    @Test
    void variancesDoNotCancel() {
        windows(Stages.over(DataTypes.BIGINT()).feature("var_pop", 100).feature("var_samp", 100).feature("std_pop", 100));
        assertVector(row(1_000, Long.MAX_VALUE), 0.0, null, 0.0);
        row(1_000, Long.MAX_VALUE - 2);
        assertVector(row(1_000, Long.MAX_VALUE - 4), 8.0 / 3, 4.0, Math.sqrt(8.0 / 3));
        windows(Stages.over(DataTypes.DOUBLE()).feature("var_pop", 100));
        row(1_000, 1e9);
        Object[] got = row(1_000, 1e9 + 0.5);
        assertVector(got, 0.0625);
        assertVector(row(1_101, 0.1), 0.0);
    }
}
