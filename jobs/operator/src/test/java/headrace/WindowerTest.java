package headrace;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.math.BigDecimal;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.util.InstantiationUtil;
import org.junit.jupiter.api.Test;

/** The rules of the window contract, one by one; {@link WindowerRandomTest} has them all at once. */
class WindowerTest {
    private static final List<String> BASIC = List.of("count", "sum", "mean", "min", "max");

    private MemoryBlocks blocks;
    private Stage stage;
    private long watermark = Long.MIN_VALUE;
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

    /** Rule 2: a row that only asks is in no window. */
    @Test
    void aRowThatOnlyAsksIsNotCounted() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100));
        ask(1_000);
        assertAnswer(row(1_000, 1L), 1L);
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
        windows(Stages.over(DataTypes.BIGINT()).all(BASIC, 100));
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
        windows(Stages.over(DataTypes.BIGINT()).all(BASIC, 100));
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
        for (int i = 0; i < 1_000; i++) {
            row(1_000 + i, 1L);
        }
        assertAnswer(row(1_949, 1L), 101L);
        Object[] late = row(1_300, 1L);
        assertEquals(false, late[1]);
        assertEquals(1L, late[0]); // itself, though it is too old to be kept
    }

    /** Rule 6: a key whose rows were never evicted is complete however late a row is. */
    @Test
    void aKeyThatLostNothingIsComplete() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100).lateness(0));
        row(1_000_000, 1L);
        assertAnswer(row(1, 1L), 1L);
    }

    /** Rule 6: what was forgotten stays known, whatever comes after it. */
    @Test
    void whatWasForgottenStaysKnown() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 10).lateness(0));
        for (int i = 0; i < 500; i++) {
            row(i, 1L);
        }
        assertEquals(false, row(100, 1L)[1]);
        for (int i = 500; i < 600; i++) {
            row(i, 1L);
            assertEquals(false, ask(100)[1]);
        }
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
        windows(Stages.over(DataTypes.DECIMAL(12, 2)).all(BASIC, 100));
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
        assertArrayEquals(expected, step(1_001, false, true));
        assertArrayEquals(expected, step(1_002, true, true, values));
    }

    /** The first and the last are in the order of the contract, and null is neither. */
    @Test
    void firstAndLastAreInOrder() {
        windows(Stages.over(DataTypes.BOOLEAN()).feature("first", 100).feature("last", 100));
        assertAnswer(ask(1_000), null, null);
        assertAnswer(row(1_010, true), true, true);
        assertAnswer(row(1_010, false), true, false);
        contribute(1_005, false);
        contribute(1_020, null);
        assertAnswer(ask(1_020), false, false);
        contribute(1_010, true);
        assertAnswer(ask(1_020), false, true);
    }

    /** The last n are a list of as many values as there are, oldest first; of none an empty one, which no fill value changes. */
    @Test
    void theLastAreAList() {
        windows(Stages.over(DataTypes.DECIMAL(12, 2)).feature("last_2", 100).feature("last_1", 50));
        BigDecimal[] none = {};
        assertArrayEquals(new Object[] {none, none, true}, ask(1_000));
        row(1_000, new BigDecimal("1.00"));
        row(1_001, null);
        row(1_002, new BigDecimal("2.00"));
        BigDecimal[] two = {new BigDecimal("2.00"), new BigDecimal("3.00")};
        assertArrayEquals(new Object[] {two, new BigDecimal[] {two[1]}, true}, row(1_003, two[1]));
        assertArrayEquals(new Object[] {two, none, true}, ask(1_060));
        windows(Stages.over(DataTypes.BOOLEAN()).feature("last_3", 100));
        assertArrayEquals(new Object[] {new Object[] {true}, true}, row(1_000, true));
    }

    /** Both zeros are one value, and strings are told apart however long. */
    @Test
    void distinctValuesAreCounted() {
        windows(Stages.over(DataTypes.DOUBLE()).feature("count_distinct", 100).feature("min", 100));
        row(1_000, -0.0);
        assertAnswer(row(1_000, 0.0), 1L, 0.0);
        assertAnswer(row(1_000, Double.MIN_VALUE), 2L, 0.0);
        windows(Stages.over(DataTypes.STRING()).feature("count_distinct", 100_000));
        for (int i = 0; i < 5_000; i++) {
            row(1_000 + i, "x".repeat(100) + i % 1_000);
        }
        assertAnswer(ask(6_000), 1_000L);
    }

    /** A table of values that a hot key has made large is as good for the next. */
    @Test
    void distinctValuesOfTheNextAreItsOwn() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count_distinct", 100));
        for (long i = 0; i < 2_000; i++) {
            contribute(1_000, i * 1_000_003);
        }
        assertAnswer(ask(1_000), 2_000L);
        contribute(2_000, 7L);
        assertAnswer(ask(2_000), 1L);
    }

    /** A quantile is the value of its rank, to 8 significant bits; whole numbers up to 256 are exact. */
    @Test
    void quantilesAreOfTheirRank() {
        windows(Stages.over(DataTypes.BIGINT()).all(List.of("p1", "p50", "p99", "p99_9", "p0_5"), 100));
        assertAnswer(ask(1_000), null, null, null, null, null);
        for (long value = 256; value > 0; value--) {
            contribute(1_000, value);
        }
        assertAnswer(ask(1_000), 3.0, 128.0, 254.0, 256.0, 2.0); // 2.56, 128, 253.44, 255.744, 1.28 of 256
        windows(Stages.over(DataTypes.DECIMAL(12, 2)).feature("p50", 100));
        assertAnswer(row(1_000, new BigDecimal("1000.01")), 1_000.0);
        windows(Stages.over(DataTypes.DOUBLE()).feature("p50", 100));
        assertAnswer(row(1_000, 1e300), 1e300);
        windows(Stages.over(DataTypes.DOUBLE()).feature("p50", 100));
        assertAnswer(row(1_000, -1_001.0), -1_000.0);
    }

    /** A variance of values that all but agree loses no digits: of integers none, of doubles as many as there are. */
    @Test
    void variancesDoNotCancel() {
        windows(Stages.over(DataTypes.BIGINT()).feature("var_pop", 100).feature("var_samp", 100).feature("std_pop", 100));
        assertAnswer(row(1_000, Long.MAX_VALUE), 0.0, null, 0.0);
        row(1_000, Long.MAX_VALUE - 2);
        assertAnswer(row(1_000, Long.MAX_VALUE - 4), 8.0 / 3, 4.0, Math.sqrt(8.0 / 3));
        windows(Stages.over(DataTypes.DOUBLE()).feature("var_pop", 100));
        row(1_000, 1e9);
        Object[] got = row(1_000, 1e9 + 0.5);
        assertAnswer(got, 0.0625);
        assertAnswer(row(1_101, 0.1), 0.0);
    }

    /** A row in order leaves nothing in the ledger; a late one an entry for each view, of what it would have changed. */
    @Test
    void theLedgerSaysWhatALateRowWouldHaveChanged() {
        Stages stages = Stages.over(DataTypes.BIGINT()).view("short").feature("count", 50).feature("max", 50);
        windows(stages.view("long").feature("sum", 100));
        row(1_000, 1L);
        row(1_030, 10L);
        row(1_060, 10L);
        assertEquals(List.of(), windower.late());
        row(1_020, 5L); // the answers at 1,030 and 1,060 hold it, the greatest of neither is another
        assertLate("short", 1_020, 40, 2, 2, true);
        assertLate("long", 1_020, 40, 2, 2, true);
        row(1_005, 5L); // at 1,060 it is out of the short one
        assertLate("short", 1_005, 55, 2, 2, true); // only their counts: 5 is the greatest of none
        row(1_060, 1L);
        assertEquals(List.of(), windower.late());
    }

    /** A late row without a value changes nothing, and is still in the ledger. */
    @Test
    void theLedgerKnowsRowsThatChangeNothing() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 50));
        row(1_000, 1L);
        row(990, null);
        assertLate("view", 990, 10, 1, 0, true);
        row(900, 1L);
        assertLate("view", 900, 100, 0, 0, true);
    }

    /** Answers to another source's rows are remembered for as long as rows may be late. */
    @Test
    void theLedgerCountsAnswersOfAnotherSource() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 50).lateness(100));
        contribute(1_000, 1L);
        contribute(1_000, 1L); // as old as a row of its own source: in order
        assertEquals(List.of(), windower.late());
        ask(1_000);
        ask(1_010);
        contribute(1_000, 1L); // in time it would have come before the answer of its own time
        assertLate("view", 1_000, 10, 2, 2, true);
        contribute(1_010, 1L);
        assertLate("view", 1_010, 0, 1, 1, true);
    }

    /** In event-time mode a late row of another source would have come before an answer of its own time. */
    @Test
    void theLedgerCountsAnswersOfTheSameTimeInEventTimeMode() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 50).lateness(10).eventTime());
        watermark = 999;
        ask(1_000);
        watermark = 1_010;
        contribute(1_000, 1L);
        assertLate("view", 1_000, 10, 1, 1, true);
    }

    /** Where more answers hold a late row than are redone, or some are forgotten, the entry says that it is not all. */
    @Test
    void theLedgerSaysWhatItHasNotCounted() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 1_000).lateness(10));
        for (int i = 0; i < 200; i++) {
            row(1_000 + i, 1L);
        }
        row(1_100, 1L);
        assertLate("view", 1_100, 99, 99, 64, false);
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 50).lateness(10));
        for (int i = 0; i < 300; i++) {
            row(1_000 + i, 1L);
        }
        contribute(1_100, 1L);
        assertEquals(false, windower.late().get(0).counted());
    }

    /** A key is cleared when no window can hold a row of it, and nothing is left; late questions then say so. */
    @Test
    void aSilentKeyIsCleared() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100).lateness(50));
        watermark = 900;
        row(1_000, 1L);
        assertEquals(1_150, windower.expires());
        row(1_020, 1L);
        assertEquals(Windower.NOTHING, windower.expires());
        ask(1_030);
        assertEquals(1_180, windower.expires());
        assertEquals(1_170, windower.clear(blocks, 1_150));
        assertAnswer(ask(1_100), 1L);
        assertEquals(1_250, windower.clear(blocks, 1_170)); // the question at 1,100
        assertEquals(Windower.NOTHING, windower.clear(blocks, 1_250));
        assertTrue(blocks.blocks.isEmpty());
        watermark = 1_170;
        assertAnswer(ask(1_120), 0L);
        assertEquals(false, ask(1_119)[1]);
    }

    /** A key that was cleared and has come again still knows what it may have lost. */
    @Test
    void aClearedKeyThatComesAgainIsNotComplete() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100).lateness(50));
        row(1_000, 1L);
        windower.clear(blocks, 2_000);
        watermark = 2_000;
        row(2_001, 1L);
        watermark = 3_000;
        assertEquals(false, ask(1_949)[1]);
        assertEquals(true, ask(1_950)[1]);
    }

    /** The state of a row that is kept is its time, its values and a few bytes, however many there are and in what order. */
    @Test
    void theStateGrowsWithTheRowsAlone() {
        for (int columns : new int[] {1, 3}) {
            for (int rows : new int[] {1_000, 100_000}) {
                for (boolean late : new boolean[] {false, true}) {
                    long bytes = bytes(columns, rows, late);
                    assertTrue(bytes <= (20L + 8 * columns) * rows, columns + " columns, " + rows + " rows: " + bytes);
                }
            }
        }
    }

    /** After three times as many rows as are retained. */
    private long bytes(int columns, int rows, boolean late) {
        Stages stages = Stages.over(DataTypes.DOUBLE()).lateness(0);
        List<String> functions = List.of("count", "sum", "mean", "min", "max", "std_pop");
        for (int c = 0; c < columns; c++) {
            (c == 0 ? stages : stages.column("w" + c, DataTypes.DOUBLE())).all(functions, rows);
        }
        stage = stages.bind();
        windower = new Windower(stage);
        blocks = new MemoryBlocks(false);
        Random random = new Random(1);
        for (int i = 0; i < 3 * rows; i++) {
            long time = late && random.nextInt(20) == 0 ? i - random.nextInt(rows / 2) : i;
            windower.step(blocks, Stages.row(stage, time, true, false, 1.0, 2.0, 3.0), Long.MIN_VALUE);
        }
        return blocks.size();
    }

    /** The answer does not depend on whether the state was kept in between. */
    @Test
    void theStateIsAllThatIsKept() {
        Stages stages = Stages.over(DataTypes.BIGINT()).all(BASIC, 100);
        windows(stages);
        for (int i = 0; i < 500; i++) {
            row(1_000 + i / 5, (long) i);
        }
        MemoryBlocks kept = new MemoryBlocks(true);
        blocks.blocks.forEach(kept::put);
        Object[] expected = row(1_002, 5L);
        windows(stages);
        blocks = kept;
        assertArrayEquals(expected, row(1_002, 5L));
        assertTrue((Boolean) expected[5]);
    }

    /** Of a stage that has been sent to where the job runs. */
    private void windows(Stages stages) {
        try {
            stage = InstantiationUtil.clone(stages.bind());
        } catch (IOException | ClassNotFoundException e) {
            throw new AssertionError(e);
        }
        windower = new Windower(stage);
        blocks = new MemoryBlocks(true);
    }

    private Object[] row(long time, Object value) {
        return step(time, true, true, value);
    }

    private void contribute(long time, Object value) {
        assertNull(step(time, true, false, value));
    }

    private Object[] ask(long time) {
        return step(time, false, true);
    }

    private Object[] step(long time, boolean contributes, boolean asks, Object... values) {
        Object[] answer = windower.step(blocks, Stages.row(stage, time, contributes, asks, values), watermark);
        return answer == null ? null : Values.external(stage, answer);
    }

    private void assertLate(String view, long time, long late, long answers, long changed, boolean counted) {
        LateRow entry = windower.late().stream().filter(row -> row.view().equals(view)).findFirst().orElseThrow();
        assertEquals(new LateRow(entry.index(), view, time, late, answers, changed, counted), entry);
    }

    /** The features, of a complete answer. */
    private static void assertAnswer(Object[] got, Object... expected) {
        Object[] complete = Arrays.copyOf(expected, expected.length + 1);
        complete[expected.length] = true;
        assertArrayEquals(complete, got);
    }
}
