package headrace;

import java.io.IOException;
import java.io.Serializable;
import java.math.BigDecimal;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.annotation.JsonProperty;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/**
 * One stage of the plan as the operator needs it: the argument {@code spec} of {@link
 * SlidingWindows}, bound to the columns of its table.
 *
 * <p>The table has, if something is kept of a key in memory, {@code _key}, and {@code _time BIGINT, _contributes BOOLEAN, _asks BOOLEAN, _partition INT, _offset
 * BIGINT}, the aggregated columns and the carried ones, in any order.
 */
final class Stage implements Serializable {
    private static final long serialVersionUID = 1L;

    /** The argument as it is written: names of columns, features, durations in milliseconds. */
    record Spec(
            @JsonProperty("mode") String mode,
            @JsonProperty("retention") long retention,
            @JsonProperty("lateness") long lateness,
            @JsonProperty("cache") long cache,
            @JsonProperty("kept") long kept,
            @JsonProperty("values") List<String> values,
            @JsonProperty("features") List<FeatureSpec> features,
            @JsonProperty("carry") List<String> carry) {}

    /** One feature; {@code value} is an index into {@link Spec#values}. */
    record FeatureSpec(
            @JsonProperty("name") String name,
            @JsonProperty("view") String view,
            @JsonProperty("function") String function,
            @JsonProperty("value") int value,
            @JsonProperty("window") long window,
            @JsonProperty("fill") Double fill) {}

    /**
     * A feature bound to its column: {@code view} and {@code window} are indexes into {@link #views} and {@link #windows}; {@code
     * fill} can be sent to where the job runs, as a decimal of Flink's can't.
     */
    record Feature(Aggregation.Call call, int view, int value, int window, Object fill) implements Serializable {
        private static final long serialVersionUID = 1L;
    }

    final boolean eventTime;
    final long retention;
    final long lateness;
    final long cache;
    final long kept;
    final Key key;
    final int time;
    final int contributes;
    final int asks;
    final int partition;
    final int offset;
    final Value[] values;
    final int[] carry;
    final LogicalType[] carryTypes;
    final long[] windows;
    final String[] views;
    final Feature[] features;

    /** Whether something is kept of a key in memory. */
    final boolean keyed;

    private Stage(Spec spec, DataType table) {
        RowType type = (RowType) table.getLogicalType();
        eventTime = spec.mode().equals("event_time");
        retention = spec.retention();
        lateness = spec.lateness();
        cache = spec.cache();
        kept = spec.kept();
        time = position(type, "_time");
        contributes = position(type, "_contributes");
        asks = position(type, "_asks");
        partition = position(type, "_partition");
        offset = position(type, "_offset");
        values = values(spec, table);
        carry = spec.carry().stream().mapToInt(name -> position(type, name)).toArray();
        carryTypes = Arrays.stream(carry).mapToObj(type::getTypeAt).toArray(LogicalType[]::new);
        TreeSet<Long> lengths = new TreeSet<>();
        spec.features().forEach(feature -> lengths.add(feature.window()));
        windows = lengths.stream().mapToLong(Long::longValue).toArray();
        List<String> named = spec.features().stream().map(FeatureSpec::view).distinct().toList();
        views = named.toArray(String[]::new);
        features =
                spec.features().stream()
                        .map(
                                feature ->
                                        new Feature(
                                                Aggregation.Call.of(feature.function()),
                                                named.indexOf(feature.view()),
                                                feature.value(),
                                                lengths.headSet(feature.window()).size(),
                                                fill(feature, resultType(values, feature))))
                        .toArray(Feature[]::new);
        keyed = cache > 0 || Arrays.stream(features).anyMatch(feature -> feature.call().aggregation().keepsValues());
        key = keyed ? new Key(position(type, "_key"), type.getTypeAt(position(type, "_key"))) : null;
    }

    /** Where an aggregated column is, its type, and how many longs of a row its value takes. */
    record Value(int position, DataType type, int words) implements Serializable {
        private static final long serialVersionUID = 1L;

        private LogicalTypeRoot root() {
            return type.getLogicalType().getTypeRoot();
        }

        boolean floating() {
            return root() == LogicalTypeRoot.DOUBLE;
        }

        int scale() {
            return type.getLogicalType() instanceof DecimalType decimal ? decimal.getScale() : 0;
        }

        private int precision() {
            return ((DecimalType) type.getLogicalType()).getPrecision();
        }

        /** The value of {@code row} as longs that are in the order of the values; of a string, 128 bits of its SHA-256. */
        void read(RowData row, long[] words, int at) {
            switch (root()) {
                case BIGINT -> words[at] = row.getLong(position);
                case DOUBLE -> words[at] = ordered(row.getDouble(position));
                case DECIMAL -> words[at] = row.getDecimal(position, precision(), scale()).toUnscaledLong();
                case BOOLEAN -> words[at] = row.getBoolean(position) ? 1 : 0;
                default -> digest(row.getString(position), words, at);
            }
        }

        /** The value that {@link #read} gave as {@code word}. */
        Object typed(long word) {
            return switch (root()) {
                case BIGINT -> word;
                case DOUBLE -> real(word);
                case DECIMAL -> DecimalData.fromUnscaledLong(word, precision(), scale());
                case BOOLEAN -> word == 1;
                default -> throw new IllegalStateException("no value of type " + type + " comes back");
            };
        }
    }

    /** The bits of a double as a long of the same order; -0.0 is 0.0. */
    static long ordered(double value) {
        long bits = Double.doubleToRawLongBits(value + 0.0);
        return bits ^ bits >> 63 & Long.MAX_VALUE;
    }

    /** The double of which {@link #ordered} made {@code bits}. */
    static double real(long bits) {
        return Double.longBitsToDouble(bits ^ bits >> 63 & Long.MAX_VALUE);
    }

    private static void digest(StringData text, long[] words, int at) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(text.toBytes());
            words[at] = Bytes.getLong(digest, 0);
            words[at + 1] = Bytes.getLong(digest, Long.BYTES);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    static Stage bind(String spec, DataType table) {
        return new Stage(parse(spec), table);
    }

    /** The columns that come out: the carried ones, the features, {@code _complete}, and {@code _late} of a ledger's entry. */
    static DataType output(String text, DataType table) {
        Spec spec = parse(text);
        RowType type = (RowType) table.getLogicalType();
        List<DataType> columns = DataType.getFieldDataTypes(table);
        Value[] values = values(spec, table);
        List<DataTypes.Field> fields = new ArrayList<>();
        for (String name : spec.carry()) {
            fields.add(DataTypes.FIELD(name, columns.get(position(type, name)).nullable()));
        }
        for (FeatureSpec feature : spec.features()) {
            fields.add(DataTypes.FIELD(feature.name(), resultType(values, feature)));
        }
        fields.add(DataTypes.FIELD("_complete", DataTypes.BOOLEAN()));
        fields.add(DataTypes.FIELD("_late", LateRow.TYPE));
        return DataTypes.ROW(fields).bridgedTo(RowData.class);
    }

    /** The type of a feature's value. */
    DataType type(Feature feature) {
        return feature.call().aggregation().type(values[feature.value()]);
    }

    private static DataType resultType(Value[] values, FeatureSpec feature) {
        return Aggregation.Call.of(feature.function()).aggregation().type(values[feature.value()]);
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

    private static Value[] values(Spec spec, DataType table) {
        RowType type = (RowType) table.getLogicalType();
        List<DataType> columns = DataType.getFieldDataTypes(table);
        Value[] values = new Value[spec.values().size()];
        for (int i = 0; i < values.length; i++) {
            int position = position(type, spec.values().get(i));
            values[i] = new Value(position, columns.get(position).nullable(), words(spec, i, type.getTypeAt(position)));
        }
        return values;
    }

    /** None for a column that is only counted. */
    private static int words(Spec spec, int value, LogicalType type) {
        boolean counted =
                spec.features().stream()
                        .filter(feature -> feature.value() == value)
                        .allMatch(feature -> Aggregation.Call.of(feature.function()).aggregation() == Aggregation.COUNT);
        return counted ? 0 : type.is(LogicalTypeRoot.VARCHAR) ? 2 : 1;
    }
}
