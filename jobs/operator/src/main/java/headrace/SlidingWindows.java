package headrace;

import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.catalog.DataTypeFactory;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.utils.JoinedRowData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.table.functions.SpecializedFunction;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.inference.CallContext;
import org.apache.flink.table.types.inference.StaticArgument;
import org.apache.flink.table.types.inference.StaticArgumentTrait;
import org.apache.flink.table.types.inference.TypeInference;

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
@DataTypeHint(value = "ROW<_complete BOOLEAN>", bridgedTo = RowData.class) // the real type follows from the spec: see getTypeInference
public final class SlidingWindows extends ProcessTableFunction<RowData> implements SpecializedFunction {
    private static final long serialVersionUID = 1L;

    /** Timers that clear a key are set on the last millisecond of a minute: many fall on one, and few others do. */
    private static final long MINUTE = 60_000;

    private final Stage stage;
    private final transient DataType table; // for planning
    private transient Windower windower;
    private transient PendingRows pending;
    private transient StateBlocks blocks;
    private transient StagedRow current;
    private transient GenericRowData results;
    private transient JoinedRowData out;
    private transient LedgerMetrics[] metrics;

    /** As SQL makes it, before the spec is known. */
    public SlidingWindows() {
        this(null, null);
    }

    private SlidingWindows(Stage stage, DataType table) {
        this.stage = stage;
        this.table = table;
    }

    /** The spec is a literal: bound once, at planning, so that a timer knows it too. */
    @Override
    public UserDefinedFunction specialize(SpecializedContext context) {
        CallContext call = context.getCallContext();
        DataType table = call.getTableSemantics(0).orElseThrow().dataType();
        return new SlidingWindows(Stage.bind(spec(call), table), table);
    }

    @Override
    public TypeInference getTypeInference(DataTypeFactory factory) {
        TypeInference declared = super.getTypeInference(factory);
        return TypeInference.newBuilder()
                .staticArguments(arguments(declared.getStaticArguments().orElseThrow()))
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

    /** A table of any type comes as rows of objects, whatever {@link #eval} declares (Flink 2.3): once the type is known, it is said. */
    private List<StaticArgument> arguments(List<StaticArgument> declared) {
        if (table == null) {
            return declared;
        }
        DataType rows = table.bridgedTo(RowData.class);
        EnumSet<StaticArgumentTrait> traits = EnumSet.of(StaticArgumentTrait.SET_SEMANTIC_TABLE);
        return List.of(StaticArgument.table(declared.get(0).getName(), rows, false, traits), declared.get(1));
    }

    private static String spec(CallContext call) {
        return call.getArgumentValue(1, String.class)
                .orElseThrow(() -> new IllegalArgumentException("spec is a literal"));
    }

    @Override
    public void open(FunctionContext context) {
        windower = new Windower(stage);
        pending = new PendingRows(stage);
        blocks = new StateBlocks(stage);
        current = new StagedRow(stage);
        results = new GenericRowData(stage.features.length + 2);
        out = new JoinedRowData();
        metrics = LedgerMetrics.of(stage.views, context.getMetricGroup());
    }

    /**
     * One row of the table.
     *
     * <p>State is a map: Flink 2.3 hashes a value state, all its bytes, at each row to see whether it has changed, and cleans up
     * after a time to live that is not set where {@code ttl} is not given.
     */
    public void eval(
            Context context,
            @StateHint(name = "blocks", ttl = "0 ms") MapView<Long, byte[]> state,
            @ArgumentHint(name = "r", value = SET_SEMANTIC_TABLE) RowData r,
            @ArgumentHint(name = "spec") String spec)
            throws Exception {
        current.read(stage, r);
        TimeContext<Long> time = context.timeContext(Long.class);
        Long known = time.currentWatermark();
        long watermark = known == null ? Long.MIN_VALUE : known;
        blocks.open(state, current.key);
        if (stage.eventTime) {
            pending.open(blocks);
            if (current.time > watermark) {
                letWait(time, watermark);
            } else {
                apply(time, watermark);
                answer(time, current, watermark);
            }
            pending.save();
        } else {
            answer(time, current, watermark);
        }
        blocks.save();
    }

    /** The watermark has reached the earliest waiting row of this key that asks, or the time at which the key may be cleared. */
    public void onTimer(OnTimerContext context, MapView<Long, byte[]> state) throws Exception {
        TimeContext<Long> time = context.timeContext(Long.class);
        boolean clears = Math.floorMod(time.time(), MINUTE) == MINUTE - 1;
        blocks.open(state, null);
        if (stage.eventTime) {
            pending.open(blocks);
            boolean due = pending.timer() <= time.time();
            if (due || clears) {
                apply(time, time.currentWatermark());
            }
            if (due) {
                pending.setTimer(PendingRows.NOTHING);
                setTimer(time, pending.earliestToAsk());
            }
            if (clears && pending.earliest() != PendingRows.NOTHING) {
                setClearing(time, pending.earliest() + stage.retention);
            }
            pending.save();
        }
        if (clears) {
            setClearing(time, windower.clear(blocks, time.time()));
        }
        blocks.save();
    }

    /**
     * The row waits for the watermark. One that asks has a timer. One that does not is taken with the next that does, or when many
     * wait, or at the latest when the key may be cleared.
     */
    private void letWait(TimeContext<Long> time, long watermark) {
        pending.add(current);
        if (current.asks) {
            setTimer(time, current.time);
            return;
        }
        if (!Windower.knows(blocks)) {
            setClearing(time, current.time + stage.retention);
        }
        if (pending.areMany()) {
            apply(time, watermark);
        }
    }

    /** Answers the waiting rows that the watermark has reached. */
    private void apply(TimeContext<Long> time, long watermark) {
        for (List<StagedRow> ready = pending.take(watermark); !ready.isEmpty(); ready = pending.take(watermark)) {
            for (StagedRow row : ready) {
                answer(time, row, row.time - 1);
            }
        }
    }

    private void setTimer(TimeContext<Long> time, long at) {
        if (at < pending.timer()) {
            time.registerOnTime(at);
            pending.setTimer(at);
        }
    }

    private static void setClearing(TimeContext<Long> time, long expires) {
        if (expires != Windower.NOTHING) {
            time.registerOnTime(Math.floorDiv(expires, MINUTE) * MINUTE + MINUTE - 1);
        }
    }

    /** {@code watermark}: for a row that has waited for it, less than its time. */
    private void answer(TimeContext<Long> time, StagedRow row, long watermark) {
        Object[] answer = windower.step(blocks, row, watermark);
        setClearing(time, windower.expires());
        List<LateRow> late = windower.late();
        for (int i = 0; i < late.size(); i++) { // mostly none: not worth an iterator a row
            metrics[late.get(i).index()].count(late.get(i));
            emit(row, null, late.get(i));
        }
        if (answer != null) {
            emit(row, answer, null);
        }
    }

    /** The carried columns, the answer's features and completeness, the ledger's entry. */
    private void emit(StagedRow row, Object[] answer, LateRow late) {
        for (int i = 0; i <= stage.features.length; i++) {
            results.setField(i, answer == null ? null : answer[i]);
        }
        results.setField(stage.features.length + 1, late == null ? null : late.row());
        collect(out.replace(row.carry, results));
    }
}
