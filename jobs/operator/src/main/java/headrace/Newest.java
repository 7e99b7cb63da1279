package headrace;

import org.apache.flink.table.data.GenericArrayData;

/** The newest values of a window, which are shown one by one, newest first. */
final class Newest {
    private final Stage.Value value;
    private final long[] newest;
    private int count;

    Newest(Stage.Value value, int most) {
        this.value = value;
        newest = new long[most];
    }

    void clear() {
        count = 0;
    }

    boolean wantsMore() {
        return count < newest.length;
    }

    /** With a value that is older than all seen. */
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
