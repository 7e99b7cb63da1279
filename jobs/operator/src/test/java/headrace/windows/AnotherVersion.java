package headrace.windows;

import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.types.Row;

/**
 * Has the state of {@link SlidingWindows}, as versions from 4 on declare it, and writes what it is told: the block {@code v}, whose
 * first byte is {@code _partition}.
 */
@DataTypeHint("ROW<rowid STRING, _late STRING>")
public final class AnotherVersion extends ProcessTableFunction<Row> {
    private static final long serialVersionUID = 1L;

    /** One row of the table. */
    public void eval(
            Context context,
            @StateHint(name = "blocks", ttl = "0 ms") MapView<Long, byte[]> state,
            @ArgumentHint(name = "r", value = SET_SEMANTIC_TABLE) Row r,
            @ArgumentHint(name = "spec") String spec)
            throws Exception {
        byte[] block = new byte[100];
        block[0] = r.<Integer>getFieldAs("_partition").byteValue();
        state.put(r.getFieldAs("v"), block);
        collect(Row.of(r.getField("rowid"), null));
    }
}
