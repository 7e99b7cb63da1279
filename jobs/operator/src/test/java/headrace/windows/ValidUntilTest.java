package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.apache.flink.table.api.DataTypes;
import org.junit.jupiter.api.Test;

/** Until when a feature vector says what is true, if nothing comes. {@link WindowerRandomTest} has it on random streams. */
class ValidUntilTest extends OneKey {
    /** Until the moment at which the oldest row is as old as its window: a vector of that very moment is without it (rule 1). */
    @Test
    void theOldestRowLeavesWhenItIsAsOldAsTheWindow() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100));
        row(1_000, 1L);
        Object[] vector = row(1_040, 1L);
        assertVector(vector, 2L);
        assertArrayEquals(new Object[] {1_100L}, validUntil(vector));
        assertVector(query(1_099), 2L);
        assertVector(query(1_100), 1L);
    }

    /** The first window of a view that a row leaves ends what the view says; a view of longer windows alone is valid for longer. */
    @Test
    void eachViewHasItsOwnTime() {
        Stages stages = Stages.over(DataTypes.BIGINT());
        stages.view("near").feature("count", 50).feature("sum", 140);
        stages.view("far").feature("max", 1_000);
        windows(stages);
        row(1_000, 1L);
        row(1_100, 1L);
        assertArrayEquals(new Object[] {1_140L, 2_000L}, validUntil(row(1_120, 1L)));
    }

    /** Where no row is in any window of a view, only a row can change what it says; a row with a null is one that leaves. */
    @Test
    void anEmptyWindowIsValidUntilARowComes() {
        windows(Stages.over(DataTypes.BIGINT()).feature("last_n 3", 100));
        assertArrayEquals(new Object[] {null}, validUntil(query(900)));
        contribute(1_000, null);
        assertArrayEquals(new Object[] {1_100L}, validUntil(query(1_050)));
        assertArrayEquals(new Object[] {null}, validUntil(query(1_100)));
    }

    /** A hot key's oldest row lies in a block far from the newest. */
    @Test
    void theOldestOfManyRowsIsFound() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 30_001));
        Object[] vector = null;
        for (int i = 0; i < 4_000; i++) {
            vector = row(10_000 + 10 * i, 1L);
        }
        assertEquals(19_990L + 30_001, validUntil(vector)[0]);
    }
}
