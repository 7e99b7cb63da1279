package headrace.kafka;

import headrace.seam.History;
import headrace.seam.RowShape;
import headrace.seam.SeamSource;
import headrace.seam.SeamWatermarks;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.dag.Transformation;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.transformations.SourceTransformation;
import org.apache.flink.streaming.connectors.kafka.table.KafkaDynamicSource;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.ProviderContext;
import org.apache.flink.table.connector.source.DataStreamScanProvider;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.abilities.SupportsReadingMetadata;
import org.apache.flink.table.connector.source.abilities.SupportsWatermarkPushDown;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;

/** A topic as Flink's own connector reads it, with {@link QuietWatermarks}; in a backfilled job behind its {@link History}. */
final class QuietSource implements ScanTableSource, SupportsReadingMetadata, SupportsWatermarkPushDown {
    private final KafkaDynamicSource kafka;
    private final Duration timeout;
    private final Duration delay;
    private final long newest;
    private final RowType columns;

    /** Null where the job has no backfill. */
    private final History history;

    private List<String> metadata = List.of();

    QuietSource(KafkaDynamicSource kafka, Duration timeout, Duration delay, long newest, RowType columns, History history) {
        this.kafka = kafka;
        this.timeout = timeout;
        this.delay = delay;
        this.newest = newest;
        this.columns = columns;
        this.history = history;
    }

    @Override
    public void applyWatermark(WatermarkStrategy<RowData> table) {
        kafka.applyWatermark(timeout.isZero() ? table : new QuietWatermarks<>(table, timeout, delay, newest));
    }

    @Override
    public ChangelogMode getChangelogMode() {
        return kafka.getChangelogMode();
    }

    @Override
    public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
        ScanRuntimeProvider provider = kafka.getScanRuntimeProvider(context);
        return history == null ? provider : new Backfilled((DataStreamScanProvider) provider);
    }

    /** The topic behind its history. */
    private final class Backfilled implements DataStreamScanProvider {
        private final DataStreamScanProvider topic;

        Backfilled(DataStreamScanProvider topic) {
            this.topic = topic;
        }

        @Override
        public DataStream<RowData> produceDataStream(ProviderContext context, StreamExecutionEnvironment environment) {
            Transformation<RowData> transformation = topic.produceDataStream(context, environment).getTransformation();
            return behind((SourceTransformation<RowData, ?, ?>) transformation, environment);
        }

        /** A stream in the place of the topic's own, of which nothing is left: it is a stream's readers that keep it. */
        private <S extends SourceSplit, E> DataStream<RowData> behind(
                SourceTransformation<RowData, S, E> source, StreamExecutionEnvironment environment) {
            RowShape shape = new RowShape(columns, metadata);
            WatermarkStrategy<RowData> watermarks = new SeamWatermarks(source.getWatermarkStrategy(), shape.partition());
            return environment.fromSource(
                    new SeamSource<>(source.getSource(), history, shape), watermarks, source.getName(), source.getOutputType());
        }

        @Override
        public boolean isBounded() {
            return topic.isBounded();
        }
    }

    @Override
    public Map<String, DataType> listReadableMetadata() {
        return kafka.listReadableMetadata();
    }

    @Override
    public void applyReadableMetadata(List<String> keys, DataType produced) {
        metadata = List.copyOf(keys);
        kafka.applyReadableMetadata(keys, produced);
    }

    @Override
    public boolean supportsMetadataProjection() {
        return kafka.supportsMetadataProjection();
    }

    @Override
    public DynamicTableSource copy() {
        QuietSource copy = new QuietSource((KafkaDynamicSource) kafka.copy(), timeout, delay, newest, columns, history);
        copy.metadata = metadata;
        return copy;
    }

    @Override
    public String asSummaryString() {
        return kafka.asSummaryString();
    }
}
