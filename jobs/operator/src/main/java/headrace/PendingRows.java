package headrace;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.apache.flink.core.memory.DataOutputSerializer;

/**
 * The rows of one key that wait for the watermark, in chunks of a few kilobytes that don't overlap in time. Within a chunk they
 * lie as they came, and are put in order when they are ready.
 *
 * <pre>
 * head       header │ the earliest rows        one that waits behind few others is one block
 * directory  (first time, number) of each further chunk, in order
 * chunk      header │ rows from its first time up to the next chunk's
 * </pre>
 */
final class PendingRows {
    /** At equal times rows of other sources come first (rule 6), then the order of arrival (rule 3). */
    private static final Comparator<StagedRow> CONTRACT =
            Comparator.<StagedRow>comparingLong(row -> row.time)
                    .thenComparing(row -> row.asks || !row.contributes)
                    .thenComparingInt(row -> row.partition)
                    .thenComparingLong(row -> row.offset);

    /** No time: nothing waits, or no timer is set. */
    static final long NOTHING = Long.MAX_VALUE;

    static final long DIRECTORY = 1L << 62;
    private static final int FULL = 4096;
    private static final int MANY = 512;

    // A chunk: how many bytes are used, the greatest time; the head also what follows.
    private static final int USED = 0;
    private static final int GREATEST = 4;
    private static final int TIMER = 12;
    private static final int NEXT_ID = 20;
    private static final int CHUNKS = 28;
    private static final int BOUND = 32;
    private static final int ROWS = 40;

    private static final int ENTRY = 2 * Long.BYTES; // of the directory

    private final RowCodec codec;
    private final DataOutputSerializer out = new DataOutputSerializer(256);
    private Blocks blocks;
    private byte[] head;

    PendingRows(Stage stage) {
        codec = new RowCodec(stage);
    }

    /** Turns to the key whose blocks these are. */
    void open(Blocks blocks) {
        this.blocks = blocks;
        head = blocks.get(Blocks.WAITING);
        if (head == null) {
            head = emptyChunk(ROWS);
            Bytes.setLong(head, TIMER, NOTHING);
        }
    }

    /** The time of the timer that is set; {@link #NOTHING} where none is. */
    long timer() {
        return Bytes.getLong(head, TIMER);
    }

    void setTimer(long time) {
        Bytes.setLong(head, TIMER, time);
    }

    /** Keeps what has changed. */
    void save() {
        if (used(head) == ROWS && chunks() == 0) {
            blocks.remove(Blocks.WAITING);
        } else {
            blocks.put(Blocks.WAITING, head, used(head));
        }
    }

    void add(StagedRow row) {
        try {
            out.clear();
            out.writeInt(0);
            codec.write(row, out);
            out.writeIntUnsafe(out.length() - Integer.BYTES, 0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        add(row.time, out.getSharedBuffer(), 0, out.length());
    }

    /** Whether so many rows wait that those which are ready should be taken, though none of them asks. */
    boolean areMany() {
        return chunks() > 0 || used(head) > MANY;
    }

    /** The earliest rows that the watermark has reached, in order, which then no longer wait; none left: an empty list. */
    List<StagedRow> take(long watermark) {
        List<StagedRow> ready = new ArrayList<>();
        while (ready.isEmpty()) {
            if (used(head) == ROWS && chunks() > 0) {
                promote();
            }
            int kept = ROWS;
            int used = used(head);
            for (int at = ROWS; at < used; ) {
                int size = Integer.BYTES + Bytes.getInt(head, at);
                if (time(head, at) <= watermark) {
                    ready.add(read(head, at));
                } else {
                    System.arraycopy(head, at, head, kept, size);
                    kept += size;
                }
                at += size;
            }
            Bytes.setInt(head, USED, kept);
            if (kept > ROWS || chunks() == 0) {
                break;
            }
        }
        ready.sort(CONTRACT);
        return ready;
    }

    /** The time of the earliest row; {@link #NOTHING} where none waits. */
    long earliest() {
        return earliest(false);
    }

    /** When to take rows next: at the time of the earliest that asks, at the latest; those that don't can wait for it. */
    long earliestToAsk() {
        return Math.min(earliest(true), chunks() > 0 ? Bytes.getLong(head, BOUND) : NOTHING);
    }

    private long earliest(boolean asking) {
        if (used(head) == ROWS && chunks() > 0) {
            promote();
        }
        long earliest = NOTHING;
        for (int at = ROWS; at < used(head); at += Integer.BYTES + Bytes.getInt(head, at)) {
            if (!asking || RowCodec.asks(head, at + Integer.BYTES)) {
                earliest = Math.min(earliest, time(head, at));
            }
        }
        return earliest;
    }

    private void add(long time, byte[] row, int start, int length) {
        if (chunks() == 0 || time < Bytes.getLong(head, BOUND)) {
            if (used(head) + length <= FULL || !split(0, head, time)) {
                head = append(head, time, row, start, length);
            } else {
                add(time, row, start, length);
            }
            return;
        }
        byte[] directory = blocks.get(DIRECTORY);
        int i = chunks() - 1;
        while (bound(directory, i) > time) {
            i--;
        }
        byte[] chunk = blocks.get(id(directory, i));
        if (used(chunk) + length <= FULL || !split(i + 1, chunk, time)) {
            blocks.put(id(directory, i), append(chunk, time, row, start, length));
        } else {
            add(time, row, start, length);
        }
    }

    /**
     * Makes a new chunk behind {@code chunk}, for a row of {@code time}: empty if it is later than all, else with the later half
     * of the rows. False where all are of one time: they stay together.
     *
     * @param next the new chunk's place in the directory
     */
    private boolean split(int next, byte[] chunk, long time) {
        byte[] made = emptyChunk(ROWS);
        long bound = time;
        if (time <= Bytes.getLong(chunk, GREATEST)) {
            bound = middle(chunk);
            if (bound == Long.MIN_VALUE) {
                return false;
            }
            int kept = ROWS;
            long greatest = Long.MIN_VALUE;
            int used = used(chunk);
            for (int at = ROWS; at < used; ) {
                int size = Integer.BYTES + Bytes.getInt(chunk, at);
                long of = time(chunk, at);
                if (of >= bound) {
                    made = append(made, of, chunk, at, size);
                } else {
                    System.arraycopy(chunk, at, chunk, kept, size);
                    kept += size;
                    greatest = Math.max(greatest, of);
                }
                at += size;
            }
            Bytes.setInt(chunk, USED, kept);
            Bytes.setLong(chunk, GREATEST, greatest);
            if (next > 0) {
                blocks.put(id(blocks.get(DIRECTORY), next - 1), chunk);
            }
        }
        long id = DIRECTORY + 1 + Bytes.getLong(head, NEXT_ID);
        Bytes.setLong(head, NEXT_ID, id - DIRECTORY);
        blocks.put(id, made);
        enter(next, bound, id);
        return true;
    }

    /** A time that about half of the rows come before, and at least one; the least long where all are of one time. */
    private static long middle(byte[] chunk) {
        long[] times = new long[used(chunk) / Integer.BYTES];
        int count = 0;
        for (int at = ROWS; at < used(chunk); at += Integer.BYTES + Bytes.getInt(chunk, at)) {
            times[count++] = time(chunk, at);
        }
        Arrays.sort(times, 0, count);
        int i = count / 2;
        while (i < count && times[i] == times[0]) {
            i++;
        }
        return i == count ? Long.MIN_VALUE : times[i];
    }

    private void enter(int place, long bound, long id) {
        int chunks = chunks();
        byte[] old = chunks == 0 ? new byte[0] : blocks.get(DIRECTORY);
        byte[] directory = new byte[old.length + ENTRY];
        System.arraycopy(old, 0, directory, 0, place * ENTRY);
        Bytes.setLong(directory, place * ENTRY, bound);
        Bytes.setLong(directory, place * ENTRY + Long.BYTES, id);
        System.arraycopy(old, place * ENTRY, directory, (place + 1) * ENTRY, old.length - place * ENTRY);
        keep(directory);
    }

    /** The first chunk takes the place of the head's rows, which are gone. */
    private void promote() {
        byte[] directory = blocks.get(DIRECTORY);
        long id = id(directory, 0);
        byte[] chunk = blocks.get(id);
        System.arraycopy(head, TIMER, chunk, TIMER, ROWS - TIMER);
        head = chunk;
        blocks.remove(id);
        keep(Arrays.copyOfRange(directory, ENTRY, directory.length));
    }

    private void keep(byte[] directory) {
        Bytes.setInt(head, CHUNKS, directory.length / ENTRY);
        if (directory.length == 0) {
            blocks.remove(DIRECTORY);
        } else {
            Bytes.setLong(head, BOUND, bound(directory, 0));
            blocks.put(DIRECTORY, directory);
        }
    }

    private static byte[] emptyChunk(int room) {
        byte[] chunk = new byte[room];
        Bytes.setInt(chunk, USED, ROWS);
        Bytes.setLong(chunk, GREATEST, Long.MIN_VALUE);
        return chunk;
    }

    private static byte[] append(byte[] chunk, long time, byte[] row, int start, int length) {
        int used = used(chunk);
        byte[] target = used + length <= chunk.length ? chunk : Arrays.copyOf(chunk, 2 * used + length);
        System.arraycopy(row, start, target, used, length);
        Bytes.setInt(target, USED, used + length);
        Bytes.setLong(target, GREATEST, Math.max(Bytes.getLong(target, GREATEST), time));
        return target;
    }

    private StagedRow read(byte[] chunk, int at) {
        try {
            return codec.read(chunk, at + Integer.BYTES, Bytes.getInt(chunk, at));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private int chunks() {
        return Bytes.getInt(head, CHUNKS);
    }

    private static int used(byte[] chunk) {
        return Bytes.getInt(chunk, USED);
    }

    private static long time(byte[] chunk, int row) {
        return Bytes.getLong(chunk, row + Integer.BYTES);
    }

    private static long bound(byte[] directory, int i) {
        return Bytes.getLong(directory, i * ENTRY);
    }

    private static long id(byte[] directory, int i) {
        return Bytes.getLong(directory, i * ENTRY + Long.BYTES);
    }
}
