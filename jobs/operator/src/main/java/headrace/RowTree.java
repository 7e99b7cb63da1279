package headrace;

import java.util.Arrays;

/**
 * Rows of one key, ordered by time and then by arrival, in blocks that Flink's state holds one by one.
 *
 * <pre>
 *                      ┌──────── node ────────┐            a node has a summary of each block below it
 *            ┌───── node ─────┐          ┌── node ──┐
 *         leaf leaf … leaf leaf        leaf … leaf leaf │ tip   the newest rows, beside the header
 *         └ 32 rows, oldest ┘                           │ up to 40 rows
 * </pre>
 *
 * <p>A B+ tree (Bayer and McCreight 1972) whose inner entries carry partial aggregates, as FiBA's do (Tangwongsan, Hirzel and
 * Schneider, VLDB 2019), with the newest rows outside of it: a row in order touches one block, a window that ends now is the
 * tip, some summaries and the half of one leaf. Nothing is ever subtracted, so nothing drifts. What is too old is forgotten leaf by
 * leaf.
 */
final class RowTree {
    // The header: what is of the nodes, then this.
    static final int TIP_ROWS = Nodes.HEADER;
    private static final int EVICTED = TIP_ROWS + Integer.BYTES;
    private static final int NEWEST = EVICTED + Long.BYTES;
    private static final int TIP = NEWEST + Long.BYTES;

    private static final int FIRST_ROOM = 4;
    private static final int FORGOTTEN_A_ROW = 2;

    /** What was measured to be good: see DESIGN.md. */
    static final int LEAF_ROWS = 32;

    static final int FANOUT = 16;

    /** Takes rows from the newest to the oldest; says whether it wants more. */
    @FunctionalInterface
    interface Visitor {
        boolean visit(byte[] block, int row);

        /** Takes the rows that are summarised at {@code entry} all at once; false: it wants to see them. */
        default boolean takes(byte[] node, int entry) {
            return false;
        }
    }

    /** Is told of what becomes of the rows of the key that the tree is at. */
    interface Watcher {
        void inserted(StagedRow row);

        /** Rows up to this time are forgotten next, some or all. */
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

    /** Counts the rows that were answered. */
    private static final class Asked implements Visitor {
        private final Layout layout;
        private long count;

        Asked(Layout layout) {
            this.layout = layout;
        }

        @Override
        public boolean visit(byte[] block, int row) {
            count += layout.asked(block, row) ? 1 : 0;
            return true;
        }

        @Override
        public boolean takes(byte[] node, int entry) {
            count += Bytes.getInt(node, entry + Layout.ASKED);
            return true;
        }
    }

    private final Layout layout;
    private final long retention;
    private final int leafRows;
    private final int tipRoom;
    private final long headId;
    private final Nodes nodes;
    private Watcher watcher = NOBODY;
    private Blocks blocks;
    private byte[] head;

    /** With leaves of {@code leafRows} to twice as many rows, and nodes of up to {@code fanout} blocks. */
    RowTree(Layout layout, long retention, long headId, int leafRows, int fanout) {
        this.layout = layout;
        this.retention = retention;
        this.leafRows = leafRows;
        tipRoom = leafRows + Math.max(1, leafRows / 4);
        this.headId = headId;
        // Two trees of a key share its blocks: one numbers them up, the other down.
        nodes = new Nodes(layout, leafRows, fanout, headId == Blocks.ASKED ? -1 : 1);
    }

    void setWatcher(Watcher watcher) {
        this.watcher = watcher;
    }

    /** Turns to the key whose blocks these are. Of a key that is new, or cleared, what the watermark has passed may be gone. */
    void open(Blocks blocks, long watermark) {
        this.blocks = blocks;
        head = blocks.get(headId);
        if (head == null) {
            head = new byte[TIP + FIRST_ROOM * layout.row];
            Bytes.setLong(head, EVICTED, watermark == Long.MIN_VALUE ? watermark : watermark - retention);
            Bytes.setLong(head, NEWEST, Long.MIN_VALUE);
            Nodes.init(head);
        }
        nodes.open(blocks, head);
    }

    /** Keeps what has changed. */
    void save() {
        blocks.put(headId, head, TIP + tipRows() * layout.row);
    }

    /** The greatest time of a row; the least long where there is none. */
    long newest() {
        return Bytes.getLong(head, NEWEST);
    }

    /** No row after this time has been forgotten; the least long where none has. */
    long evictedThrough() {
        return Bytes.getLong(head, EVICTED);
    }

    /** Whether the row at {@code row} of a block, as a visitor sees it, was answered. */
    boolean answered(byte[] block, int row) {
        return layout.asked(block, row);
    }

    /** Forgets some of what is too old once there is a row of {@code time}. */
    void advance(long time) {
        Bytes.setLong(head, NEWEST, Math.max(newest(), time));
        long gone = newest() - retention;
        for (int i = 0; i < FORGOTTEN_A_ROW && !nodes.isEmpty() && nodes.oldest() <= gone; i++) {
            watcher.forgets(nodes.oldest());
            Bytes.setLong(head, EVICTED, Math.max(evictedThrough(), nodes.oldest()));
            nodes.removeOldest();
        }
    }

    /** Puts a row, to whose time the tree has been advanced, behind all rows of its time or before (rule 3). */
    void insert(StagedRow row) {
        if (row.time >= nodes.newest() && tipRows() == tipRoom) {
            closeTip(); // what was the tip's may be the nodes' now
        }
        if (row.time >= nodes.newest()) {
            insertIntoTip(row);
        } else {
            nodes.insert(row);
        }
        watcher.inserted(row);
    }

    /** Adds the partials of the rows in (after, through] to {@code state}; all are older than what it has seen. */
    void fold(long[] state, long after, long through) {
        int i = layout.countThrough(head, TIP, tipRows(), through) - 1;
        int at = TIP + i * layout.row;
        for (; i >= 0 && Layout.time(head, at) > after; i--, at -= layout.row) {
            layout.add(state, head, at);
        }
        if (i < 0) {
            nodes.fold(state, after, through);
        }
    }

    /** Shows the rows in (after, through] to {@code visitor}, newest first, until it has enough: then false. */
    boolean visit(Visitor visitor, long after, long through) {
        int i = layout.countThrough(head, TIP, tipRows(), through) - 1;
        for (; i >= 0 && Layout.time(head, TIP + i * layout.row) > after; i--) {
            if (!visitor.visit(head, TIP + i * layout.row)) {
                return false;
            }
        }
        return i >= 0 || nodes.visit(visitor, after, through);
    }

    /** How many rows in (after, through] were answered. */
    long asked(long after, long through) {
        Asked asked = new Asked(layout);
        visit(asked, after, through);
        return asked.count;
    }

    /** Removes all that is in the state. */
    void clear() {
        nodes.clear();
        blocks.remove(headId);
        watcher.cleared();
    }

    private int tipRows() {
        return Bytes.getInt(head, TIP_ROWS);
    }

    private void insertIntoTip(StagedRow row) {
        int rows = tipRows();
        int needed = TIP + (rows + 1) * layout.row;
        if (needed > head.length) {
            head = Arrays.copyOf(head, TIP + Math.min(2 * rows, tipRoom) * layout.row);
            nodes.open(blocks, head);
        }
        int i = layout.countThrough(head, TIP, rows, row.time);
        int at = TIP + i * layout.row;
        System.arraycopy(head, at, head, at + layout.row, (rows - i) * layout.row);
        layout.write(head, at, row);
        Bytes.setInt(head, TIP_ROWS, rows + 1);
    }

    /** Makes a leaf of the oldest rows of the tip; or forgets those of its rows that are too old. */
    private void closeTip() {
        int old = nodes.isEmpty() ? layout.countThrough(head, TIP, tipRows(), newest() - retention) : 0;
        int closed = old > 0 ? old : leafRows;
        long last = Layout.time(head, TIP + (closed - 1) * layout.row);
        if (old > 0) {
            watcher.forgets(last);
            Bytes.setLong(head, EVICTED, Math.max(evictedThrough(), last));
        } else {
            nodes.append(head, TIP, closed);
        }
        int rest = tipRows() - closed;
        System.arraycopy(head, TIP + closed * layout.row, head, TIP, rest * layout.row);
        Bytes.setInt(head, TIP_ROWS, rest);
    }
}
