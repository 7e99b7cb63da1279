package headrace;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The retained rows of one key in one array of bytes, ordered by time and then by arrival.
 *
 * <pre>
 *  start int │ count int │ evicted long │ … gone … │ row │ row │ row │ … room …
 *                                                    └ time long │ nulls, a bit a column │ a long a column
 * </pre>
 *
 * <p>One array is one object to Flink's state: to read it costs no decoding, to write it one copy.
 */
final class RowLog {
    private static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle INTS = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);
    private static final int HEADER = 16;
    private static final int FIRST_ROOM = 4;

    private final int columns;
    private final int nullBytes;
    private final int width;
    private byte[] bytes;
    private int start;
    private int count;

    RowLog(int columns) {
        this.columns = columns;
        nullBytes = (columns + 7) / 8;
        width = Long.BYTES + nullBytes + columns * Long.BYTES;
    }

    /** Looks at {@code state}, or at an empty log where it is null. */
    void wrap(byte[] state) {
        if (state == null) {
            bytes = new byte[HEADER + FIRST_ROOM * width];
            LONGS.set(bytes, 8, Long.MIN_VALUE);
            start = 0;
            count = 0;
            return;
        }
        bytes = state;
        start = (int) INTS.get(bytes, 0);
        count = (int) INTS.get(bytes, 4);
    }

    /** The array to keep. */
    byte[] unwrap() {
        INTS.set(bytes, 0, start);
        INTS.set(bytes, 4, count);
        return bytes;
    }

    int count() {
        return count;
    }

    /** The time of row {@code i}, 0 being the oldest. */
    long time(int i) {
        return (long) LONGS.get(bytes, at(i));
    }

    boolean isNull(int i, int column) {
        return (bytes[at(i) + Long.BYTES + (column >> 3)] & 1 << (column & 7)) != 0;
    }

    long value(int i, int column) {
        return (long) LONGS.get(bytes, at(i) + Long.BYTES + nullBytes + column * Long.BYTES);
    }

    /** The time of the newest row that was ever evicted, or the smallest long. */
    long evictedThrough() {
        return (long) LONGS.get(bytes, 8);
    }

    /** How many rows have a time of at most {@code time}. */
    int countThrough(long time) {
        int low = 0;
        int high = count;
        int i = count - 1; // most questions are about now
        while (low < high) {
            if (time(i) <= time) {
                low = i + 1;
            } else {
                high = i;
            }
            i = (low + high) >>> 1;
        }
        return low;
    }

    /** Adds a row behind all rows of its time or before (rule 3). */
    void insert(long time, long[] values, boolean[] nulls) {
        makeRoom();
        int i = countThrough(time);
        int at = at(i);
        System.arraycopy(bytes, at, bytes, at + width, (count - i) * width);
        count++;
        LONGS.set(bytes, at, time);
        Arrays.fill(bytes, at + Long.BYTES, at + Long.BYTES + nullBytes, (byte) 0);
        for (int c = 0; c < columns; c++) {
            if (nulls[c]) {
                bytes[at + Long.BYTES + (c >> 3)] |= (byte) (1 << (c & 7));
            }
            LONGS.set(bytes, at + Long.BYTES + nullBytes + c * Long.BYTES, values[c]);
        }
    }

    /** Forgets the rows with a time of at most {@code time}. */
    void evictThrough(long time) {
        int gone = 0;
        while (gone < count && time(gone) <= time) {
            gone++;
        }
        if (gone > 0) {
            LONGS.set(bytes, 8, Math.max(evictedThrough(), time(gone - 1)));
            start += gone;
            count -= gone;
        }
    }

    private int at(int i) {
        return HEADER + (start + i) * width;
    }

    private void makeRoom() {
        if (at(count) + width <= bytes.length) {
            return;
        }
        // As much again: a row is moved once for each that comes, and a log with fewer rows gives its room back.
        int room = 2 * Math.max(count, FIRST_ROOM);
        byte[] target = new byte[Math.addExact(HEADER, Math.multiplyExact(room, width))];
        System.arraycopy(bytes, 0, target, 0, HEADER);
        System.arraycopy(bytes, at(0), target, HEADER, count * width);
        bytes = target;
        start = 0;
    }
}
