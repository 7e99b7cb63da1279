package headrace.state;

import java.io.IOException;
import java.io.Serializable;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryStringData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;

/** The key of a stage, one column or a row of several: copies it from a row, and writes it to the state. */
public final class Key implements Serializable {
    private static final long serialVersionUID = 1L;

    private final int position;
    private final boolean several;
    private final LogicalType[] types;
    private final RowData.FieldGetter[] getters;

    public Key(int position, LogicalType type) {
        this.position = position;
        several = type instanceof RowType;
        types = several ? type.getChildren().toArray(LogicalType[]::new) : new LogicalType[] {type};
        getters = new RowData.FieldGetter[types.length];
        for (int i = 0; i < types.length; i++) {
            getters[i] = RowData.createFieldGetter(types[i], several ? i : position);
        }
    }

    /** A copy of the key of {@code row}, whose bytes may be overwritten later. */
    public GenericRowData of(RowData row) {
        RowData columns = several ? row.getRow(position, types.length) : row;
        GenericRowData key = new GenericRowData(types.length);
        for (int i = 0; i < types.length; i++) {
            Object value = getters[i].getFieldOrNull(columns);
            key.setField(i, value instanceof BinaryStringData text ? text.copy() : value);
        }
        return key;
    }

    void write(GenericRowData key, DataOutputSerializer out) throws IOException {
        for (int i = 0; i < types.length; i++) {
            FieldCodec.write(types[i], key.getField(i), out);
        }
    }

    GenericRowData read(DataInputDeserializer in) throws IOException {
        GenericRowData key = new GenericRowData(types.length);
        for (int i = 0; i < types.length; i++) {
            key.setField(i, FieldCodec.read(types[i], in));
        }
        return key;
    }
}
