package headrace.windows;

import headrace.state.Bytes;
import java.util.Arrays;

/**
 * The head of a {@link RowTree}, which {@link Nodes} keeps its place in too: a few numbers, then the newest rows, the tip.
 *
 * <pre>
 * root long │ last number long │ newest below long │ oldest leaf's last time long │ level int     of the nodes
 * rows of the tip int │ evicted through long │ newest long                                        of the whole tree
 * rows                                                                                            the tip
 * </pre>
 */
final class TreeHead {
    static final int ROOT = 0;
    private static final int LAST_NUMBER = 8;
    private static final int NEWEST_BELOW = 16;
    private static final int OLDEST = 24;
    static final int LEVEL = 32;
    static final int TIP_ROWS = 36;
    private static final int EVICTED = 40;
    private static final int NEWEST = 48;

    /** Where the tip begins. */
    static final int TIP = 56;

    private byte[] bytes;

    /** Turns to the head of a key. */
    void open(byte[] head) {
        bytes = head;
    }

    /** Makes the head of a key without rows, with room for some. */
    void init(int room, long evictedThrough) {
        bytes = new byte[TIP + room];
        Bytes.setLong(bytes, NEWEST_BELOW, Long.MIN_VALUE);
        Bytes.setLong(bytes, EVICTED, evictedThrough);
        Bytes.setLong(bytes, NEWEST, Long.MIN_VALUE);
    }

    /** The head itself, to be read, and changed within the tip. */
    byte[] bytes() {
        return bytes;
    }

    /** Makes room for so many bytes. */
    void grow(int length) {
        bytes = Arrays.copyOf(bytes, length);
    }

    /** The number of the block at the top; 0: there are no blocks. */
    long root() {
        return Bytes.getLong(bytes, ROOT);
    }

    /** How many nodes are above a leaf. */
    int level() {
        return Bytes.getInt(bytes, LEVEL);
    }

    void setRoot(long id, int level) {
        Bytes.setLong(bytes, ROOT, id);
        Bytes.setInt(bytes, LEVEL, level);
    }

    /** The number of the last block that was made. */
    long lastNumber() {
        return Bytes.getLong(bytes, LAST_NUMBER);
    }

    void setLastNumber(long number) {
        Bytes.setLong(bytes, LAST_NUMBER, number);
    }

    /** The greatest time of a row below the tip; the least long where there is none. */
    long newestBelow() {
        return Bytes.getLong(bytes, NEWEST_BELOW);
    }

    void setNewestBelow(long time) {
        Bytes.setLong(bytes, NEWEST_BELOW, time);
    }

    /** The greatest time in the oldest leaf. */
    long oldest() {
        return Bytes.getLong(bytes, OLDEST);
    }

    void setOldest(long time) {
        Bytes.setLong(bytes, OLDEST, time);
    }

    int tipRows() {
        return Bytes.getInt(bytes, TIP_ROWS);
    }

    void setTipRows(int rows) {
        Bytes.setInt(bytes, TIP_ROWS, rows);
    }

    /** No row after this time has been forgotten; the least long where none has. */
    long evictedThrough() {
        return Bytes.getLong(bytes, EVICTED);
    }

    void setEvictedThrough(long time) {
        Bytes.setLong(bytes, EVICTED, time);
    }

    /** The greatest time of a row; the least long where there is none. */
    long newest() {
        return Bytes.getLong(bytes, NEWEST);
    }

    void setNewest(long time) {
        Bytes.setLong(bytes, NEWEST, time);
    }
}
