package headrace;

import java.util.List;

/** The windows of one key at a time: takes its rows in the order of the contract, answers those that ask. */
final class Windower {
    /** No time: nothing of the key is left, or nothing has to be cleared that was not known before. */
    static final long NOTHING = Long.MAX_VALUE;

    private final boolean eventTime;
    private final long retention;
    private final RowTree rows;

    /** The times of the answered rows of another source; an answered row of the stage's own is marked among the rows. */
    private final RowTree asked;

    private final Answers answers;
    private final LateRows lateRows;
    private long expires;

    Windower(Stage stage) {
        this(stage, RowTree.LEAF_ROWS, RowTree.FANOUT);
    }

    /** With blocks of these sizes: a test's few rows are many blocks. */
    Windower(Stage stage, int leafRows, int fanout) {
        eventTime = stage.eventTime;
        retention = stage.retention;
        Layout layout = Layout.of(stage);
        rows = new RowTree(layout, stage.retention, Blocks.ROWS, leafRows, fanout);
        // A row that is as late as is allowed comes before the answers of its own time (rule 6).
        asked = new RowTree(Layout.ofTimes(), stage.lateness + 1, Blocks.ASKED, leafRows, fanout);
        answers = new Answers(stage, layout, rows);
        lateRows = new LateRows(stage, answers, rows, asked);
    }

    /**
     * Adds {@code row} to the rows of the key whose {@code blocks} these are, if it contributes, and answers it, if it asks: the
     * features, then whether they are complete (rule 6); else null. The next answer overwrites it.
     *
     * @param watermark the least long where there is none yet; for a row that has waited for it, less than its time
     */
    Object[] step(Blocks blocks, StagedRow row, long watermark) {
        lateRows.clear();
        expires = NOTHING;
        rows.open(blocks, watermark);
        answers.open(blocks.key());
        if (row.contributes) {
            add(blocks, row, watermark);
        }
        Object[] answer = row.asks ? answers.at(row.time) : null;
        if (row.asks && !row.contributes) {
            asked.open(blocks, watermark);
            boolean first = asked.newest() == Long.MIN_VALUE;
            asked.advance(row.time);
            asked.insert(row);
            asked.save();
            noteExpiry(asked, first);
        }
        return answer;
    }

    /** Whether the key has rows, and so a time at which it is cleared. */
    static boolean knows(Blocks blocks) {
        return blocks.get(Blocks.ROWS) != null || blocks.get(Blocks.ASKED) != null;
    }

    private void add(Blocks blocks, StagedRow row, long watermark) {
        boolean othersAsk = !row.asks;
        if (othersAsk && !eventTime) { // the newest question too tells what is late
            asked.open(blocks, watermark);
        }
        long question = othersAsk && !eventTime ? asked.newest() : Long.MIN_VALUE;
        long newest = eventTime ? watermark : Math.max(rows.newest(), question);
        // A row of another source comes before the answer of its own time (rule 6): as old as that is late.
        boolean late = newest > row.time || newest == row.time && (eventTime || question == row.time);
        boolean first = rows.newest() == Long.MIN_VALUE;
        rows.advance(row.time);
        if (late) {
            asked.open(blocks, watermark);
            lateRows.add(row, newest - row.time);
        } else {
            rows.insert(row);
        }
        rows.save();
        noteExpiry(rows, first);
    }

    private void noteExpiry(RowTree tree, boolean first) {
        if (first) {
            expires = expires(tree);
        }
    }

    /** When to {@link #clear} the key, if the last {@link #step} was the first of one of its trees; else {@link #NOTHING}. */
    long expires() {
        return expires;
    }

    /** What the row of the last {@link #step} would have changed, had it not come late; empty where it was not late. */
    List<LateRow> late() {
        return lateRows.entries();
    }

    /**
     * Removes what no window of the key can hold any more, now that the watermark has come to {@code watermark}; says when to ask
     * again, {@link #NOTHING} where nothing is left.
     */
    long clear(Blocks blocks, long watermark) {
        rows.open(blocks, watermark);
        answers.open(blocks.key());
        asked.open(blocks, watermark);
        return Math.min(clear(rows, watermark), clear(asked, watermark));
    }

    private long clear(RowTree tree, long watermark) {
        if (tree.newest() == Long.MIN_VALUE) {
            return NOTHING;
        }
        if (expires(tree) <= watermark) {
            tree.clear();
            return NOTHING;
        }
        return expires(tree);
    }

    /** When no row of the tree is in any window any more. Answered times go with the rows: no timers for them alone. */
    private long expires(RowTree tree) {
        return tree.newest() + retention;
    }
}
