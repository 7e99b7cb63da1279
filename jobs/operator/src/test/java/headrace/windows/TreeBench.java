package headrace.windows;

import headrace.state.Bytes;
import headrace.state.CountedBlocks;
import headrace.state.MemoryBlocks;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.apache.flink.table.api.DataTypes;

/**
 * What an event of a hot key costs, by the number of rows in the longest of its three windows: {@link Windower} with blocks of
 * several sizes, and what else it could be. Not a test: {@code java headrace.TreeBench}.
 *
 * <p>Count, sum, mean, std_pop, min and max of a column of doubles; a query a millisecond; in order, and with one in
 * a hundred late by up to half of the longest window. Blocks are in memory, as objects: no bytes are copied to a state backend.
 */
final class TreeBench {
    private static final int[] ROWS = {10, 100, 1_000, 10_000, 100_000};
    private static final int[] SIZES = {8, 16, 32, 64};
    private static final List<String> FUNCTIONS = List.of("count", "sum", "mean", "std_pop", "min", "max");
    private static final long MEASURED = 100_000_000;
    private static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean(); // of this thread: the machine may be shared

    private TreeBench() {}

    /** Takes rows and vectors them. */
    private interface Engine {
        Object step(StagedRow row);

        /** Bytes that it keeps. */
        long size();

        /** What an event moves. */
        default String traffic() {
            return "";
        }
    }

    @FunctionalInterface
    private interface Maker {
        Engine make(Stage stage);
    }

    public static void main(String[] args) {
        line("warm-up", stage -> new Tree(stage, 32, 32), true);
        line("warm-up", Rescan::new, true);
        line("warm-up", TwoStacks::new, false);
        System.out.println("CPU ns per event; rows in the longest window " + Arrays.toString(ROWS));
        System.out.println("of the last, in order: bytes a row | blocks and bytes read, written per event");
        for (int leafRows : SIZES) {
            for (int fanout : SIZES) {
                line("leaf " + leafRows + " fanout " + fanout, stage -> new Tree(stage, leafRows, fanout), true);
            }
        }
        line("rescan of a sorted array", Rescan::new, true);
        line("two stacks a window", TwoStacks::new, false);
    }

    private static void line(String name, Maker maker, boolean late) {
        StringBuilder text = new StringBuilder(String.format("%-26s", name));
        for (boolean some : late ? new boolean[] {false, true} : new boolean[] {false}) {
            text.append(some ? " | 1% late" : " in order ");
            for (int rows : ROWS) {
                text.append(String.format(" %8.0f", measure(maker, rows, some)));
            }
        }
        int most = ROWS[ROWS.length - 1];
        Engine filled = filled(maker, most);
        System.out.println(text.append(String.format(" | %5.1f", filled.size() / (double) most)).append(filled.traffic()));
    }

    private static Stage stage(int rows) {
        return Stages.over(DataTypes.DOUBLE())
                .lateness(0)
                .all(FUNCTIONS, Math.max(1, rows / 16))
                .all(FUNCTIONS, Math.max(2, rows / 4))
                .all(FUNCTIONS, rows)
                .bind();
    }

    private static Engine filled(Maker maker, int rows) {
        Stage stage = stage(rows);
        Engine engine = maker.make(stage);
        for (int i = 0; i < 2 * rows; i++) {
            engine.step(Stages.row(stage, i, true, false, 1.5 * i));
        }
        return engine;
    }

    private static double measure(Maker maker, int rows, boolean late) {
        Stage stage = stage(rows);
        Engine engine = maker.make(stage);
        StagedRow row = Stages.row(stage, 0, true, false, 1.0);
        Random random = new Random(1);
        long time = 0;
        for (; time < rows; time++) { // full, without the cost of queries
            row.time = time;
            engine.step(row);
        }
        row.isQuery = true;
        for (long events = 0, start = CLOCK.getCurrentThreadCpuTime(); ; ) {
            for (int i = 0; i < 32; i++, time++, events++) {
                row.time = late && random.nextInt(100) == 0 ? time - random.nextInt(rows / 2 + 1) : time;
                row.words[0] = Value.ordered(random.nextDouble());
                engine.step(row);
            }
            long spent = CLOCK.getCurrentThreadCpuTime() - start;
            if (spent > MEASURED && events > 100) {
                return (double) spent / events;
            }
        }
    }

    private static final class Tree implements Engine {
        private final Windower windower;
        private final MemoryBlocks blocks = new MemoryBlocks(false);
        private final Stage stage;

        Tree(Stage stage, int leafRows, int fanout) {
            this.stage = stage;
            windower = new Windower(stage, Mode.of(stage), leafRows, fanout);
        }

        @Override
        public Object step(StagedRow row) {
            return windower.step(blocks, row, Long.MIN_VALUE);
        }

        @Override
        public long size() {
            return blocks.size();
        }

        @Override
        public String traffic() {
            CountedBlocks counted = new CountedBlocks(blocks);
            int events = 10_000;
            long first = 2L * ROWS[ROWS.length - 1];
            for (int i = 0; i < events; i++) {
                counted.nextRow();
                windower.step(counted, Stages.row(stage, first + i, true, true, 1.0), Long.MIN_VALUE);
            }
            double[] each = Arrays.stream(counted.moved).mapToDouble(sum -> (double) sum / events).toArray();
            return String.format(" | %4.1f %6.0f, %4.1f %6.0f", each[0], each[1], each[2], each[3]);
        }
    }

    /** All rows in one array, ordered by time; each query passes over those of the longest window. */
    private static final class Rescan implements Engine {
        private final Stage stage;
        private final Layout layout;
        private final long[] state;
        private final Fold fold;
        private byte[] bytes;
        private int start;
        private int count;

        Rescan(Stage stage) {
            this.stage = stage;
            layout = Layout.of(stage);
            state = new long[layout.slots];
            fold = Fold.of(stage.values[0], state, layout.slotOf[0]);
            bytes = new byte[8 * layout.row];
        }

        private long time(int i) {
            return Bytes.getLong(bytes, (start + i) * layout.row);
        }

        @Override
        public Object step(StagedRow row) {
            if ((start + count + 1) * layout.row > bytes.length) {
                byte[] target = new byte[2 * Math.max(4, count) * layout.row];
                System.arraycopy(bytes, start * layout.row, target, 0, count * layout.row);
                bytes = target;
                start = 0;
            }
            int i = count;
            while (i > 0 && time(i - 1) > row.time) {
                i--;
            }
            int at = (start + i) * layout.row;
            System.arraycopy(bytes, at, bytes, at + layout.row, (count - i) * layout.row);
            layout.write(bytes, at, row);
            count++;
            Object[] vector = row.isQuery ? vector(row.time, i) : null;
            while (time(0) <= time(count - 1) - stage.retention) {
                start++;
                count--;
            }
            return vector;
        }

        private Object[] vector(long time, int newest) {
            Object[] vector = new Object[stage.features.length];
            layout.clear(state);
            int i = newest;
            for (int w = 0; w < stage.windows.length; w++) {
                for (; i >= 0 && time(i) > time - stage.windows[w]; i--) {
                    layout.add(state, bytes, (start + i) * layout.row);
                }
                results(stage, w, fold, vector);
            }
            return vector;
        }

        @Override
        public long size() {
            return bytes.length;
        }
    }

    /** Rows in order only: for each window a queue of two stacks, of which each entry knows the aggregate of what is above it. */
    private static final class TwoStacks implements Engine {
        private final Stage stage;
        private final Layout layout;
        private final long[] state;
        private final Fold fold;
        private final List<ArrayDeque<byte[]>> fronts = new ArrayList<>(); // summaries, the oldest row's on top
        private final List<ArrayDeque<byte[]>> backs = new ArrayList<>(); // rows
        private final List<long[]> sums = new ArrayList<>(); // of the backs

        TwoStacks(Stage stage) {
            this.stage = stage;
            layout = Layout.of(stage);
            state = new long[layout.slots];
            fold = Fold.of(stage.values[0], state, layout.slotOf[0]);
            for (int w = 0; w < stage.windows.length; w++) {
                fronts.add(new ArrayDeque<>());
                backs.add(new ArrayDeque<>());
                sums.add(new long[layout.slots]);
                layout.clear(sums.get(w));
            }
        }

        @Override
        public Object step(StagedRow row) {
            Object[] vector = new Object[stage.features.length];
            byte[] bytes = new byte[layout.row];
            byte[] back = new byte[layout.summary];
            layout.write(bytes, 0, row);
            for (int w = 0; w < stage.windows.length; w++) {
                backs.get(w).addLast(bytes);
                layout.add(sums.get(w), bytes, 0); // these partials don't mind the order
                forget(w, row.time - stage.windows[w]);
                layout.clear(state);
                layout.writePartials(sums.get(w), back);
                layout.merge(state, back, 0);
                if (!fronts.get(w).isEmpty()) {
                    layout.merge(state, fronts.get(w).peekLast(), 0);
                }
                results(stage, w, fold, vector);
            }
            return vector;
        }

        private void forget(int w, long through) {
            ArrayDeque<byte[]> front = fronts.get(w);
            ArrayDeque<byte[]> back = backs.get(w);
            while (!front.isEmpty() && Bytes.getLong(front.peekLast(), Layout.FIRST) <= through) {
                front.pollLast();
            }
            if (!front.isEmpty() || back.isEmpty() || Bytes.getLong(back.peekFirst(), 0) > through) {
                return;
            }
            long[] total = new long[layout.slots];
            layout.clear(total);
            for (byte[] row = back.pollLast(); row != null; row = back.pollLast()) {
                layout.add(total, row, 0);
                byte[] summary = new byte[layout.summary];
                Bytes.setLong(summary, Layout.FIRST, Bytes.getLong(row, 0));
                layout.writePartials(total, summary);
                front.addLast(summary);
            }
            layout.clear(sums.get(w));
            forget(w, through);
        }

        @Override
        public long size() {
            long summaries = fronts.stream().mapToLong(ArrayDeque::size).sum();
            return summaries * layout.summary + backs.stream().mapToLong(ArrayDeque::size).sum() * layout.row;
        }
    }

    private static void results(Stage stage, int window, Fold fold, Object[] vector) {
        for (int f = 0; f < stage.features.length; f++) {
            if (stage.features[f].window() == window) {
                vector[f] = stage.features[f].call().aggregation().result(fold);
            }
        }
    }
}
