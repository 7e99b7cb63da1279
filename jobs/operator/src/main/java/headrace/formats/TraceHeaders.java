package headrace.formats;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * {@code trace_headers(headers, names, longest)}: those of a record's headers that go on with what is made of it, by their names,
 * with semicolons between; a value of more bytes than {@code longest} is left out. Null where none is left, which costs a row that
 * is carried on nothing.
 */
public final class TraceHeaders extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    private transient Set<String> wanted;

    /** Most records have no headers. */
    @DataTypeHint(value = "MAP<STRING, BYTES>", bridgedTo = MapData.class)
    public MapData eval(
            @DataTypeHint(value = "MAP<STRING, BYTES>", bridgedTo = MapData.class) MapData headers,
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData names,
            Integer longest) {
        if (headers == null || headers.size() == 0) {
            return null;
        }
        if (wanted == null) { // the names are a literal
            wanted = Set.of(names.toString().split(";"));
        }
        ArrayData keys = headers.keyArray();
        ArrayData values = headers.valueArray();
        Map<StringData, byte[]> found = new HashMap<>();
        for (int i = 0; i < headers.size(); i++) {
            byte[] value = values.isNullAt(i) ? null : values.getBinary(i);
            if (value != null && value.length <= longest && wanted.contains(keys.getString(i).toString())) {
                found.put(keys.getString(i), value);
            }
        }
        return found.isEmpty() ? null : new GenericMapData(found);
    }
}
