package headrace;

import java.math.BigDecimal;
import java.math.BigInteger;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/** Integers, and decimals as their unscaled integers: exact, with a sum of 128 bits. */
final class IntegerFold extends Fold {
    private final boolean decimal;
    private final int scale;
    private final double unit;
    private long high;
    private long low;
    private long least;
    private long most;

    IntegerFold(LogicalTypeRoot root, int scale) {
        decimal = root == LogicalTypeRoot.DECIMAL;
        this.scale = scale;
        unit = Math.pow(10, scale);
    }

    @Override
    void clear() {
        count = 0;
        high = 0;
        low = 0;
        least = Long.MAX_VALUE;
        most = Long.MIN_VALUE;
    }

    @Override
    void add(long value) {
        count++;
        long sum = low + value;
        high += (value >> 63) + (Long.compareUnsigned(sum, low) < 0 ? 1 : 0);
        low = sum;
        least = Math.min(least, value);
        most = Math.max(most, value);
    }

    @Override
    Object sum() {
        return new BigDecimal(total(), scale);
    }

    /** One division of two doubles, both exact below 2^53: what every engine does. */
    @Override
    double mean() {
        double sum = high == low >> 63 ? (double) low : total().doubleValue();
        return sum / (count * unit);
    }

    @Override
    Object min() {
        return typed(least);
    }

    @Override
    Object max() {
        return typed(most);
    }

    private BigInteger total() {
        BigInteger unsignedLow = BigInteger.valueOf(low >>> 1).shiftLeft(1).or(BigInteger.valueOf(low & 1));
        return BigInteger.valueOf(high).shiftLeft(64).add(unsignedLow);
    }

    private Object typed(long value) {
        return decimal ? (Object) BigDecimal.valueOf(value, scale) : (Object) value;
    }
}
