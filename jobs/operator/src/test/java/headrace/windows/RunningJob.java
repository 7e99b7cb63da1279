package headrace.windows;

import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.functions.source.legacy.SourceFunction;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.functions.UserDefinedFunction;
import org.apache.flink.types.Row;

/**
 * {@link SlidingWindows} in a real job, in this process: what goes in, a row or a watermark at a time, and what has come out.
 * Found by its id, as the job's parts are copies.
 */
final class RunningJob {
    private static final Map<String, RunningJob> ALL = new ConcurrentHashMap<>();

    final BlockingQueue<Object> arrivals = new LinkedBlockingQueue<>();
    final BlockingQueue<String> vectors = new LinkedBlockingQueue<>();
    final BlockingQueue<String> ledger = new LinkedBlockingQueue<>();
    final AtomicInteger starts = new AtomicInteger();
    final String id = String.valueOf(ALL.size());
    JobClient job;

    private RunningJob() {
        ALL.put(id, this);
    }

    void send(Row row) {
        arrivals.add(row);
    }

    void watermark(long time) {
        arrivals.add(new Watermark(time));
    }

    String nextVector() throws InterruptedException {
        return vectors.poll(20, TimeUnit.SECONDS);
    }

    /** The next entry in the ledger: of which row, and what it says. */
    String late() throws InterruptedException {
        return ledger.poll(20, TimeUnit.SECONDS);
    }

    String stopWithSavepoint(Path folder) throws Exception {
        return job.stopWithSavepoint(false, folder.toUri().toString(), SavepointFormatType.CANONICAL)
                .get(20, TimeUnit.SECONDS);
    }

    void cancel() throws Exception {
        if (!job.getJobStatus().get().isGloballyTerminalState()) {
            job.cancel().get(20, TimeUnit.SECONDS);
        }
    }

    static RunningJob start(Stages stages, String savepoint) throws Exception {
        String window = "_" + stages.bind().windows[0];
        return start(stages, savepoint, SlidingWindowsTest.COLUMNS.replace("_100", window));
    }

    static RunningJob start(Stages stages, String savepoint, String columns) throws Exception {
        return start(stages, savepoint, columns, 1);
    }

    static RunningJob start(Stages stages, String savepoint, String columns, int parallelism) throws Exception {
        return start(stages, savepoint, columns, parallelism, "k");
    }

    /** The messages of an exception and its causes, one a line. */
    static String causes(Throwable thrown) {
        StringBuilder text = new StringBuilder();
        for (Throwable t = thrown; t != null; t = t.getCause()) {
            text.append(t.getMessage()).append('\n');
        }
        return text.toString();
    }

    /** A job over the rows that are sent; {@code columns} are those of the output, the first one the row's id. */
    static RunningJob start(Stages stages, String savepoint, String columns, int parallelism, String key)
            throws Exception {
        return start(SlidingWindows.class, stages, savepoint, columns, parallelism, key);
    }

    /** A job with {@link AnotherVersion} in the place of the function; what comes out is the row's id. */
    static RunningJob startAnotherVersion(Stages stages) throws Exception {
        return start(AnotherVersion.class, stages, null, "rowid", 1, "k");
    }

    private static RunningJob start(
            Class<? extends UserDefinedFunction> function,
            Stages stages,
            String savepoint,
            String columns,
            int parallelism,
            String key)
            throws Exception {
        Configuration settings = new Configuration();
        settings.setString("parallelism.default", String.valueOf(parallelism));
        settings.setString("pipeline.auto-watermark-interval", "0 ms");
        settings.setString("execution.buffer-timeout.interval", "0 ms");
        settings.setString("rest.port", "0");
        settings.setString("restart-strategy.type", "fixed-delay");
        settings.setString("restart-strategy.fixed-delay.delay", "10 ms");
        if (savepoint != null) {
            settings.setString("execution.state-recovery.path", savepoint);
        }
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(settings);
        StreamTableEnvironment tables = StreamTableEnvironment.create(environment);
        RunningJob running = new RunningJob();
        boolean eventTime = stages.spec().contains("event_time");
        tables.createTemporaryView("sent", arrivals(environment, tables, running.id));
        tables.createTemporaryView(
                "arrivals",
                tables.sqlQuery(
                        "SELECT "
                                + key
                                + " AS `_key`, `_time`, `_contributes`, `_is_query`, `_partition`, `_offset`, v, rowid, `real`,"
                                + " CAST(digits AS DECIMAL(12, 2)) AS `exact`, `flag`, `text`, rt FROM sent"));
        tables.createTemporarySystemFunction("sliding_windows", function);
        String onTime = eventTime ? ", on_time => DESCRIPTOR(rt)" : "";
        Table output =
                tables.sqlQuery(
                        "SELECT "
                                + columns
                                + ", CAST(`_key` AS STRING), _late FROM sliding_windows("
                                + "r => TABLE arrivals PARTITION BY `_key`, spec => '"
                                + stages.spec()
                                + "', uid => 'windows'"
                                + onTime
                                + ")");
        tables.toDataStream(output).map(new Note(running.id)).sinkTo(new DiscardingSink<>());
        running.job = environment.executeAsync();
        return running;
    }

    @SuppressWarnings("deprecation") // a source whose watermarks are ours to the millisecond has no successor as short
    private static Table arrivals(StreamExecutionEnvironment environment, StreamTableEnvironment tables, String id) {
        TypeInformation<Row> type =
                Types.ROW_NAMED(
                        new String[] {
                            "k", "_time", "_contributes", "_is_query", "_partition", "_offset", "v", "rowid", "real", "digits",
                            "flag", "text"
                        },
                        Types.LONG,
                        Types.LONG,
                        Types.BOOLEAN,
                        Types.BOOLEAN,
                        Types.INT,
                        Types.LONG,
                        Types.LONG,
                        Types.STRING,
                        Types.DOUBLE,
                        Types.BIG_DEC,
                        Types.BOOLEAN,
                        Types.STRING);
        DataStream<Row> rows = environment.addSource(new Tap(id), type);
        Schema schema =
                Schema.newBuilder()
                        .columnByMetadata("rt", DataTypes.TIMESTAMP_LTZ(3), "rowtime", true)
                        .watermark("rt", "SOURCE_WATERMARK()")
                        .build();
        return tables.fromDataStream(rows, schema);
    }

    /** Gives what a test sends, as it is sent. */
    @SuppressWarnings("deprecation")
    private static final class Tap implements SourceFunction<Row> {
        private static final long serialVersionUID = 1L;

        private final String id;
        private volatile boolean stopped;

        Tap(String id) {
            this.id = id;
        }

        @Override
        public void run(SourceContext<Row> context) throws Exception {
            ALL.get(id).starts.incrementAndGet();
            BlockingQueue<Object> arrivals = ALL.get(id).arrivals;
            while (!stopped) {
                Object next = arrivals.poll(5, TimeUnit.MILLISECONDS);
                synchronized (context.getCheckpointLock()) {
                    if (next instanceof Watermark watermark) {
                        context.emitWatermark(watermark);
                    } else if (next instanceof Row row) {
                        context.collectWithTimestamp(row, row.<Long>getFieldAs(1));
                    }
                }
            }
        }

        @Override
        public void cancel() {
            stopped = true;
        }
    }

    /** Notes every feature vector, and every entry in the ledger, as text. */
    private static final class Note implements MapFunction<Row, Row> {
        private static final long serialVersionUID = 1L;

        private final String id;

        Note(String id) {
            this.id = id;
        }

        @Override
        public Row map(Row row) {
            int width = row.getArity() - 2;
            Object late = row.getField(width + 1);
            if (late == null) {
                ALL.get(id).vectors.add(Row.project(row, IntStream.range(0, width).toArray()).toString());
            } else {
                ALL.get(id).ledger.add(row.getField(0) + " of key " + row.getField(width) + ": " + late);
            }
            return row;
        }
    }
}
