package headrace.windows;

import org.apache.flink.table.data.GenericArrayData;

/** The newest values of a column, up to a number; they are added from the newest on. */
final class Newest {
    final int column;
    private final Value value;
    private final long[] newest;
    private int count;
    private int longest;

    Newest(int column, Value value, int most) {
        this.column = column;
        this.value = value;
        newest = new long[most];
    }

    /** Notes that they are wanted of {@code window}, too. */
    void reaches(int window) {
        longest = Math.max(longest, window);
    }

    void clear() {
        count = 0;
    }

    /** Whether values of {@code window}, which the shorter ones do not hold, are wanted. */
    boolean wantsMore(int window) {
        return window <= longest && count < newest.length;
    }

    /** Adds a value that is older than all seen. */
    void add(long word) {
        newest[count++] = word;
    }

    /** The values, oldest first. */
    Object result() {
        Object[] list = new Object[count];
        for (int i = 0; i < count; i++) {
            list[i] = value.typed(newest[count - 1 - i]);
        }
        return new GenericArrayData(list);
    }
}
