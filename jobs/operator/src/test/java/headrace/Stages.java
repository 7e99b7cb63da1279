package headrace;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.types.DataType;

/** Stages for tests: one aggregated column {@code v}, any carried ones, the features as they are listed. */
final class Stages {
    private final DataType value;
    private final List<DataTypes.Field> carried = new ArrayList<>();
    private final List<String> carry = new ArrayList<>();
    private final List<String> features = new ArrayList<>();
    private String mode = "arrival";
    private long longest;
    private long lateness = 1_000_000;

    private Stages(DataType value) {
        this.value = value;
    }

    static Stages over(DataType value) {
        return new Stages(value);
    }

    /** A feature called {@code <function>_<window>}. */
    Stages feature(String function, long window) {
        return feature(function, window, null);
    }

    Stages feature(String function, long window, Double fill) {
        String line = "{'name': '%s_%d', 'function': '%s', 'value': 0, 'window': %d, 'fill': %s}";
        features.add(String.format(line, function, window, function, window, fill));
        longest = Math.max(longest, window);
        return this;
    }

    /** Every function over one window. */
    Stages allOf(long window) {
        return feature("count", window)
                .feature("sum", window)
                .feature("mean", window)
                .feature("min", window)
                .feature("max", window);
    }

    Stages carrying(String name, DataType type) {
        carried.add(DataTypes.FIELD(name, type));
        carry.add("'" + name + "'");
        return this;
    }

    /** A column that is neither aggregated nor carried, unless a spec of the test's own says so. */
    Stages with(DataTypes.Field field) {
        carried.add(field);
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

    String spec() {
        String spec = "{'mode': '%s', 'retention': %d, 'values': ['v'], 'features': %s, 'carry': %s}";
        return String.format(spec, mode, longest + lateness, features, carry).replace('\'', '"');
    }

    DataType table() {
        List<DataTypes.Field> fields = new ArrayList<>();
        fields.add(DataTypes.FIELD("_time", DataTypes.BIGINT()));
        fields.add(DataTypes.FIELD("_contributes", DataTypes.BOOLEAN()));
        fields.add(DataTypes.FIELD("_asks", DataTypes.BOOLEAN()));
        fields.add(DataTypes.FIELD("_partition", DataTypes.INT()));
        fields.add(DataTypes.FIELD("_offset", DataTypes.BIGINT()));
        fields.add(DataTypes.FIELD("v", value));
        fields.addAll(carried);
        return DataTypes.ROW(fields);
    }

    Stage bind() {
        return Stage.bind(spec(), table());
    }
}
