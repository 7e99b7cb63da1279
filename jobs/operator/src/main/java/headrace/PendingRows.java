package headrace;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/**
 * The rows of one key that wait for the watermark, one behind the other in one array of bytes: {@code
 * used int │ row │ row │ … room …}. Few wait at a time, so they are ordered when they are ready.
 */
final class PendingRows {
    /** At equal times rows of other sources come first (rule 6), then the order of arrival (rule 3). */
    private static final Comparator<StagedRow> CONTRACT =
            Comparator.<StagedRow>comparingLong(row -> row.time)
                    .thenComparing(row -> row.asks || !row.contributes)
                    .thenComparingInt(row -> row.partition)
                    .thenComparingLong(row -> row.offset);

    /** The rows that the watermark has reached, in order; the others, null if none; their earliest time. */
    record Split(List<StagedRow> ready, byte[] rest, long earliest) {}

    private final Stage stage;
    private final DataOutputSerializer out = new DataOutputSerializer(256);

    PendingRows(Stage stage) {
        this.stage = stage;
    }

    byte[] append(byte[] state, StagedRow row) {
        try {
            out.clear();
            write(row);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        int used = state == null ? Integer.BYTES : used(state);
        int needed = Math.addExact(used, out.length());
        byte[] target = state;
        if (state == null) {
            target = new byte[needed];
        } else if (needed > state.length) {
            target = Arrays.copyOf(state, Math.addExact(needed, needed / 2));
        }
        System.arraycopy(out.getSharedBuffer(), 0, target, used, out.length());
        setUsed(target, needed);
        return target;
    }

    Split split(byte[] state, long watermark) {
        List<StagedRow> ready = new ArrayList<>();
        byte[] rest = null;
        long earliest = Long.MAX_VALUE;
        for (StagedRow row : read(state)) {
            if (row.time <= watermark) {
                ready.add(row);
            } else {
                rest = append(rest, row);
                earliest = Math.min(earliest, row.time);
            }
        }
        ready.sort(CONTRACT);
        return new Split(ready, rest, earliest);
    }

    private List<StagedRow> read(byte[] state) {
        List<StagedRow> rows = new ArrayList<>();
        if (state == null) {
            return rows;
        }
        try {
            DataInputDeserializer in = new DataInputDeserializer(state, Integer.BYTES, used(state) - Integer.BYTES);
            while (in.available() > 0) {
                rows.add(read(in));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return rows;
    }

    private void write(StagedRow row) throws IOException {
        out.writeLong(row.time);
        out.writeBoolean(row.contributes);
        out.writeBoolean(row.asks);
        out.writeInt(row.partition);
        out.writeLong(row.offset);
        for (int i = 0; row.contributes && i < row.values.length; i++) {
            out.writeBoolean(row.nulls[i]);
            out.writeLong(row.values[i]);
        }
        for (int i = 0; i < row.carry.length; i++) {
            writeField(stage.carryRoots[i], row.carry[i]);
        }
    }

    private StagedRow read(DataInputDeserializer in) throws IOException {
        long time = in.readLong();
        boolean contributes = in.readBoolean();
        boolean asks = in.readBoolean();
        int partition = in.readInt();
        long offset = in.readLong();
        long[] values = new long[stage.values.length];
        boolean[] nulls = new boolean[values.length];
        for (int i = 0; contributes && i < values.length; i++) {
            nulls[i] = in.readBoolean();
            values[i] = in.readLong();
        }
        Object[] carry = new Object[asks ? stage.carry.length : 0];
        for (int i = 0; i < carry.length; i++) {
            carry[i] = readField(stage.carryRoots[i], in);
        }
        return new StagedRow(time, contributes, asks, partition, offset, values, nulls, carry);
    }

    private void writeField(LogicalTypeRoot root, Object value) throws IOException {
        out.writeBoolean(value != null);
        if (value == null) {
            return;
        }
        switch (root) {
            case BIGINT -> out.writeLong((Long) value);
            case INTEGER -> out.writeInt((Integer) value);
            case DOUBLE -> out.writeDouble((Double) value);
            case BOOLEAN -> out.writeBoolean((Boolean) value);
            case VARCHAR -> writeBytes(((String) value).getBytes(java.nio.charset.StandardCharsets.UTF_8));
            case DECIMAL -> {
                out.writeInt(((BigDecimal) value).scale());
                writeBytes(((BigDecimal) value).unscaledValue().toByteArray());
            }
            default -> throw new IllegalStateException("no row carries a column of type " + root);
        }
    }

    private void writeBytes(byte[] value) throws IOException {
        out.writeInt(value.length);
        out.write(value);
    }

    private static Object readField(LogicalTypeRoot root, DataInputDeserializer in) throws IOException {
        if (!in.readBoolean()) {
            return null;
        }
        return switch (root) {
            case BIGINT -> in.readLong();
            case INTEGER -> in.readInt();
            case DOUBLE -> in.readDouble();
            case BOOLEAN -> in.readBoolean();
            case VARCHAR -> new String(readBytes(in), java.nio.charset.StandardCharsets.UTF_8);
            case DECIMAL -> {
                int scale = in.readInt();
                yield new BigDecimal(new BigInteger(readBytes(in)), scale);
            }
            default -> throw new IllegalStateException("no row carries a column of type " + root);
        };
    }

    private static byte[] readBytes(DataInputDeserializer in) throws IOException {
        byte[] value = new byte[in.readInt()];
        in.readFully(value);
        return value;
    }

    private static int used(byte[] state) {
        return state[0] << 24 | (state[1] & 0xff) << 16 | (state[2] & 0xff) << 8 | state[3] & 0xff;
    }

    private static void setUsed(byte[] state, int used) {
        state[0] = (byte) (used >>> 24);
        state[1] = (byte) (used >>> 16);
        state[2] = (byte) (used >>> 8);
        state[3] = (byte) used;
    }
}
