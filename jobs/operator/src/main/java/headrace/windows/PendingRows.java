package headrace.windows;

import headrace.state.Blocks;
import headrace.state.Bytes;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.apache.flink.core.memory.DataOutputSerializer;

/**
 * The rows of one key that wait for the watermark, in chunks of a few kilobytes that do not overlap in time.
 *
 * <pre>
 * head       the earliest rows        a row that waits behind few others is all in one block
 * directory  (first time, number) of each further chunk, in order
 * chunk      rows from its first time up to the next chunk's
 * </pre>
 */
final class PendingRows {
    /** At equal times rows of other sources come first (rule 6), then the order of arrival counts (rule 3). */
    private static final Comparator<StagedRow> CONTRACT =
            Comparator.<StagedRow>comparingLong(row -> row.time)
                    .thenComparing(row -> row.isQuery || !row.contributes)
                    .thenComparingInt(row -> row.partition)
                    .thenComparingLong(row -> row.offset);

    /** No time: nothing waits, or no timer is set. */
    static final long NOTHING = Long.MAX_VALUE;

    private static final int FULL = 4096;
    private static final int MANY = 512;

    // Of the head alone.
    private static final int TIMER = PendingChunk.HEAD;
    private static final int LAST_NUMBER = TIMER + Long.BYTES;
    private static final int CHUNKS = LAST_NUMBER + Long.BYTES;
    private static final int BOUND = CHUNKS + Integer.BYTES; // the first time of the next chunk

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
            head = PendingChunk.empty();
            setTimer(NOTHING);
        }
    }

    /** The time of the timer that is set; {@link #NOTHING} where none is. */
    long timer() {
        return Bytes.getLong(head, TIMER);
    }

    void setTimer(long time) {
        Bytes.setLong(head, TIMER, time);
    }

    /** Writes the head; other blocks are written as they change. */
    void save() {
        if (PendingChunk.isEmpty(head) && chunks() == 0) {
            blocks.remove(Blocks.WAITING);
        } else {
            blocks.put(Blocks.WAITING, head, PendingChunk.used(head));
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
        add(row.time, out.getSharedBuffer(), out.length());
    }

    /** Whether so many rows wait that those which are ready should be processed, though none is a query. */
    boolean areMany() {
        return chunks() > 0 || PendingChunk.used(head) > MANY;
    }

    /** Takes the earliest rows that the watermark has reached, in order; an empty list where there are none. */
    List<StagedRow> take(long watermark) {
        List<StagedRow> ready = new ArrayList<>();
        do {
            promoteIfEmpty();
            takeFromHead(watermark, ready);
        } while (ready.isEmpty() && PendingChunk.isEmpty(head) && chunks() > 0);
        ready.sort(CONTRACT);
        return ready;
    }

    private void takeFromHead(long watermark, List<StagedRow> ready) {
        int used = PendingChunk.used(head);
        PendingChunk.clear(head);
        for (int row = PendingChunk.ROWS, next; row < used; row = next) {
            next = PendingChunk.next(head, row);
            if (PendingChunk.time(head, row) <= watermark) {
                ready.add(read(row, next));
            } else {
                PendingChunk.keep(head, row, next - row);
            }
        }
    }

    /** The time of the earliest row; {@link #NOTHING} where none waits. */
    long earliest() {
        promoteIfEmpty();
        long earliest = NOTHING;
        for (int row = PendingChunk.ROWS; row < PendingChunk.used(head); row = PendingChunk.next(head, row)) {
            earliest = Math.min(earliest, PendingChunk.time(head, row));
        }
        return earliest;
    }

    /** When rows are to be taken next: at the time of the earliest query; but no later than when a further chunk begins. */
    long nextTimer() {
        promoteIfEmpty();
        long next = chunks() > 0 ? Bytes.getLong(head, BOUND) : NOTHING;
        for (int row = PendingChunk.ROWS; row < PendingChunk.used(head); row = PendingChunk.next(head, row)) {
            if (RowCodec.isQuery(head, row + Integer.BYTES)) {
                next = Math.min(next, PendingChunk.time(head, row));
            }
        }
        return next;
    }

    /** Puts a row into its chunk, or into one half of it, if it is full. */
    private void add(long time, byte[] row, int length) {
        int place = place(time);
        byte[] chunk = chunk(place);
        boolean full = !PendingChunk.isEmpty(chunk) && PendingChunk.used(chunk) + length > FULL;
        if (full && split(place, chunk, time)) {
            add(time, row, length);
            return;
        }
        keep(place, PendingChunk.append(chunk, row, 0, length));
    }

    /** Makes a chunk behind that at {@code place}, for a row of {@code time}; false where all rows there are of one time. */
    private boolean split(int place, byte[] chunk, long time) {
        if (time > PendingChunk.greatest(chunk)) { // in order of time chunks stay full
            enter(place, time, PendingChunk.empty());
            return true;
        }
        long middle = PendingChunk.middle(chunk);
        if (middle == Long.MIN_VALUE) {
            return false;
        }
        byte[] later = PendingChunk.splitAt(chunk, middle);
        keep(place, chunk);
        enter(place, middle, later);
        return true;
    }

    /** The place of the chunk for rows of {@code time}: 0 is the head, those from 1 on are in the directory. */
    private int place(long time) {
        if (chunks() == 0 || time < Bytes.getLong(head, BOUND)) {
            return 0;
        }
        byte[] directory = blocks.get(Blocks.DIRECTORY);
        int place = chunks();
        while (bound(directory, place - 1) > time) {
            place--;
        }
        return place;
    }

    private byte[] chunk(int place) {
        return place == 0 ? head : blocks.get(id(blocks.get(Blocks.DIRECTORY), place - 1));
    }

    private void keep(int place, byte[] chunk) {
        if (place == 0) {
            head = chunk;
        } else {
            blocks.put(id(blocks.get(Blocks.DIRECTORY), place - 1), chunk);
        }
    }

    /** Enters a new chunk of rows from {@code bound} on behind that at {@code place}. */
    private void enter(int place, long bound, byte[] chunk) {
        long number = Bytes.getLong(head, LAST_NUMBER) + 1;
        Bytes.setLong(head, LAST_NUMBER, number);
        blocks.put(Blocks.DIRECTORY + number, chunk);
        byte[] old = chunks() == 0 ? new byte[0] : blocks.get(Blocks.DIRECTORY);
        int at = place * ENTRY;
        byte[] directory = new byte[old.length + ENTRY];
        System.arraycopy(old, 0, directory, 0, at);
        Bytes.setLong(directory, at, bound);
        Bytes.setLong(directory, at + Long.BYTES, Blocks.DIRECTORY + number);
        System.arraycopy(old, at, directory, at + ENTRY, old.length - at);
        keepDirectory(directory);
    }

    /** Makes the first further chunk the head, if no row is left there. */
    private void promoteIfEmpty() {
        if (!PendingChunk.isEmpty(head) || chunks() == 0) {
            return;
        }
        byte[] directory = blocks.get(Blocks.DIRECTORY);
        long id = id(directory, 0);
        byte[] chunk = blocks.get(id);
        System.arraycopy(head, TIMER, chunk, TIMER, PendingChunk.ROWS - TIMER);
        head = chunk;
        blocks.remove(id);
        keepDirectory(Arrays.copyOfRange(directory, ENTRY, directory.length));
    }

    private void keepDirectory(byte[] directory) {
        Bytes.setInt(head, CHUNKS, directory.length / ENTRY);
        if (directory.length == 0) {
            blocks.remove(Blocks.DIRECTORY);
            return;
        }
        Bytes.setLong(head, BOUND, bound(directory, 0));
        blocks.put(Blocks.DIRECTORY, directory);
    }

    private StagedRow read(int row, int next) {
        int start = row + Integer.BYTES;
        try {
            return codec.read(head, start, next - start);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private int chunks() {
        return Bytes.getInt(head, CHUNKS);
    }

    private static long bound(byte[] directory, int i) {
        return Bytes.getLong(directory, i * ENTRY);
    }

    private static long id(byte[] directory, int i) {
        return Bytes.getLong(directory, i * ENTRY + Long.BYTES);
    }
}
