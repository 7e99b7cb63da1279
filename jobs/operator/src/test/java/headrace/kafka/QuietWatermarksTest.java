package headrace.kafka;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.Serializable;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkGeneratorSupplier;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.util.InstantiationUtil;
import org.apache.flink.util.clock.RelativeClock;
import org.junit.jupiter.api.Test;

/** The watermarks of a source as its partitions fall silent; each partition's are written down as text. */
class QuietWatermarksTest {
    private static final long DELAY = 100;

    private long clock;
    private final QuietWatermarks<Long> quiet = after(Duration.ofMillis(10));
    private final Output first = new Output(quiet);
    private final Output second = new Output(quiet);

    /** While events come the watermark is the table's; after a silence of all partitions it is the newest event of all. */
    @Test
    void theNewestEventOfAllIsReachedWhenAllAreSilent() {
        first.event(1_000);
        second.event(1_500);
        pass(9);
        assertEquals(List.of("899"), first.given);
        second.event(1_600);
        pass(10); // the second is silent too, but its rows may be late by the delay
        assertEquals(List.of("899", "idle"), first.given);
        assertEquals(List.of("1399", "idle"), second.given);
        pass(100);
        pass(1);
        assertEquals(List.of("899", "idle", "1600", "idle"), first.given);
        assertEquals(List.of("1399", "idle", "1600", "idle"), second.given);
        pass(1_000);
        assertEquals(4, first.given.size());
    }

    /** An event that comes afterwards is an event like any other, and the next silence leads to it. */
    @Test
    void anEventEndsTheSilence() {
        first.event(1_000);
        pass(110);
        pass(1);
        first.event(2_000);
        pass(1);
        pass(110);
        pass(1);
        assertEquals(List.of("1000", "idle", "1899", "2000", "idle"), first.given);
        assertEquals(List.of("idle"), second.given, "a partition without events has no newest one");
    }

    /** A partition that is not read, as others have to catch up, is not silent: its clock stands still. */
    @Test
    void aPartitionThatIsNotReadIsNotSilent() {
        first.event(1_000);
        second.event(1_000);
        second.isRead = false;
        pass(500);
        pass(500);
        assertEquals(List.of("idle"), first.given);
        assertEquals(List.of("899"), second.given);
    }

    /** After a restart the newest event is one that was read before it, until there is a newer one. */
    @Test
    void aSilenceAfterARestartLeadsToWhatWasReadBefore() {
        QuietWatermarks<Long> restarted =
                new QuietWatermarks<>(new Table(), Duration.ofMillis(10), Duration.ofMillis(DELAY), 3_000);
        Output only = new Output(restarted);
        clock += 110;
        only.periodic();
        only.periodic();
        assertEquals(List.of("3000", "idle"), only.given);
        only.event(4_000);
        clock += 110;
        only.periodic();
        assertEquals(List.of("3000", "idle", "4000"), only.given);
    }

    /** It travels to the subtasks, and each has its own partitions. */
    @Test
    void itIsSerializable() throws Exception {
        QuietWatermarks<Long> copy = InstantiationUtil.clone(quiet);
        Output alone = new Output(copy);
        alone.event(5_000);
        clock += 110;
        alone.periodic();
        assertEquals(List.of("5000"), alone.given);
    }

    private void pass(long milliseconds) {
        clock += milliseconds;
        first.periodic();
        second.periodic();
    }

    private static QuietWatermarks<Long> after(Duration timeout) {
        return new QuietWatermarks<>(new Table(), timeout, Duration.ofMillis(DELAY), Long.MIN_VALUE);
    }

    /** As Flink's: the greatest watermark of an event, once a period. */
    private static final class Table implements WatermarkStrategy<Long>, Serializable {
        private static final long serialVersionUID = 1L;

        @Override
        public WatermarkGenerator<Long> createWatermarkGenerator(WatermarkGeneratorSupplier.Context context) {
            return new WatermarkGenerator<>() {
                private long greatest = Long.MIN_VALUE;

                @Override
                public void onEvent(Long event, long timestamp, WatermarkOutput output) {
                    greatest = Math.max(greatest, event - DELAY - 1);
                }

                @Override
                public void onPeriodicEmit(WatermarkOutput output) {
                    if (greatest > Long.MIN_VALUE) {
                        output.emitWatermark(new Watermark(greatest));
                    }
                }
            };
        }
    }

    /** A partition, and what it gives that is new. */
    private final class Output implements WatermarkOutput, WatermarkGeneratorSupplier.Context {
        private final List<String> given = new ArrayList<>();
        private final WatermarkGenerator<Long> partition;
        private final long began = clock;
        private boolean isRead = true;

        Output(QuietWatermarks<Long> watermarks) {
            partition = watermarks.createWatermarkGenerator(this);
        }

        void event(long time) {
            partition.onEvent(time, time, this);
        }

        void periodic() {
            partition.onPeriodicEmit(this);
        }

        @Override
        public void emitWatermark(Watermark watermark) {
            note(String.valueOf(watermark.getTimestamp()));
        }

        @Override
        public void markIdle() {
            note("idle");
        }

        @Override
        public void markActive() {}

        private void note(String text) {
            if (given.isEmpty() || !given.get(given.size() - 1).equals(text)) {
                given.add(text);
            }
        }

        @Override
        public MetricGroup getMetricGroup() {
            throw new UnsupportedOperationException();
        }

        @Override
        public RelativeClock getInputActivityClock() {
            return new RelativeClock() {
                @Override
                public long relativeTimeMillis() {
                    return isRead ? clock : began;
                }

                @Override
                public long relativeTimeNanos() {
                    return relativeTimeMillis() * 1_000_000;
                }
            };
        }
    }
}
