package headrace;

/** The blocks of one key in the state, by number. Those below {@link #HEADS} are small, and most rows touch them. */
interface Blocks {
    /** The head of the tree of rows, whose other blocks are numbered from {@link #HEADS} up. */
    long ROWS = 0;

    /** The head of the tree of answered times, whose other blocks are numbered from -1 down. */
    long ASKED = 1;

    /** The earliest of the waiting rows, the others being numbered from {@link PendingRows#DIRECTORY} up. */
    long WAITING = 2;

    int HEADS = 3;

    /** The block, which the caller may change if it then puts it; null if there is none. */
    byte[] get(long id);

    void put(long id, byte[] block);

    /** Puts a head, of which the first {@code used} bytes count. */
    void put(long id, byte[] block, int used);

    void remove(long id);

    /** The key; null where nothing is kept of it in memory, or where it has no blocks and its timer has come. */
    Object key();
}
