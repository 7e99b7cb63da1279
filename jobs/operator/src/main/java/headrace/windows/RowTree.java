package headrace.windows;

import headrace.state.Blocks;
import headrace.state.Bytes;

/**
 * Rows of one key, ordered by time and then by arrival, in blocks that Flink's state holds one by one.
 *
 * <pre>
 *                      ┌──────── node ────────┐            a node has a summary of each block below it
 *            ┌───── node ─────┐          ┌── node ──┐
 *         leaf leaf … leaf leaf        leaf … leaf leaf │ tip   the newest rows, in the head
 *         └ 32 rows, oldest ┘                           │ up to 40 rows
 * </pre>
 *
 * <p>A B+ tree (Bayer and McCreight 1972) whose inner entries carry partial aggregates, as FiBA's do (Tangwongsan, Hirzel and
 * Schneider, VLDB 2019), with the newest rows outside of it: a row in order touches one block, and a window that ends now is the
 * tip, some summaries and the half of one leaf. Nothing is ever subtracted, so nothing drifts. Rows that are too old are
 * forgotten leaf by leaf.
 */
final class RowTree {
    private static final int FIRST_ROOM = 4;
    private static final int FORGOTTEN_A_ROW = 2;

    /** Measured: see DESIGN.md. */
    static final int LEAF_ROWS = 32;

    static final int FANOUT = 16;

    /** Takes rows from the newest to the oldest; says whether it wants more. */
    @FunctionalInterface
    interface Visitor {
        boolean visit(byte[] block, int row);

        /** Takes all rows that are summarised at {@code entry} at once; false: it wants to visit them. */
        default boolean takes(byte[] node, int entry) {
            return false;
        }
    }

    /** Is told what becomes of the rows of the current key. */
    interface Watcher {
        void inserted(StagedRow row);

        /** Some or all rows up to this time are about to be forgotten. */
        void forgets(long through);

        /** All rows have been removed. */
        void cleared();
    }

    private static final Watcher NOBODY =
            new Watcher() {
                @Override
                public void inserted(StagedRow row) {}

                @Override
                public void forgets(long through) {}

                @Override
                public void cleared() {}
            };

    /** Counts queries. */
    private static final class QueryCount implements Visitor {
        private final Layout layout;
        private long count;

        QueryCount(Layout layout) {
            this.layout = layout;
        }

        @Override
        public boolean visit(byte[] block, int row) {
            count += layout.isQuery(block, row) ? 1 : 0;
            return true;
        }

        @Override
        public boolean takes(byte[] node, int entry) {
            count += Bytes.getInt(node, entry + Layout.QUERIES);
            return true;
        }
    }

    private final Layout layout;
    private final long retention;
    private final int leafRows;
    private final int tipRoom;
    private final long headId;
    private final TreeHead head = new TreeHead();
    private final Nodes nodes;
    private Watcher watcher = NOBODY;
    private Blocks blocks;

    /** With leaves of {@code leafRows} to twice as many rows, and nodes of up to {@code fanout} blocks. */
    RowTree(Layout layout, long retention, long headId, int leafRows, int fanout) {
        this.layout = layout;
        this.retention = retention;
        this.leafRows = leafRows;
        tipRoom = leafRows + Math.max(1, leafRows / 4);
        this.headId = headId;
        // Two trees of a key share its blocks: one numbers them up, the other down.
        nodes = new Nodes(layout, head, leafRows, fanout, headId == Blocks.QUERIES ? -1 : 1);
    }

    void setWatcher(Watcher watcher) {
        this.watcher = watcher;
    }

    /** Turns to the key whose blocks these are. A key without rows may have had some, which were cleared as the watermark rose. */
    void open(Blocks blocks, long watermark) {
        this.blocks = blocks;
        nodes.open(blocks);
        byte[] kept = blocks.get(headId);
        if (kept != null) {
            head.open(kept);
        } else {
            head.init(FIRST_ROOM * layout.row, watermark == Long.MIN_VALUE ? watermark : watermark - retention);
        }
    }

    /** Writes the head; other blocks are written as they change. */
    void save() {
        blocks.put(headId, head.bytes(), tipRow(head.tipRows()));
    }

    boolean isEmpty() {
        return newest() == Long.MIN_VALUE;
    }

    /** The greatest time of a row; the least long where there is none. */
    long newest() {
        return head.newest();
    }

    /** No row after this time has been forgotten; the least long where none has. */
    long evictedThrough() {
        return head.evictedThrough();
    }

    /** Whether the row at {@code row} of a block, as a visitor sees it, is a query. */
    boolean isQuery(byte[] block, int row) {
        return layout.isQuery(block, row);
    }

    /** A word of the row at {@code row} of a block, as a visitor sees it. */
    long value(byte[] block, int row, int word) {
        return layout.value(block, row, word);
    }

    /** Forgets some of the rows that are too old once there is a row of {@code time}. */
    void advance(long time) {
        head.setNewest(Math.max(newest(), time));
        long gone = newest() - retention;
        for (int i = 0; i < FORGOTTEN_A_ROW && !nodes.isEmpty() && head.oldest() <= gone; i++) {
            forget(head.oldest());
            nodes.removeOldest();
        }
    }

    /** Puts a row, to whose time the tree has been advanced, behind all rows of its time or before (rule 3). */
    void insert(StagedRow row) {
        if (row.time >= head.newestBelow() && head.tipRows() == tipRoom) {
            closeTip(); // the row's place may be below the tip now
        }
        if (row.time >= head.newestBelow()) {
            insertIntoTip(row);
        } else {
            nodes.insert(row);
        }
        watcher.inserted(row);
    }

    /**
     * Adds the partials of the rows in (after, through] to {@code state}; all are older than what it has seen.
     *
     * @return the time of the oldest of them; {@link Nodes#NO_ROW} where there is none
     */
    long fold(long[] state, long after, long through) {
        byte[] bytes = head.bytes();
        int i = layout.countThrough(bytes, TreeHead.TIP, head.tipRows(), through) - 1;
        int newest = tipRow(i);
        int at = newest;
        for (; i >= 0 && Layout.time(bytes, at) > after; i--, at -= layout.row) {
            layout.add(state, bytes, at);
        }
        long below = i < 0 ? nodes.fold(state, after, through) : Nodes.NO_ROW;
        if (below != Nodes.NO_ROW || at == newest) {
            return below;
        }
        return Layout.time(bytes, at + layout.row);
    }

    /** Shows the rows in (after, through] to {@code visitor}, newest first, until it has enough: then false. */
    boolean visit(Visitor visitor, long after, long through) {
        byte[] bytes = head.bytes();
        int i = layout.countThrough(bytes, TreeHead.TIP, head.tipRows(), through) - 1;
        for (; i >= 0 && Layout.time(bytes, tipRow(i)) > after; i--) {
            if (!visitor.visit(bytes, tipRow(i))) {
                return false;
            }
        }
        return i >= 0 || nodes.visit(visitor, after, through);
    }

    /** How many rows in (after, through] are queries. */
    long queries(long after, long through) {
        QueryCount queries = new QueryCount(layout);
        visit(queries, after, through);
        return queries.count;
    }

    /** Removes all rows, and all that the state has of them. */
    void clear() {
        nodes.clear();
        blocks.remove(headId);
        watcher.cleared();
    }

    /** Promises the rows up to this time no longer, though some may be left. */
    void giveUp(long through) {
        head.setEvictedThrough(Math.max(evictedThrough(), through));
        save();
    }

    private int tipRow(int i) {
        return TreeHead.TIP + i * layout.row;
    }

    private void insertIntoTip(StagedRow row) {
        int rows = head.tipRows();
        if (tipRow(rows + 1) > head.bytes().length) {
            head.grow(tipRow(Math.min(2 * rows, tipRoom)));
        }
        byte[] bytes = head.bytes();
        int i = layout.countThrough(bytes, TreeHead.TIP, rows, row.time);
        System.arraycopy(bytes, tipRow(i), bytes, tipRow(i + 1), (rows - i) * layout.row);
        layout.write(bytes, tipRow(i), row);
        head.setTipRows(rows + 1);
    }

    /** Forgets the rows of the tip that are too old, if nothing is below it; else makes a leaf of its oldest rows. */
    private void closeTip() {
        int old = nodes.isEmpty() ? layout.countThrough(head.bytes(), TreeHead.TIP, head.tipRows(), newest() - retention) : 0;
        if (old > 0) {
            forget(Layout.time(head.bytes(), tipRow(old - 1)));
            removeFromTip(old);
        } else {
            nodes.append(head.bytes(), TreeHead.TIP, leafRows);
            removeFromTip(leafRows);
        }
    }

    private void removeFromTip(int oldest) {
        int rest = head.tipRows() - oldest;
        System.arraycopy(head.bytes(), tipRow(oldest), head.bytes(), TreeHead.TIP, rest * layout.row);
        head.setTipRows(rest);
    }

    private void forget(long through) {
        watcher.forgets(through);
        head.setEvictedThrough(Math.max(evictedThrough(), through));
    }
}
