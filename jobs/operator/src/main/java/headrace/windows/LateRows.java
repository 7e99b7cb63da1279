package headrace.windows;

import headrace.state.Bytes;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** Inserts late rows, and keeps the ledger of what each would have changed, had it been in time (docs/windows.md, rule 6). */
final class LateRows {
    /** So many feature vectors, the newest, are computed again for a late row; a hot key has given more. */
    private static final int MOST = 64;

    private final Stage stage;
    private final FeatureVectors vectors;
    private final RowTree rows;
    private final RowTree queries;

    /** The longest window of each view, and of all. */
    private final long[] longest;

    private final long longestOfAll;
    private final List<Long> times = new ArrayList<>();
    private final List<LateRow> entries = new ArrayList<>();

    LateRows(Stage stage, FeatureVectors vectors, RowTree rows, RowTree queries) {
        this.stage = stage;
        this.vectors = vectors;
        this.rows = rows;
        this.queries = queries;
        longestOfAll = stage.windows[stage.windows.length - 1];
        longest = new long[stage.views.length];
        for (Stage.Feature feature : stage.features) {
            longest[feature.view()] = Math.max(longest[feature.view()], stage.windows[feature.window()]);
        }
    }

    /** Those of the last row that was inserted here; none since {@link #clear}. */
    List<LateRow> entries() {
        return entries;
    }

    void clear() {
        entries.clear();
    }

    /**
     * Inserts {@code row}, which is {@code late} milliseconds late, and makes an entry for each view: of the feature vectors that
     * would have held it, computed with all rows that are known by now, without this one and with it.
     */
    void insert(StagedRow row, long late) {
        long afterQueries = row.isQuery ? row.time : row.time - 1; // another source's comes before a query of its own time (rule 6)
        findQueries(row.time, afterQueries);
        List<Object[]> before = vectors(row.time);
        rows.insert(row);
        List<Object[]> after = vectors(row.time);
        boolean known = vectors.isWholeAfter(row.time - longestOfAll) && queries.evictedThrough() <= afterQueries;
        for (int v = 0; v < longest.length; v++) {
            long end = row.time + longest[v] - 1;
            long given = rows.queries(row.time, end) + queries.queries(afterQueries, end);
            boolean counted = known && given == times.stream().filter(time -> time <= end).count();
            entries.add(new LateRow(v, stage.views[v], row.time, late, given, changed(v, before, after), counted));
        }
    }

    /** Finds the times of the newest queries with a window that holds a row of {@code time}. */
    private void findQueries(long time, long afterQueries) {
        long through = time + longestOfAll - 1;
        times.clear();
        if (rows.queries(time, through) > 0) { // of a source that is not the spine, many rows and no queries
            rows.visit((block, row) -> note(block, row, rows.isQuery(block, row)), time, through);
        }
        queries.visit((block, row) -> note(block, row, true), afterQueries, through);
    }

    private boolean note(byte[] block, int row, boolean isQuery) {
        if (isQuery && times.size() < MOST) {
            times.add(Bytes.getLong(block, row));
        }
        return times.size() < MOST;
    }

    /** The feature vectors at the times that were found, without the windows that do not reach back to {@code late}. */
    private List<Object[]> vectors(long late) {
        return times.stream().map(time -> vectors.at(time, time - late).clone()).toList();
    }

    private long changed(int view, List<Object[]> before, List<Object[]> after) {
        long changed = 0;
        for (int i = 0; i < before.size(); i++) {
            for (int f = 0; f < stage.features.length; f++) {
                if (stage.features[f].view() == view && !Objects.deepEquals(before.get(i)[f], after.get(i)[f])) {
                    changed++;
                }
            }
        }
        return changed;
    }
}
