package headrace.kafka;

import headrace.seam.History;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.connectors.kafka.table.KafkaDynamicSource;
import org.apache.flink.streaming.connectors.kafka.table.KafkaDynamicTableFactory;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.types.logical.RowType;

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

    /** Of a backfilled job: see {@link History}, whose fields these are. */
    static final ConfigOption<String> HISTORY_FOLDER =
            ConfigOptions.key("history.folder").stringType().noDefaultValue();

    static final ConfigOption<String> HISTORY_SOURCE =
            ConfigOptions.key("history.source").stringType().noDefaultValue();

    static final ConfigOption<Integer> HISTORY_FILES = ConfigOptions.key("history.files").intType().defaultValue(0);

    static final ConfigOption<List<String>> HISTORY_SOURCES =
            ConfigOptions.key("history.sources").stringType().asList().defaultValues();

    static final ConfigOption<String> HISTORY_START = ConfigOptions.key("history.start").stringType().noDefaultValue();

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
        options.addAll(Set.of(HISTORY_FOLDER, HISTORY_SOURCE, HISTORY_FILES, HISTORY_SOURCES, HISTORY_START));
        return options;
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        KafkaDynamicSource kafka = (KafkaDynamicSource) super.createDynamicTableSource(context);
        Configuration options = Configuration.fromMap(context.getCatalogTable().getOptions());
        RowType columns = (RowType) context.getPhysicalRowDataType().getLogicalType();
        return new QuietSource(
                kafka, options.get(TIMEOUT), options.get(DELAY), options.get(NEWEST), columns, history(options).orElse(null));
    }

    private static Optional<History> history(Configuration options) {
        return options.getOptional(HISTORY_FOLDER)
                .map(
                        folder ->
                                new History(
                                        folder,
                                        options.get(HISTORY_SOURCE),
                                        options.get(HISTORY_FILES),
                                        Set.copyOf(options.get(HISTORY_SOURCES)),
                                        options.get(HISTORY_START)));
    }
}
