package headrace;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** Adds a row that comes late, and finds what it would have changed had it come in time: the ledger of docs/windows.md, rule 6. */
final class LateRows {
    /** So many of the newest answers are redone for a late row, before and after; a hot key has more. */
    private static final int REDONE = 64;

    private final Stage stage;
    private final Answers answers;
    private final RowTree rows;
    private final RowTree asked;
    private final long[] longest;
    private final long longestOfAll;
    private final List<Long> times = new ArrayList<>();
    private final List<LateRow> entries = new ArrayList<>();

    LateRows(Stage stage, Answers answers, RowTree rows, RowTree asked) {
        this.stage = stage;
        this.answers = answers;
        this.rows = rows;
        this.asked = asked;
        longestOfAll = stage.windows[stage.windows.length - 1];
        longest = new long[stage.views.length];
        for (Stage.Feature feature : stage.features) {
            longest[feature.view()] = Math.max(longest[feature.view()], stage.windows[feature.window()]);
        }
    }

    List<LateRow> entries() {
        return entries;
    }

    void clear() {
        entries.clear();
    }

    /**
     * Adds {@code row}, which came {@code late} milliseconds late: an entry for each view. The answers are redone with all rows
     * that are here now, without this one and with it.
     */
    void add(StagedRow row, long late) {
        long afterAsked = row.time - 1; // a row of another source comes before an answer of its own time (rule 6)
        long through = row.time + longestOfAll - 1;
        times.clear();
        if (rows.asked(row.time, through) > 0) { // the rows of another source than the spine's are many, and none was answered
            rows.visit((block, at) -> times.size() < REDONE && note(block, at, true), row.time, through);
        }
        asked.visit((block, at) -> times.size() < REDONE && note(block, at, false), afterAsked, through);
        List<Object[]> before = redo(row.time);
        rows.insert(row);
        List<Object[]> after = redo(row.time);
        boolean known = rows.evictedThrough() <= row.time - longestOfAll && asked.evictedThrough() <= afterAsked;
        for (int v = 0; v < longest.length; v++) {
            long end = row.time + longest[v] - 1;
            long given = rows.asked(row.time, end) + asked.asked(afterAsked, end);
            entries.add(new LateRow(v, stage.views[v], row.time, late, given, changed(v, before, after), known && all(given, end)));
        }
    }

    private boolean note(byte[] block, int at, boolean marked) {
        if (!marked || rows.answered(block, at)) {
            times.add(Bytes.getLong(block, at));
        }
        return true;
    }

    /** Whether the answers that are redone are all that were {@code given} up to {@code end}. */
    private boolean all(long given, long end) {
        return times.stream().filter(time -> time <= end).count() == given;
    }

    /** The answers, without the windows that the row of {@code late} is too old for. */
    private List<Object[]> redo(long late) {
        return times.stream().map(time -> answers.at(time, time - late).clone()).toList();
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
