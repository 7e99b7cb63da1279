package headrace.windows;

import headrace.state.Bytes;
import java.util.Arrays;

/**
 * A chunk of waiting rows, as bytes: rows of some span of time, in the order in which they arrived.
 *
 * <pre>
 * used int │ greatest time long │ what only the head needs: see {@link PendingRows} │ rows
 * row      length int │ time long │ …
 * </pre>
 */
final class PendingChunk {
    private static final int USED = 0;
    private static final int GREATEST = 4;

    /** Where the part that only the head needs begins. */
    static final int HEAD = 12;

    /** Where the rows begin. */
    static final int ROWS = 40;

    private PendingChunk() {}

    static byte[] empty() {
        byte[] chunk = new byte[ROWS];
        Bytes.setInt(chunk, USED, ROWS);
        Bytes.setLong(chunk, GREATEST, Long.MIN_VALUE);
        return chunk;
    }

    static boolean isEmpty(byte[] chunk) {
        return used(chunk) == ROWS;
    }

    /** How many bytes are used; the place behind the last row. */
    static int used(byte[] chunk) {
        return Bytes.getInt(chunk, USED);
    }

    /** The greatest time of a row; the least long where there is none. */
    static long greatest(byte[] chunk) {
        return Bytes.getLong(chunk, GREATEST);
    }

    /** The place behind the row at {@code row}. */
    static int next(byte[] chunk, int row) {
        return row + Integer.BYTES + Bytes.getInt(chunk, row);
    }

    static long time(byte[] chunk, int row) {
        return Bytes.getLong(chunk, row + Integer.BYTES);
    }

    /** Appends a row, whose {@code length} bytes are at {@code start}; gives the chunk, which may have moved. */
    static byte[] append(byte[] chunk, byte[] row, int start, int length) {
        int used = used(chunk);
        byte[] target = used + length <= chunk.length ? chunk : Arrays.copyOf(chunk, 2 * used + length);
        System.arraycopy(row, start, target, used, length);
        Bytes.setInt(target, USED, used + length);
        Bytes.setLong(target, GREATEST, Math.max(greatest(target), time(target, used)));
        return target;
    }

    /** Takes out the rows from {@code bound} on; gives them as a chunk of their own. */
    static byte[] splitAt(byte[] chunk, long bound) {
        byte[] later = empty();
        int used = used(chunk);
        clear(chunk);
        for (int row = ROWS, next; row < used; row = next) {
            next = next(chunk, row);
            if (time(chunk, row) >= bound) {
                later = append(later, chunk, row, next - row);
            } else {
                keep(chunk, row, next - row);
            }
        }
        return later;
    }

    /** Makes the chunk one of no rows; those that it had can be read until {@link #keep} moves others over them. */
    static void clear(byte[] chunk) {
        Bytes.setInt(chunk, USED, ROWS);
        Bytes.setLong(chunk, GREATEST, Long.MIN_VALUE);
    }

    /** Moves a row of {@code length} bytes forward, behind those that are kept. */
    static void keep(byte[] chunk, int row, int length) {
        append(chunk, chunk, row, length);
    }

    /** A time that about half of the rows precede, and at least one; the least long where all are of one time. */
    static long middle(byte[] chunk) {
        long[] times = new long[used(chunk) / Integer.BYTES];
        int count = 0;
        for (int row = ROWS; row < used(chunk); row = next(chunk, row)) {
            times[count++] = time(chunk, row);
        }
        Arrays.sort(times, 0, count);
        int i = count / 2;
        while (i < count && times[i] == times[0]) {
            i++;
        }
        return i == count ? Long.MIN_VALUE : times[i];
    }
}
