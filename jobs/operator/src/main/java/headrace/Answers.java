package headrace;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.types.logical.DecimalType;

/** The features of a stage at a moment, from the rows of a key. */
final class Answers {
    /** The newest values of a column, and the longest of the windows that they are asked for. */
    private static final class Listed {
        final Newest newest;
        final int column;
        int window;

        Listed(Newest newest, int column) {
            this.newest = newest;
            this.column = column;
        }
    }

    /** Shows rows to the lists of the windows from one on that still want some. */
    private final class Listing implements RowTree.Visitor {
        int window;

        boolean isWanted() {
            for (Listed list : listed) {
                if (list.window >= window && list.newest.wantsMore()) {
                    return true;
                }
            }
            return false;
        }

        @Override
        public boolean visit(byte[] block, int row) {
            for (Listed list : listed) {
                if (list.window >= window && list.newest.wantsMore() && !layout.isNull(block, row, list.column)) {
                    list.newest.add(layout.value(block, row, layout.word[list.column]));
                }
            }
            return isWanted();
        }

        /** Of a block without a value nothing is read, so that a column of nulls is not. */
        @Override
        public boolean takes(byte[] node, int entry) {
            for (Listed list : listed) {
                if (list.window >= window && list.newest.wantsMore() && layout.count(node, entry, list.column) > 0) {
                    return false;
                }
            }
            return true;
        }
    }

    private final Stage stage;
    private final Layout layout;
    private final RowTree rows;
    private final long[] state;
    private final Fold[] folds;
    private final Listed[] listed;
    private final Newest[] listOf;
    private final Listing listing = new Listing();
    private final KeptValues kept;
    private final Object[] fills;
    private final Object[] answer;
    private final long longest;

    Answers(Stage stage, Layout layout, RowTree rows) {
        this.stage = stage;
        this.layout = layout;
        this.rows = rows;
        state = new long[layout.slots];
        folds = new Fold[stage.values.length];
        for (int c = 0; c < folds.length; c++) {
            folds[c] = Fold.of(stage.values[c], state, layout.slotOf[c]);
        }
        listOf = new Newest[stage.features.length];
        listed = lists();
        kept = new KeptValues(stage, layout, rows);
        fills = Arrays.stream(stage.features).map(this::fill).toArray();
        answer = new Object[stage.features.length + 1];
        longest = stage.windows[stage.windows.length - 1];
    }

    /** The fill value, as a table of Flink's has it. */
    private Object fill(Stage.Feature feature) {
        if (!(feature.fill() instanceof BigDecimal fill)) {
            return feature.fill();
        }
        DecimalType decimal = (DecimalType) stage.type(feature).getLogicalType();
        return DecimalData.fromBigDecimal(fill, decimal.getPrecision(), decimal.getScale());
    }

    /** Features of one function and column share a list, as the windows nest. */
    private Listed[] lists() {
        Map<List<Object>, Listed> shared = new HashMap<>();
        List<Listed> found = new ArrayList<>();
        for (int f = 0; f < stage.features.length; f++) {
            Stage.Feature feature = stage.features[f];
            if (feature.call().aggregation() != Aggregation.LAST_N) {
                continue;
            }
            Listed list =
                    shared.computeIfAbsent(
                            List.of(feature.call(), feature.value()),
                            key -> {
                                Newest made = new Newest(stage.values[feature.value()], (int) feature.call().numerator());
                                found.add(new Listed(made, feature.value()));
                                return found.get(found.size() - 1);
                            });
            list.window = Math.max(list.window, feature.window());
            listOf[f] = list.newest;
        }
        return found.toArray(Listed[]::new);
    }

    /** Turns to a key; see {@link Blocks#key}. */
    void open(Object key) {
        kept.open(key);
    }

    /** The features at {@code time}, then whether they are complete (rule 6); overwritten by the next. */
    Object[] at(long time) {
        return at(time, 0);
    }

    /** The same, but features of windows that are not {@code longerThan} this are null: they don't reach so far back. */
    Object[] at(long time, long longerThan) {
        Arrays.fill(answer, null);
        layout.clear(state);
        for (Listed list : listed) {
            list.newest.clear();
        }
        kept.moveTo(time, longerThan);
        long through = time;
        for (int window = 0; window < stage.windows.length; window++) { // they nest: each goes on where the last one ended
            if (stage.windows[window] <= longerThan) {
                continue;
            }
            long after = time - stage.windows[window];
            if (layout.slots > 0) {
                rows.fold(state, after, through);
            }
            listing.window = window;
            if (listing.isWanted()) {
                rows.visit(listing, after, through);
            }
            results(window);
            through = after;
        }
        answer[stage.features.length] = rows.evictedThrough() <= time - longest;
        return answer;
    }

    private void results(int window) {
        for (int f = 0; f < stage.features.length; f++) {
            Stage.Feature feature = stage.features[f];
            if (feature.window() == window) {
                Object result = result(f, feature);
                answer[f] = result == null ? fills[f] : result;
            }
        }
    }

    private Object result(int f, Stage.Feature feature) {
        if (listOf[f] != null) {
            return listOf[f].result();
        }
        return kept.has(f) ? kept.result(f) : feature.call().aggregation().result(folds[feature.value()]);
    }
}
