package headrace.windows;

import java.math.BigDecimal;
import java.util.Arrays;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.types.logical.DecimalType;

/** The feature vectors of a stage, computed from the rows of a key. */
final class FeatureVectors {
    private final Stage stage;
    private final Layout layout;
    private final RowTree rows;
    private final long[] state;
    private final Fold[] folds;
    private final LastValues last;
    private final KeptValues kept;
    private final Object[] fills;
    private final Object[] vector;
    private final ValidUntil validUntil;
    private final long longest;

    FeatureVectors(Stage stage, Layout layout, RowTree rows) {
        this.stage = stage;
        this.layout = layout;
        this.rows = rows;
        state = new long[layout.slots];
        folds = new Fold[stage.values.length];
        for (int c = 0; c < folds.length; c++) {
            folds[c] = Fold.of(stage.values[c], state, layout.slotOf[c]);
        }
        last = new LastValues(stage, layout, rows);
        kept = new KeptValues(stage, layout, rows);
        fills = Arrays.stream(stage.features).map(this::fill).toArray();
        vector = new Object[stage.resultFields()];
        validUntil = new ValidUntil(stage);
        longest = stage.windows[stage.windows.length - 1];
    }

    /** The fill value as Flink's tables have it. */
    private Object fill(Stage.Feature feature) {
        if (!(feature.fill() instanceof BigDecimal fill)) {
            return feature.fill();
        }
        DecimalType decimal = (DecimalType) stage.type(feature).getLogicalType();
        return DecimalData.fromBigDecimal(fill, decimal.getPrecision(), decimal.getScale());
    }

    /** Turns to a key; see {@link headrace.state.Blocks#key}. */
    void open(Object key) {
        kept.open(key);
    }

    /**
     * The features at {@code time}, whether they are complete (rule 6), until when those of each view are valid; overwritten by
     * the next call.
     */
    Object[] at(long time) {
        at(time, 0);
        validUntil.write(vector, stage.features.length + 1);
        return vector;
    }

    /** The same, but only features of windows that are {@code longerThan} this; the others are null, and the times too. */
    Object[] at(long time, long longerThan) {
        Arrays.fill(vector, null);
        layout.clear(state);
        last.clear();
        kept.moveTo(time, longerThan);
        validUntil.clear();
        long through = time;
        for (int window = 0; window < stage.windows.length; window++) { // they nest: each goes on where the last one ended
            if (stage.windows[window] <= longerThan) {
                continue;
            }
            long after = time - stage.windows[window];
            validUntil.oldest(window, rows.fold(state, after, through));
            last.extendTo(window, after, through);
            results(window);
            through = after;
        }
        vector[stage.features.length] = isWholeAfter(time - longest);
        return vector;
    }

    /** Whether no row of a later time has been forgotten, nor deleted before it could come. */
    boolean isWholeAfter(long time) {
        return Math.max(rows.evictedThrough(), stage.wholeFrom) <= time;
    }

    private void results(int window) {
        for (int f = 0; f < stage.features.length; f++) {
            Stage.Feature feature = stage.features[f];
            if (feature.window() == window) {
                Object result = result(f, feature);
                vector[f] = result == null ? fills[f] : result;
            }
        }
    }

    private Object result(int f, Stage.Feature feature) {
        if (last.has(f)) {
            return last.result(f);
        }
        return kept.has(f) ? kept.result(f) : feature.call().aggregation().result(folds[feature.value()]);
    }
}
