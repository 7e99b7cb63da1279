package headrace;

import java.io.IOException;
import java.io.Serializable;
import java.math.BigDecimal;
import java.util.List;
import java.util.TreeSet;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.annotation.JsonProperty;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/**
 * One stage of the plan as the operator needs it: the argument {@code spec} of {@link
 * SlidingWindows}, bound to the columns of its table.
 *
 * <p>The table has {@code _time BIGINT, _contributes BOOLEAN, _asks BOOLEAN, _partition INT, _offset
 * BIGINT}, the aggregated columns and the carried ones, in any order.
 */
final class Stage implements Serializable {
    private static final long serialVersionUID = 1L;

    /** The argument as it is written: names of columns, features, durations in milliseconds. */
    record Spec(
            @JsonProperty("mode") String mode,
            @JsonProperty("retention") long retention,
            @JsonProperty("values") List<String> values,
            @JsonProperty("features") List<FeatureSpec> features,
            @JsonProperty("carry") List<String> carry) {}

    /** One feature; {@code value} is an index into {@link Spec#values}. */
    record FeatureSpec(
            @JsonProperty("name") String name,
            @JsonProperty("function") String function,
            @JsonProperty("value") int value,
            @JsonProperty("window") long window,
            @JsonProperty("fill") Double fill) {}

    /** A feature bound to its column: {@code window} is an index into {@link #windows}. */
    record Feature(Aggregation aggregation, int value, int window, Object fill) implements Serializable {
        private static final long serialVersionUID = 1L;
    }

    /** Where an aggregated column is, and the digits behind its point. */
    record Value(int position, LogicalTypeRoot root, int scale) implements Serializable {
        private static final long serialVersionUID = 1L;

        boolean floating() {
            return root == LogicalTypeRoot.DOUBLE;
        }
    }

    final boolean eventTime;
    final long retention;
    final int time;
    final int contributes;
    final int asks;
    final int partition;
    final int offset;
    final Value[] values;
    final int[] carry;
    final LogicalTypeRoot[] carryRoots;
    final long[] windows;
    final Feature[] features;

    private Stage(Spec spec, RowType table) {
        eventTime = spec.mode().equals("event_time");
        retention = spec.retention();
        time = position(table, "_time");
        contributes = position(table, "_contributes");
        asks = position(table, "_asks");
        partition = position(table, "_partition");
        offset = position(table, "_offset");
        values = spec.values().stream().map(name -> value(table, name)).toArray(Value[]::new);
        carry = spec.carry().stream().mapToInt(name -> position(table, name)).toArray();
        carryRoots =
                spec.carry().stream()
                        .map(name -> table.getTypeAt(position(table, name)).getTypeRoot())
                        .toArray(LogicalTypeRoot[]::new);
        TreeSet<Long> lengths = new TreeSet<>();
        spec.features().forEach(feature -> lengths.add(feature.window()));
        windows = lengths.stream().mapToLong(Long::longValue).toArray();
        features =
                spec.features().stream()
                        .map(
                                feature ->
                                        new Feature(
                                                Aggregation.of(feature.function()),
                                                feature.value(),
                                                lengths.headSet(feature.window()).size(),
                                                fill(feature, resultType(table, spec, feature))))
                        .toArray(Feature[]::new);
    }

    static Stage bind(String spec, DataType table) {
        return new Stage(parse(spec), (RowType) table.getLogicalType());
    }

    /** The columns that come out: the carried ones, the features, and {@code _complete BOOLEAN}. */
    static DataType output(String text, DataType table) {
        Spec spec = parse(text);
        RowType type = (RowType) table.getLogicalType();
        List<DataType> columns = DataType.getFieldDataTypes(table);
        DataTypes.Field[] fields = new DataTypes.Field[spec.carry().size() + spec.features().size() + 1];
        int i = 0;
        for (String name : spec.carry()) {
            fields[i++] = DataTypes.FIELD(name, columns.get(position(type, name)).nullable());
        }
        for (FeatureSpec feature : spec.features()) {
            fields[i++] = DataTypes.FIELD(feature.name(), resultType(type, spec, feature));
        }
        fields[i] = DataTypes.FIELD("_complete", DataTypes.BOOLEAN());
        return DataTypes.ROW(fields);
    }

    private static DataType resultType(RowType table, Spec spec, FeatureSpec feature) {
        LogicalType column = table.getTypeAt(position(table, spec.values().get(feature.value())));
        return Aggregation.of(feature.function()).type(column);
    }

    /** The fill value as a value of {@code type}; features/load.py has seen that it is one. */
    private static Object fill(FeatureSpec feature, DataType type) {
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

    private static Spec parse(String text) {
        try {
            return new ObjectMapper().readValue(text, Spec.class);
        } catch (IOException e) {
            throw new IllegalArgumentException("spec is not the JSON that features/sql/flink.py writes: " + text, e);
        }
    }

    private static int position(RowType table, String name) {
        int position = table.getFieldIndex(name);
        if (position < 0) {
            throw new IllegalArgumentException("the table has no column " + name + "; it has " + table.getFieldNames());
        }
        return position;
    }

    private static Value value(RowType table, String name) {
        int position = position(table, name);
        LogicalType type = table.getTypeAt(position);
        int scale = type instanceof DecimalType decimal ? decimal.getScale() : 0;
        return new Value(position, type.getTypeRoot(), scale);
    }
}
