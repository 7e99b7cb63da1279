package headrace.windows;

import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import headrace.warmup.WarmUp;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.catalog.DataTypeFactory;
import org.apache.flink.table.data.RowData;
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
 * One keyed step of a plan, as Flink SQL calls it: windows over one source, by the contract in docs/windows.md. A row of its table
 * contributes to the windows, or is a query that is given a feature vector, or both.
 *
 * <pre>
 * SELECT … FROM sliding_windows(r => TABLE rows PARTITION BY key, spec => '{…}', uid => '…'[, on_time => DESCRIPTOR(rt)])
 * </pre>
 *
 * <p>{@code on_time} is given in event-time mode. What the modes do is in {@link ArrivalMode} and {@link EventTimeMode}.
 */
@DataTypeHint(value = "ROW<_complete BOOLEAN>", bridgedTo = RowData.class) // a stand-in: see getTypeInference
public final class SlidingWindows extends ProcessTableFunction<RowData> implements SpecializedFunction {
    private static final long serialVersionUID = 1L;

    private final Stage stage;
    private final transient DataType table; // for planning
    private transient Mode mode;
    private transient StagedRow current;
    private transient Turn turn;

    /** As SQL makes it, before the spec is known. */
    public SlidingWindows() {
        this(null, null);
    }

    SlidingWindows(Stage stage, DataType table) {
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

    /** Flink 2.3 passes a table of any type as rows of objects, whatever {@link #eval} declares, unless its type is declared. */
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
        start(context.getMetricGroup(), RowTree.LEAF_ROWS, RowTree.FANOUT);
        WarmUp.run("windows over " + Arrays.toString(stage.views), new MadeUpRows(stage, row -> {}));
    }

    /** With blocks of these sizes: see {@link RowTree}. */
    void start(MetricGroup metrics, int leafRows, int fanout) {
        mode = Mode.of(stage);
        current = new StagedRow(stage);
        Windower windower = new Windower(stage, mode, leafRows, fanout);
        turn = new Turn(stage, windower, LedgerMetrics.of(stage.views, metrics), this::collect);
    }

    /**
     * One row of the table.
     *
     * <p>State is a map: Flink 2.3 hashes a value state, all its bytes, at each row to see whether it has changed, and cleans up
     * after a time to live that is not set where {@code ttl} is not given. Its name must stay: under another one a checkpoint's
     * state would not be found, and windows would look empty.
     */
    public void eval(
            Context context,
            @StateHint(name = "blocks", ttl = "0 ms") MapView<Long, byte[]> state,
            @ArgumentHint(name = "r", value = SET_SEMANTIC_TABLE) RowData r,
            @ArgumentHint(name = "spec") String spec) {
        current.read(stage, r);
        turn.open(context.timeContext(Long.class), state, current.key);
        if (current.isHistory()) {
            turn.process(current, turn.watermark()); // all of it precedes the first row of the topic, in both modes
        } else {
            if (turn.isRepeat(current)) {
                current.contributes = false; // the history has counted it, and a vector it may want all the same
            }
            if (current.contributes || current.isQuery) {
                mode.arrive(current, turn);
            }
        }
        turn.close();
    }

    /** The watermark has reached a waiting query of this key, or the time at which the key may be cleared. */
    public void onTimer(OnTimerContext context, MapView<Long, byte[]> state) {
        TimeContext<Long> time = context.timeContext(Long.class);
        turn.open(time, state, null);
        mode.onTimer(time.time(), turn);
        if (Turn.clears(time.time())) {
            turn.clear(time.time());
        }
        turn.close();
    }
}
