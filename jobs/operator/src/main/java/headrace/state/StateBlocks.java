package headrace.state;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.util.FlinkRuntimeException;

/**
 * The blocks of the current key in Flink's state. Each is read from the state once a row, whichever windows end in it; with a
 * cache, not even that. A block is written at once, except the heads: they are one entry of the state, which {@link #save} writes.
 *
 * <pre>
 * entry    format byte │ length of each head int, 0: there is none │ the key, where something is kept of it │ the heads
 * </pre>
 */
public final class StateBlocks implements Blocks {
    private static final int REMEMBERED = 64; // a power of two: blocks with numbers in a row have places of their own
    private static final long HEADS_ENTRY = 0;
    private static final int LENGTHS = 1; // behind the format
    private static final int BEHIND_LENGTHS = LENGTHS + HEADS * Integer.BYTES;
    private static final int ROOM = 64; // behind a head, in memory: one more row mostly fits

    /** Stands in the cache for a block that is not in the state: looking for one on disk costs more than reading one. */
    private static final byte[] ABSENT = {};

    private final long[] ids = new long[REMEMBERED];
    private final byte[][] blocks = new byte[REMEMBERED][];
    private final byte[][] heads = new byte[HEADS][];
    private final int[] lengths = new int[HEADS];
    private final byte[][] rooms = new byte[HEADS][0];
    private final Key keys;
    private final BlockCache cache;
    private final DataOutputSerializer out = new DataOutputSerializer(64);
    private final DataInputDeserializer in = new DataInputDeserializer();
    private MapView<Long, byte[]> state;
    private GenericRowData key;
    private boolean read;
    private boolean changed;

    /**
     * With no key yet.
     *
     * @param keys the key's columns; null where nothing is kept of a key in memory
     * @param cacheBytes the size of the cache; 0 where the state is in memory already
     */
    public StateBlocks(Key keys, long cacheBytes) {
        this.keys = keys;
        cache = cacheBytes > 0 ? new BlockCache(cacheBytes) : null;
    }

    /**
     * Turns to the key of {@code state}, at the start of a row or of a timer.
     *
     * @param key null where it is not known: it is then read from the state
     */
    public void open(MapView<Long, byte[]> state, GenericRowData key) {
        this.state = state;
        this.key = key;
        read = false;
        changed = false;
        Arrays.fill(blocks, null);
    }

    /** Writes the heads, if one has changed. */
    public void save() {
        if (!changed) {
            return;
        }
        int used = 0;
        for (int length : lengths) {
            used += length;
        }
        if (used == 0) {
            removeEntry(HEADS_ENTRY);
        } else {
            putEntry(HEADS_ENTRY, entryOfHeads(used));
        }
    }

    private byte[] entryOfHeads(int used) {
        out.clear();
        writeKey();
        byte[] entry = new byte[BEHIND_LENGTHS + out.length() + used];
        entry[0] = StateFormat.VERSION;
        System.arraycopy(out.getSharedBuffer(), 0, entry, BEHIND_LENGTHS, out.length());
        int at = BEHIND_LENGTHS + out.length();
        for (int i = 0; i < HEADS; i++) {
            Bytes.setInt(entry, LENGTHS + i * Integer.BYTES, lengths[i]);
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
        byte[] entry = getEntry(HEADS_ENTRY);
        if (entry == null) {
            checkEmpty();
            Arrays.fill(lengths, 0);
            Arrays.fill(heads, null);
            return;
        }
        StateFormat.check(entry);
        int at = readKey(entry);
        for (int i = 0; i < HEADS; i++) {
            int length = Bytes.getInt(entry, LENGTHS + i * Integer.BYTES);
            lengths[i] = length;
            heads[i] = length == 0 ? null : room(i, length);
            if (length > 0) {
                System.arraycopy(entry, at, heads[i], 0, length);
            }
            at += length;
        }
    }

    /** A key without heads has no blocks at all: others would be of a format that this one does not know. */
    private void checkEmpty() {
        boolean empty;
        try {
            empty = state.isEmpty();
        } catch (Exception e) {
            throw new FlinkRuntimeException(e);
        }
        if (!empty) {
            throw StateFormat.refusal("has blocks without their heads");
        }
    }

    private void writeKey() {
        if (keys == null) {
            return;
        }
        try {
            keys.write(key, out);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Gives the place behind the key. */
    private int readKey(byte[] entry) {
        if (keys == null) {
            return BEHIND_LENGTHS;
        }
        try {
            in.setBuffer(entry, BEHIND_LENGTHS, entry.length - BEHIND_LENGTHS);
            key = keys.read(in);
            return in.getPosition();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** An array to read a head of so many bytes into. Keys share it, as no head is kept from one row to the next. */
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
