package headrace.kafka;

import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.connectors.kafka.table.KafkaDynamicSource;
import org.apache.flink.streaming.connectors.kafka.table.KafkaDynamicTableFactory;
import org.apache.flink.table.connector.source.DynamicTableSource;

/**
 * The connector {@code headrace-kafka}: Flink's {@code kafka}, in which a topic that falls silent comes to its newest event. Flink
 * itself never writes a watermark past a source that is idle.
 */
public final class QuietSourceFactory extends KafkaDynamicTableFactory {
    /** How long a partition without events is waited for. */
    static final ConfigOption<Duration> TIMEOUT =
            ConfigOptions.key("quiet.timeout").durationType().noDefaultValue();

    /** How far behind the events the table's watermarks are, less a millisecond. */
    static final ConfigOption<Duration> DELAY =
            ConfigOptions.key("quiet.delay").durationType().noDefaultValue();

    /** The time of the newest event that was read before the job went on from a checkpoint, in UTC milliseconds. */
    static final ConfigOption<Long> NEWEST =
            ConfigOptions.key("quiet.newest").longType().defaultValue(Long.MIN_VALUE);

    @Override
    public String factoryIdentifier() {
        return "headrace-kafka";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        Set<ConfigOption<?>> options = new HashSet<>(super.requiredOptions());
        options.add(TIMEOUT);
        options.add(DELAY);
        return options;
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        Set<ConfigOption<?>> options = new HashSet<>(super.optionalOptions());
        options.add(NEWEST);
        return options;
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        KafkaDynamicSource kafka = (KafkaDynamicSource) super.createDynamicTableSource(context);
        Configuration options = Configuration.fromMap(context.getCatalogTable().getOptions());
        return new QuietSource(kafka, options.get(TIMEOUT), options.get(DELAY), options.get(NEWEST));
    }
}
