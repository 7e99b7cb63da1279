package headrace;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.util.FlinkRuntimeException;

/**
 * The blocks of the key that Flink is at. Each is read from the state once a row, whichever windows end in it; with a cache, not
 * even that. All is written at once, but for the heads, which are one entry of the state and wait for {@link #save}.
 *
 * <pre>
 * heads    length int of each, 0: there is none │ the key, where something is kept of it │ one behind the other
 * </pre>
 */
final class StateBlocks implements Blocks {
    private static final int REMEMBERED = 64; // a power of two: blocks that lie together don't meet
    private static final long TOGETHER = 0; // the number of the heads' entry
    private static final int LENGTHS = HEADS * Integer.BYTES;
    private static final int ROOM = 64; // behind a head, in memory: one more row mostly fits

    /** Stands in the cache for a block that is not in the state: to look for one on disk costs more than to read one. */
    private static final byte[] ABSENT = {};

    private final long[] ids = new long[REMEMBERED];
    private final byte[][] blocks = new byte[REMEMBERED][];
    private final byte[][] heads = new byte[HEADS][];
    private final int[] lengths = new int[HEADS];
    private final byte[][] rooms = new byte[HEADS][0];
    private final Key keys;
    private final boolean keyed;
    private final BlockCache cache;
    private final DataOutputSerializer out = new DataOutputSerializer(64);
    private final DataInputDeserializer in = new DataInputDeserializer();
    private MapView<Long, byte[]> state;
    private GenericRowData key;
    private boolean read;
    private boolean changed;

    /** With the stage's cache; none, where the state is in memory as it is. */
    StateBlocks(Stage stage) {
        keys = stage.key;
        keyed = stage.keyed;
        cache = stage.cache > 0 ? new BlockCache(stage.cache) : null;
    }

    /**
     * Turns to the key of {@code state}, at the start of a row.
     *
     * @param key null where it is not known: it is then read from the state
     */
    void open(MapView<Long, byte[]> state, GenericRowData key) {
        this.state = state;
        this.key = key;
        read = false;
        changed = false;
        Arrays.fill(blocks, null);
    }

    /** Writes the heads, if one has changed. */
    void save() {
        if (!changed) {
            return;
        }
        int used = LENGTHS;
        for (int length : lengths) {
            used += length;
        }
        if (used == LENGTHS) {
            removeEntry(TOGETHER);
        } else {
            putEntry(TOGETHER, together(used));
        }
    }

    private byte[] together(int used) {
        out.clear();
        if (keyed) {
            try {
                keys.write(key, out);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        byte[] entry = new byte[used + out.length()];
        System.arraycopy(out.getSharedBuffer(), 0, entry, LENGTHS, out.length());
        int at = LENGTHS + out.length();
        for (int i = 0; i < HEADS; i++) {
            Bytes.setInt(entry, i * Integer.BYTES, lengths[i]);
            if (lengths[i] > 0) {
                System.arraycopy(heads[i], 0, entry, at, lengths[i]);
            }
            at += lengths[i];
        }
        return entry;
    }

    private void readHeads() {
        if (read) {
            return;
        }
        read = true;
        byte[] entry = getEntry(TOGETHER);
        int at = LENGTHS;
        if (entry != null && keyed) {
            try {
                in.setBuffer(entry, LENGTHS, entry.length - LENGTHS);
                key = keys.read(in);
                at = in.getPosition();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        for (int i = 0; i < HEADS; i++) {
            int length = entry == null ? 0 : Bytes.getInt(entry, i * Integer.BYTES);
            lengths[i] = length;
            heads[i] = length == 0 ? null : room(i, length);
            if (length > 0) {
                System.arraycopy(entry, at, heads[i], 0, length);
            }
            at += length;
        }
    }

    /** Where a head of so many bytes is read to, whichever key it is of: none is kept from one row to the next. */
    private byte[] room(int head, int length) {
        if (rooms[head].length < length + ROOM) {
            rooms[head] = new byte[2 * (length + ROOM)];
        }
        return rooms[head];
    }

    @Override
    public byte[] get(long id) {
        if (isHead(id)) {
            readHeads();
            return heads[(int) id];
        }
        int i = (int) id & REMEMBERED - 1;
        if (blocks[i] == null || ids[i] != id) {
            ids[i] = id;
            blocks[i] = getEntry(id);
        }
        return blocks[i];
    }

    @Override
    public void put(long id, byte[] block, int used) {
        readHeads();
        heads[(int) id] = block;
        lengths[(int) id] = used;
        changed = true;
    }

    @Override
    public void put(long id, byte[] block) {
        int i = (int) id & REMEMBERED - 1;
        ids[i] = id;
        blocks[i] = block;
        putEntry(id, block);
    }

    @Override
    public void remove(long id) {
        if (isHead(id)) {
            readHeads();
            changed |= heads[(int) id] != null;
            heads[(int) id] = null;
            lengths[(int) id] = 0;
            return;
        }
        int i = (int) id & REMEMBERED - 1;
        if (ids[i] == id) {
            blocks[i] = null;
        }
        removeEntry(id);
    }

    @Override
    public Object key() {
        readHeads();
        return key;
    }

    private static boolean isHead(long id) {
        return 0 <= id && id < HEADS;
    }

    private byte[] getEntry(long id) {
        byte[] entry = cache == null || key == null ? null : cache.get(key, id);
        if (entry != null) {
            return entry == ABSENT ? null : entry;
        }
        try {
            entry = state.get(id);
        } catch (Exception e) {
            throw new FlinkRuntimeException(e);
        }
        if (cache != null && key != null) {
            cache.put(key, id, entry == null ? ABSENT : entry);
        }
        return entry;
    }

    private void putEntry(long id, byte[] entry) {
        if (cache != null) {
            cache.put(key, id, entry);
        }
        try {
            state.put(id, entry);
        } catch (Exception e) {
            throw new FlinkRuntimeException(e);
        }
    }

    private void removeEntry(long id) {
        if (cache != null) {
            cache.put(key, id, ABSENT);
        }
        try {
            state.remove(id);
        } catch (Exception e) {
            throw new FlinkRuntimeException(e);
        }
    }
}
