package headrace.windows;

import headrace.state.Blocks;
import headrace.state.Bytes;
import java.util.Arrays;

/**
 * The blocks of a {@link RowTree} below its tip: leaves of rows, and nodes with a summary of each block below them.
 *
 * <pre>
 * leaf     count int │ rows
 * node     count int │ summaries
 * </pre>
 */
final class Nodes {
    /** No time: there is no row. */
    static final long NO_ROW = Long.MAX_VALUE;

    private static final int NO_BLOCK = 0;
    private static final int ROWS = 4; // of a leaf, behind its count; the entries of a node too

    private final Layout layout;
    private final TreeHead head;
    private final int leafRows;
    private final int fanout;
    private final long step;
    private final long[] scratch;
    private Blocks blocks;

    /**
     * With leaves of up to twice {@code leafRows} rows and nodes of up to {@code fanout} blocks.
     *
     * @param step from one block's number to the next: 1 or -1
     */
    Nodes(Layout layout, TreeHead head, int leafRows, int fanout, long step) {
        this.layout = layout;
        this.head = head;
        this.leafRows = leafRows;
        this.fanout = fanout;
        this.step = step;
        scratch = new long[layout.slots];
    }

    /** Turns to the key whose blocks these are; the tree has turned the head to it. */
    void open(Blocks blocks) {
        this.blocks = blocks;
    }

    boolean isEmpty() {
        return head.root() == NO_BLOCK;
    }

    private long newId() {
        long number = head.lastNumber() + step;
        head.setLastNumber(number);
        return number < 0 ? number : Blocks.HEADS - 1 + number;
    }

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

    /** Makes a leaf of {@code count} rows that lie at {@code start} of a block, behind all others. */
    void append(byte[] rows, int start, int count) {
        byte[] leaf = new byte[ROWS + count * layout.row];
        Bytes.setInt(leaf, 0, count);
        System.arraycopy(rows, start, leaf, ROWS, count * layout.row);
        long id = newId();
        blocks.put(id, leaf);
        byte[] summary = summary(id, leaf, 0);
        if (isEmpty()) {
            head.setRoot(newNode(summary), 1);
        } else {
            grow(append(head.root(), head.level(), summary));
        }
        head.setNewestBelow(Layout.time(leaf, ROWS + (count - 1) * layout.row));
        setOldest();
    }

    /** Puts a row that is older than the newest below the tip behind all rows of its time or before. */
    void insert(StagedRow row) {
        grow(insert(head.root(), head.level(), row));
        setOldest();
    }

    /** Adds the partials of the rows in (after, through] to {@code state}; gives the oldest's time: see {@link RowTree#fold}. */
    long fold(long[] state, long after, long through) {
        return head.newestBelow() > after ? fold(state, head.root(), head.level(), after, through) : NO_ROW;
    }

    /** Shows the rows in (after, through] to {@code visitor}, newest first, until it has enough: then false. */
    boolean visit(RowTree.Visitor visitor, long after, long through) {
        return head.newestBelow() <= after || visit(visitor, head.root(), head.level(), after, through);
    }

    /** Removes all blocks. */
    void clear() {
        if (!isEmpty()) {
            clear(head.root(), head.level());
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
        int i = layout.countThrough(leaf, ROWS, rows, row.time);
        byte[] wider = withRoom(leaf, i, layout.row);
        layout.write(wider, ROWS + i * layout.row, row);
        if (rows + 1 <= 2 * leafRows) {
            blocks.put(id, wider);
            return null;
        }
        return split(id, wider, layout.row, 0);
    }

    /** Splits a block in halves: the left one keeps its number, the right one is new. */
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

    /** A copy of {@code block} with a gap of {@code width} bytes for one more at {@code i}, which is counted already. */
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
        long id = newId();
        blocks.put(id, withEntry(new byte[ROWS], 0, summary));
        return id;
    }

    /** Makes a new root above the old one and {@code right}, its new right half; null: the old one was not split. */
    private void grow(byte[] right) {
        if (right == null) {
            return;
        }
        long old = head.root();
        long id = newNode(summary(old, blocks.get(old), head.level()));
        blocks.put(id, withEntry(blocks.get(id), 1, right));
        head.setRoot(id, head.level() + 1);
    }

    private byte[] summary(long id, byte[] block, int level) {
        byte[] summary = new byte[layout.summary];
        int count = count(block);
        int queries = 0;
        layout.clear(scratch);
        for (int i = count - 1; i >= 0; i--) {
            if (level == 0) {
                int row = ROWS + i * layout.row;
                queries += layout.isQuery(block, row) ? 1 : 0;
                layout.add(scratch, block, row);
            } else {
                queries += Bytes.getInt(block, entry(i) + Layout.QUERIES);
                layout.merge(scratch, block, entry(i));
            }
        }
        Bytes.setLong(summary, Layout.ID, id);
        Bytes.setInt(summary, Layout.QUERIES, queries);
        Bytes.setLong(summary, Layout.FIRST, level == 0 ? Layout.time(block, ROWS) : first(block, 0));
        long last = level == 0 ? Layout.time(block, ROWS + (count - 1) * layout.row) : last(block, count - 1);
        Bytes.setLong(summary, Layout.LAST, last);
        layout.writePartials(scratch, summary);
        return summary;
    }

    private long fold(long[] state, long node, int level, long after, long through) {
        byte[] block = blocks.get(node);
        long oldest = NO_ROW;
        for (int i = count(block) - 1; i >= 0 && last(block, i) > after; i--) {
            if (first(block, i) > through) {
                continue;
            }
            if (first(block, i) > after && last(block, i) <= through) {
                layout.merge(state, block, entry(i));
                oldest = first(block, i);
            } else if (level > 1) {
                oldest = Math.min(oldest, fold(state, id(block, i), level - 1, after, through));
            } else {
                oldest = Math.min(oldest, foldLeaf(state, blocks.get(id(block, i)), after, through));
            }
        }
        return oldest;
    }

    private long foldLeaf(long[] state, byte[] leaf, long after, long through) {
        int row = ROWS + (layout.countThrough(leaf, ROWS, count(leaf), through) - 1) * layout.row;
        long oldest = NO_ROW;
        for (; row >= ROWS && Layout.time(leaf, row) > after; row -= layout.row) {
            layout.add(state, leaf, row);
            oldest = Layout.time(leaf, row);
        }
        return oldest;
    }

    private boolean visit(RowTree.Visitor visitor, long node, int level, long after, long through) {
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

    private boolean visitLeaf(RowTree.Visitor visitor, byte[] leaf, long after, long through) {
        for (int i = layout.countThrough(leaf, ROWS, count(leaf), through) - 1; i >= 0; i--) {
            int row = ROWS + i * layout.row;
            if (Layout.time(leaf, row) <= after) {
                return true;
            }
            if (!visitor.visit(leaf, row)) {
                return false;
            }
        }
        return true;
    }

    /** Removes the oldest leaf, and the nodes that it leaves empty. */
    void removeOldest() {
        if (!removeFirst(head.root(), head.level())) {
            head.setRoot(NO_BLOCK, 0);
            head.setNewestBelow(Long.MIN_VALUE);
            return;
        }
        for (byte[] block = blocks.get(head.root()); head.level() > 1 && count(block) == 1; block = blocks.get(head.root())) {
            long only = id(block, 0);
            blocks.remove(head.root());
            head.setRoot(only, head.level() - 1);
        }
        setOldest();
    }

    /** Removes the first leaf below {@code node}; false if that was the last, and the node is gone too. */
    private boolean removeFirst(long node, int level) {
        byte[] block = blocks.get(node);
        long child = id(block, 0);
        if (level > 1 && removeFirst(child, level - 1)) {
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
        byte[] block = blocks.get(head.root());
        for (int level = head.level(); level > 1; level--) {
            block = blocks.get(id(block, 0));
        }
        head.setOldest(last(block, 0));
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
