package headrace.files;

import headrace.seam.RowShape;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamSource;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.ProviderContext;
import org.apache.flink.table.connector.source.DataStreamScanProvider;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.abilities.SupportsWatermarkPushDown;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;

/** A table that is read from files, whose watermarks are made where they are read. */
final class FilesTableSource implements ScanTableSource, SupportsWatermarkPushDown {
    private final TableFiles files;
    private final RowType columns;
    private WatermarkStrategy<RowData> watermarks = WatermarkStrategy.noWatermarks();

    FilesTableSource(TableFiles files, RowType columns) {
        this.files = files;
        this.columns = columns;
    }

    @Override
    public void applyWatermark(WatermarkStrategy<RowData> table) {
        watermarks = table;
    }

    @Override
    public ChangelogMode getChangelogMode() {
        return ChangelogMode.insertOnly();
    }

    @Override
    public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
        return new Read(context.createTypeInformation(columns));
    }

    /** The stream of the rows. */
    private final class Read implements DataStreamScanProvider {
        private final TypeInformation<RowData> type;

        Read(TypeInformation<RowData> type) {
            this.type = type;
        }

        @Override
        public DataStream<RowData> produceDataStream(ProviderContext context, StreamExecutionEnvironment environment) {
            FilesSource source = new FilesSource(files, new RowShape(columns, List.of()));
            DataStreamSource<RowData> rows = environment.fromSource(source, watermarks, files.name(), type);
            context.generateUid("files").ifPresent(rows::uid);
            return rows;
        }

        @Override
        public boolean isBounded() {
            return true;
        }
    }

    @Override
    public DynamicTableSource copy() {
        FilesTableSource copy = new FilesTableSource(files, columns);
        copy.watermarks = watermarks;
        return copy;
    }

    @Override
    public String asSummaryString() {
        return "headrace-files";
    }
}
