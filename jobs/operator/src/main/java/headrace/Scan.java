package headrace;

import java.lang.reflect.Array;
import java.util.Arrays;

/** What a function needs that no small partial gives: the values of the window, one by one, newest first. */
abstract class Scan {
    /** Of no values. */
    abstract void clear();

    /** With a value that is older than all seen, of one word or two; says whether it wants more. */
    abstract boolean add(long word, long second);

    abstract Object result();

    /** The newest values, oldest first. */
    static final class Last extends Scan {
        private final Stage.Value value;
        private final long[] newest;
        private int count;

        Last(Stage.Value value, int most) {
            this.value = value;
            newest = new long[most];
        }

        @Override
        void clear() {
            count = 0;
        }

        @Override
        boolean add(long word, long second) {
            if (count < newest.length) {
                newest[count++] = word;
            }
            return count < newest.length;
        }

        @Override
        Object result() {
            Object[] list = (Object[]) Array.newInstance(value.type().getConversionClass(), count);
            for (int i = 0; i < count; i++) {
                list[i] = value.typed(newest[count - 1 - i]);
            }
            return list;
        }
    }

    /** The values that differ, in a table with open addressing; 128 bits of its SHA-256 stand for a string. */
    static final class Distinct extends Scan {
        private static final int LEAST_ROOM = 16;

        private long[] words = new long[2 * LEAST_ROOM];
        private boolean[] taken = new boolean[LEAST_ROOM];
        private int count;

        @Override
        void clear() {
            count = 0;
            if (taken.length > LEAST_ROOM * 64) { // one hot key does not make every other one slow
                words = new long[2 * LEAST_ROOM];
                taken = new boolean[LEAST_ROOM];
            } else {
                Arrays.fill(taken, false);
            }
        }

        @Override
        boolean add(long word, long second) {
            if (2 * count >= taken.length) {
                grow();
            }
            put(word, second);
            return true;
        }

        @Override
        Object result() {
            return (long) count;
        }

        private void put(long word, long second) {
            int mask = taken.length - 1;
            long mixed = (word ^ Long.rotateLeft(second, 32)) * 0x9E3779B97F4A7C15L;
            int i = (int) (mixed >>> 40) & mask;
            while (taken[i]) {
                if (words[2 * i] == word && words[2 * i + 1] == second) {
                    return;
                }
                i = i + 1 & mask;
            }
            taken[i] = true;
            words[2 * i] = word;
            words[2 * i + 1] = second;
            count++;
        }

        private void grow() {
            long[] old = words;
            boolean[] was = taken;
            words = new long[2 * old.length];
            taken = new boolean[2 * was.length];
            count = 0;
            for (int i = 0; i < was.length; i++) {
                if (was[i]) {
                    put(old[2 * i], old[2 * i + 1]);
                }
            }
        }
    }

    /**
     * The discrete quantile, rounded to 8 significant bits: how many values have each rounded value (DDSketch, Masson, Rim and
     * Lee, VLDB 2019, with HdrHistogram's buckets). Rounding keeps the order, so the histogram's quantile is the rounded quantile.
     */
    static final class Quantile extends Scan {
        private static final double SPLIT = (1L << 45) + 1;
        private static final double WIDEST = 1e290;

        private final Stage.Value value;
        private final double unit;
        private final long numerator;
        private final long denominator;
        private long[] rounded = new long[16];
        private long[] counts = new long[16];
        private int buckets;
        private long count;

        Quantile(Stage.Value value, long numerator, long denominator) {
            this.value = value;
            this.numerator = numerator;
            this.denominator = denominator;
            unit = Math.pow(10, value.scale());
        }

        @Override
        void clear() {
            buckets = 0;
            count = 0;
        }

        @Override
        boolean add(long word, long second) {
            count++;
            long bucket = Stage.ordered(round(value.floating() ? Stage.real(word) : word / unit));
            int i = Arrays.binarySearch(rounded, 0, buckets, bucket);
            if (i >= 0) {
                counts[i]++;
                return true;
            }
            if (buckets == rounded.length) {
                rounded = Arrays.copyOf(rounded, 2 * buckets);
                counts = Arrays.copyOf(counts, 2 * buckets);
            }
            int at = -i - 1;
            System.arraycopy(rounded, at, rounded, at + 1, buckets - at);
            System.arraycopy(counts, at, counts, at + 1, buckets - at);
            rounded[at] = bucket;
            counts[at] = 1;
            buckets++;
            return true;
        }

        @Override
        Object result() {
            if (count == 0) {
                return null;
            }
            long before = Math.max(1, (numerator * count + denominator - 1) / denominator);
            int i = 0;
            while (before > counts[i]) {
                before -= counts[i++];
            }
            return Stage.real(rounded[i]);
        }

        /** Veltkamp's split (1968): the nearest double of 8 significant bits. */
        private static double round(double x) {
            double c = x * SPLIT;
            return Math.abs(x) > WIDEST ? x : c - (c - x) + 0.0;
        }
    }
}
