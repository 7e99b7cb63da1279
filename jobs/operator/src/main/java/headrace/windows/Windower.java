package headrace.windows;

import headrace.state.Blocks;
import java.util.List;

/** The windows of one key at a time: takes its rows in the order of the contract, and gives each query its feature vector. */
final class Windower {
    /** No time: nothing of the key is left, or the key has its timer already. */
    static final long NOTHING = Long.MAX_VALUE;

    private final Mode mode;
    private final long retention;
    private final RowTree rows;

    /** The times of the queries that do not contribute; those that do are marked among the rows. */
    private final RowTree queries;

    private final FeatureVectors vectors;
    private final LateRows lateRows;

    /** Null where the job was not backfilled. */
    private final SeamIds ids;

    private final long seam;
    private final Object[] noVector;
    private Blocks blocks;
    private long watermark;
    private long expires;

    Windower(Stage stage, Mode mode) {
        this(stage, mode, RowTree.LEAF_ROWS, RowTree.FANOUT);
    }

    /** With blocks of these sizes: a test's few rows are many blocks. */
    Windower(Stage stage, Mode mode, int leafRows, int fanout) {
        this.mode = mode;
        retention = stage.retention;
        Layout layout = Layout.of(stage);
        rows = new RowTree(layout, stage.retention, Blocks.ROWS, leafRows, fanout);
        // A row that is as late as is allowed precedes the queries of its own time (rule 6).
        queries = new RowTree(Layout.ofTimes(), stage.lateness + 1, Blocks.QUERIES, leafRows, fanout);
        vectors = new FeatureVectors(stage, layout, rows);
        lateRows = new LateRows(stage, vectors, rows, queries);
        ids = stage.id == null ? null : new SeamIds(stage, leafRows, fanout);
        seam = stage.seam;
        noVector = new Object[stage.resultFields()];
    }

    /**
     * Processes {@code row}, which belongs to the key whose {@code blocks} these are.
     *
     * @param watermark the least long where there is none yet; for a row that has waited for it, less than its time
     * @return the feature vector of a query, as {@link FeatureVectors#at(long)} gives it. The next one overwrites it
     */
    Object[] step(Blocks blocks, StagedRow row, long watermark) {
        open(blocks, watermark);
        lateRows.clear();
        expires = NOTHING;
        if (row.isHistory()) {
            return history(row);
        }
        if (row.contributes) {
            insert(row, mode.lateBy(row, this));
        }
        if (!row.isQuery) {
            return null;
        }
        Object[] vector = vectors.at(row.time);
        if (!row.contributes) {
            noteQuery(row);
        }
        return vector;
    }

    /** A row of history is late for nothing, and a query only so that a later stage gets it: its vector has no values. */
    private Object[] history(StagedRow row) {
        boolean isQuery = row.isQuery;
        if (row.contributes) {
            row.isQuery = false;
            insert(row, Mode.IN_TIME);
            ids.add(blocks, row);
            row.isQuery = isQuery;
        }
        return isQuery ? noVector : null;
    }

    /** Whether {@code row}, of the topic, was in the history, and so has been counted. */
    boolean isRepeat(Blocks blocks, StagedRow row) {
        return ids != null && ids.has(blocks, row);
    }

    private void open(Blocks blocks, long watermark) {
        this.blocks = blocks;
        this.watermark = watermark;
        rows.open(blocks, watermark);
        vectors.open(blocks.key());
    }

    private void insert(StagedRow row, long late) {
        boolean first = rows.isEmpty();
        rows.advance(row.time);
        if (late == Mode.IN_TIME) {
            rows.insert(row);
        } else {
            openQueries();
            lateRows.insert(row, late);
        }
        rows.save();
        noteExpiry(first, rows);
    }

    private void noteQuery(StagedRow row) {
        openQueries();
        boolean first = queries.isEmpty();
        queries.advance(row.time);
        queries.insert(row);
        queries.save();
        noteExpiry(first, queries);
    }

    /** Most rows do not need this tree. */
    private void openQueries() {
        queries.open(blocks, watermark);
    }

    private void noteExpiry(boolean first, RowTree tree) {
        if (first) {
            expires = expires(tree);
        }
    }

    long watermark() {
        return watermark;
    }

    /** The time of the key's newest row; the least long where there is none. */
    long newestRow() {
        return rows.newest();
    }

    /** The time of the key's newest query that did not contribute; the least long where there is none. */
    long newestQuery() {
        openQueries();
        return queries.newest();
    }

    /** When to {@link #clear} the key, if the last {@link #step} was the first of one of its trees; else {@link #NOTHING}. */
    long expires() {
        return expires;
    }

    /** What the row of the last {@link #step} would have changed, had it been in time; empty if it was. */
    List<LateRow> late() {
        return lateRows.entries();
    }

    /** Whether the key has rows or queries, and so a time at which it is cleared. */
    static boolean knows(Blocks blocks) {
        return blocks.get(Blocks.ROWS) != null || blocks.get(Blocks.QUERIES) != null;
    }

    /**
     * Removes what no window of the key can hold any more, now that the watermark has come to {@code watermark}; says when to clear
     * next, {@link #NOTHING} where nothing is left.
     */
    long clear(Blocks blocks, long watermark) {
        open(blocks, watermark);
        openQueries();
        long ofRows = clear(rows);
        if (ids != null) {
            clearIds(ofRows == NOTHING);
        }
        return Math.min(ofRows, clear(queries));
    }

    /** Once the rows from before the seam are gone, or too old: then no window that reaches so far is complete. */
    private void clearIds(boolean noRows) {
        boolean tooOld = !noRows && rows.newest() - retention >= seam;
        if ((noRows || tooOld) && ids.clear(blocks) && tooOld) {
            rows.giveUp(seam - 1);
        }
    }

    private long clear(RowTree tree) {
        if (tree.isEmpty()) {
            return NOTHING;
        }
        if (expires(tree) <= watermark) {
            tree.clear();
            return NOTHING;
        }
        return expires(tree);
    }

    /** When no row of the tree is in any window any more. The times of queries go with the rows: no timers for them alone. */
    private long expires(RowTree tree) {
        return tree.newest() + retention;
    }
}
