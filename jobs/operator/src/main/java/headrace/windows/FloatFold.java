package headrace.windows;

/** Doubles, from sums whose error does not grow with the window. */
final class FloatFold extends Fold {
    FloatFold(Value value, long[] state, int[] slot) {
        super(value, state, slot);
    }

    @Override
    Object sum() {
        return high(Partial.Kind.SUM) + low(Partial.Kind.SUM);
    }

    @Override
    double mean() {
        return (high(Partial.Kind.SUM) + low(Partial.Kind.SUM)) / count();
    }

    /** Of n values: (n · Σx² - (Σx)²) / n, in pairs of doubles (Dekker 1971), so that what cancels has 32 digits. */
    @Override
    double squaredDistances() {
        double n = count();
        double sum = high(Partial.Kind.SUM) + low(Partial.Kind.SUM);
        double sumRest = high(Partial.Kind.SUM) - sum + low(Partial.Kind.SUM);
        double squares = high(Partial.Kind.SQUARES);
        double left = n * squares;
        double leftRest = Math.fma(n, squares, -left) + n * low(Partial.Kind.SQUARES);
        double right = sum * sum;
        double rightRest = Math.fma(sum, sum, -right) + 2 * sum * sumRest;
        return Math.max(0, (left - right + (leftRest - rightRest)) / n);
    }

    private double high(Partial.Kind kind) {
        return Double.longBitsToDouble(state[slot(kind)]);
    }

    private double low(Partial.Kind kind) {
        return Double.longBitsToDouble(state[slot(kind) + 1]);
    }
}
