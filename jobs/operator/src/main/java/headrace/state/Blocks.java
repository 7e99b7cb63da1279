package headrace.state;

/**
 * The blocks of one key in the state, by number.
 *
 * <pre>
 *   …  -2  -1    0     1        2        3  4  …     2^61  …         2^62       2^62 + 1  …
 *  ╰─────────╯  ROWS  QUERIES  WAITING  ╰─────────╯  ╰────────────╯  DIRECTORY  ╰─────────────╯
 *  of queries   ╰───── heads ────────╯    of rows    of history ids             of waiting rows
 * </pre>
 *
 * <p>Heads are small, and nearly every row reads and writes one.
 */
public interface Blocks {
    /** The head of the tree of rows. */
    long ROWS = 0;

    /** The head of the tree of the times of queries. */
    long QUERIES = 1;

    /** The earliest of the waiting rows. */
    long WAITING = 2;

    /** How many heads there are. */
    int HEADS = 3;

    /** The first of the ids of rows of history: the head of their tree, which few rows read. */
    long IDS = 1L << 61;

    /** The directory of the other waiting rows. */
    long DIRECTORY = 1L << 62;

    /** The block, which the caller may change if it then puts it; null if there is none. */
    byte[] get(long id);

    /** Writes a block that is not a head. */
    void put(long id, byte[] block);

    /** Writes a head, which is the first {@code used} bytes of {@code block}. */
    void put(long id, byte[] block, int used);

    /** Removes a block, if it is there. */
    void remove(long id);

    /** The key; null where nothing is kept of it in memory, or where a timer fires and the key has no blocks. */
    Object key();
}
