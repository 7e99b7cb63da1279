package headrace.kafka;

import java.io.IOException;
import java.io.ObjectInputStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.eventtime.TimestampAssigner;
import org.apache.flink.api.common.eventtime.TimestampAssignerSupplier;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkAlignmentParams;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkGeneratorSupplier;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.util.clock.RelativeClock;

/**
 * The watermarks of a table, and what becomes of them when no events come. A partition that is silent no longer holds the others
 * back. When all are silent, the watermark goes on to the newest event, so that it does not wait for one after it (rule 6).
 *
 * <pre>
 * events      ●   ●  ●(t)
 * clock       ───────│── timeout ──│── delay ──►
 * watermark   t - delay - 1        idle        t, idle
 * </pre>
 *
 * <p>"All" are those that one subtask reads. Flink takes the greatest watermark of the subtasks once they all are idle.
 */
final class QuietWatermarks<T> implements WatermarkStrategy<T> {
    private static final long serialVersionUID = 1L;

    private final WatermarkStrategy<T> table;
    private final long timeoutNanos;
    private final long delayMillis;
    private final long newestBefore;

    /** Of this subtask. */
    private transient List<Partition> partitions = new ArrayList<>();

    /**
     * @param table gives watermarks that are {@code delay} and a millisecond behind the events
     * @param timeout how long a partition without events is waited for
     * @param newestBefore the time of the newest event that was read before the job's start; the least long where none was
     */
    QuietWatermarks(WatermarkStrategy<T> table, Duration timeout, Duration delay, long newestBefore) {
        this.table = table;
        timeoutNanos = timeout.toNanos();
        delayMillis = delay.toMillis();
        this.newestBefore = newestBefore;
    }

    @Override
    public WatermarkGenerator<T> createWatermarkGenerator(WatermarkGeneratorSupplier.Context context) {
        Partition partition = new Partition(table.createWatermarkGenerator(context), context.getInputActivityClock());
        partitions.add(partition);
        return partition;
    }

    @Override
    public TimestampAssigner<T> createTimestampAssigner(TimestampAssignerSupplier.Context context) {
        return table.createTimestampAssigner(context);
    }

    @Override
    public WatermarkAlignmentParams getAlignmentParameters() {
        return table.getAlignmentParameters();
    }

    private void readObject(ObjectInputStream in) throws IOException, ClassNotFoundException {
        in.defaultReadObject();
        partitions = new ArrayList<>();
    }

    private boolean allAreSilent() {
        long nanos = timeoutNanos + delayMillis * 1_000_000;
        return partitions.stream().allMatch(partition -> partition.isSilentFor(nanos));
    }

    /** The time of the newest event; the least long where there is none. */
    private long newest() {
        return partitions.stream().mapToLong(Partition::newest).reduce(newestBefore, Math::max);
    }

    private final class Partition implements WatermarkGenerator<T> {
        private final WatermarkGenerator<T> ofTable;
        private final RelativeClock clock; // stands still while the partition is not read
        private final Last last = new Last();
        private long lastEvent;
        private boolean isIdle;
        private boolean hasCaughtUp;

        Partition(WatermarkGenerator<T> ofTable, RelativeClock clock) {
            this.ofTable = ofTable;
            this.clock = clock;
            lastEvent = clock.relativeTimeNanos();
        }

        @Override
        public void onEvent(T event, long timestamp, WatermarkOutput output) {
            lastEvent = clock.relativeTimeNanos();
            ofTable.onEvent(event, timestamp, output);
            isIdle = false;
            hasCaughtUp = false;
        }

        @Override
        public void onPeriodicEmit(WatermarkOutput output) {
            if (!isSilentFor(timeoutNanos)) {
                ofTable.onPeriodicEmit(output);
            } else if (!hasCaughtUp && Math.max(newest(), newestBefore) > Long.MIN_VALUE && allAreSilent()) {
                output.emitWatermark(new Watermark(QuietWatermarks.this.newest()));
                hasCaughtUp = true;
                isIdle = false; // Flink looks at a period's end: what is idle by then gives no watermark
            } else if (!isIdle) {
                output.markIdle();
                isIdle = true;
            }
        }

        boolean isSilentFor(long nanos) {
            return clock.relativeTimeNanos() - lastEvent >= nanos;
        }

        /** The time of its newest event; the least long where there is none. */
        long newest() {
            ofTable.onPeriodicEmit(last);
            return last.watermark == Long.MIN_VALUE ? Long.MIN_VALUE : last.watermark + delayMillis + 1;
        }
    }

    /** Keeps what is given. */
    private static final class Last implements WatermarkOutput {
        private long watermark = Long.MIN_VALUE;

        @Override
        public void emitWatermark(Watermark given) {
            watermark = given.getTimestamp();
        }

        @Override
        public void markIdle() {}

        @Override
        public void markActive() {}
    }
}
