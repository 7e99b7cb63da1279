package headrace.windows;

import headrace.state.Bytes;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;

/**
 * Where the parts of a row and of a block's summary are, in bytes.
 *
 * <pre>
 * row      time long │ flags: a bit for each column, set if it is null, and one for a query │ words of the columns
 * summary  id long │ queries int │ first time long │ last time long │ partials of the columns
 * </pre>
 */
final class Layout {
    static final int ID = 0;
    static final int QUERIES = 8;
    static final int FIRST = 12;
    static final int LAST = 20;
    private static final int PARTIALS = 28;
    private static final int FLAGS = Long.BYTES;
    private static final int NONE = -1;

    /** How many bytes a row has. */
    final int row;

    /** How many bytes a summary has. */
    final int summary;

    /** How many longs all partials have. */
    final int slots;

    /** The first word of each column's value; {@link #NONE} for a column that is only counted. */
    final int[] word;

    /** The first slot of each kind of partial, by column. */
    final int[][] slotOf;

    private final int columns;
    private final int words;
    private final int firstWord;
    private final Partial[] partials;
    private final int[] slot;
    private final int[] column;

    private Layout(Value[] values, List<EnumSet<Partial.Kind>> kinds) {
        columns = values.length;
        word = new int[columns];
        slotOf = new int[columns][Partial.Kind.values().length];
        List<Partial> found = new ArrayList<>();
        List<int[]> places = new ArrayList<>(); // slot, column
        int usedWords = 0;
        int usedSlots = 0;
        for (int c = 0; c < columns; c++) {
            word[c] = values[c].words() == 0 ? NONE : usedWords;
            usedWords += values[c].words();
            for (Partial.Kind kind : kinds.get(c)) {
                Partial partial = Partial.of(kind, values[c].floating());
                found.add(partial);
                places.add(new int[] {usedSlots, c});
                slotOf[c][kind.ordinal()] = usedSlots;
                usedSlots += partial.slots;
            }
        }
        words = usedWords;
        slots = usedSlots;
        partials = found.toArray(Partial[]::new);
        slot = places.stream().mapToInt(place -> place[0]).toArray();
        column = places.stream().mapToInt(place -> place[1]).toArray();
        firstWord = FLAGS + (columns + 1 + 7) / 8;
        row = firstWord + words * Long.BYTES;
        summary = PARTIALS + slots * Long.BYTES;
    }

    /** For the rows of {@code stage}'s source. */
    static Layout of(Stage stage) {
        List<EnumSet<Partial.Kind>> kinds = new ArrayList<>();
        for (int c = 0; c < stage.values.length; c++) {
            kinds.add(EnumSet.noneOf(Partial.Kind.class));
        }
        for (Stage.Feature feature : stage.features) {
            kinds.get(feature.value()).addAll(feature.call().aggregation().partials);
        }
        return new Layout(stage.values, kinds);
    }

    /** For one value that is never aggregated. */
    static Layout of(Value value) {
        return new Layout(new Value[] {value}, List.of(EnumSet.noneOf(Partial.Kind.class)));
    }

    /** For times, and nothing else. */
    static Layout ofTimes() {
        return new Layout(new Value[0], List.of());
    }

    static long time(byte[] block, int row) {
        return Bytes.getLong(block, row);
    }

    /** How many of the {@code count} rows from {@code start} on have a time of at most {@code time}. */
    int countThrough(byte[] block, int start, int count, long time) {
        int low = 0;
        int high = count;
        int i = count - 1; // most windows end now
        while (low < high) {
            if (time(block, start + i * row) <= time) {
                low = i + 1;
            } else {
                high = i;
            }
            i = (low + high) >>> 1;
        }
        return low;
    }

    boolean isNull(byte[] block, int row, int column) {
        return flag(block, row, column);
    }

    boolean isQuery(byte[] block, int row) {
        return flag(block, row, columns);
    }

    long value(byte[] block, int row, int word) {
        return word == NONE ? 0 : Bytes.getLong(block, row + firstWord + word * Long.BYTES);
    }

    void write(byte[] block, int at, StagedRow staged) {
        Bytes.setLong(block, at, staged.time);
        for (int b = at + FLAGS; b < at + firstWord; b++) {
            block[b] = 0;
        }
        for (int c = 0; c < columns; c++) {
            if (staged.nulls[c]) {
                setFlag(block, at, c);
            }
        }
        if (staged.isQuery) {
            setFlag(block, at, columns);
        }
        for (int w = 0; w < words; w++) {
            Bytes.setLong(block, at + firstWord + w * Long.BYTES, staged.words[w]);
        }
    }

    void clear(long[] state) {
        for (int p = 0; p < partials.length; p++) {
            partials[p].clear(state, slot[p]);
        }
    }

    /** Adds the row at {@code at}, which is older than all that {@code state} has seen. */
    void add(long[] state, byte[] block, int at) {
        for (int p = 0; p < partials.length; p++) {
            int c = column[p];
            if (!flag(block, at, c)) {
                partials[p].add(state, slot[p], value(block, at, word[c]));
            }
        }
    }

    /** Adds the block that is summarised at {@code at}, which is older than all that {@code state} has seen. */
    void merge(long[] state, byte[] node, int at) {
        for (int p = 0; p < partials.length; p++) {
            partials[p].merge(state, slot[p], node, at + PARTIALS + slot[p] * Long.BYTES);
        }
    }

    /** How many values of {@code column}, which has that partial, are in the block that is summarised at {@code at}. */
    long count(byte[] node, int at, int column) {
        return Bytes.getLong(node, at + PARTIALS + slotOf[column][Partial.Kind.COUNT.ordinal()] * Long.BYTES);
    }

    void writePartials(long[] state, byte[] summary) {
        for (int s = 0; s < slots; s++) {
            Bytes.setLong(summary, PARTIALS + s * Long.BYTES, state[s]);
        }
    }

    private static boolean flag(byte[] block, int row, int bit) {
        return (block[row + FLAGS + (bit >> 3)] & 1 << (bit & 7)) != 0;
    }

    private static void setFlag(byte[] block, int row, int bit) {
        block[row + FLAGS + (bit >> 3)] |= (byte) (1 << (bit & 7));
    }
}
