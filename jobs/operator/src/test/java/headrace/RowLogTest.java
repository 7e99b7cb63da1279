package headrace;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class RowLogTest {
    private static final boolean[] NO_NULLS = {false};

    private final RowLog log = new RowLog(1);

    /** Rows stand in order of time, whatever the order in which they came. */
    @Test
    void ordersByTime() {
        log.wrap(null);
        insert(30, 3);
        insert(10, 1);
        insert(20, 2);
        assertEquals(List.of(1L, 2L, 3L), values());
    }

    /** A row of a time that is already there goes behind the rows of that time. */
    @Test
    void putsTiesBehind() {
        log.wrap(null);
        insert(10, 1);
        insert(20, 4);
        insert(10, 2);
        insert(10, 3);
        assertEquals(List.of(1L, 2L, 3L, 4L), values());
    }

    /** The rows through a time are those at it and before it. */
    @Test
    void countsThroughATime() {
        log.wrap(null);
        assertEquals(0, log.countThrough(Long.MAX_VALUE));
        insert(10, 1);
        insert(10, 2);
        insert(20, 3);
        assertEquals(0, log.countThrough(9));
        assertEquals(2, log.countThrough(10));
        assertEquals(2, log.countThrough(19));
        assertEquals(3, log.countThrough(20));
    }

    /** Eviction takes the rows at or before a time, and remembers the newest that went. */
    @Test
    void evictsThroughATime() {
        log.wrap(null);
        insert(10, 1);
        insert(20, 2);
        insert(30, 3);
        log.evictThrough(9);
        assertEquals(Long.MIN_VALUE, log.evictedThrough());
        log.evictThrough(25);
        assertEquals(List.of(3L), values());
        assertEquals(20, log.evictedThrough());
    }

    /** What was evicted stays known, even when an older row comes and goes after it. */
    @Test
    void neverForgetsTheNewestEvicted() {
        log.wrap(null);
        insert(20, 2);
        insert(30, 3);
        log.evictThrough(20);
        insert(5, 1);
        log.evictThrough(20);
        assertEquals(20, log.evictedThrough());
        assertEquals(List.of(3L), values());
    }

    /** Rows, nulls and the evicted time survive being kept and looked at again. */
    @Test
    void survivesUnwrapping() {
        log.wrap(null);
        insert(10, 1);
        insert(20, 2);
        log.evictThrough(10);
        byte[] kept = log.unwrap();
        RowLog again = new RowLog(1);
        again.wrap(kept);
        assertEquals(1, again.count());
        assertEquals(20, again.time(0));
        assertEquals(2, again.value(0, 0));
        assertEquals(10, again.evictedThrough());
    }

    /** Each column of each row has a null of its own, also where a row took the place of another. */
    @Test
    void keepsNullsByColumn() {
        int columns = 11; // more than one byte of nulls
        RowLog wide = new RowLog(columns);
        wide.wrap(null);
        for (int row = 0; row < 3; row++) {
            boolean[] nulls = new boolean[columns];
            nulls[row] = true;
            nulls[10 - row] = true;
            wide.insert(3 - row, new long[columns], nulls); // each pushes those before it on
        }
        for (int row = 0; row < 3; row++) {
            for (int column = 0; column < columns; column++) {
                boolean expected = column == 2 - row || column == 8 + row;
                assertEquals(expected, wide.isNull(row, column), "row " + row + " column " + column);
            }
        }
    }

    /** A stage with no aggregated column at all still has its rows. */
    @Test
    void holdsRowsWithoutColumns() {
        RowLog bare = new RowLog(0);
        bare.wrap(null);
        for (int i = 0; i < 10; i++) {
            bare.insert(i, new long[0], new boolean[0]);
        }
        assertEquals(10, bare.count());
        assertEquals(9, bare.time(9));
    }

    /** The array grows by doubling: of all sizes it has had, each is less than three times the one before. */
    @Test
    void growsByDoubling() {
        log.wrap(null);
        int sizes = 1;
        int size = log.unwrap().length;
        for (int i = 0; i < 10_000; i++) {
            insert(i, i);
            int now = log.unwrap().length;
            if (now != size) {
                assertTrue(now < 3 * size, size + " to " + now);
                sizes++;
                size = now;
            }
        }
        assertTrue(sizes < 16, sizes + " sizes");
    }

    /** Rows that come as others go reuse the room of those that went. */
    @Test
    void compactsInsteadOfGrowing() {
        log.wrap(null);
        for (int i = 0; i < 100_000; i++) {
            insert(i, i);
            log.evictThrough(i - 100);
        }
        assertEquals(100, log.count());
        assertEquals(99_900, log.value(0, 0));
        assertTrue(log.unwrap().length < 8 * 100 * 17, log.unwrap().length + " bytes");
    }

    /** A key that has had a busy hour does not keep the room for it. */
    @Test
    void givesRoomBack() {
        log.wrap(null);
        for (int i = 0; i < 10_000; i++) {
            insert(i, i);
        }
        int busy = log.unwrap().length;
        for (int i = 10_000; i < 30_000; i++) {
            log.evictThrough(i - 10);
            insert(i, i);
        }
        assertTrue(log.unwrap().length < busy / 100, log.unwrap().length + " of " + busy + " bytes");
    }

    /** A thousand random logs hold what a sorted list would, through inserts, evictions and keeping. */
    @Test
    void agreesWithASortedList() {
        for (int seed = 0; seed < 1_000; seed++) {
            Random random = new Random(seed);
            List<long[]> expected = new ArrayList<>();
            byte[] kept = null;
            for (int step = 0; step < 60; step++) {
                log.wrap(kept);
                long time = random.nextInt(20) + step / 3;
                int behind = 0;
                while (behind < expected.size() && expected.get(behind)[0] <= time) {
                    behind++;
                }
                expected.add(behind, new long[] {time, step});
                insert(time, step);
                if (random.nextInt(4) == 0) {
                    long through = step / 3 + random.nextInt(10) - 5;
                    expected.removeIf(row -> row[0] <= through);
                    log.evictThrough(through);
                }
                kept = log.unwrap();
            }
            assertEquals(expected.stream().map(row -> row[1]).toList(), values(), "seed " + seed);
        }
    }

    private void insert(long time, long value) {
        log.insert(time, new long[] {value}, NO_NULLS);
    }

    private List<Long> values() {
        List<Long> values = new ArrayList<>();
        for (int i = 0; i < log.count(); i++) {
            assertFalse(log.isNull(i, 0));
            values.add(log.value(i, 0));
        }
        return values;
    }
}
