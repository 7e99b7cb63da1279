package headrace;

import java.util.Arrays;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.util.FlinkRuntimeException;

/**
 * The blocks of the key that Flink is at. Each is read from the state once a row, whichever windows end in it; with a cache, not
 * even that. All is written at once.
 */
final class StateBlocks implements Blocks {
    private static final int REMEMBERED = 64; // a power of two: blocks that lie together don't meet

    /** Stands in the cache for a block that is not in the state: to look for one on disk costs more than to read one. */
    private static final byte[] ABSENT = {};

    private final long[] ids = new long[REMEMBERED];
    private final byte[][] blocks = new byte[REMEMBERED][];
    private final BlockCache cache;
    private MapView<Long, byte[]> state;
    private Object key;

    /** With a cache of so many bytes; none, where the state is in memory as it is. */
    StateBlocks(long cache) {
        this.cache = cache == 0 ? null : new BlockCache(cache);
    }

    /**
     * Turns to the key of {@code state}, at the start of a row.
     *
     * @param key null where it is not known: its blocks are then not cached, and a change empties the cache
     */
    StateBlocks open(MapView<Long, byte[]> state, Object key) {
        this.state = state;
        this.key = key;
        Arrays.fill(blocks, null);
        return this;
    }

    /** Says which key {@link #open} has turned to, before anything is changed. */
    void know(Object key) {
        this.key = key;
    }

    @Override
    public byte[] get(long id) {
        int i = (int) id & REMEMBERED - 1;
        if (blocks[i] == null || ids[i] != id) {
            ids[i] = id;
            blocks[i] = read(id);
        }
        return blocks[i];
    }

    private byte[] read(long id) {
        byte[] block = cache == null || key == null ? null : cache.get(key, id);
        if (block != null) {
            return block == ABSENT ? null : block;
        }
        try {
            block = state.get(id);
        } catch (Exception e) {
            throw new FlinkRuntimeException(e);
        }
        if (cache != null && key != null) {
            cache.put(key, id, block == null ? ABSENT : block);
        }
        return block;
    }

    @Override
    public void put(long id, byte[] block) {
        int i = (int) id & REMEMBERED - 1;
        ids[i] = id;
        blocks[i] = block;
        if (cache != null && key != null) {
            cache.put(key, id, block);
        } else if (cache != null) {
            cache.clear();
        }
        try {
            state.put(id, block);
        } catch (Exception e) {
            throw new FlinkRuntimeException(e);
        }
    }

    @Override
    public void remove(long id) {
        int i = (int) id & REMEMBERED - 1;
        if (ids[i] == id) {
            blocks[i] = null;
        }
        if (cache != null && key != null) {
            cache.put(key, id, ABSENT);
        } else if (cache != null) {
            cache.clear();
        }
        try {
            state.remove(id);
        } catch (Exception e) {
            throw new FlinkRuntimeException(e);
        }
    }
}
