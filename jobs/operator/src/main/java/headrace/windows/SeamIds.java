package headrace.windows;

import headrace.state.Blocks;
import java.util.Arrays;

/**
 * The ids of a key's rows of history, with their times: a row that the topic has too counts once (docs/backfill.md).
 *
 * <p>They are kept as the rows are, in a {@link RowTree} of their own, and forgotten with them, or once the rows from before the seam
 * are too old. A row from behind the seam never looks at them.
 */
final class SeamIds {
    private final Stage stage;
    private final Value id;
    private final StagedRow row;
    private final RowTree ids;
    private final long[] wanted;

    SeamIds(Stage stage, int leafRows, int fanout) {
        this.stage = stage;
        id = new Value(0, stage.id.type(), stage.id.words());
        row = new StagedRow(stage.id.words());
        wanted = new long[stage.id.words()];
        ids = new RowTree(Layout.of(id), stage.retention, Blocks.ROWS, leafRows, fanout);
    }

    /** Notes a row of history. */
    void add(Blocks blocks, StagedRow contributing) {
        open(blocks);
        row.time = contributing.time;
        System.arraycopy(contributing.id, 0, row.words, 0, row.words.length);
        ids.advance(row.time);
        ids.insert(row);
        ids.save();
    }

    /** Whether {@code live}, of the topic, has been counted as a row of history. */
    boolean has(Blocks blocks, StagedRow live) {
        if (!live.contributes || live.time >= stage.seam) {
            return false;
        }
        open(blocks);
        return !ids.visit((block, at) -> !isOf(live, block, at), live.time - 1, live.time);
    }

    private boolean isOf(StagedRow live, byte[] block, int at) {
        for (int w = 0; w < wanted.length; w++) {
            wanted[w] = ids.value(block, at, w);
        }
        return Arrays.equals(wanted, live.id);
    }

    /** Forgets all of a key; false where there were none. */
    boolean clear(Blocks blocks) {
        open(blocks);
        if (ids.isEmpty()) {
            return false;
        }
        ids.clear();
        return true;
    }

    private void open(Blocks blocks) {
        ids.open(new Aside(blocks), Long.MIN_VALUE);
    }

    /** The blocks from {@link Blocks#IDS} on, numbered from 0; the head is one of them. */
    private record Aside(Blocks blocks) implements Blocks {
        @Override
        public byte[] get(long id) {
            return blocks.get(IDS + id);
        }

        @Override
        public void put(long id, byte[] block) {
            blocks.put(IDS + id, block);
        }

        @Override
        public void put(long id, byte[] block, int used) {
            blocks.put(IDS + id, Arrays.copyOf(block, used));
        }

        @Override
        public void remove(long id) {
            blocks.remove(IDS + id);
        }

        @Override
        public Object key() {
            return blocks.key();
        }
    }
}
