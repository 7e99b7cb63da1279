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
    private static final int ROOT = 0;
    private static final int NEXT = 8;
    private static final int LEVEL = 16;
    private static final int TIP_ROWS = 20;
    private static final int EVICTED = 24;
    private static final int NEWEST = 32;
    private static final int TREE_LAST = 40;
    private static final int OLDEST = 48;
    private static final int TIP = 56;

    private static final int NO_BLOCK = 0;
    private static final int ROWS = 4; // of a leaf, behind its count; the entries of a node too
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
    private final int fanout;
    private final long headId;
    private final long idStep;
    private final long[] scratch;
    private Watcher watcher = NOBODY;
    private Blocks blocks;
    private byte[] head;

    /** With leaves of {@code leafRows} to twice as many rows, and nodes of up to {@code fanout} blocks. */
    RowTree(Layout layout, long retention, long headId, int leafRows, int fanout) {
        this.layout = layout;
        this.retention = retention;
        this.leafRows = leafRows;
        tipRoom = leafRows + Math.max(1, leafRows / 4);
        this.fanout = fanout;
        this.headId = headId;
        idStep = headId == Blocks.ASKED ? -1 : 1; // two trees of a key share its blocks: one numbers them up, the other down
        scratch = new long[layout.slots];
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
            Bytes.setLong(head, TREE_LAST, Long.MIN_VALUE);
        }
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
        for (int i = 0; i < FORGOTTEN_A_ROW && root() != NO_BLOCK && Bytes.getLong(head, OLDEST) <= gone; i++) {
            forgetLeaf();
        }
    }

    /** Puts a row, to whose time the tree has been advanced, behind all rows of its time or before (rule 3). */
    void insert(StagedRow row) {
        if (row.time >= treeLast() && tipRows() == tipRoom) {
            closeTip(); // what was the tip's may be the tree's now
        }
        if (row.time >= treeLast()) {
            insertIntoTip(row);
        } else {
            byte[] split = insert(root(), level(), row);
            if (split != null) {
                growRoot(split);
            }
            setOldest();
        }
        watcher.inserted(row);
    }

    /** Adds the partials of the rows in (after, through] to {@code state}; all are older than what it has seen. */
    void fold(long[] state, long after, long through) {
        int i = countThrough(head, TIP, tipRows(), through) - 1;
        int at = TIP + i * layout.row;
        for (; i >= 0 && time(head, at) > after; i--, at -= layout.row) {
            layout.add(state, head, at);
        }
        if (i < 0 && treeLast() > after) {
            fold(state, root(), level(), after, through);
        }
    }

    /** Shows the rows in (after, through] to {@code visitor}, newest first, until it has enough: then false. */
    boolean visit(Visitor visitor, long after, long through) {
        int i = countThrough(head, TIP, tipRows(), through) - 1;
        for (; i >= 0 && time(head, TIP + i * layout.row) > after; i--) {
            if (!visitor.visit(head, TIP + i * layout.row)) {
                return false;
            }
        }
        return i >= 0 || treeLast() <= after || visit(visitor, root(), level(), after, through);
    }

    /** How many rows in (after, through] were answered. */
    long asked(long after, long through) {
        Asked asked = new Asked(layout);
        visit(asked, after, through);
        return asked.count;
    }

    /** Removes all that is in the state. */
    void clear() {
        if (root() != NO_BLOCK) {
            clear(root(), level());
        }
        blocks.remove(headId);
        watcher.cleared();
    }

    private long root() {
        return Bytes.getLong(head, ROOT);
    }

    /** How many nodes are above a leaf. */
    private int level() {
        return Bytes.getInt(head, LEVEL);
    }

    private int tipRows() {
        return Bytes.getInt(head, TIP_ROWS);
    }

    private long treeLast() {
        return Bytes.getLong(head, TREE_LAST);
    }

    private long newId() {
        long id = Bytes.getLong(head, NEXT) + idStep;
        Bytes.setLong(head, NEXT, id);
        return id < 0 ? id : Blocks.HEADS - 1 + id;
    }

    private static long time(byte[] block, int row) {
        return Bytes.getLong(block, row);
    }

    /** How many of {@code count} rows from {@code start} have a time of at most {@code time}. */
    private int countThrough(byte[] block, int start, int count, long time) {
        int low = 0;
        int high = count;
        int i = count - 1; // most questions are about now
        while (low < high) {
            if (time(block, start + i * layout.row) <= time) {
                low = i + 1;
            } else {
                high = i;
            }
            i = (low + high) >>> 1;
        }
        return low;
    }

    // ---- the tip

    private void insertIntoTip(StagedRow row) {
        int rows = tipRows();
        int needed = TIP + (rows + 1) * layout.row;
        if (needed > head.length) {
            head = Arrays.copyOf(head, TIP + Math.min(2 * rows, tipRoom) * layout.row);
        }
        int i = countThrough(head, TIP, rows, row.time);
        int at = TIP + i * layout.row;
        System.arraycopy(head, at, head, at + layout.row, (rows - i) * layout.row);
        layout.write(head, at, row);
        Bytes.setInt(head, TIP_ROWS, rows + 1);
    }

    /** Makes a leaf of the oldest rows of the tip; or forgets those of its rows that are too old. */
    private void closeTip() {
        int old = root() == NO_BLOCK ? countThrough(head, TIP, tipRows(), newest() - retention) : 0;
        int closed = old > 0 ? old : leafRows;
        long last = time(head, TIP + (closed - 1) * layout.row);
        if (old > 0) {
            watcher.forgets(last);
            Bytes.setLong(head, EVICTED, Math.max(evictedThrough(), last));
        } else {
            byte[] leaf = new byte[ROWS + closed * layout.row];
            Bytes.setInt(leaf, 0, closed);
            System.arraycopy(head, TIP, leaf, ROWS, closed * layout.row);
            append(leaf);
            Bytes.setLong(head, TREE_LAST, last);
            setOldest();
        }
        int rest = tipRows() - closed;
        System.arraycopy(head, TIP + closed * layout.row, head, TIP, rest * layout.row);
        Bytes.setInt(head, TIP_ROWS, rest);
    }

    // ---- the tree

    private int entry(int i) {
        return ROWS + i * layout.summary;
    }

    private static int count(byte[] block) {
        return Bytes.getInt(block, 0);
    }

    private long id(byte[] node, int i) {
        return Bytes.getLong(node, entry(i) + Layout.ID);
    }

    private long first(byte[] node, int i) {
        return Bytes.getLong(node, entry(i) + Layout.FIRST);
    }

    private long last(byte[] node, int i) {
        return Bytes.getLong(node, entry(i) + Layout.LAST);
    }

    private void append(byte[] leaf) {
        long id = newId();
        blocks.put(id, leaf);
        byte[] summary = summary(id, leaf, 0);
        if (root() == NO_BLOCK) {
            setRoot(newNode(summary), 1);
            return;
        }
        byte[] split = append(root(), level(), summary);
        if (split != null) {
            growRoot(split);
        }
    }

    /** Hangs a leaf behind all others below {@code node}; gives the summary of the node that had to be made, if any. */
    private byte[] append(long node, int level, byte[] leaf) {
        byte[] block = blocks.get(node);
        int last = count(block) - 1;
        byte[] added = leaf;
        if (level > 1) {
            long child = id(block, last);
            added = append(child, level - 1, leaf);
            if (added == null) {
                setEntry(block, last, summary(child, blocks.get(child), level - 1));
                blocks.put(node, block);
                return null;
            }
        }
        if (last + 1 == fanout) { // in order of time the nodes stay full
            long id = newNode(added);
            return summary(id, blocks.get(id), level);
        }
        blocks.put(node, withEntry(block, last + 1, added));
        return null;
    }

    /** Puts a row at its place below {@code node}; gives the summary of the new right half of the node, if it was split. */
    private byte[] insert(long node, int level, StagedRow row) {
        byte[] block = blocks.get(node);
        int i = count(block) - 1;
        while (i > 0 && first(block, i) > row.time) {
            i--;
        }
        long child = id(block, i);
        byte[] split = level == 1 ? insertIntoLeaf(child, row) : insert(child, level - 1, row);
        setEntry(block, i, summary(child, blocks.get(child), level - 1));
        if (split != null) {
            block = withEntry(block, i + 1, split);
        }
        if (count(block) <= fanout) {
            blocks.put(node, block);
            return null;
        }
        return split(node, block, layout.summary, level);
    }

    private byte[] insertIntoLeaf(long id, StagedRow row) {
        byte[] leaf = blocks.get(id);
        int rows = count(leaf);
        int i = countThrough(leaf, ROWS, rows, row.time);
        byte[] wider = withRoom(leaf, i, layout.row);
        layout.write(wider, ROWS + i * layout.row, row);
        if (rows + 1 <= 2 * leafRows) {
            blocks.put(id, wider);
            return null;
        }
        return split(id, wider, layout.row, 0);
    }

    /** Halves a block: the left half stays where it was, the right one is new. */
    private byte[] split(long id, byte[] block, int width, int level) {
        int left = count(block) / 2;
        int right = count(block) - left;
        byte[] half = new byte[ROWS + right * width];
        Bytes.setInt(half, 0, right);
        System.arraycopy(block, ROWS + left * width, half, ROWS, right * width);
        byte[] rest = Arrays.copyOf(block, ROWS + left * width);
        Bytes.setInt(rest, 0, left);
        blocks.put(id, rest);
        long made = newId();
        blocks.put(made, half);
        return summary(made, half, level);
    }

    /** {@code block} with a gap for one more of {@code width} bytes at {@code i}, counted. */
    private static byte[] withRoom(byte[] block, int i, int width) {
        int count = count(block);
        byte[] wider = new byte[ROWS + (count + 1) * width];
        Bytes.setInt(wider, 0, count + 1);
        System.arraycopy(block, ROWS, wider, ROWS, i * width);
        System.arraycopy(block, ROWS + i * width, wider, ROWS + (i + 1) * width, (count - i) * width);
        return wider;
    }

    private byte[] withEntry(byte[] node, int i, byte[] summary) {
        byte[] wider = withRoom(node, i, layout.summary);
        setEntry(wider, i, summary);
        return wider;
    }

    private void setEntry(byte[] node, int i, byte[] summary) {
        System.arraycopy(summary, 0, node, entry(i), layout.summary);
    }

    private long newNode(byte[] summary) {
        byte[] node = new byte[ROWS + layout.summary];
        Bytes.setInt(node, 0, 1);
        setEntry(node, 0, summary);
        long id = newId();
        blocks.put(id, node);
        return id;
    }

    private void setRoot(long id, int level) {
        Bytes.setLong(head, ROOT, id);
        Bytes.setInt(head, LEVEL, level);
    }

    private void growRoot(byte[] right) {
        long old = root();
        long id = newNode(summary(old, blocks.get(old), level()));
        blocks.put(id, withEntry(blocks.get(id), 1, right));
        setRoot(id, level() + 1);
    }

    private byte[] summary(long id, byte[] block, int level) {
        byte[] summary = new byte[layout.summary];
        int count = count(block);
        int asked = 0;
        layout.clear(scratch);
        for (int i = count - 1; i >= 0; i--) {
            if (level == 0) {
                int row = ROWS + i * layout.row;
                asked += layout.asked(block, row) ? 1 : 0;
                layout.add(scratch, block, row);
            } else {
                asked += Bytes.getInt(block, entry(i) + Layout.ASKED);
                layout.merge(scratch, block, entry(i));
            }
        }
        Bytes.setLong(summary, Layout.ID, id);
        Bytes.setInt(summary, Layout.ASKED, asked);
        Bytes.setLong(summary, Layout.FIRST, level == 0 ? time(block, ROWS) : first(block, 0));
        long last = level == 0 ? time(block, ROWS + (count - 1) * layout.row) : last(block, count - 1);
        Bytes.setLong(summary, Layout.LAST, last);
        layout.writePartials(scratch, summary);
        return summary;
    }

    private void fold(long[] state, long node, int level, long after, long through) {
        byte[] block = blocks.get(node);
        for (int i = count(block) - 1; i >= 0 && last(block, i) > after; i--) {
            if (first(block, i) > through) {
                continue;
            }
            if (first(block, i) > after && last(block, i) <= through) {
                layout.merge(state, block, entry(i));
            } else if (level > 1) {
                fold(state, id(block, i), level - 1, after, through);
            } else {
                foldLeaf(state, blocks.get(id(block, i)), after, through);
            }
        }
    }

    private void foldLeaf(long[] state, byte[] leaf, long after, long through) {
        for (int i = countThrough(leaf, ROWS, count(leaf), through) - 1; i >= 0; i--) {
            int row = ROWS + i * layout.row;
            if (time(leaf, row) <= after) {
                return;
            }
            layout.add(state, leaf, row);
        }
    }

    private boolean visit(Visitor visitor, long node, int level, long after, long through) {
        byte[] block = blocks.get(node);
        for (int i = count(block) - 1; i >= 0 && last(block, i) > after; i--) {
            if (first(block, i) > through) {
                continue;
            }
            boolean whole = first(block, i) > after && last(block, i) <= through;
            if (whole && visitor.takes(block, entry(i))) {
                continue;
            }
            long child = id(block, i);
            boolean more = level > 1
                    ? visit(visitor, child, level - 1, after, through)
                    : visitLeaf(visitor, blocks.get(child), after, through);
            if (!more) {
                return false;
            }
        }
        return true;
    }

    private boolean visitLeaf(Visitor visitor, byte[] leaf, long after, long through) {
        for (int i = countThrough(leaf, ROWS, count(leaf), through) - 1; i >= 0; i--) {
            int row = ROWS + i * layout.row;
            if (time(leaf, row) <= after) {
                return true;
            }
            if (!visitor.visit(leaf, row)) {
                return false;
            }
        }
        return true;
    }

    /** Removes the oldest leaf, and the nodes that it leaves empty. */
    private void forgetLeaf() {
        watcher.forgets(Bytes.getLong(head, OLDEST));
        Bytes.setLong(head, EVICTED, Math.max(evictedThrough(), Bytes.getLong(head, OLDEST)));
        if (!forgetFirst(root(), level())) {
            setRoot(NO_BLOCK, 0);
            Bytes.setLong(head, TREE_LAST, Long.MIN_VALUE);
            return;
        }
        for (byte[] block = blocks.get(root()); level() > 1 && count(block) == 1; block = blocks.get(root())) {
            long only = id(block, 0);
            blocks.remove(root());
            setRoot(only, level() - 1);
        }
        setOldest();
    }

    /** Removes the first leaf below {@code node}; false if that was the last, and the node is gone too. */
    private boolean forgetFirst(long node, int level) {
        byte[] block = blocks.get(node);
        long child = id(block, 0);
        if (level > 1 && forgetFirst(child, level - 1)) {
            setEntry(block, 0, summary(child, blocks.get(child), level - 1));
            blocks.put(node, block);
            return true;
        }
        if (level == 1) {
            blocks.remove(child);
        }
        int rest = count(block) - 1;
        if (rest == 0) {
            blocks.remove(node);
            return false;
        }
        byte[] narrower = new byte[entry(rest)];
        Bytes.setInt(narrower, 0, rest);
        System.arraycopy(block, entry(1), narrower, ROWS, rest * layout.summary);
        blocks.put(node, narrower);
        return true;
    }

    /** Notes the greatest time in the oldest leaf. */
    private void setOldest() {
        byte[] block = blocks.get(root());
        for (int level = level(); level > 1; level--) {
            block = blocks.get(id(block, 0));
        }
        Bytes.setLong(head, OLDEST, last(block, 0));
    }

    private void clear(long node, int level) {
        byte[] block = blocks.get(node);
        for (int i = 0; i < count(block); i++) {
            if (level > 1) {
                clear(id(block, i), level - 1);
            } else {
                blocks.remove(id(block, i));
            }
        }
        blocks.remove(node);
    }
}
