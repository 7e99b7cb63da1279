package headrace.state;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/** The most recently used blocks of all keys, up to a number of bytes: a state on disk is not read for them. */
final class BlockCache {
    private static final int OVERHEAD = 128; // of an entry, about

    private record Place(Object key, long id) {}

    private final LinkedHashMap<Place, byte[]> blocks = new LinkedHashMap<>(16, 0.75f, true);
    private final long room;
    private long used;

    BlockCache(long room) {
        this.room = room;
    }

    byte[] get(Object key, long id) {
        return blocks.get(new Place(key, id));
    }

    void put(Object key, long id, byte[] block) {
        byte[] before = blocks.put(new Place(key, id), block);
        used += size(block) - (before == null ? 0 : size(before));
        for (Iterator<Map.Entry<Place, byte[]>> oldest = blocks.entrySet().iterator(); used > room; ) {
            used -= size(oldest.next().getValue());
            oldest.remove();
        }
    }

    private static int size(byte[] block) {
        return block.length + OVERHEAD;
    }
}
