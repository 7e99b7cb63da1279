package headrace.windows;

import java.util.Arrays;

/**
 * Until when the features of each view are what they are, if no row comes: a row that is as old as its window is out (rule 1).
 *
 * <pre>
 *       t - w      oldest              t          oldest + w
 * ────────○══════════●══════●══════════●──────────────┼──────►
 *                                        valid        │ the oldest row has left
 * </pre>
 */
final class ValidUntil {
    private final long[] lengths;

    /** For each view its windows, as indexes into {@link Stage#windows}. */
    private final int[][] windowsOf;

    /** For each window that was looked at, when its oldest row leaves it. */
    private final long[] leaves;

    private long oldest;

    ValidUntil(Stage stage) {
        lengths = stage.windows;
        leaves = new long[lengths.length];
        windowsOf = new int[stage.views.length][];
        for (int v = 0; v < windowsOf.length; v++) {
            int view = v;
            windowsOf[v] =
                    Arrays.stream(stage.features)
                            .filter(feature -> feature.view() == view)
                            .mapToInt(Stage.Feature::window)
                            .distinct()
                            .toArray();
        }
    }

    /** Begins a feature vector: no row is in any window. */
    void clear() {
        oldest = Nodes.NO_ROW;
        Arrays.fill(leaves, Nodes.NO_ROW);
    }

    /** Takes the next longer window; {@code time} is of the oldest row in it that is in no shorter one, or {@link Nodes#NO_ROW}. */
    void oldest(int window, long time) {
        oldest = Math.min(oldest, time);
        leaves[window] = oldest == Nodes.NO_ROW ? Nodes.NO_ROW : oldest + lengths[window];
    }

    /** Writes a time for each view from {@code at} on; null where no row is in any of its windows. */
    void write(Object[] vector, int at) {
        for (int v = 0; v < windowsOf.length; v++) {
            long first = Nodes.NO_ROW;
            for (int window : windowsOf[v]) {
                first = Math.min(first, leaves[window]);
            }
            vector[at + v] = first == Nodes.NO_ROW ? null : first;
        }
    }
}
