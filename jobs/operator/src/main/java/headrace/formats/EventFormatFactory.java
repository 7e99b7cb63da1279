package headrace.formats;

import java.util.List;
import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;

/**
 * The format {@code headrace-event}: JSON events, none of which can stop the job.
 *
 * <p>The table's physical columns are the event's columns and, last, {@code _reason STRING, _detail
 * STRING, _value BYTES}: null for a good event; for a bad one the reason, a line for a person and
 * the record's bytes, while the event's columns are null. The bytes are null too where they are more than a dead letter holds.
 */
public final class EventFormatFactory implements DeserializationFormatFactory {
    static final ConfigOption<List<String>> REQUIRED =
            ConfigOptions.key("required").stringType().asList().noDefaultValue();
    static final ConfigOption<String> TIME = ConfigOptions.key("time").stringType().noDefaultValue();
    static final ConfigOption<List<String>> TIMESTAMPS =
            ConfigOptions.key("timestamps").stringType().asList().noDefaultValue();
    static final ConfigOption<List<String>> WITHIN =
            ConfigOptions.key("within").stringType().asList().defaultValues();
    static final ConfigOption<Long> MAX_AHEAD_MS =
            ConfigOptions.key("max-ahead-ms").longType().noDefaultValue();
    static final ConfigOption<Long> VECTOR_BYTES =
            ConfigOptions.key("vector-bytes").longType().defaultValue(Long.MAX_VALUE);
    static final ConfigOption<List<String>> IN_VECTOR =
            ConfigOptions.key("in-vector").stringType().asList().defaultValues();
    static final ConfigOption<Integer> VALUE_BYTES = ConfigOptions.key("value-bytes").intType().noDefaultValue();
    static final ConfigOption<Long> MAX_AGE_MS =
            ConfigOptions.key("max-age-ms").longType().noDefaultValue();

    @Override
    public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
            DynamicTableFactory.Context context, ReadableConfig options) {
        FactoryUtil.validateFactoryOptions(this, options);
        EventDecoder.Rules rules =
                new EventDecoder.Rules(
                        Set.copyOf(options.get(REQUIRED)),
                        options.get(TIME),
                        Set.copyOf(options.get(TIMESTAMPS)),
                        Set.copyOf(options.get(WITHIN)),
                        options.get(MAX_AHEAD_MS),
                        options.get(MAX_AGE_MS),
                        new EventDecoder.Room(
                                options.get(VECTOR_BYTES), List.copyOf(options.get(IN_VECTOR)), options.get(VALUE_BYTES)));
        return new DecodingFormat<>() {
            @Override
            public DeserializationSchema<RowData> createRuntimeDecoder(
                    DynamicTableSource.Context source, DataType physical) {
                return new EventDeserializationSchema(
                        (RowType) physical.getLogicalType(),
                        source.createTypeInformation(physical),
                        rules);
            }

            @Override
            public ChangelogMode getChangelogMode() {
                return ChangelogMode.insertOnly();
            }
        };
    }

    @Override
    public String factoryIdentifier() {
        return "headrace-event";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(REQUIRED, TIME, TIMESTAMPS, MAX_AHEAD_MS, MAX_AGE_MS, VALUE_BYTES);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of(VECTOR_BYTES, IN_VECTOR, WITHIN);
    }
}
