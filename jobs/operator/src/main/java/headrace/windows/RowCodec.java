package headrace.windows;

import headrace.state.FieldCodec;
import java.io.IOException;
import java.util.Arrays;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;

/**
 * A whole row of a stage as bytes, while it waits: its time, a byte that says whether it contributes and is a query, the rest. The
 * last of the carried columns is not written where it is null: it is rare, and rows that waited before there was one are read.
 */
final class RowCodec {
    private static final int CONTRIBUTES = 1;
    private static final int QUERY = 2;

    private final Stage stage;
    private final RowData.FieldGetter[] carried;
    private final DataInputDeserializer in = new DataInputDeserializer();

    RowCodec(Stage stage) {
        this.stage = stage;
        carried = new RowData.FieldGetter[stage.carry.length];
        Arrays.setAll(carried, i -> RowData.createFieldGetter(stage.carryTypes[i], i));
    }

    void write(StagedRow row, DataOutputSerializer out) throws IOException {
        out.writeLong(row.time);
        out.writeByte((row.contributes ? CONTRIBUTES : 0) | (row.isQuery ? QUERY : 0));
        out.writeInt(row.partition);
        out.writeLong(row.offset);
        for (int i = 0; row.contributes && i < row.nulls.length; i++) {
            out.writeBoolean(row.nulls[i]);
        }
        for (int i = 0; row.contributes && i < row.words.length; i++) {
            out.writeLong(row.words[i]);
        }
        int last = carried.length - 1;
        int width = last >= 0 && row.isQuery && row.carry.isNullAt(last) ? last : carried.length;
        for (int i = 0; row.isQuery && i < width; i++) {
            FieldCodec.write(stage.carryTypes[i], carried[i].getFieldOrNull(row.carry), out);
        }
    }

    StagedRow read(byte[] bytes, int start, int length) throws IOException {
        StagedRow row = new StagedRow(stage);
        in.setBuffer(bytes, start, length);
        row.time = in.readLong();
        row.contributes = (bytes[start + Long.BYTES] & CONTRIBUTES) != 0;
        row.isQuery = isQuery(bytes, start);
        in.skipBytesToRead(1);
        row.partition = in.readInt();
        row.offset = in.readLong();
        for (int i = 0; row.contributes && i < row.nulls.length; i++) {
            row.nulls[i] = in.readBoolean();
        }
        for (int i = 0; row.contributes && i < row.words.length; i++) {
            row.words[i] = in.readLong();
        }
        GenericRowData carry = new GenericRowData(carried.length);
        for (int i = 0; row.isQuery && i < carried.length && in.available() > 0; i++) {
            carry.setField(i, FieldCodec.read(stage.carryTypes[i], in));
        }
        row.carry = carry;
        return row;
    }

    /** Whether the row that is written at {@code start} is a query. */
    static boolean isQuery(byte[] bytes, int start) {
        return (bytes[start + Long.BYTES] & QUERY) != 0;
    }
}
