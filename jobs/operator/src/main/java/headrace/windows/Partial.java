package headrace.windows;

import headrace.state.Bytes;

/**
 * What a function needs to know of some rows of one column, in a few longs: a monoid. {@link RowTree} keeps it for every
 * block of rows, so that a window of any length is the sum of a few.
 *
 * <p>Rows and blocks are added from the newest to the oldest. A value is a long in the order of the values: see {@link Value#read}.
 */
abstract class Partial {
    /** The kinds of partials; a column has at most one of each. */
    enum Kind {
        COUNT,
        SUM,
        SQUARES,
        LEAST,
        MOST,
        FIRST,
        LAST
    }

    /** How many longs it takes. */
    final int slots;

    Partial(int slots) {
        this.slots = slots;
    }

    /** Makes it that of no rows. */
    abstract void clear(long[] state, int at);

    /** Adds a row that is older than all seen. */
    abstract void add(long[] state, int at, long value);

    /** Adds a block that is older than all seen, and whose partial is at {@code position}. */
    abstract void merge(long[] state, int at, byte[] older, int position);

    /** The partial of a column of longs, decimals, timestamps or booleans, or of doubles. */
    static Partial of(Kind kind, boolean floating) {
        return switch (kind) {
            case COUNT -> new Count();
            case SUM -> floating ? new FloatSum(false) : new IntegerSum();
            case SQUARES -> floating ? new FloatSum(true) : new IntegerSquares();
            case LEAST -> new Least();
            case MOST -> new Most();
            case FIRST -> new First();
            case LAST -> new Last();
        };
    }

    private static final class Count extends Partial {
        Count() {
            super(1);
        }

        @Override
        void clear(long[] state, int at) {
            state[at] = 0;
        }

        @Override
        void add(long[] state, int at, long value) {
            state[at]++;
        }

        @Override
        void merge(long[] state, int at, byte[] older, int position) {
            state[at] += Bytes.getLong(older, position);
        }
    }

    /** 128 bits, high then low: exact for any number of longs. */
    private static final class IntegerSum extends Partial {
        IntegerSum() {
            super(2);
        }

        @Override
        void clear(long[] state, int at) {
            state[at] = 0;
            state[at + 1] = 0;
        }

        @Override
        void add(long[] state, int at, long value) {
            add(state, at, value >> 63, value);
        }

        @Override
        void merge(long[] state, int at, byte[] older, int position) {
            add(state, at, Bytes.getLong(older, position), Bytes.getLong(older, position + 8));
        }

        private static void add(long[] state, int at, long high, long low) {
            long sum = state[at + 1] + low;
            state[at] += high + (Long.compareUnsigned(sum, low) < 0 ? 1 : 0);
            state[at + 1] = sum;
        }
    }

    /** The squares' sum in 192 bits: exact for any number of longs. */
    private static final class IntegerSquares extends Partial {
        IntegerSquares() {
            super(3);
        }

        @Override
        void clear(long[] state, int at) {
            state[at] = 0;
            state[at + 1] = 0;
            state[at + 2] = 0;
        }

        @Override
        void add(long[] state, int at, long value) {
            add(state, at, 0, Math.multiplyHigh(value, value), value * value);
        }

        @Override
        void merge(long[] state, int at, byte[] older, int position) {
            long high = Bytes.getLong(older, position);
            add(state, at, high, Bytes.getLong(older, position + 8), Bytes.getLong(older, position + 16));
        }

        private static void add(long[] state, int at, long high, long middle, long low) {
            long lowest = state[at + 2] + low;
            long carry = Long.compareUnsigned(lowest, low) < 0 ? 1 : 0;
            long mid = state[at + 1] + middle;
            long carried = Long.compareUnsigned(mid, middle) < 0 ? 1 : 0;
            mid += carry;
            carried += carry == 1 && mid == 0 ? 1 : 0;
            state[at] += high + carried;
            state[at + 1] = mid;
            state[at + 2] = lowest;
        }
    }

    /**
     * Doubles, or their squares, with Neumaier's compensated sum (1974): the sum, then what its roundings lost. A square is
     * taken exactly, in two doubles.
     */
    private static final class FloatSum extends Partial {
        private final boolean squares;

        FloatSum(boolean squares) {
            super(2);
            this.squares = squares;
        }

        @Override
        void clear(long[] state, int at) {
            state[at] = 0;
            state[at + 1] = 0;
        }

        @Override
        void add(long[] state, int at, long value) {
            double x = Value.real(value);
            if (squares) {
                double square = x * x;
                add(state, at, square, Math.fma(x, x, -square));
            } else {
                add(state, at, x, 0);
            }
        }

        @Override
        void merge(long[] state, int at, byte[] older, int position) {
            double sum = Double.longBitsToDouble(Bytes.getLong(older, position));
            add(state, at, sum, Double.longBitsToDouble(Bytes.getLong(older, position + 8)));
        }

        private static void add(long[] state, int at, double value, double rest) {
            double sum = Double.longBitsToDouble(state[at]);
            double lost = Double.longBitsToDouble(state[at + 1]);
            double next = sum + value;
            lost += rest + (Math.abs(sum) >= Math.abs(value) ? (sum - next) + value : (value - next) + sum);
            state[at] = Double.doubleToRawLongBits(next);
            state[at + 1] = Double.doubleToRawLongBits(lost);
        }
    }

    private static final class Least extends Partial {
        Least() {
            super(1);
        }

        @Override
        void clear(long[] state, int at) {
            state[at] = Long.MAX_VALUE;
        }

        @Override
        void add(long[] state, int at, long value) {
            state[at] = Math.min(state[at], value);
        }

        @Override
        void merge(long[] state, int at, byte[] older, int position) {
            state[at] = Math.min(state[at], Bytes.getLong(older, position));
        }
    }

    private static final class Most extends Partial {
        Most() {
            super(1);
        }

        @Override
        void clear(long[] state, int at) {
            state[at] = Long.MIN_VALUE;
        }

        @Override
        void add(long[] state, int at, long value) {
            state[at] = Math.max(state[at], value);
        }

        @Override
        void merge(long[] state, int at, byte[] older, int position) {
            state[at] = Math.max(state[at], Bytes.getLong(older, position));
        }
    }

    /** Whether there is a value, then the oldest. */
    private static final class First extends Partial {
        First() {
            super(2);
        }

        @Override
        void clear(long[] state, int at) {
            state[at] = 0;
        }

        @Override
        void add(long[] state, int at, long value) {
            state[at] = 1;
            state[at + 1] = value;
        }

        @Override
        void merge(long[] state, int at, byte[] older, int position) {
            if (Bytes.getLong(older, position) == 1) {
                add(state, at, Bytes.getLong(older, position + 8));
            }
        }
    }

    /** Whether there is a value, then the newest. */
    private static final class Last extends Partial {
        Last() {
            super(2);
        }

        @Override
        void clear(long[] state, int at) {
            state[at] = 0;
        }

        @Override
        void add(long[] state, int at, long value) {
            if (state[at] == 0) {
                state[at] = 1;
                state[at + 1] = value;
            }
        }

        @Override
        void merge(long[] state, int at, byte[] older, int position) {
            if (Bytes.getLong(older, position) == 1) {
                add(state, at, Bytes.getLong(older, position + 8));
            }
        }
    }
}
