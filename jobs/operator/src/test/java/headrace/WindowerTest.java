package headrace;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.util.Arrays;
import org.apache.flink.table.api.DataTypes;
import org.junit.jupiter.api.Test;

/** The rules of the window contract, one by one; {@link WindowerRandomTest} has them all at once. */
class WindowerTest {
    private byte[] rows;
    private Windower windower;

    /** Rule 1: a row exactly as old as the window is out, one a millisecond younger is in. */
    @Test
    void theFarEndIsOut() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100));
        row(1_000, 1L);
        row(1_001, 1L);
        assertAnswer(row(1_100, 1L), 2L);
    }

    /** Rule 1: a row at the time that is asked for is in. */
    @Test
    void theNearEndIsIn() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100));
        contribute(1_000, 1L);
        assertAnswer(ask(1_000), 1L);
        assertAnswer(ask(999), 0L);
    }

    /** Rule 2: a row that asks and contributes is in its own windows. */
    @Test
    void aRowIsInItsOwnWindow() {
        windows(Stages.over(DataTypes.BIGINT()).feature("sum", 100));
        assertAnswer(row(1_000, 7L), new BigDecimal(7));
    }

    /** Rule 2: a row that only asks leaves no trace. */
    @Test
    void aRowThatOnlyAsksIsNotCounted() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100));
        ask(1_000);
        assertEquals(null, rows);
        assertAnswer(ask(1_000), 0L);
    }

    /** Rule 3: of rows of one time, each sees those that came before it and itself. */
    @Test
    void tiesAreOrderedByArrival() {
        windows(Stages.over(DataTypes.BIGINT()).feature("sum", 100));
        assertAnswer(row(1_000, 1L), new BigDecimal(1));
        assertAnswer(row(1_000, 10L), new BigDecimal(11));
        assertAnswer(row(1_000, 100L), new BigDecimal(111));
    }

    /** Rule 4: an empty window gives count 0, sum 0, and null for the others. */
    @Test
    void anEmptyWindowIsZeroOrNull() {
        windows(Stages.over(DataTypes.BIGINT()).allOf(100));
        contribute(1_000, 5L);
        assertAnswer(ask(2_000), 0L, BigDecimal.ZERO, null, null, null);
    }

    /** Rule 4: an empty window of decimals has a sum of zero with the column's digits. */
    @Test
    void anEmptySumHasTheScaleOfItsColumn() {
        windows(Stages.over(DataTypes.DECIMAL(12, 2)).feature("sum", 100));
        assertAnswer(ask(1_000), new BigDecimal("0.00"));
    }

    /** Rule 4: where a view names a fill value, it stands for null, and for nothing else. */
    @Test
    void aFillValueStandsForNull() {
        windows(Stages.over(DataTypes.DOUBLE()).feature("mean", 100, -1.0).feature("max", 100, 0.5));
        assertAnswer(ask(1_000), -1.0, 0.5);
        assertAnswer(row(1_000, 3.0), 3.0, 3.0);
    }

    /** Rule 4: the fill value of a long is a long, that of a decimal has the column's digits. */
    @Test
    void aFillValueHasTheTypeOfItsFeature() {
        windows(Stages.over(DataTypes.BIGINT()).feature("min", 100, 3.0).feature("mean", 100, 3.0));
        assertAnswer(ask(1_000), 3L, 3.0);
        windows(Stages.over(DataTypes.DECIMAL(12, 2)).feature("max", 100, 2.5));
        assertAnswer(ask(1_000), new BigDecimal("2.50"));
    }

    /** Rule 5: a null is not aggregated, and a window of nulls alone is empty. */
    @Test
    void nullsAreNotAggregated() {
        windows(Stages.over(DataTypes.BIGINT()).allOf(100));
        assertAnswer(row(1_000, null), 0L, BigDecimal.ZERO, null, null, null);
        row(1_001, 4L);
        assertAnswer(row(1_002, null), 1L, new BigDecimal(4), 4.0, 4L, 4L);
    }

    /** Rule 6: a late row is answered as of its own time. */
    @Test
    void aLateRowIsAnsweredAsOfItsTime() {
        windows(Stages.over(DataTypes.BIGINT()).feature("sum", 100));
        row(1_000, 1L);
        row(1_050, 10L);
        assertAnswer(row(1_020, 100L), new BigDecimal(101));
    }

    /** Rule 6: a late row is in the windows of those that follow it. */
    @Test
    void aLateRowCountsForThoseThatFollow() {
        windows(Stages.over(DataTypes.BIGINT()).feature("sum", 100));
        row(1_050, 10L);
        row(1_020, 100L);
        assertAnswer(row(1_060, 1_000L), new BigDecimal(1_110));
        assertAnswer(row(1_120, 10_000L), new BigDecimal(11_010));
    }

    /** Rule 6: a row within the allowed lateness finds its whole window. */
    @Test
    void aRowWithinTheLatenessIsComplete() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100).lateness(50));
        row(1_000, 1L);
        row(1_001, 1L);
        row(1_150, 1L); // the row at 1,000 goes: it is out of every window from 1,100 on
        assertAnswer(row(1_100, 1L), 2L);
    }

    /** Rule 6: a row whose window has lost rows is answered from what is left, and says that it is not complete. */
    @Test
    void aRowBehindTheRetainedHistoryIsNotComplete() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100).lateness(50));
        row(1_000, 1L);
        row(1_001, 1L);
        row(1_150, 1L);
        assertArrayEquals(new Object[] {2L, false}, row(1_099, 1L));
    }

    /** Rule 6: a key whose rows were never evicted is complete however late a row is. */
    @Test
    void aKeyThatLostNothingIsComplete() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100).lateness(0));
        row(1_000_000, 1L);
        assertAnswer(row(1, 1L), 1L);
    }

    /** Rule 6: a late row that is itself too old to be kept is not complete the next time its time is asked for. */
    @Test
    void aRowTooOldToKeepIsMissedByTheNext() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100).lateness(0));
        row(1_000_000, 1L);
        row(1, 1L);
        assertArrayEquals(new Object[] {1L, false}, row(2, 1L));
    }

    /** Rule 7: a sum of longs goes beyond 64 bits, both ways. */
    @Test
    void sumsOfLongsDoNotOverflow() {
        windows(Stages.over(DataTypes.BIGINT()).feature("sum", 100).feature("mean", 100));
        BigDecimal most = BigDecimal.valueOf(Long.MAX_VALUE);
        row(1_000, Long.MAX_VALUE);
        row(1_000, Long.MAX_VALUE);
        assertAnswer(row(1_000, Long.MAX_VALUE), most.multiply(BigDecimal.valueOf(3)), 9223372036854775807.0);
        BigDecimal least = BigDecimal.valueOf(Long.MIN_VALUE);
        row(2_000, Long.MIN_VALUE);
        row(2_000, Long.MIN_VALUE);
        assertAnswer(row(2_000, Long.MIN_VALUE), least.multiply(BigDecimal.valueOf(3)), -9223372036854775808.0);
    }

    /** Rule 7: decimals add up without a rounding, where doubles would not. */
    @Test
    void sumsOfDecimalsAreExact() {
        windows(Stages.over(DataTypes.DECIMAL(12, 2)).allOf(100));
        row(1_000, new BigDecimal("0.10"));
        Object[] got = row(1_001, new BigDecimal("0.20"));
        BigDecimal ten = new BigDecimal("0.10");
        assertAnswer(got, 2L, new BigDecimal("0.30"), 0.15, ten, new BigDecimal("0.20"));
    }

    /** Rule 7: a sum of doubles loses nothing to a large value that cancels out. */
    @Test
    void sumsOfDoublesDoNotCancel() {
        windows(Stages.over(DataTypes.DOUBLE()).feature("sum", 100));
        row(1_000, 1.0);
        row(1_001, 1e100);
        row(1_002, 1.0);
        assertAnswer(row(1_003, -1e100), 2.0);
    }

    /** A column that is neither a number nor a decimal can be counted. */
    @Test
    void countTakesAnyColumn() {
        windows(Stages.over(DataTypes.STRING()).feature("count", 100));
        row(1_000, "a");
        row(1_000, null);
        assertAnswer(row(1_000, "b"), 2L);
    }

    /** Windows come out as they are listed, in whatever order of length. */
    @Test
    void windowsNestInAnyOrder() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 50).feature("count", 1_000).feature("count", 100));
        row(1_000, 1L);
        row(1_940, 1L);
        row(1_960, 1L);
        assertAnswer(row(1_999, 1L), 2L, 4L, 3L);
    }

    /** Each aggregated column has nulls and values of its own. */
    @Test
    void columnsAreIndependent() {
        String spec =
                """
                {"mode": "arrival", "retention": 1000, "values": ["v", "w"], "carry": [], "features": [
                  {"name": "a", "function": "count", "value": 0, "window": 100, "fill": null},
                  {"name": "b", "function": "max", "value": 1, "window": 100, "fill": null}]}""";
        DataTypes.Field second = DataTypes.FIELD("w", DataTypes.DOUBLE());
        windower = new Windower(Stage.bind(spec, Stages.over(DataTypes.BIGINT()).with(second).table()));
        long half = Double.doubleToRawLongBits(0.5);
        step(1_000, true, true, new long[] {1, 0}, new boolean[] {false, true});
        Object[] got = step(1_000, true, true, new long[] {0, half}, new boolean[] {true, false});
        assertAnswer(got, 1L, 0.5);
    }

    /** The answer does not depend on whether the state was kept in between. */
    @Test
    void theStateIsAllThatIsKept() {
        Stages stages = Stages.over(DataTypes.BIGINT()).allOf(100);
        windows(stages);
        row(1_000, 1L);
        row(1_001, null);
        byte[] kept = rows.clone();
        Object[] expected = row(1_002, 5L);
        windows(stages);
        rows = kept;
        assertArrayEquals(expected, row(1_002, 5L));
        assertTrue((Boolean) expected[5]);
    }

    private void windows(Stages stages) {
        windower = new Windower(stages.bind());
        rows = null;
    }

    private Object[] row(long time, Object value) {
        return step(time, true, true, value);
    }

    private void contribute(long time, Object value) {
        assertEquals(null, step(time, true, false, value));
    }

    private Object[] ask(long time) {
        return step(time, false, true, null);
    }

    private Object[] step(long time, boolean contributes, boolean asks, Object value) {
        long[] values = {value == null ? 0 : SlidingWindows.bits(value)};
        return step(time, contributes, asks, values, new boolean[] {value == null});
    }

    private Object[] step(long time, boolean contributes, boolean asks, long[] values, boolean[] nulls) {
        Object[] answer = windower.step(rows, new StagedRow(time, contributes, asks, 0, 0, values, nulls, new Object[0]));
        rows = contributes ? windower.rows() : rows;
        return answer;
    }

    /** The features, of a complete answer. */
    private static void assertAnswer(Object[] got, Object... expected) {
        Object[] complete = Arrays.copyOf(expected, expected.length + 1);
        complete[expected.length] = true;
        assertArrayEquals(complete, got);
    }
}
