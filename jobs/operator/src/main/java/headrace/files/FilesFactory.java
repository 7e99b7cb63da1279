package headrace.files;

import java.util.Set;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.factories.DynamicTableSinkFactory;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.types.logical.RowType;

/** The connector {@code headrace-files}: rows in frames ({@link headrace.seam.HistoryFile}), read once from their beginning or written. */
public final class FilesFactory implements DynamicTableSourceFactory, DynamicTableSinkFactory {
    static final ConfigOption<String> FOLDER = ConfigOptions.key("folder").stringType().noDefaultValue();
    static final ConfigOption<String> NAME = ConfigOptions.key("name").stringType().noDefaultValue();
    static final ConfigOption<Integer> FILES = ConfigOptions.key("files").intType().noDefaultValue();

    @Override
    public String factoryIdentifier() {
        return "headrace-files";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(FOLDER, NAME, FILES);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of();
    }

    @Override
    public DynamicTableSource createDynamicTableSource(Context context) {
        return new FilesTableSource(files(context), columns(context));
    }

    @Override
    public DynamicTableSink createDynamicTableSink(Context context) {
        return new FilesTableSink(files(context), columns(context));
    }

    private static TableFiles files(Context context) {
        Configuration options = Configuration.fromMap(context.getCatalogTable().getOptions());
        return new TableFiles(options.get(FOLDER), options.get(NAME), options.get(FILES));
    }

    private static RowType columns(Context context) {
        return (RowType) context.getPhysicalRowDataType().getLogicalType();
    }
}
