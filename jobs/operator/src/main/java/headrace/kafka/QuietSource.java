package headrace.kafka;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.streaming.connectors.kafka.table.KafkaDynamicSource;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.abilities.SupportsReadingMetadata;
import org.apache.flink.table.connector.source.abilities.SupportsWatermarkPushDown;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;

/** A topic as Flink's own connector reads it, with {@link QuietWatermarks}. */
final class QuietSource implements ScanTableSource, SupportsReadingMetadata, SupportsWatermarkPushDown {
    private final KafkaDynamicSource kafka;
    private final Duration timeout;
    private final Duration delay;
    private final long newest;

    QuietSource(KafkaDynamicSource kafka, Duration timeout, Duration delay, long newest) {
        this.kafka = kafka;
        this.timeout = timeout;
        this.delay = delay;
        this.newest = newest;
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
        return kafka.getScanRuntimeProvider(context);
    }

    @Override
    public Map<String, DataType> listReadableMetadata() {
        return kafka.listReadableMetadata();
    }

    @Override
    public void applyReadableMetadata(List<String> keys, DataType produced) {
        kafka.applyReadableMetadata(keys, produced);
    }

    @Override
    public boolean supportsMetadataProjection() {
        return kafka.supportsMetadataProjection();
    }

    @Override
    public DynamicTableSource copy() {
        return new QuietSource((KafkaDynamicSource) kafka.copy(), timeout, delay, newest);
    }

    @Override
    public String asSummaryString() {
        return kafka.asSummaryString();
    }
}
