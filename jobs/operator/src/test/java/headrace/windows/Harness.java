package headrace.windows;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.table.functions.TableSemantics;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.util.Collector;

/**
 * {@link SlidingWindows} without Flink, for random streams by the thousand: rows, watermarks, event-time timers, keyed state
 * that is kept as bytes and restored. {@code tests/harness.py} speaks to it.
 *
 * <p>A line of input is a stream: {@code spec}; {@code columns}, pairs of a name and a type as SQL has it; {@code restart}, after
 * how many rows all that is in memory is dropped, 0: never; {@code copies}, whether what is read from the state is a copy, as in
 * RocksDB; {@code leaf} and {@code fanout}, the sizes of blocks; {@code rows}, each a list of the key and the columns, or a
 * watermark. A line of output is what came out: {@code rows}, and how much of the state was {@code left}.
 */
final class Harness {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Pattern DECIMAL = Pattern.compile("DECIMAL\\((\\d+), (\\d+)\\)");

    private final Stage stage;
    private final JsonNode stream;
    private final List<LogicalType> types;
    private final LogicalType output;
    private final Map<String, Key> keys = new HashMap<>();
    private final PriorityQueue<Timer> timers =
            new PriorityQueue<>(Comparator.comparingLong(Timer::time).thenComparing(Timer::key));
    private final Set<Timer> set = new HashSet<>();
    private final List<Object> out = new ArrayList<>();
    private SlidingWindows function;
    private Long watermark;

    private record Timer(long time, String key) {}

    /** The state of one key. */
    private static final class Key {
        final MapView<Long, byte[]> blocks;

        Key(boolean copies) {
            blocks = copies ? new Copies() : new MapView<>();
        }
    }

    /** What is changed and not put is not changed. */
    private static final class Copies extends MapView<Long, byte[]> {
        @Override
        public byte[] get(Long id) throws Exception {
            byte[] block = super.get(id);
            return block == null ? null : block.clone();
        }

        @Override
        public void put(Long id, byte[] block) throws Exception {
            super.put(id, block.clone());
        }
    }

    /** What comes out of a stream, as a line of input has it. */
    static JsonNode output(Map<String, Object> stream) throws Exception {
        return JSON.valueToTree(new Harness(JSON.valueToTree(stream)).run());
    }

    private Harness(JsonNode stream) throws Exception {
        this.stream = stream;
        List<DataTypes.Field> columns = new ArrayList<>();
        for (JsonNode column : stream.get("columns")) {
            columns.add(DataTypes.FIELD(column.get(0).textValue(), type(column.get(1).textValue())));
        }
        String spec = stream.get("spec").textValue();
        stage = Stage.bind(spec, DataTypes.ROW(columns));
        types = DataTypes.ROW(columns).getLogicalType().getChildren();
        output = Stage.output(spec, DataTypes.ROW(columns)).getLogicalType();
        start();
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(JSON.writeValueAsString(new Harness(JSON.readTree(line)).run()));
            out.flush();
        }
    }

    /** The function as a job has it after a restart: nothing in memory. */
    private void start() throws Exception {
        function = new SlidingWindows(stage, null);
        MetricGroup metrics = new FunctionContext(null).getMetricGroup();
        function.start(metrics, stream.get("leaf").intValue(), stream.get("fanout").intValue());
        function.setCollector(
                new Collector<RowData>() {
                    @Override
                    public void collect(RowData row) {
                        out.add(plain(output, row));
                    }

                    @Override
                    public void close() {}
                });
    }

    private Map<String, Object> run() throws Exception {
        int restart = stream.get("restart").intValue();
        int rows = 0;
        for (JsonNode next : stream.get("rows")) {
            if (next.isArray()) {
                List<JsonNode> values = new ArrayList<>();
                next.forEach(values::add);
                String key = values.remove(0).toString();
                RowData row = row(types, JSON.valueToTree(values));
                Key state = keys.computeIfAbsent(key, made -> new Key(stream.get("copies").booleanValue()));
                function.eval(new At(key, null), state.blocks, row, "");
                if (restart > 0 && ++rows % restart == 0) {
                    restart();
                }
            } else {
                reach(next.longValue());
            }
        }
        int left = keys.values().stream().mapToInt(key -> key.blocks.getMap().size()).sum();
        return Map.of("rows", out, "left", left, "timers", timers.size());
    }

    /** Timers fire in order of time; one that is set meanwhile, and is due, too. */
    private void reach(long time) throws Exception {
        watermark = time;
        while (!timers.isEmpty() && timers.peek().time <= time) {
            Timer timer = timers.poll();
            set.remove(timer);
            Key state = keys.get(timer.key);
            function.onTimer(new At(timer.key, timer.time), state.blocks);
        }
    }

    /** A new function over copies of the bytes. */
    private void restart() throws Exception {
        for (Key key : keys.values()) {
            key.blocks.getMap().replaceAll((id, block) -> block.clone());
        }
        start();
    }

    private static DataType type(String name) {
        if (name.startsWith("ROW<")) {
            String[] fields = name.substring(4, name.length() - 1).split(",");
            return DataTypes.ROW(Arrays.stream(fields).map(Harness::type).toArray(DataType[]::new));
        }
        Matcher decimal = DECIMAL.matcher(name);
        if (decimal.matches()) {
            return DataTypes.DECIMAL(Integer.parseInt(decimal.group(1)), Integer.parseInt(decimal.group(2)));
        }
        return switch (name) {
            case "BIGINT" -> DataTypes.BIGINT();
            case "INT" -> DataTypes.INT();
            case "DOUBLE" -> DataTypes.DOUBLE();
            case "BOOLEAN" -> DataTypes.BOOLEAN();
            case "STRING" -> DataTypes.STRING();
            case "MAP<STRING, BYTES>" -> DataTypes.MAP(DataTypes.STRING(), DataTypes.BYTES());
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static Object value(LogicalType type, JsonNode value) {
        if (value.isNull()) {
            return null;
        }
        return switch (type.getTypeRoot()) {
            case BIGINT -> value.longValue();
            case INTEGER -> value.intValue();
            case DOUBLE -> value.doubleValue();
            case BOOLEAN -> value.booleanValue();
            case DECIMAL -> Values.internal(type, new BigDecimal(value.textValue()));
            case ROW -> row(type.getChildren(), value);
            default -> Values.internal(type, value.textValue());
        };
    }

    private static RowData row(List<LogicalType> types, JsonNode values) {
        GenericRowData row = new GenericRowData(types.size());
        for (int i = 0; i < types.size(); i++) {
            row.setField(i, value(types.get(i), values.get(i)));
        }
        return row;
    }

    /** A row as lists; decimals as text, with all their digits. */
    private static Object plain(LogicalType type, Object value) {
        if (value instanceof RowData row) {
            List<Object> fields = new ArrayList<>();
            for (int i = 0; i < row.getArity(); i++) {
                LogicalType field = type.getChildren().get(i);
                fields.add(plain(field, RowData.createFieldGetter(field, i).getFieldOrNull(row)));
            }
            return fields;
        }
        return text(Values.external(type, value));
    }

    private static Object text(Object value) {
        if (value instanceof Object[] list) {
            return Arrays.stream(list).map(Harness::text).toList();
        }
        return value instanceof BigDecimal decimal ? decimal.toPlainString() : value;
    }

    /** What the function is told of the time, for a row, or for a timer; it knows no other part of its context. */
    private final class At implements ProcessTableFunction.OnTimerContext, UnnamedTimers {
        private final String key;
        private final Long time;

        At(String key, Long time) {
            this.key = key;
            this.time = time;
        }

        @Override
        @SuppressWarnings("unchecked")
        public <T> ProcessTableFunction.TimeContext<T> timeContext(Class<T> type) {
            return (ProcessTableFunction.TimeContext<T>) this;
        }

        @Override
        public Long time() {
            return time;
        }

        @Override
        public Long currentWatermark() {
            return watermark;
        }

        @Override
        public void registerOnTime(Long at) {
            Timer timer = new Timer(at, key);
            if (set.add(timer)) {
                timers.add(timer);
            }
        }

        @Override
        public void clearAllTimers() {
            throw new UnsupportedOperationException();
        }

        @Override
        public String currentTimer() {
            throw new UnsupportedOperationException();
        }

        @Override
        public TableSemantics tableSemanticsFor(String argument) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void clearState(String name) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void clearAllState() {
            throw new UnsupportedOperationException();
        }

        @Override
        public void clearAll() {
            throw new UnsupportedOperationException();
        }

        @Override
        public ChangelogMode getChangelogMode() {
            throw new UnsupportedOperationException();
        }
    }
}
