package headrace.windows;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The newest values of the windows of a key, of which {@code last_n} needs some: rows are visited until it has them. */
final class LastValues implements RowTree.Visitor {
    private final Layout layout;
    private final RowTree rows;
    private final Newest[] lists;

    /** The list of each feature; null where it has none. */
    private final Newest[] listOf;

    private int window;

    LastValues(Stage stage, Layout layout, RowTree rows) {
        this.layout = layout;
        this.rows = rows;
        listOf = new Newest[stage.features.length];
        Map<List<Object>, Newest> shared = new HashMap<>();
        List<Newest> found = new ArrayList<>();
        for (int f = 0; f < listOf.length; f++) {
            Stage.Feature feature = stage.features[f];
            if (feature.call().aggregation() != Aggregation.LAST_N) {
                continue;
            }
            // Features of one function and column share a list, as the windows nest.
            listOf[f] =
                    shared.computeIfAbsent(
                            List.of(feature.call(), feature.value()),
                            key -> new Newest(feature.value(), stage.values[feature.value()], feature.call().rows()));
            listOf[f].reaches(feature.window());
            if (!found.contains(listOf[f])) {
                found.add(listOf[f]);
            }
        }
        lists = found.toArray(Newest[]::new);
    }

    void clear() {
        for (Newest list : lists) {
            list.clear();
        }
    }

    /** Adds values of (after, through], which is what a window has beyond the next shorter one, as far as any are wanted. */
    void extendTo(int window, long after, long through) {
        this.window = window;
        if (isAnyWanted()) {
            rows.visit(this, after, through);
        }
    }

    /** Whether a feature's value is found here. */
    boolean has(int feature) {
        return listOf[feature] != null;
    }

    Object result(int feature) {
        return listOf[feature].result();
    }

    private boolean isAnyWanted() {
        for (Newest list : lists) {
            if (list.wantsMore(window)) {
                return true;
            }
        }
        return false;
    }

    @Override
    public boolean visit(byte[] block, int row) {
        for (Newest list : lists) {
            if (list.wantsMore(window) && !layout.isNull(block, row, list.column)) {
                list.add(layout.value(block, row, layout.word[list.column]));
            }
        }
        return isAnyWanted();
    }

    /** A block without a value need not be read: so a column of nulls costs little. */
    @Override
    public boolean takes(byte[] node, int entry) {
        for (Newest list : lists) {
            if (list.wantsMore(window) && layout.count(node, entry, list.column) > 0) {
                return false;
            }
        }
        return true;
    }
}
