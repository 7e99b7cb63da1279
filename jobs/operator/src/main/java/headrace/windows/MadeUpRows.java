package headrace.windows;

import headrace.warmup.Samples;
import headrace.warmup.WarmUp;
import java.util.PriorityQueue;
import java.util.function.Consumer;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;

/** A stage's warm-up: row after row of a few keys through its windows, with state and timers of their own. */
final class MadeUpRows implements WarmUp.Step {
    private static final int KEYS = 64;

    private static final int ROWS_IN_WINDOWS = 200;

    private final Stage stage;
    private final Mode mode;
    private final StagedRow current;
    private final Turn turn;
    private final Key[] keys = new Key[KEYS];
    private final long step;
    private long now;

    /** What comes of the rows goes to {@code output}. */
    MadeUpRows(Stage stage, Consumer<RowData> output) {
        this.stage = stage;
        mode = Mode.of(stage);
        current = new StagedRow(stage);
        turn = new Turn(stage, new Windower(stage, mode), new LedgerMetrics[0], output); // no row is late
        step = Math.max(stage.retention / (KEYS * ROWS_IN_WINDOWS), 1);
        now = Math.max(0, stage.seam); // rows from before it look for their ids: few do, and only for a while
        for (int k = 0; k < KEYS; k++) {
            keys[k] = new Key();
        }
    }

    @Override
    public void run(int number) {
        now += step;
        Key key = keys[number % KEYS];
        current.read(stage, row(number));
        key.open(null, current.key);
        mode.arrive(current, turn);
        turn.close();
        while (!key.timers.isEmpty() && key.timers.peek() <= now) {
            long time = key.timers.poll();
            key.open(time, null);
            mode.onTimer(time, turn);
            if (Turn.clears(time)) {
                turn.clear(time);
            }
            turn.close();
        }
    }

    private GenericRowData row(int number) {
        GenericRowData row = Samples.row(stage.table.getChildren(), number);
        int key = stage.table.getFieldIndex("_key");
        if (key >= 0) {
            row.setField(key, Samples.value(stage.table.getTypeAt(key), number % KEYS));
        }
        row.setField(stage.time, now);
        row.setField(stage.contributes, true);
        row.setField(stage.isQuery, true);
        return row;
    }

    /** One key's state and timers, and the time that it is told: the watermark is a step behind the rows. */
    private final class Key implements UnnamedTimers {
        private final MapView<Long, byte[]> blocks = new MapView<>();
        private final PriorityQueue<Long> timers = new PriorityQueue<>();
        private Long time;

        void open(Long time, GenericRowData key) {
            this.time = time;
            turn.open(this, blocks, key);
        }

        @Override
        public Long time() {
            return time;
        }

        @Override
        public Long currentWatermark() {
            return time == null ? now - step : now;
        }

        @Override
        public void registerOnTime(Long at) {
            if (!timers.contains(at)) {
                timers.add(at);
            }
        }
    }
}
