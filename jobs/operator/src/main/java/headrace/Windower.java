package headrace;

/** The windows of one key: takes rows in the order of the contract, answers those that ask. */
final class Windower {
    private final Stage stage;
    private final RowLog log;
    private final Fold[] folds;
    private final long longest;

    Windower(Stage stage) {
        this.stage = stage;
        log = new RowLog(stage.values.length);
        folds = new Fold[stage.values.length];
        for (int i = 0; i < folds.length; i++) {
            folds[i] = Fold.of(stage.values[i]);
        }
        longest = stage.windows[stage.windows.length - 1];
    }

    /**
     * Adds {@code row} to the retained {@code rows} of its key, null if none, if it contributes, and answers it if it asks:
     * the features, then whether they are complete (rule 6); else null.
     */
    Object[] step(byte[] rows, StagedRow row) {
        log.wrap(rows);
        if (row.contributes) {
            log.insert(row.time, row.values, row.nulls);
        }
        Object[] answer = row.asks ? answer(row.time) : null;
        if (row.contributes) {
            log.evictThrough(log.time(log.count() - 1) - stage.retention);
        }
        return answer;
    }

    /** The retained rows after the last {@link #step}. */
    byte[] rows() {
        return log.unwrap();
    }

    private Object[] answer(long time) {
        Object[] out = new Object[stage.features.length + 1];
        for (Fold fold : folds) {
            fold.clear();
        }
        int i = log.countThrough(time) - 1;
        for (int w = 0; w < stage.windows.length; w++) { // the windows nest: each goes on where the last one ended
            for (long after = time - stage.windows[w]; i >= 0 && log.time(i) > after; i--) {
                add(i);
            }
            results(w, out);
        }
        out[stage.features.length] = log.evictedThrough() <= time - longest;
        return out;
    }

    private void add(int i) {
        for (int c = 0; c < folds.length; c++) {
            if (!log.isNull(i, c)) {
                folds[c].add(log.value(i, c));
            }
        }
    }

    private void results(int window, Object[] out) {
        for (int f = 0; f < stage.features.length; f++) {
            Stage.Feature feature = stage.features[f];
            if (feature.window() == window) {
                Object result = feature.aggregation().result(folds[feature.value()]);
                out[f] = result == null ? feature.fill() : result;
            }
        }
    }
}
