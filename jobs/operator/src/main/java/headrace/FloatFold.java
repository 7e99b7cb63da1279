package headrace;

/** Doubles, with Neumaier's compensated sum (1974): the error does not grow with the window. */
final class FloatFold extends Fold {
    private double sum;
    private double lost;
    private double least;
    private double most;

    @Override
    void clear() {
        count = 0;
        sum = 0;
        lost = 0;
        least = Double.POSITIVE_INFINITY;
        most = Double.NEGATIVE_INFINITY;
    }

    @Override
    void add(long bits) {
        double value = Double.longBitsToDouble(bits);
        count++;
        double next = sum + value;
        lost += Math.abs(sum) >= Math.abs(value) ? (sum - next) + value : (value - next) + sum;
        sum = next;
        least = Math.min(least, value);
        most = Math.max(most, value);
    }

    @Override
    Object sum() {
        return sum + lost;
    }

    @Override
    double mean() {
        return (sum + lost) / count;
    }

    @Override
    Object min() {
        return least;
    }

    @Override
    Object max() {
        return most;
    }
}
