package headrace;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The features of a stage at a moment, from the rows of a key. */
final class Answers {
    /** A scan, the column that it reads, and the longest of the windows that it is asked for. */
    private static final class Scanned {
        final Scan scan;
        final int column;
        final int words;
        int window;
        boolean wantsMore;

        Scanned(Scan scan, int column, int words) {
            this.scan = scan;
            this.column = column;
            this.words = words;
        }
    }

    private final Stage stage;
    private final Layout layout;
    private final RowTree rows;
    private final long[] state;
    private final Fold[] folds;
    private final Scanned[] scanned;
    private final Scan[] scanOf;
    private final Object[] answer;
    private final long longest;
    private int window;

    Answers(Stage stage, Layout layout, RowTree rows) {
        this.stage = stage;
        this.layout = layout;
        this.rows = rows;
        state = new long[layout.slots];
        folds = new Fold[stage.values.length];
        for (int c = 0; c < folds.length; c++) {
            folds[c] = Fold.of(stage.values[c], state, layout.slotOf[c]);
        }
        scanOf = new Scan[stage.features.length];
        scanned = scans();
        answer = new Object[stage.features.length + 1];
        longest = stage.windows[stage.windows.length - 1];
    }

    /** Features of one function and column share a scan, as the windows nest. */
    private Scanned[] scans() {
        Map<List<Object>, Scanned> shared = new HashMap<>();
        List<Scanned> found = new ArrayList<>();
        for (int f = 0; f < stage.features.length; f++) {
            Stage.Feature feature = stage.features[f];
            if (!feature.call().aggregation().partials.isEmpty()) {
                continue;
            }
            Stage.Value value = stage.values[feature.value()];
            Scanned scan =
                    shared.computeIfAbsent(
                            List.of(feature.call(), feature.value()),
                            key -> {
                                Scan made = feature.call().aggregation().scan(value, feature.call());
                                found.add(new Scanned(made, feature.value(), value.words()));
                                return found.get(found.size() - 1);
                            });
            scan.window = Math.max(scan.window, feature.window());
            scanOf[f] = scan.scan;
        }
        return found.toArray(Scanned[]::new);
    }

    /** The features at {@code time}, then whether they are complete (rule 6); overwritten by the next. */
    Object[] at(long time) {
        layout.clear(state);
        for (Scanned scan : scanned) {
            scan.scan.clear();
            scan.wantsMore = true;
        }
        long through = time;
        for (window = 0; window < stage.windows.length; window++) { // they nest: each goes on where the last one ended
            long after = time - stage.windows[window];
            if (layout.slots > 0) {
                rows.fold(state, after, through);
            }
            if (wanted()) {
                rows.visit(this::scan, after, through);
            }
            results();
            through = after;
        }
        answer[stage.features.length] = rows.evictedThrough() <= time - longest;
        return answer;
    }

    private boolean wanted() {
        for (Scanned scan : scanned) {
            if (scan.wantsMore && scan.window >= window) {
                return true;
            }
        }
        return false;
    }

    private boolean scan(byte[] block, int row) {
        boolean more = false;
        for (Scanned scan : scanned) {
            if (!scan.wantsMore || scan.window < window) {
                continue;
            }
            if (!layout.isNull(block, row, scan.column)) {
                int word = layout.word[scan.column];
                long second = scan.words > 1 ? layout.value(block, row, word + 1) : 0;
                scan.wantsMore = scan.scan.add(layout.value(block, row, word), second);
            }
            more |= scan.wantsMore;
        }
        return more;
    }

    private void results() {
        for (int f = 0; f < stage.features.length; f++) {
            Stage.Feature feature = stage.features[f];
            if (feature.window() == window) {
                Object result =
                        scanOf[f] == null
                                ? feature.call().aggregation().result(folds[feature.value()])
                                : scanOf[f].result();
                answer[f] = result == null ? feature.fill() : result;
            }
        }
    }
}
