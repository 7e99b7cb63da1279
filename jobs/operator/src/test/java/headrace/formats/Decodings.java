package headrace.formats;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.RowType;

/**
 * {@link EventDecoder} for {@code tests/contract/test_readers.py}: a line of input is an event in base64, and one of output its
 * columns as JSON, doubles as their bits and decimals as text; or the reason why it is bad.
 */
final class Decodings {
    private static final RowType COLUMNS =
            (RowType)
                    DataTypes.ROW(
                                    DataTypes.FIELD("id", DataTypes.STRING()),
                                    DataTypes.FIELD("at", DataTypes.BIGINT()),
                                    DataTypes.FIELD("k", DataTypes.STRING()),
                                    DataTypes.FIELD("v", DataTypes.DECIMAL(18, 2)),
                                    DataTypes.FIELD("c", DataTypes.STRING()),
                                    DataTypes.FIELD("n", DataTypes.BIGINT()),
                                    DataTypes.FIELD("d", DataTypes.DOUBLE()),
                                    DataTypes.FIELD("b", DataTypes.BOOLEAN()),
                                    DataTypes.FIELD("since", DataTypes.BIGINT()),
                                    DataTypes.FIELD("_reason", DataTypes.STRING()),
                                    DataTypes.FIELD("_detail", DataTypes.STRING()),
                                    DataTypes.FIELD("_value", DataTypes.BYTES()))
                            .getLogicalType();
    private static final int WIDTH = 9;
    private static final long AHEAD = 3_600_000;
    private static final long AGE = 18_250 * 86_400_000L;

    private Decodings() {}

    public static void main(String[] args) throws Exception {
        EventDecoder.Room room = new EventDecoder.Room(Long.MAX_VALUE, List.of(), Integer.MAX_VALUE);
        EventDecoder.Rules rules = new EventDecoder.Rules(Set.of("id", "k"), "at", Set.of("at", "since"), Set.of(), AHEAD, AGE, room);
        EventDecoder decoder = new EventDecoder(COLUMNS, rules, System::currentTimeMillis);
        ObjectMapper json = new ObjectMapper();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            GenericRowData row = decoder.decode(Base64.getDecoder().decode(line));
            out.println(json.writeValueAsString(row.isNullAt(WIDTH) ? columns(row) : row.getString(WIDTH).toString()));
        }
        out.flush();
    }

    private static List<Object> columns(GenericRowData row) {
        List<Object> columns = new ArrayList<>();
        for (int i = 0; i < WIDTH; i++) {
            Object value = row.getField(i);
            if (value instanceof StringData || value instanceof DecimalData) {
                columns.add(value.toString());
            } else {
                columns.add(value instanceof Double number ? (Object) Double.doubleToRawLongBits(number) : value);
            }
        }
        return columns;
    }
}
