package headrace.windows;

import headrace.state.Key;
import java.io.Serializable;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/**
 * One keyed step of the plan: a {@link Spec} bound to the columns of its table.
 *
 * <p>The table has {@code _time BIGINT, _contributes BOOLEAN, _is_query BOOLEAN, _partition INT, _offset BIGINT}, {@code _key} if
 * something is kept of a key in memory, {@code _id} in a backfilled job, the aggregated columns and the carried ones, in any order.
 */
final class Stage implements Serializable {
    private static final long serialVersionUID = 1L;

    /**
     * A feature bound to its column: {@code view} and {@code window} are indexes into {@link #views} and {@link #windows}. {@code
     * fill} is no decimal of Flink's, as those cannot be serialized.
     */
    record Feature(Aggregation.Call call, int view, int value, int window, Object fill) implements Serializable {
        private static final long serialVersionUID = 1L;
    }

    /** The columns of its table. */
    final RowType table;

    final Mode.Name mode;
    final long retention;
    final long lateness;

    /** Rows of this time or before may never have come; the least long where all have. */
    final long wholeFrom;

    /** Rows before this time may come from the history and from the topic; the least long where there is no history. */
    final long seam;

    /** The column of a row's id; null where there is no history. */
    final Value id;

    final long cache;
    final long kept;
    final int time;
    final int contributes;
    final int isQuery;
    final int partition;
    final int offset;
    final Value[] values;
    final int[] carry;
    final LogicalType[] carryTypes;

    /** The lengths of the windows, shortest first. */
    final long[] windows;

    final String[] views;
    final Feature[] features;

    /** The column of the key; null where nothing is kept of a key in memory. */
    final Key key;

    private Stage(Spec spec, DataType table) {
        RowType type = (RowType) table.getLogicalType();
        this.table = type;
        mode = spec.mode();
        retention = spec.retention();
        lateness = spec.lateness();
        wholeFrom = spec.wholeFrom() == null ? Long.MIN_VALUE : spec.wholeFrom();
        seam = spec.seam() == null ? Long.MIN_VALUE : spec.seam();
        id = spec.seam() == null ? null : value(type, DataType.getFieldDataTypes(table), "_id", false);
        cache = spec.cache();
        kept = spec.kept();
        time = position(type, "_time");
        contributes = position(type, "_contributes");
        isQuery = position(type, "_is_query");
        partition = position(type, "_partition");
        offset = position(type, "_offset");
        values = values(spec, table);
        carry = spec.carry().stream().mapToInt(name -> position(type, name)).toArray();
        carryTypes = Arrays.stream(carry).mapToObj(type::getTypeAt).toArray(LogicalType[]::new);
        TreeSet<Long> lengths = new TreeSet<>();
        spec.features().forEach(feature -> lengths.add(feature.window()));
        windows = lengths.stream().mapToLong(Long::longValue).toArray();
        List<String> named = views(spec);
        views = named.toArray(String[]::new);
        features =
                spec.features().stream()
                        .map(
                                feature ->
                                        new Feature(
                                                Aggregation.Call.of(feature.function(), feature.parameter()),
                                                named.indexOf(feature.view()),
                                                feature.value(),
                                                lengths.headSet(feature.window()).size(),
                                                fill(feature, type(feature, values))))
                        .toArray(Feature[]::new);
        boolean keepsValues = spec.features().stream().anyMatch(feature -> feature.function().keepsValues());
        key = cache > 0 || keepsValues ? key(type) : null;
    }

    static Stage bind(String spec, DataType table) {
        return new Stage(Spec.parse(spec), table);
    }

    /**
     * The output's columns: the carried ones, the features, {@code _complete}, {@code _valid_until_} of each view, and {@code _late},
     * an entry in the ledger.
     */
    static DataType output(String text, DataType table) {
        Spec spec = Spec.parse(text);
        RowType type = (RowType) table.getLogicalType();
        List<DataType> columns = DataType.getFieldDataTypes(table);
        Value[] values = values(spec, table);
        List<DataTypes.Field> fields = new ArrayList<>();
        for (String name : spec.carry()) {
            fields.add(DataTypes.FIELD(name, columns.get(position(type, name)).nullable()));
        }
        for (Spec.Feature feature : spec.features()) {
            fields.add(DataTypes.FIELD(feature.name(), type(feature, values)));
        }
        fields.add(DataTypes.FIELD("_complete", DataTypes.BOOLEAN()));
        for (String view : views(spec)) {
            fields.add(DataTypes.FIELD("_valid_until_" + view, DataTypes.BIGINT()));
        }
        fields.add(DataTypes.FIELD("_late", LateRow.TYPE));
        return DataTypes.ROW(fields).bridgedTo(RowData.class);
    }

    /** The views, in the order of their first features. */
    private static List<String> views(Spec spec) {
        return spec.features().stream().map(Spec.Feature::view).distinct().toList();
    }

    /** How many values a feature vector has: the features, whether they are complete, until when each view is valid. */
    int resultFields() {
        return features.length + 1 + views.length;
    }

    /** The type of a feature's value. */
    DataType type(Feature feature) {
        return feature.call().aggregation().type(values[feature.value()]);
    }

    private static DataType type(Spec.Feature feature, Value[] values) {
        return feature.function().type(values[feature.value()]);
    }

    /** The fill value as a value of {@code type}; Python has checked that it is one. */
    private static Object fill(Spec.Feature feature, DataType type) {
        if (feature.fill() == null) {
            return null;
        }
        BigDecimal fill = BigDecimal.valueOf(feature.fill());
        return switch (type.getLogicalType().getTypeRoot()) {
            case BIGINT -> fill.longValueExact();
            case DECIMAL -> fill.setScale(((DecimalType) type.getLogicalType()).getScale());
            default -> feature.fill();
        };
    }

    private static Key key(RowType table) {
        int position = position(table, "_key");
        return new Key(position, table.getTypeAt(position));
    }

    private static Value[] values(Spec spec, DataType table) {
        RowType type = (RowType) table.getLogicalType();
        List<DataType> columns = DataType.getFieldDataTypes(table);
        Value[] values = new Value[spec.values().size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = value(type, columns, spec.values().get(i), spec.isOnlyCounted(i));
        }
        return values;
    }

    private static Value value(RowType type, List<DataType> columns, String name, boolean isOnlyCounted) {
        int position = position(type, name);
        int words = type.getTypeAt(position).is(LogicalTypeRoot.VARCHAR) ? 2 : 1;
        return new Value(position, columns.get(position).nullable(), isOnlyCounted ? 0 : words);
    }

    private static int position(RowType table, String name) {
        int position = table.getFieldIndex(name);
        if (position < 0) {
            throw new IllegalArgumentException("the table has no column " + name + "; it has " + table.getFieldNames());
        }
        return position;
    }
}
