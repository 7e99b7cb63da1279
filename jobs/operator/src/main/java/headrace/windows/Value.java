package headrace.windows;

import headrace.state.Bytes;
import java.io.Serializable;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/** An aggregated column: its position in the table, its type, and how many longs of a row its value takes. */
record Value(int position, DataType type, int words) implements Serializable {
    private static final long serialVersionUID = 1L;

    private LogicalTypeRoot root() {
        return type.getLogicalType().getTypeRoot();
    }

    boolean floating() {
        return root() == LogicalTypeRoot.DOUBLE;
    }

    int scale() {
        return type.getLogicalType() instanceof DecimalType decimal ? decimal.getScale() : 0;
    }

    private int precision() {
        return ((DecimalType) type.getLogicalType()).getPrecision();
    }

    /** The value of {@code row} as longs that are in the order of the values; of a string, 128 bits of its SHA-256. */
    void read(RowData row, long[] words, int at) {
        switch (root()) {
            case BIGINT -> words[at] = row.getLong(position);
            case DOUBLE -> words[at] = ordered(row.getDouble(position));
            case DECIMAL -> words[at] = row.getDecimal(position, precision(), scale()).toUnscaledLong();
            case BOOLEAN -> words[at] = row.getBoolean(position) ? 1 : 0;
            default -> digest(row.getString(position), words, at);
        }
    }

    /** The value that {@link #read} gave as {@code word}. */
    Object typed(long word) {
        return switch (root()) {
            case BIGINT -> word;
            case DOUBLE -> real(word);
            case DECIMAL -> DecimalData.fromUnscaledLong(word, precision(), scale());
            case BOOLEAN -> word == 1;
            default -> throw new IllegalStateException("a value of type " + type + " is not kept whole");
        };
    }

    /** The bits of a double as a long of the same order; -0.0 is 0.0. */
    static long ordered(double value) {
        long bits = Double.doubleToRawLongBits(value + 0.0);
        return bits ^ bits >> 63 & Long.MAX_VALUE;
    }

    /** The double of which {@link #ordered} made {@code bits}. */
    static double real(long bits) {
        return Double.longBitsToDouble(bits ^ bits >> 63 & Long.MAX_VALUE);
    }

    private static void digest(StringData text, long[] words, int at) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(text.toBytes());
            words[at] = Bytes.getLong(digest, 0);
            words[at + 1] = Bytes.getLong(digest, Long.BYTES);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
