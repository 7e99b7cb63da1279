package headrace.windows;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;

/**
 * The values of the windows of the most recently queried keys, in memory, from one query to the next: a query reads the rows that
 * have entered a window or left it since, and not all that it holds.
 *
 * <p>It is a cache. A key's values are read again from its rows after a restart, or when other keys have taken their room.
 */
final class KeptValues implements RowTree.Watcher {
    private static final int OVERHEAD = 256; // of a key, about

    /** What is kept of one window: {@code window} is an index into {@link Stage#windows}. */
    private record Shape(int window, List<KeptColumn> columns) {}

    /** Where a feature's values are: which window that is kept, which of its columns. */
    private record Place(int window, int column) {}

    /** The windows of one key, a {@link Shape} each. */
    private static final class Kept {
        final KeptWindow[] windows;
        long bytes;

        Kept(KeptWindow[] windows) {
            this.windows = windows;
        }
    }

    private final Stage stage;
    private final Layout layout;
    private final RowTree rows;
    private final List<Shape> shapes = new ArrayList<>();
    private final Place[] places;
    private final LinkedHashMap<Object, Kept> keys = new LinkedHashMap<>(16, 0.75f, true);
    private Object key;
    private Kept kept;
    private long used;

    KeptValues(Stage stage, Layout layout, RowTree rows) {
        this.stage = stage;
        this.layout = layout;
        this.rows = rows;
        places = new Place[stage.features.length];
        for (int f = 0; f < places.length; f++) {
            if (stage.features[f].call().aggregation().keepsValues()) {
                places[f] = place(stage.features[f]);
            }
        }
        if (!shapes.isEmpty()) {
            rows.setWatcher(this);
        }
    }

    /** Finds the place of a feature, or makes it: quantiles of one window and column share their values. */
    private Place place(Stage.Feature feature) {
        int window = 0;
        while (window < shapes.size() && shapes.get(window).window != feature.window()) {
            window++;
        }
        if (window == shapes.size()) {
            shapes.add(new Shape(feature.window(), new ArrayList<>()));
        }
        List<KeptColumn> columns = shapes.get(window).columns;
        KeptColumn column = new KeptColumn(feature.call().aggregation(), feature.value(), stage.values[feature.value()]);
        if (!columns.contains(column)) {
            columns.add(column);
        }
        return new Place(window, columns.indexOf(column));
    }

    /** Turns to a key. */
    void open(Object key) {
        this.key = key;
        kept = shapes.isEmpty() ? null : keys.get(key);
    }

    /** Whether a feature's value is found here. */
    boolean has(int feature) {
        return places[feature] != null;
    }

    /** The value of a feature at the time that the windows were moved to. */
    Object result(int feature) {
        Place place = places[feature];
        return kept.windows[place.window].values(place.column).result(stage.features[feature].call());
    }

    /** Moves the windows of the key that are {@code longerThan} this, so that they end at {@code time}. */
    void moveTo(long time, long longerThan) {
        if (shapes.isEmpty()) {
            return;
        }
        if (kept == null) {
            kept = new Kept(newWindows());
            keys.put(key, kept);
        }
        for (int w = 0; w < kept.windows.length; w++) {
            long length = stage.windows[shapes.get(w).window];
            if (length > longerThan) {
                kept.windows[w].moveTo(time - length, time);
            }
        }
        makeRoom();
    }

    private KeptWindow[] newWindows() {
        return shapes.stream()
                .map(shape -> new KeptWindow(layout, rows, shape.columns.toArray(KeptColumn[]::new)))
                .toArray(KeptWindow[]::new);
    }

    /** Drops the keys that were not queried for longest, while the others need more than there is. */
    private void makeRoom() {
        long bytes = OVERHEAD;
        for (KeptWindow window : kept.windows) {
            bytes += window.bytes();
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
        if (kept == null) {
            return;
        }
        for (KeptWindow window : kept.windows) {
            window.inserted(row);
        }
    }

    @Override
    public void forgets(long through) {
        if (kept == null) {
            return;
        }
        for (KeptWindow window : kept.windows) {
            window.forgets(through);
        }
    }

    @Override
    public void cleared() {
        if (kept == null) {
            return;
        }
        keys.remove(key);
        used -= kept.bytes;
        kept = null;
    }
}
