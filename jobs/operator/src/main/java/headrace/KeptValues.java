package headrace;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The values of the windows of the keys that were asked for last, in memory, from one question to the next: a question reads the
 * rows that came into a window or left it since, and not what the window holds.
 *
 * <p>What is not here is made anew from the rows: after a restart, or when other keys have taken the room.
 */
final class KeptValues implements RowTree.Watcher {
    private static final int OVERHEAD = 256; // of a key, about
    private static final int NONE = -1;

    /** What features need of one column in one window; {@code window} is an index into {@link Stage#windows}. */
    private record Wanted(Aggregation aggregation, int column, int window) {}

    /** The windows of one key; of each exactly the values of its rows in (after, through]. */
    private static final class Kept {
        final Multiset[] sets;
        final long[] after;
        final long[] through;
        long bytes;

        Kept(Multiset[] sets, int windows) {
            this.sets = sets;
            after = new long[windows];
            through = new long[windows];
        }
    }

    /** Adds the rows it is shown to the sets of one window, or takes them out. */
    private final class Change implements RowTree.Visitor {
        int[] sets;
        boolean adds;

        @Override
        public boolean visit(byte[] block, int row) {
            for (int s : sets) {
                if (layout.isNull(block, row, wanted[s].column)) {
                    continue;
                }
                int word = layout.word[wanted[s].column];
                long second = twoWords[s] ? layout.value(block, row, word + 1) : 0;
                if (adds) {
                    kept.sets[s].add(layout.value(block, row, word), second);
                } else {
                    kept.sets[s].remove(layout.value(block, row, word), second);
                }
            }
            return true;
        }
    }

    private final Stage stage;
    private final Layout layout;
    private final RowTree rows;
    private final Wanted[] wanted;
    private final boolean[] twoWords;
    private final int[] setOf;

    /** The windows that anything is kept of, and of each the sets, as indexes into {@link #wanted}. */
    private final int[] windows;

    private final int[][] setsOf;
    private final Change change = new Change();
    private final LinkedHashMap<Object, Kept> keys = new LinkedHashMap<>(16, 0.75f, true);
    private Object key;
    private Kept kept;
    private long used;

    KeptValues(Stage stage, Layout layout, RowTree rows) {
        this.stage = stage;
        this.layout = layout;
        this.rows = rows;
        setOf = new int[stage.features.length];
        List<Wanted> found = new ArrayList<>();
        for (int f = 0; f < setOf.length; f++) {
            Stage.Feature feature = stage.features[f];
            Aggregation aggregation = feature.call().aggregation();
            if (aggregation.keepsValues()) { // quantiles of one window and column share their values
                Wanted want = new Wanted(aggregation, feature.value(), feature.window());
                if (!found.contains(want)) {
                    found.add(want);
                }
                setOf[f] = found.indexOf(want);
            } else {
                setOf[f] = NONE;
            }
        }
        wanted = found.toArray(Wanted[]::new);
        windows = found.stream().mapToInt(Wanted::window).distinct().toArray();
        setsOf = new int[windows.length][];
        for (int w = 0; w < windows.length; w++) {
            int window = windows[w];
            setsOf[w] = IntStream.range(0, wanted.length).filter(s -> wanted[s].window == window).toArray();
        }
        twoWords = new boolean[wanted.length];
        for (int s = 0; s < wanted.length; s++) {
            twoWords[s] = stage.values[wanted[s].column].words() > 1;
        }
        if (wanted.length > 0) {
            rows.setWatcher(this);
        }
    }

    /** Turns to a key. */
    void open(Object key) {
        this.key = key;
        kept = wanted.length == 0 ? null : keys.get(key);
    }

    /** Whether a feature's value is found here. */
    boolean has(int feature) {
        return setOf[feature] != NONE;
    }

    /** The value of a feature at the time that the windows were moved to. */
    Object result(int feature) {
        return kept.sets[setOf[feature]].result(stage.features[feature].call());
    }

    /** Moves the windows of the key that are {@code longerThan} this: they end at {@code time} now. */
    void moveTo(long time, long longerThan) {
        if (wanted.length == 0) {
            return;
        }
        if (kept == null) {
            kept = new Kept(sets(), windows.length);
            keys.put(key, kept);
        }
        for (int w = 0; w < windows.length; w++) {
            if (stage.windows[windows[w]] > longerThan) {
                move(w, time - stage.windows[windows[w]], time);
            }
        }
        makeRoom();
    }

    private Multiset[] sets() {
        Multiset[] sets = new Multiset[wanted.length];
        for (int s = 0; s < sets.length; s++) {
            sets[s] = wanted[s].aggregation.values(stage.values[wanted[s].column]);
        }
        return sets;
    }

    private void move(int w, long after, long through) {
        if (after >= kept.through[w] || through <= kept.after[w]) {
            empty(w, after);
        }
        change(w, false, kept.after[w], after);
        change(w, true, after, kept.after[w]);
        change(w, false, through, kept.through[w]);
        change(w, true, kept.through[w], through);
        kept.after[w] = after;
        kept.through[w] = through;
    }

    private void empty(int w, long at) {
        for (int s : setsOf[w]) {
            kept.sets[s].clear();
        }
        kept.after[w] = at;
        kept.through[w] = at;
    }

    private void change(int w, boolean adds, long after, long through) {
        if (after < through) {
            change.sets = setsOf[w];
            change.adds = adds;
            rows.visit(change, after, through);
        }
    }

    private void makeRoom() {
        long bytes = OVERHEAD;
        for (Multiset set : kept.sets) {
            bytes += set.bytes();
        }
        used += bytes - kept.bytes;
        kept.bytes = bytes;
        for (Iterator<Kept> oldest = keys.values().iterator(); used > stage.kept && keys.size() > 1; ) {
            used -= oldest.next().bytes;
            oldest.remove();
        }
    }

    @Override
    public void inserted(StagedRow row) {
        for (int w = 0; kept != null && w < windows.length; w++) {
            if (kept.after[w] < row.time && row.time <= kept.through[w]) {
                add(row, setsOf[w]);
            }
        }
    }

    private void add(StagedRow row, int[] sets) {
        for (int s : sets) {
            int word = layout.word[wanted[s].column];
            if (!row.nulls[wanted[s].column]) {
                kept.sets[s].add(row.words[word], twoWords[s] ? row.words[word + 1] : 0);
            }
        }
    }

    @Override
    public void forgets(long through) {
        for (int w = 0; kept != null && w < windows.length; w++) {
            if (through >= kept.through[w]) {
                empty(w, through);
            } else if (through > kept.after[w]) {
                change(w, false, kept.after[w], through);
                kept.after[w] = through;
            }
        }
    }

    @Override
    public void cleared() {
        if (kept != null) {
            keys.remove(key);
            used -= kept.bytes;
            kept = null;
        }
    }
}
