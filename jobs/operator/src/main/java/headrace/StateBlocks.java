package headrace;

import java.util.Arrays;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.util.FlinkRuntimeException;

/** The blocks of the key that Flink is at; each is read from the state once a row, whichever windows end in it. */
final class StateBlocks implements Blocks {
    private static final int REMEMBERED = 64; // a power of two: blocks that lie together don't meet

    private final long[] ids = new long[REMEMBERED];
    private final byte[][] blocks = new byte[REMEMBERED][];
    private MapView<Long, byte[]> state;

    /** Turns to the key of {@code state}, at the start of a row. */
    StateBlocks open(MapView<Long, byte[]> state) {
        this.state = state;
        Arrays.fill(blocks, null);
        return this;
    }

    @Override
    public byte[] get(long id) {
        int i = (int) id & REMEMBERED - 1;
        if (blocks[i] != null && ids[i] == id) {
            return blocks[i];
        }
        try {
            byte[] block = state.get(id);
            ids[i] = id;
            blocks[i] = block;
            return block;
        } catch (Exception e) {
            throw new FlinkRuntimeException(e);
        }
    }

    @Override
    public void put(long id, byte[] block) {
        int i = (int) id & REMEMBERED - 1;
        ids[i] = id;
        blocks[i] = block;
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
        try {
            state.remove(id);
        } catch (Exception e) {
            throw new FlinkRuntimeException(e);
        }
    }
}
