package headrace.seam;

import org.apache.flink.api.common.eventtime.TimestampAssigner;
import org.apache.flink.api.common.eventtime.TimestampAssignerSupplier;
import org.apache.flink.api.common.eventtime.WatermarkAlignmentParams;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkGeneratorSupplier;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.table.data.RowData;

/**
 * The watermarks of a topic, which rows of history do not move: sources whose histories end at different times would wait for one
 * another.
 *
 * @param partition the position of the column with a row's partition
 */
public record SeamWatermarks(WatermarkStrategy<RowData> topic, int partition) implements WatermarkStrategy<RowData> {
    private static final long serialVersionUID = 1L;

    @Override
    public WatermarkGenerator<RowData> createWatermarkGenerator(WatermarkGeneratorSupplier.Context context) {
        WatermarkGenerator<RowData> ofTopic = topic.createWatermarkGenerator(context);
        return new WatermarkGenerator<>() {
            @Override
            public void onEvent(RowData event, long timestamp, WatermarkOutput output) {
                if (event.getInt(partition) != History.PARTITION) {
                    ofTopic.onEvent(event, timestamp, output);
                }
            }

            @Override
            public void onPeriodicEmit(WatermarkOutput output) {
                ofTopic.onPeriodicEmit(output);
            }
        };
    }

    @Override
    public TimestampAssigner<RowData> createTimestampAssigner(TimestampAssignerSupplier.Context context) {
        return topic.createTimestampAssigner(context);
    }

    @Override
    public WatermarkAlignmentParams getAlignmentParameters() {
        return topic.getAlignmentParameters();
    }
}
