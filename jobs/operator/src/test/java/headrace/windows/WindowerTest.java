package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import headrace.state.MemoryBlocks;
import java.math.BigDecimal;
import java.util.List;
import java.util.Random;
import org.apache.flink.table.api.DataTypes;
import org.junit.jupiter.api.Test;

/** The rules of the window contract, one by one, and what is left of a key; {@link WindowerRandomTest} has the rules all at once. */
class WindowerTest extends OneKey {
    private static final List<String> BASIC = List.of("count", "sum", "mean", "min", "max");

    /** Rule 1: a row exactly as old as the window is out, one a millisecond younger is in. */
    @Test
    void theFarEndIsOut() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100));
        row(1_000, 1L);
        row(1_001, 1L);
        assertVector(row(1_100, 1L), 2L);
    }

    /** Rule 1: a row at the time of the query is in. */
    @Test
    void theNearEndIsIn() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100));
        contribute(1_000, 1L);
        assertVector(query(1_000), 1L);
        assertVector(query(999), 0L);
    }

    /** Rule 2: a query that contributes is in its own windows. */
    @Test
    void aRowIsInItsOwnWindow() {
        windows(Stages.over(DataTypes.BIGINT()).feature("sum", 100));
        assertVector(row(1_000, 7L), new BigDecimal(7));
    }

    /** Rule 2: a query that does not contribute is in no window. */
    @Test
    void aQueryThatDoesNotContributeIsNotCounted() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100));
        query(1_000);
        assertVector(row(1_000, 1L), 1L);
    }

    /** Rule 3: of rows of one time, each sees those that came before it and itself. */
    @Test
    void tiesAreOrderedByArrival() {
        windows(Stages.over(DataTypes.BIGINT()).feature("sum", 100));
        assertVector(row(1_000, 1L), new BigDecimal(1));
        assertVector(row(1_000, 10L), new BigDecimal(11));
        assertVector(row(1_000, 100L), new BigDecimal(111));
    }

    /** Rule 4: an empty window gives count 0, sum 0, and null for the others. */
    @Test
    void anEmptyWindowIsZeroOrNull() {
        windows(Stages.over(DataTypes.BIGINT()).all(BASIC, 100));
        contribute(1_000, 5L);
        assertVector(query(2_000), 0L, BigDecimal.ZERO, null, null, null);
    }

    /** Rule 4: an empty window of decimals has a sum of zero with the column's digits. */
    @Test
    void anEmptySumHasTheScaleOfItsColumn() {
        windows(Stages.over(DataTypes.DECIMAL(12, 2)).feature("sum", 100));
        assertVector(query(1_000), new BigDecimal("0.00"));
    }

    /** Rule 4: where a view names a fill value, it stands for null, and for nothing else. */
    @Test
    void aFillValueStandsForNull() {
        windows(Stages.over(DataTypes.DOUBLE()).feature("mean", 100, -1.0).feature("max", 100, 0.5));
        assertVector(query(1_000), -1.0, 0.5);
        assertVector(row(1_000, 3.0), 3.0, 3.0);
    }

    /** Rule 4: the fill value of a long is a long, that of a decimal has the column's digits. */
    @Test
    void aFillValueHasTheTypeOfItsFeature() {
        windows(Stages.over(DataTypes.BIGINT()).feature("min", 100, 3.0).feature("mean", 100, 3.0));
        assertVector(query(1_000), 3L, 3.0);
        windows(Stages.over(DataTypes.DECIMAL(12, 2)).feature("max", 100, 2.5));
        assertVector(query(1_000), new BigDecimal("2.50"));
    }

    /** Rule 5: a null is not aggregated, and a window of nulls alone is empty. */
    @Test
    void nullsAreNotAggregated() {
        windows(Stages.over(DataTypes.BIGINT()).all(BASIC, 100));
        assertVector(row(1_000, null), 0L, BigDecimal.ZERO, null, null, null);
        row(1_001, 4L);
        assertVector(row(1_002, null), 1L, new BigDecimal(4), 4.0, 4L, 4L);
    }

    /** Rule 6: a late query is as of its own time. */
    @Test
    void aLateQueryIsAsOfItsTime() {
        windows(Stages.over(DataTypes.BIGINT()).feature("sum", 100));
        row(1_000, 1L);
        row(1_050, 10L);
        assertVector(row(1_020, 100L), new BigDecimal(101));
    }

    /** Rule 6: a late row is in the windows of those that follow it. */
    @Test
    void aLateRowCountsForThoseThatFollow() {
        windows(Stages.over(DataTypes.BIGINT()).feature("sum", 100));
        row(1_050, 10L);
        row(1_020, 100L);
        assertVector(row(1_060, 1_000L), new BigDecimal(1_110));
        assertVector(row(1_120, 10_000L), new BigDecimal(11_010));
    }

    /** Rule 6: a row within the allowed lateness finds its whole window. */
    @Test
    void aRowWithinTheLatenessIsComplete() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100).lateness(50));
        row(1_000, 1L);
        row(1_001, 1L);
        row(1_150, 1L); // the row at 1,000 goes: it is out of every window from 1,100 on
        assertVector(row(1_100, 1L), 2L);
    }

    /** Rule 6: a query whose window has lost rows gets what is left, and is not complete. */
    @Test
    void aRowBehindTheRetainedHistoryIsNotComplete() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100).lateness(50));
        for (int i = 0; i < 1_000; i++) {
            row(1_000 + i, 1L);
        }
        assertVector(row(1_949, 1L), 101L);
        Object[] late = row(1_300, 1L);
        assertEquals(false, late[1]);
        assertEquals(1L, late[0]); // itself, though it is too old to be kept
    }

    /** Rule 6: a key whose rows were never evicted is complete however late a row is. */
    @Test
    void aKeyThatLostNothingIsComplete() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100).lateness(0));
        row(1_000_000, 1L);
        assertVector(row(1, 1L), 1L);
    }

    /** Rule 6: rows of 1,000 or before were deleted before the job could read them: a window is whole once it begins there. */
    @Test
    void aWindowFromWhichRowsWereDeletedUnreadIsNotComplete() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 50).feature("count", 100).wholeFrom(1_000));
        assertEquals(false, row(1_010, 1L)[2]);
        assertEquals(false, row(1_099, 1L)[2]); // of the longest window, though not of the other
        assertVector(row(1_100, 1L), 2L, 3L);
        assertEquals(false, row(1_050, 1L)[2]);
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
            assertEquals(false, query(100)[1]);
        }
    }

    /** A key is cleared when no window can hold a row of it, and nothing is left; late queries then say so. */
    @Test
    void aSilentKeyIsCleared() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100).lateness(50));
        watermark = 900;
        row(1_000, 1L);
        assertEquals(1_150, windower.expires());
        row(1_020, 1L);
        assertEquals(Windower.NOTHING, windower.expires());
        query(1_030);
        assertEquals(1_180, windower.expires());
        assertEquals(1_170, windower.clear(blocks, 1_150));
        assertVector(query(1_100), 1L);
        assertEquals(1_250, windower.clear(blocks, 1_170)); // the query at 1,100
        assertEquals(Windower.NOTHING, windower.clear(blocks, 1_250));
        assertTrue(blocks.blocks.isEmpty());
        watermark = 1_170;
        assertVector(query(1_120), 0L);
        assertEquals(false, query(1_119)[1]);
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
        assertEquals(false, query(1_949)[1]);
        assertEquals(true, query(1_950)[1]);
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
        windower = new Windower(stage, Mode.of(stage));
        blocks = new MemoryBlocks(false);
        Random random = new Random(1);
        for (int i = 0; i < 3 * rows; i++) {
            long time = late && random.nextInt(20) == 0 ? i - random.nextInt(rows / 2) : i;
            windower.step(blocks, Stages.row(stage, time, true, false, 1.0, 2.0, 3.0), Long.MIN_VALUE);
        }
        return blocks.size();
    }

    /** A feature vector does not depend on whether the state was written in between. */
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
}
