package headrace;

import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import java.math.BigDecimal;
import java.util.Optional;
import org.apache.flink.metrics.Counter;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.catalog.DataTypeFactory;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.table.functions.SpecializedFunction;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.table.types.inference.CallContext;
import org.apache.flink.table.types.inference.TypeInference;
import org.apache.flink.types.Row;

/**
 * The windows of one key over one source: the contract, as stated in docs/windows.md, for a table
 * whose rows contribute, ask, or do both.
 *
 * <pre>
 * SELECT … FROM sliding_windows(r => TABLE rows PARTITION BY key, spec => '{…}', uid => '…'[, on_time => DESCRIPTOR(rt)])
 * </pre>
 *
 * <p>In arrival mode a row is answered as it comes. In event-time mode ({@code on_time} is given) it
 * waits in {@link PendingRows} until the watermark reaches it; one that comes behind the watermark is
 * answered at once, as of its own time.
 */
@DataTypeHint("ROW<_complete BOOLEAN>") // the real type follows from the spec: see getTypeInference
public final class SlidingWindows extends ProcessTableFunction<Row> implements SpecializedFunction {
    private static final long serialVersionUID = 1L;

    /** The one key of each map: {@link RowLog}'s bytes, {@link PendingRows}'s bytes, the earliest timer that is set. */
    private static final Integer ONLY = 0;

    private final Stage stage;
    private transient Windower windower;
    private transient PendingRows pending;
    private transient Counter late;

    /** As SQL makes it, before the spec is known. */
    public SlidingWindows() {
        this(null);
    }

    private SlidingWindows(Stage stage) {
        this.stage = stage;
    }

    /** The spec is a literal: bound once, at planning, so that a timer knows it too. */
    @Override
    public UserDefinedFunction specialize(SpecializedContext context) {
        CallContext call = context.getCallContext();
        return new SlidingWindows(Stage.bind(spec(call), call.getTableSemantics(0).orElseThrow().dataType()));
    }

    @Override
    public TypeInference getTypeInference(DataTypeFactory factory) {
        TypeInference declared = super.getTypeInference(factory);
        return TypeInference.newBuilder()
                .staticArguments(declared.getStaticArguments().orElseThrow())
                .inputTypeStrategy(declared.getInputTypeStrategy())
                .stateTypeStrategies(declared.getStateTypeStrategies())
                .disableSystemArguments(declared.disableSystemArguments())
                .outputTypeStrategy(
                        call ->
                                Optional.of(
                                        Stage.output(
                                                spec(call), call.getTableSemantics(0).orElseThrow().dataType())))
                .build();
    }

    private static String spec(CallContext call) {
        return call.getArgumentValue(1, String.class)
                .orElseThrow(() -> new IllegalArgumentException("spec is a literal"));
    }

    @Override
    public void open(FunctionContext context) {
        windower = new Windower(stage);
        pending = new PendingRows(stage);
        late = context.getMetricGroup().counter("late_rows");
    }

    /**
     * One row of the table.
     *
     * <p>State is in maps of one entry: Flink 2.3 hashes a value state, all its bytes, at each row to see whether it has
     * changed, and cleans up after a time to live that is not set where {@code ttl} is not given.
     */
    public void eval(
            Context context,
            @StateHint(name = "retained", ttl = "0 ms") MapView<Integer, byte[]> retained,
            @StateHint(name = "waiting", ttl = "0 ms") MapView<Integer, byte[]> waiting,
            @StateHint(name = "timer", ttl = "0 ms") MapView<Integer, Long> timer,
            @ArgumentHint(name = "r", value = SET_SEMANTIC_TABLE) Row r,
            @ArgumentHint(name = "spec") String spec)
            throws Exception {
        StagedRow row = new StagedRow(stage, r);
        if (!stage.eventTime) {
            answer(retained, row);
            return;
        }
        TimeContext<Long> time = context.timeContext(Long.class);
        Long watermark = time.currentWatermark();
        if (watermark != null && row.time <= watermark) {
            late.inc();
            answer(retained, row);
            return;
        }
        waiting.put(ONLY, pending.append(waiting.get(ONLY), row));
        setTimer(time, timer, row.time);
    }

    /** The watermark has reached the earliest waiting row of this key. */
    public void onTimer(
            OnTimerContext context,
            MapView<Integer, byte[]> retained,
            MapView<Integer, byte[]> waiting,
            MapView<Integer, Long> timer)
            throws Exception {
        TimeContext<Long> time = context.timeContext(Long.class);
        PendingRows.Split split = pending.split(waiting.get(ONLY), time.currentWatermark());
        for (StagedRow row : split.ready()) {
            answer(retained, row);
        }
        timer.remove(ONLY);
        if (split.rest() == null) {
            waiting.remove(ONLY);
            return;
        }
        waiting.put(ONLY, split.rest());
        setTimer(time, timer, split.earliest());
    }

    private static void setTimer(TimeContext<Long> time, MapView<Integer, Long> timer, long at) throws Exception {
        Long set = timer.get(ONLY);
        if (set == null || at < set) {
            time.registerOnTime(at);
            timer.put(ONLY, at);
        }
    }

    private void answer(MapView<Integer, byte[]> retained, StagedRow row) throws Exception {
        Object[] features = windower.step(retained.get(ONLY), row);
        if (row.contributes) {
            retained.put(ONLY, windower.rows());
        }
        if (features == null) {
            return;
        }
        Row out = new Row(row.carry.length + features.length);
        for (int i = 0; i < row.carry.length; i++) {
            out.setField(i, row.carry[i]);
        }
        for (int i = 0; i < features.length; i++) {
            out.setField(row.carry.length + i, features[i]);
        }
        collect(out);
    }

    /** The 64 bits that {@link RowLog} keeps of a column's value. */
    static long bits(Object value) {
        if (value instanceof Long number) {
            return number;
        }
        if (value instanceof Double number) {
            return Double.doubleToRawLongBits(number);
        }
        if (value instanceof BigDecimal number) {
            return number.unscaledValue().longValueExact();
        }
        return 0; // a column of another type is only counted
    }
}
