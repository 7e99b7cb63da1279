package headrace.state;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** Blocks in memory. With copies, a block that is changed and not put is not changed, as in RocksDB. */
public final class MemoryBlocks implements Blocks {
    public final Map<Long, byte[]> blocks = new HashMap<>();
    private final boolean copies;

    public MemoryBlocks(boolean copies) {
        this.copies = copies;
    }

    @Override
    public byte[] get(long id) {
        return copy(blocks.get(id));
    }

    @Override
    public void put(long id, byte[] block) {
        blocks.put(id, copy(block));
    }

    @Override
    public void put(long id, byte[] block, int used) {
        blocks.put(id, Arrays.copyOf(block, used));
    }

    @Override
    public void remove(long id) {
        blocks.remove(id);
    }

    @Override
    public Object key() {
        return this;
    }

    public long size() {
        return blocks.values().stream().mapToLong(block -> block.length).sum();
    }

    private byte[] copy(byte[] block) {
        return copies && block != null ? block.clone() : block;
    }
}
