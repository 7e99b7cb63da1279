package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import headrace.state.Blocks;
import headrace.state.Bytes;
import headrace.state.MemoryBlocks;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import org.apache.flink.table.api.DataTypes;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@link RowTree} against a sorted list: small blocks, so that a few rows are a tree of many levels, and those that run. */
class RowTreeTest {
    private static final long RETENTION = 100;

    /** A column with the number of the row, then two with every kind of partial. */
    private static final Stage STAGE =
            Stages.over(DataTypes.BIGINT())
                    .feature("max", 90)
                    .column("whole", DataTypes.BIGINT())
                    .all(List.of("count", "sum", "min", "max", "var_pop", "first", "last"), 90)
                    .column("real", DataTypes.DOUBLE())
                    .all(List.of("count", "sum", "min", "max", "var_pop", "first", "last"), 90)
                    .bind();

    private static final Layout LAYOUT = Layout.of(STAGE);

    record Fact(long time, long number, Long whole, Double real, boolean isQuery) {}

    private MemoryBlocks blocks = new MemoryBlocks(true);
    private RowTree tree;

    /** A row that comes as the tip is full, and is older than the half that is closed, goes into the tree. */
    @Test
    void aLateRowThatClosesTheTipStaysInOrder() {
        tree = open(2, 2, RETENTION);
        for (long time : new long[] {10, 20, 30, 40, 15}) {
            insert(new Fact(time, time, null, null, false));
        }
        assertEquals(List.of(40L, 30L, 20L, 15L, 10L), numbers(Long.MIN_VALUE, 100));
        assertEquals(List.of(40L, 30L, 20L), numbers(15, 100));
    }

    /** Rows of one time stand in order of arrival, however many blocks they fill. */
    @Test
    void tiesAreInOrderOfArrivalAcrossBlocks() {
        tree = open(2, 2, RETENTION);
        List<Long> expected = new ArrayList<>();
        for (long number = 0; number < 100; number++) {
            insert(new Fact(number == 50 ? 8 : 7, number, null, null, false));
            if (number != 50) {
                expected.add(0, number);
            }
        }
        assertEquals(expected, numbers(6, 7));
    }

    /** A visitor that has enough is shown no more. */
    @Test
    void aVisitStopsWhenItHasEnough() {
        tree = open(2, 2, RETENTION);
        for (long time = 0; time < 50; time++) {
            insert(new Fact(time, time, null, null, false));
        }
        for (int most = 1; most <= 50; most++) {
            List<Long> seen = new ArrayList<>();
            int enough = most;
            boolean more =
                    tree.visit(
                            (block, row) -> {
                                seen.add(Bytes.getLong(block, row));
                                return seen.size() < enough;
                            },
                            -1,
                            49);
            assertFalse(more);
            assertEquals(most, seen.size());
        }
        assertTrue(tree.visit((block, row) -> true, -1, 49));
    }

    /** Random streams with late rows and queries, over states that copy or do not: the tree agrees with the list. */
    @ParameterizedTest
    @CsvSource({"2,2,700,100", "2,3,400,100", "3,2,400,100", "4,4,400,200", "8,3,100,400", "32,32,20,3000"})
    void agreesWithASortedList(int leafRows, int fanout, int streams, int steps) {
        for (int seed = 0; seed < streams; seed++) {
            stream(leafRows, fanout, steps, new Random(seed), "seed " + seed);
        }
    }

    private void stream(int leafRows, int fanout, int steps, Random random, String seed) {
        blocks = new MemoryBlocks(random.nextBoolean());
        tree = open(leafRows, fanout, RETENTION);
        List<Fact> facts = new ArrayList<>();
        long newest = Long.MIN_VALUE;
        long forgotten = Long.MIN_VALUE;
        double pace = random.nextInt(3) == 0 ? 0.1 : random.nextInt(2) == 0 ? 1 : 20; // ties; all; much that is forgotten
        int often = 1 + random.nextInt(6);
        int checked = steps / 12;
        for (int step = 0; step < steps; step++) {
            long late = random.nextInt(often) == 0 ? random.nextInt(150) : random.nextInt(2);
            long time = 1_000 + (long) (step * pace) - late;
            Fact fact = new Fact(time, step, whole(random), real(random), random.nextInt(3) == 0);
            int behind = facts.size();
            while (behind > 0 && facts.get(behind - 1).time > time) {
                behind--;
            }
            facts.add(behind, fact);
            newest = Math.max(newest, time);
            tree.open(blocks, Long.MIN_VALUE);
            insert(fact);
            assertEquals(newest, tree.newest(), seed);
            boolean checks = step % checked == 0;
            if (checks || tree.evictedThrough() != forgotten) {
                Set<Long> kept = new HashSet<>(numbers(Long.MIN_VALUE, Long.MAX_VALUE));
                for (Fact gone : facts.stream().filter(f -> !kept.contains(f.number)).toList()) {
                    assertTrue(gone.time <= newest - RETENTION, seed + " forgets " + gone);
                    forgotten = Math.max(forgotten, gone.time);
                }
                facts.removeIf(f -> !kept.contains(f.number));
                assertEquals(forgotten, tree.evictedThrough(), seed);
            }
            if (checks) {
                check(facts, random, seed + " step " + step);
                Structure.check(blocks, Blocks.ROWS, LAYOUT, leafRows, fanout);
            }
        }
        tree.open(blocks, Long.MIN_VALUE);
        tree.clear();
        assertTrue(blocks.blocks.isEmpty(), seed);
    }

    /** Everything that a tree can tell of a few windows. */
    private void check(List<Fact> facts, Random random, String where) {
        for (int i = 0; i < 4; i++) {
            long some = facts.isEmpty() ? 0 : facts.get(random.nextInt(facts.size())).time;
            long after = i == 0 ? Long.MIN_VALUE : some - random.nextInt(3);
            long through = i == 1 ? Long.MAX_VALUE : some + random.nextInt(60);
            List<Fact> window = facts.stream().filter(f -> f.time > after && f.time <= through).toList();
            List<Long> expected = new ArrayList<>(window.stream().map(Fact::number).toList());
            Collections.reverse(expected);
            assertEquals(expected, numbers(after, through), where);
            assertEquals(window.stream().filter(Fact::isQuery).count(), tree.queries(after, through), where);
            long[] state = new long[LAYOUT.slots];
            LAYOUT.clear(state);
            tree.fold(state, after, through);
            assertColumn(1, state, window.stream().map(Fact::whole).map(v -> (Object) v).toList(), where);
            assertColumn(2, state, window.stream().map(Fact::real).map(v -> (Object) v).toList(), where);
        }
    }

    private static void assertColumn(int column, long[] state, List<Object> window, String where) {
        Fold fold = Fold.of(STAGE.values[column], state, LAYOUT.slotOf[column]);
        List<Object> values = window.stream().filter(Objects::nonNull).toList();
        assertEquals(values.size(), fold.count(), where);
        if (values.isEmpty()) {
            assertNull(fold.end(Partial.Kind.FIRST), where);
            assertNull(fold.end(Partial.Kind.LAST), where);
            return;
        }
        List<BigDecimal> exact = values.stream().map(Oracle::exact).toList();
        assertEquals(values.get(exact.indexOf(exact.stream().min(Comparator.naturalOrder()).orElseThrow())), fold.least(), where);
        assertEquals(values.get(exact.indexOf(exact.stream().max(Comparator.naturalOrder()).orElseThrow())), fold.most(), where);
        assertEquals(values.get(0), fold.end(Partial.Kind.FIRST), where);
        assertEquals(values.get(values.size() - 1), fold.end(Partial.Kind.LAST), where);
        BigDecimal sum = exact.stream().reduce(BigDecimal.ZERO, BigDecimal::add);
        BigDecimal squares = exact.stream().map(v -> v.multiply(v)).reduce(BigDecimal.ZERO, BigDecimal::add);
        if (column == 1) {
            assertEquals(sum.toBigIntegerExact(), whole(state, fold.slot(Partial.Kind.SUM), 2), where);
            assertEquals(squares.toBigIntegerExact(), whole(state, fold.slot(Partial.Kind.SQUARES), 3), where);
        } else {
            BigDecimal weight = exact.stream().map(BigDecimal::abs).reduce(BigDecimal.ZERO, BigDecimal::add);
            assertClose(sum, weight, state, fold.slot(Partial.Kind.SUM), where);
            assertClose(squares, squares, state, fold.slot(Partial.Kind.SQUARES), where);
        }
    }

    /** A sum in two doubles is right to 28 digits of what was added. */
    private static void assertClose(BigDecimal expected, BigDecimal weight, long[] state, int slot, String where) {
        double high = Double.longBitsToDouble(state[slot]);
        double low = Double.longBitsToDouble(state[slot + 1]);
        BigDecimal error = expected.subtract(new BigDecimal(high).add(new BigDecimal(low))).abs();
        assertTrue(error.doubleValue() <= 1e-28 * weight.doubleValue(), where + ": " + error + " of " + weight);
    }

    private static BigInteger whole(long[] state, int slot, int longs) {
        BigInteger whole = BigInteger.valueOf(state[slot]);
        for (int i = 1; i < longs; i++) {
            BigInteger low = BigInteger.valueOf(state[slot + i]);
            whole = whole.shiftLeft(64).add(low.signum() < 0 ? low.add(BigInteger.ONE.shiftLeft(64)) : low);
        }
        return whole;
    }

    /** Two trees of one key share its blocks, and neither touches the other's. */
    @Test
    void twoTreesShareTheBlocks() {
        for (int seed = 0; seed < 200; seed++) {
            Random random = new Random(seed);
            blocks = new MemoryBlocks(true);
            RowTree rows = new RowTree(LAYOUT, 1_000, 0, 2, 3);
            RowTree times = new RowTree(Layout.ofTimes(), 1_000, Blocks.QUERIES, 2, 3);
            int queries = 0;
            for (int step = 0; step < 100; step++) {
                Fact fact = new Fact(step - random.nextInt(20), step, 1L, 1.0, true);
                RowTree tree = random.nextBoolean() ? rows : times;
                queries += tree == times ? 1 : 0;
                tree.open(blocks, Long.MIN_VALUE);
                tree.advance(fact.time);
                tree.insert(row(fact));
                tree.save();
            }
            rows.open(blocks, Long.MIN_VALUE);
            times.open(blocks, Long.MIN_VALUE);
            assertEquals(queries, times.queries(Long.MIN_VALUE, Long.MAX_VALUE));
            assertEquals(100 - queries, rows.queries(Long.MIN_VALUE, Long.MAX_VALUE));
            Set<Long> all = new HashSet<>(Structure.check(blocks, Blocks.ROWS, LAYOUT, 2, 3));
            all.addAll(Structure.check(blocks, Blocks.QUERIES, Layout.ofTimes(), 2, 3));
            assertEquals(all, blocks.blocks.keySet());
            rows.clear();
            assertEquals(Structure.check(blocks, Blocks.QUERIES, Layout.ofTimes(), 2, 3), blocks.blocks.keySet());
            times.clear();
            assertTrue(blocks.blocks.isEmpty());
        }
    }

    /** A key that has had a busy hour does not keep the room for it: all of it goes as a few more rows come. */
    @Test
    void givesRoomBack() {
        tree = open(RowTree.LEAF_ROWS, RowTree.FANOUT, RETENTION);
        for (int i = 0; i < 20_000; i++) {
            insert(new Fact(1_000, i, 1L, 1.0, false));
        }
        long busy = blocks.size();
        for (int i = 0; i < 400; i++) {
            insert(new Fact(10_000 + i, i, 1L, 1.0, false));
        }
        assertTrue(blocks.size() < busy / 50, blocks.size() + " of " + busy + " bytes");
        assertEquals(10_000 + 399 - RETENTION, tree.evictedThrough(), 2 * RowTree.LEAF_ROWS);
    }

    /** Of a key that is new, rows from before the watermark less the retention may have been forgotten with all of the key. */
    @Test
    void aNewKeyMayHaveBeenForgotten() {
        tree = new RowTree(LAYOUT, RETENTION, 0, 2, 2);
        tree.open(blocks, 5_000);
        assertEquals(5_000 - RETENTION, tree.evictedThrough());
        insert(new Fact(5_001, 1, null, null, false));
        tree.open(blocks, 9_000);
        assertEquals(5_000 - RETENTION, tree.evictedThrough());
    }

    /** A head that is open when another key's turn comes is not that key's. */
    @Test
    void keysAreApart() {
        MemoryBlocks other = new MemoryBlocks(true);
        tree = open(2, 2, RETENTION);
        insert(new Fact(10, 1, null, null, false));
        tree.open(other, Long.MIN_VALUE);
        assertEquals(Long.MIN_VALUE, tree.newest());
        assertEquals(List.of(), numbers(Long.MIN_VALUE, Long.MAX_VALUE));
        tree.open(blocks, Long.MIN_VALUE);
        assertEquals(List.of(1L), numbers(Long.MIN_VALUE, Long.MAX_VALUE));
    }

    /** What {@link RowTree} has written, read by its drawing: every block is reached once, and none is too large. */
    private static final class Structure {
        private final MemoryBlocks blocks;
        private final Layout layout;
        private final int leafRows;
        private final int fanout;
        private final Set<Long> reached = new HashSet<>();

        private Structure(MemoryBlocks blocks, Layout layout, int leafRows, int fanout) {
            this.blocks = blocks;
            this.layout = layout;
            this.leafRows = leafRows;
            this.fanout = fanout;
        }

        /** The numbers of the tree's blocks. */
        static Set<Long> check(MemoryBlocks blocks, long headId, Layout layout, int leafRows, int fanout) {
            Structure structure = new Structure(blocks, layout, leafRows, fanout);
            byte[] head = blocks.get(headId);
            structure.reached.add(headId);
            assertTrue(Bytes.getInt(head, TreeHead.TIP_ROWS) <= leafRows + Math.max(1, leafRows / 4), "rows of the tip");
            assertTrue(head.length <= TreeHead.TIP + 2 * Math.max(2, leafRows) * layout.row, "bytes of the head");
            if (Bytes.getLong(head, TreeHead.ROOT) != 0) {
                structure.walk(Bytes.getLong(head, TreeHead.ROOT), Bytes.getInt(head, TreeHead.LEVEL), Long.MIN_VALUE);
            }
            long own = blocks.blocks.keySet().stream().filter(id -> id == headId || (headId == Blocks.QUERIES ? id < 0 : id >= Blocks.HEADS)).count();
            assertEquals(own, structure.reached.size(), "blocks that nothing points at");
            return structure.reached;
        }

        /** Gives the last time below. */
        private long walk(long id, int level, long before) {
            assertTrue(reached.add(id), "two point at block " + id);
            byte[] block = blocks.get(id);
            int count = Bytes.getInt(block, 0);
            int width = level == 0 ? layout.row : layout.summary;
            assertEquals(4 + count * width, block.length);
            assertTrue(count >= 1 && count <= (level == 0 ? 2 * leafRows : fanout), count + " at level " + level);
            long last = before;
            for (int i = 0; i < count; i++) {
                int at = 4 + i * width;
                if (level == 0) {
                    assertTrue(Bytes.getLong(block, at) >= last);
                    last = Bytes.getLong(block, at);
                } else {
                    assertTrue(Bytes.getLong(block, at + Layout.FIRST) >= last);
                    last = walk(Bytes.getLong(block, at), level - 1, last);
                    assertEquals(last, Bytes.getLong(block, at + Layout.LAST));
                }
            }
            return last;
        }
    }

    private RowTree open(int leafRows, int fanout, long retention) {
        RowTree made = new RowTree(LAYOUT, retention, 0, leafRows, fanout);
        made.open(blocks, Long.MIN_VALUE);
        return made;
    }

    private void insert(Fact fact) {
        tree.advance(fact.time);
        tree.insert(row(fact));
        tree.save();
    }

    private static StagedRow row(Fact fact) {
        return Stages.row(STAGE, fact.time, true, fact.isQuery, fact.number, fact.whole, fact.real);
    }

    /** The numbers of the rows in (after, through], newest first. */
    private List<Long> numbers(long after, long through) {
        List<Long> numbers = new ArrayList<>();
        assertTrue(tree.visit((block, row) -> numbers.add(LAYOUT.value(block, row, LAYOUT.word[0])), after, through));
        return numbers;
    }

    private static Long whole(Random random) {
        return random.nextInt(4) == 0 ? null : random.nextBoolean() ? random.nextLong() : (Long) (long) random.nextInt(9);
    }

    private static Double real(Random random) {
        return random.nextInt(4) == 0 ? null : (Double) ((random.nextDouble() - 0.5) * Math.pow(10, random.nextInt(20)));
    }
}
