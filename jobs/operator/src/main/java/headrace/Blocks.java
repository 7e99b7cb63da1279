package headrace;

/** The blocks of one key in the state, by number. */
interface Blocks {
    /** The block, which the caller may change if it then puts it; null if there is none. */
    byte[] get(long id);

    void put(long id, byte[] block);

    void remove(long id);
}
