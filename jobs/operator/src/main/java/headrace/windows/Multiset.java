package headrace.windows;

import java.util.Arrays;

/** The values of one column in one window, for a function without a small partial. They are added and removed in any order. */
abstract class Multiset {
    /** Removes all values. */
    abstract void clear();

    /** Adds one of a value, of one word or two. */
    abstract void add(long word, long second);

    /** Removes one of a value, which is there. */
    abstract void remove(long word, long second);

    /** The value of a function of this kind; null where an empty window has none. */
    abstract Object result(Aggregation.Call call);

    /** How many bytes of memory it takes, about. */
    abstract int bytes();

    /** The distinct values, in a hash table with open addressing; 128 bits of its SHA-256 stand for a string. */
    static final class Distinct extends Multiset {
        private static final int LEAST_ROOM = 16;
        private static final int PLACE_BYTES = 2 * Long.BYTES + Integer.BYTES;

        private long[] words;
        private int[] counts;
        private int distinct;

        Distinct() {
            clear();
        }

        @Override
        void clear() {
            resize(LEAST_ROOM);
        }

        @Override
        void add(long word, long second) {
            if (2 * distinct >= counts.length) {
                rehash(2 * counts.length);
            }
            add(word, second, 1);
        }

        @Override
        void remove(long word, long second) {
            int i = place(word, second);
            if (counts[i] == 0) {
                throw new IllegalStateException("a value leaves a window that it is not in");
            }
            if (--counts[i] > 0) {
                return;
            }
            distinct--;
            close(i);
            if (counts.length > LEAST_ROOM && 8 * distinct < counts.length) {
                rehash(counts.length / 2);
            }
        }

        @Override
        Object result(Aggregation.Call call) {
            return (long) distinct;
        }

        @Override
        int bytes() {
            return counts.length * PLACE_BYTES;
        }

        private void add(long word, long second, int count) {
            int i = place(word, second);
            if (counts[i] == 0) {
                words[2 * i] = word;
                words[2 * i + 1] = second;
                distinct++;
            }
            counts[i] += count;
        }

        /** Where a value is, or would be. */
        private int place(long word, long second) {
            int mask = counts.length - 1;
            int i = home(word, second);
            while (counts[i] > 0 && (words[2 * i] != word || words[2 * i + 1] != second)) {
                i = i + 1 & mask;
            }
            return i;
        }

        private int home(long word, long second) {
            long mixed = (word ^ Long.rotateLeft(second, 32)) * 0x9E3779B97F4A7C15L;
            return (int) (mixed >>> 40) & counts.length - 1;
        }

        /** Moves values behind a free place into it, where a search for them would otherwise end there (Knuth, 6.4 R). */
        private void close(int free) {
            int mask = counts.length - 1;
            for (int i = free + 1 & mask; counts[i] > 0; i = i + 1 & mask) {
                if ((i - home(words[2 * i], words[2 * i + 1]) & mask) >= (i - free & mask)) {
                    words[2 * free] = words[2 * i];
                    words[2 * free + 1] = words[2 * i + 1];
                    counts[free] = counts[i];
                    counts[i] = 0;
                    free = i;
                }
            }
        }

        private void rehash(int room) {
            long[] old = words;
            int[] were = counts;
            resize(room);
            for (int i = 0; i < were.length; i++) {
                if (were[i] > 0) {
                    add(old[2 * i], old[2 * i + 1], were[i]);
                }
            }
        }

        private void resize(int room) {
            words = new long[2 * room];
            counts = new int[room];
            distinct = 0;
        }
    }

    /**
     * How many values have each rounded value, of 8 significant bits (DDSketch, Masson, Rim and Lee, VLDB 2019, with HdrHistogram's
     * buckets). Rounding keeps the order, so the histogram's discrete quantile is the rounded quantile.
     */
    static final class Histogram extends Multiset {
        private static final double SPLIT = (1L << 45) + 1;
        private static final double WIDEST = 1e290;
        private static final int LEAST_ROOM = 16;

        private final boolean floating;
        private final double unit;
        private long[] rounded = new long[LEAST_ROOM];
        private long[] counts = new long[LEAST_ROOM];
        private int buckets;
        private long count;

        Histogram(Value value) {
            floating = value.floating();
            unit = Math.pow(10, value.scale());
        }

        @Override
        void clear() {
            buckets = 0;
            count = 0;
        }

        @Override
        void add(long word, long second) {
            count++;
            long bucket = bucket(word);
            int i = Arrays.binarySearch(rounded, 0, buckets, bucket);
            if (i >= 0) {
                counts[i]++;
                return;
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
        }

        @Override
        void remove(long word, long second) {
            int i = Arrays.binarySearch(rounded, 0, buckets, bucket(word));
            if (i < 0) {
                throw new IllegalStateException("a value leaves a window that it is not in");
            }
            count--;
            if (--counts[i] == 0) {
                buckets--;
                System.arraycopy(rounded, i + 1, rounded, i, buckets - i);
                System.arraycopy(counts, i + 1, counts, i, buckets - i);
            }
        }

        @Override
        Object result(Aggregation.Call call) {
            if (count == 0) {
                return null;
            }
            long rank = call.rank(count);
            int i = 0;
            while (rank > counts[i]) {
                rank -= counts[i++];
            }
            return Value.real(rounded[i]);
        }

        @Override
        int bytes() {
            return rounded.length * 2 * Long.BYTES;
        }

        /** Veltkamp's split (1968): the nearest double of 8 significant bits. */
        private long bucket(long word) {
            double x = floating ? Value.real(word) : word / unit;
            double c = x * SPLIT;
            return Value.ordered(Math.abs(x) > WIDEST ? x : c - (c - x) + 0.0);
        }
    }
}
