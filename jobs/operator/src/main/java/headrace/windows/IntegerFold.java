package headrace.windows;

import headrace.state.Bytes;
import java.math.BigDecimal;
import java.math.BigInteger;
import org.apache.flink.table.data.DecimalData;

/** Integers, and decimals as their unscaled integers: exact. */
final class IntegerFold extends Fold {
    private final double unit;

    IntegerFold(Value value, long[] state, int[] slot) {
        super(value, state, slot);
        unit = Math.pow(10, value.scale());
    }

    @Override
    Object sum() {
        return DecimalData.fromBigDecimal(new BigDecimal(total(), value.scale()), Aggregation.SUM_DIGITS, value.scale());
    }

    /** One division of two doubles, both exact below 2^53: what every engine does. */
    @Override
    double mean() {
        int at = slot(Partial.Kind.SUM);
        double sum = state[at] == state[at + 1] >> 63 ? (double) state[at + 1] : total().doubleValue();
        return sum / (count() * unit);
    }

    /** Of n values: (n · Σx² - (Σx)²) / n, whole numbers up to the division. */
    @Override
    double squaredDistances() {
        BigInteger n = BigInteger.valueOf(count());
        BigInteger total = total();
        BigInteger squares = whole(slot(Partial.Kind.SQUARES), 3);
        return n.multiply(squares).subtract(total.multiply(total)).doubleValue() / (count() * unit * unit);
    }

    private BigInteger total() {
        int at = slot(Partial.Kind.SUM);
        return state[at] == state[at + 1] >> 63 ? BigInteger.valueOf(state[at + 1]) : whole(at, 2);
    }

    private BigInteger whole(int at, int longs) {
        byte[] bytes = new byte[longs * Long.BYTES];
        for (int i = 0; i < longs; i++) {
            Bytes.setLong(bytes, i * Long.BYTES, state[at + i]);
        }
        return new BigInteger(bytes);
    }
}
