package headrace.state;

import java.util.HashSet;
import java.util.Set;

/** Counts what a row moves from and to the state; as {@link StateBlocks} has it, each block is read once a row. */
public final class CountedBlocks implements Blocks {
    private final MemoryBlocks blocks;

    /** The blocks that the row has read, whether they were there or not. */
    public final Set<Long> read = new HashSet<>();

    /** Blocks and bytes that were read, blocks and bytes that were written, by all rows. */
    public final long[] moved = new long[4];

    public CountedBlocks(MemoryBlocks blocks) {
        this.blocks = blocks;
    }

    public void nextRow() {
        read.clear();
    }

    @Override
    public byte[] get(long id) {
        byte[] block = blocks.get(id);
        if (read.add(id) && block != null) {
            moved[0]++;
            moved[1] += block.length;
        }
        return block;
    }

    @Override
    public void put(long id, byte[] block) {
        moved[2]++;
        moved[3] += block.length;
        blocks.put(id, block);
    }

    @Override
    public void put(long id, byte[] block, int used) {
        moved[2]++;
        moved[3] += used;
        blocks.put(id, block, used);
    }

    @Override
    public void remove(long id) {
        blocks.remove(id);
    }

    @Override
    public Object key() {
        return blocks.key();
    }
}
