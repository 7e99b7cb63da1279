package headrace.windows;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.HashSet;
import java.util.List;

/** What the functions of a window's values are, the slow obvious way: exact where they can be, to 40 digits where not. */
final class Oracle {
    private static final MathContext DIGITS = new MathContext(40);

    private final List<Object> values;
    private final BigDecimal n;
    private final List<BigDecimal> sorted;
    private final BigDecimal sum;
    private final BigDecimal squares;

    /** Of the values that are not null, in order. */
    Oracle(List<Object> values) {
        this.values = values;
        n = BigDecimal.valueOf(values.size());
        boolean numeric = !values.isEmpty() && values.get(0) instanceof Number;
        sorted = numeric ? values.stream().map(Oracle::exact).sorted().toList() : List.of();
        sum = sorted.stream().reduce(BigDecimal.ZERO, BigDecimal::add);
        squares = sorted.stream().map(v -> v.multiply(v)).reduce(BigDecimal.ZERO, BigDecimal::add);
    }

    /** A {@link BigDecimal} of sum, min, max, mean and what is made of squares; else the result itself. */
    Object result(String function) {
        String[] parts = function.split(" "); // the function, its parameter
        boolean empty = values.isEmpty() || function.endsWith("_samp") && values.size() == 1;
        return switch (parts[0]) {
            case "last_n" -> values.subList(Math.max(0, values.size() - Integer.parseInt(parts[1])), values.size());
            case "quantile" -> empty ? null : quantile(new BigDecimal(parts[1]));
            case "count" -> (long) values.size();
            case "count_distinct" -> (long) new HashSet<>(values).size();
            case "sum" -> sum;
            case "mean" -> empty ? null : sum.divide(n, DIGITS);
            case "min" -> empty ? null : sorted.get(0);
            case "max" -> empty ? null : sorted.get(values.size() - 1);
            case "first" -> empty ? null : values.get(0);
            case "last" -> empty ? null : values.get(values.size() - 1);
            case "var_pop" -> empty ? null : variance(n);
            case "var_samp" -> empty ? null : variance(n.subtract(BigDecimal.ONE));
            case "std_pop" -> empty ? null : variance(n).sqrt(DIGITS);
            case "std_samp" -> empty ? null : variance(n.subtract(BigDecimal.ONE)).sqrt(DIGITS);
            default -> throw new IllegalArgumentException(function);
        };
    }

    /** The greatest magnitude; 0 where there is none. */
    double most() {
        return values.isEmpty() ? 0 : sorted.get(0).abs().max(sorted.get(sorted.size() - 1).abs()).doubleValue();
    }

    static BigDecimal exact(Object value) {
        if (value instanceof Long number) {
            return BigDecimal.valueOf(number);
        }
        return value instanceof Double number ? new BigDecimal(number) : (BigDecimal) value;
    }

    private BigDecimal variance(BigDecimal divisor) {
        return n.multiply(squares).subtract(sum.multiply(sum)).divide(n.multiply(divisor), DIGITS);
    }

    /** The value of this rank, to 8 significant bits. */
    private double quantile(BigDecimal share) {
        int rank = share.multiply(n).setScale(0, RoundingMode.CEILING).intValueExact();
        double x = sorted.get(Math.max(1, rank) - 1).doubleValue();
        double c = x * (double) ((1L << 45) + 1);
        return Math.abs(x) > 1e290 ? x : c - (c - x);
    }
}
