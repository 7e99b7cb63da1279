package headrace.windows;

import headrace.state.Blocks;
import headrace.state.StateBlocks;
import java.util.List;
import java.util.function.Consumer;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.utils.JoinedRowData;
import org.apache.flink.table.functions.ProcessTableFunction.TimeContext;

/** The turn of a row or a timer at its key, from the first read of the state to the last write: what a mode does there. */
final class Turn {
    /** Timers that clear a key are set on the last millisecond of a minute: many fall on one, and few others do. */
    private static final long MINUTE = 60_000;

    private final int fields;
    private final Windower windower;
    private final StateBlocks blocks;
    private final LedgerMetrics[] metrics;
    private final Consumer<RowData> output;
    private final GenericRowData results;
    private final JoinedRowData joined = new JoinedRowData();
    private TimeContext<Long> time;

    Turn(Stage stage, Windower windower, LedgerMetrics[] metrics, Consumer<RowData> output) {
        this.windower = windower;
        this.metrics = metrics;
        this.output = output;
        fields = stage.resultFields();
        blocks = new StateBlocks(stage.key, stage.cache);
        results = new GenericRowData(fields + 1);
    }

    /** Begins; {@code key} is null where it is not known, or nothing is kept of it in memory. */
    void open(TimeContext<Long> time, MapView<Long, byte[]> state, GenericRowData key) {
        this.time = time;
        blocks.open(state, key);
    }

    /** Writes what is not yet written. */
    void close() {
        blocks.save();
    }

    Blocks blocks() {
        return blocks;
    }

    /** The watermark; the least long where there is none yet. */
    long watermark() {
        Long known = time.currentWatermark();
        return known == null ? Long.MIN_VALUE : known;
    }

    void setTimer(long at) {
        time.registerOnTime(at);
    }

    /** Sets the timer that clears the key; {@code expires} may be {@link Windower#NOTHING}. */
    void setClearing(long expires) {
        if (expires != Windower.NOTHING) {
            time.registerOnTime(Math.floorDiv(expires, MINUTE) * MINUTE + MINUTE - 1);
        }
    }

    /** Whether a timer of {@code time} may be one that clears the key. */
    static boolean clears(long time) {
        return Math.floorMod(time, MINUTE) == MINUTE - 1;
    }

    /** Clears the key of what no window can hold any more at {@code time}. */
    void clear(long time) {
        setClearing(windower.clear(blocks, time));
    }

    /** Whether a row has been counted before, as one of the history that the job was backfilled with. */
    boolean isRepeat(StagedRow row) {
        return windower.isRepeat(blocks, row);
    }

    /** Puts a row into the windows; {@code watermark} is as {@link Windower#step} wants it. */
    void process(StagedRow row, long watermark) {
        Object[] vector = windower.step(blocks, row, watermark);
        setClearing(windower.expires());
        List<LateRow> late = windower.late();
        for (int i = 0; i < late.size(); i++) { // mostly none: not worth an iterator a row
            metrics[late.get(i).index()].count(late.get(i));
            emit(row, null, late.get(i));
        }
        if (vector != null) {
            emit(row, vector, null);
        }
    }

    /** Emits the carried columns, the feature vector, the entry in the ledger. */
    private void emit(StagedRow row, Object[] vector, LateRow late) {
        for (int i = 0; i < fields; i++) {
            results.setField(i, vector == null ? null : vector[i]);
        }
        results.setField(fields, late == null ? null : late.row());
        output.accept(joined.replace(row.carry, results));
    }
}
