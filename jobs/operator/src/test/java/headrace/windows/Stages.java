package headrace.windows;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.types.DataType;

/** Stages for tests: an aggregated column {@code v} and any others, carried columns, the features as they are listed. */
final class Stages {
    private final List<DataTypes.Field> columns = new ArrayList<>();
    private final List<String> values = new ArrayList<>();
    private final List<String> carry = new ArrayList<>();
    private final List<String> features = new ArrayList<>();
    private String mode = "arrival";
    private String view = "view";
    private int value;
    private long longest;
    private long lateness = 1_000_000;
    private Long wholeFrom;
    private Long seam;

    private Stages() {
        columns.add(DataTypes.FIELD("_key", DataTypes.BIGINT()));
        columns.add(DataTypes.FIELD("_time", DataTypes.BIGINT()));
        columns.add(DataTypes.FIELD("_contributes", DataTypes.BOOLEAN()));
        columns.add(DataTypes.FIELD("_is_query", DataTypes.BOOLEAN()));
        columns.add(DataTypes.FIELD("_partition", DataTypes.INT()));
        columns.add(DataTypes.FIELD("_offset", DataTypes.BIGINT()));
    }

    static Stages over(DataType value) {
        return new Stages().column("v", value);
    }

    /** One more aggregated column; the features that follow are of it. */
    Stages column(String name, DataType type) {
        columns.add(DataTypes.FIELD(name, type));
        values.add("'" + name + "'");
        value = values.size() - 1;
        return this;
    }

    /** The features that follow are of this view; their names are the view's own. */
    Stages view(String name) {
        view = name;
        return this;
    }

    /**
     * A feature of {@code function}, which may be followed by its parameter: {@code last_n 10}. It is called {@code
     * <function>_<window>}, in any but the first view {@code <view>__<function>_<window>}.
     */
    Stages feature(String function, long window) {
        return feature(function, window, null);
    }

    Stages feature(String function, long window, Double fill) {
        String prefix = (view.equals("view") ? "" : view + "__") + (value == 0 ? "" : value + "_");
        String[] parts = function.split(" ");
        String parameter = parts.length > 1 ? "'" + parts[1] + "'" : "null";
        String line =
                "{'name': '%s%s_%d', 'view': '%s', 'function': '%s', 'parameter': %s, 'value': %d, 'window': %d, 'fill': %s}";
        features.add(String.format(line, prefix, nameOf(function), window, view, parts[0], parameter, value, window, fill));
        longest = Math.max(longest, window);
        return this;
    }

    /** A function and its parameter as part of a column's name. */
    static String nameOf(String function) {
        return function.replace(' ', '_').replace('.', '_');
    }

    /** Each of {@code functions} over one window. */
    Stages all(List<String> functions, long window) {
        functions.forEach(function -> feature(function, window));
        return this;
    }

    Stages carrying(String name, DataType type) {
        columns.add(DataTypes.FIELD(name, type));
        carry.add("'" + name + "'");
        return this;
    }

    Stages eventTime() {
        mode = "event_time";
        return this;
    }

    Stages lateness(long milliseconds) {
        lateness = milliseconds;
        return this;
    }

    Stages wholeFrom(long milliseconds) {
        wholeFrom = milliseconds;
        return this;
    }

    /** Backfilled until this time, with ids of this type. */
    Stages seam(long milliseconds, DataType id) {
        seam = milliseconds;
        columns.add(DataTypes.FIELD("_id", id));
        return this;
    }

    String spec() {
        String spec =
                "{'mode': '%s', 'retention': %d, 'lateness': %d, 'seam': %d, 'whole_from': %d, 'cache': 0, 'kept': 1000000, 'values': %s,"
                        + " 'features': %s, 'carry': %s}";
        return String.format(spec, mode, longest + lateness, lateness, seam, wholeFrom, values, features, carry).replace('\'', '"');
    }

    DataType table() {
        return DataTypes.ROW(columns);
    }

    Stage bind() {
        return Stage.bind(spec(), table());
    }

    /** A row with a value of each aggregated column, null where {@code values} has too few; what it carries is null. */
    static StagedRow row(Stage stage, long time, boolean contributes, boolean isQuery, Object... values) {
        GenericRowData table = new GenericRowData(6 + stage.values.length + stage.carry.length);
        table.setField(0, 1L);
        table.setField(stage.time, time);
        table.setField(stage.contributes, contributes);
        table.setField(stage.isQuery, isQuery);
        table.setField(stage.partition, 0);
        table.setField(stage.offset, 0L);
        for (int c = 0; c < stage.values.length; c++) {
            Value column = stage.values[c];
            table.setField(column.position(), c < values.length ? Values.internal(column.type().getLogicalType(), values[c]) : null);
        }
        StagedRow row = new StagedRow(stage);
        row.read(stage, table);
        return row;
    }
}
