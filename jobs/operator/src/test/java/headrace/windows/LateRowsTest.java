package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.apache.flink.table.api.DataTypes;
import org.junit.jupiter.api.Test;

/** The ledger of late rows. */
class LateRowsTest extends OneKey {
    /** A row in order leaves nothing in the ledger; a late one leaves an entry for each view, of what it would have changed. */
    @Test
    void theLedgerSaysWhatALateRowWouldHaveChanged() {
        Stages stages = Stages.over(DataTypes.BIGINT()).view("short").feature("count", 50).feature("max", 50);
        windows(stages.view("long").feature("sum", 100));
        row(1_000, 1L);
        row(1_030, 10L);
        row(1_060, 10L);
        assertEquals(List.of(), windower.late());
        row(1_020, 5L); // it belongs into the vectors at 1,030 and 1,060, but is not the greatest of either
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

    /** Queries of another source are remembered for as long as rows may be late. */
    @Test
    void theLedgerCountsQueriesOfAnotherSource() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 50).lateness(100));
        contribute(1_000, 1L);
        contribute(1_000, 1L); // as old as a row of its own source: in order
        assertEquals(List.of(), windower.late());
        query(1_000);
        query(1_010);
        contribute(1_000, 1L); // in time it would have preceded the query of its own time
        assertLate("view", 1_000, 10, 2, 2, true);
        contribute(1_010, 1L);
        assertLate("view", 1_010, 0, 1, 1, true);
    }

    /** A late row of the spine comes behind the queries of its own time, also those that do not contribute: repeats of a history. */
    @Test
    void aLateQueryIsInNoVectorOfItsOwnTime() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 100));
        query(1_000);
        row(1_060, 1L);
        row(1_000, 1L);
        assertLate("view", 1_000, 60, 1, 1, true);
        row(999, 1L);
        assertLate("view", 999, 61, 3, 3, true);
    }

    /** In event-time mode a late row of another source would have preceded a query of its own time. */
    @Test
    void theLedgerCountsQueriesOfTheSameTimeInEventTimeMode() {
        windows(Stages.over(DataTypes.BIGINT()).feature("count", 50).lateness(10).eventTime());
        watermark = 999;
        query(1_000);
        watermark = 1_010;
        contribute(1_000, 1L);
        assertLate("view", 1_000, 10, 1, 1, true);
    }

    /** Where a late row concerns more feature vectors than are computed again, or some are forgotten, the entry says so. */
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

    private void assertLate(String view, long time, long late, long vectors, long changed, boolean counted) {
        LateRow entry = windower.late().stream().filter(row -> row.view().equals(view)).findFirst().orElseThrow();
        assertEquals(new LateRow(entry.index(), view, time, late, vectors, changed, counted), entry);
    }
}
