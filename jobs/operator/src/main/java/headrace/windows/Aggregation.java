package headrace.windows;

import java.io.Serializable;
import java.math.BigDecimal;
import java.util.Set;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.annotation.JsonProperty;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.DecimalType;

/**
 * The aggregation functions: the partials that each needs and its result, or what keeps the values that it needs. Their rules are
 * in docs/windows.md, and what users call them is Python's affair.
 */
enum Aggregation {
    @JsonProperty("count")
    COUNT(Partial.Kind.COUNT) {
        @Override
        DataType type(Value value) {
            return DataTypes.BIGINT();
        }

        @Override
        Object result(Fold fold) {
            return fold.count();
        }
    },
    @JsonProperty("sum")
    SUM(Partial.Kind.SUM) {
        @Override
        DataType type(Value value) {
            return value.floating() ? DataTypes.DOUBLE() : DataTypes.DECIMAL(SUM_DIGITS, value.scale());
        }

        @Override
        Object result(Fold fold) {
            return fold.sum();
        }
    },
    @JsonProperty("mean")
    MEAN(Partial.Kind.COUNT, Partial.Kind.SUM) {
        @Override
        Object result(Fold fold) {
            return fold.count() == 0 ? null : (Object) fold.mean();
        }
    },
    @JsonProperty("min")
    MIN(Partial.Kind.COUNT, Partial.Kind.LEAST) {
        @Override
        DataType type(Value value) {
            return value.type();
        }

        @Override
        Object result(Fold fold) {
            return fold.count() == 0 ? null : fold.least();
        }
    },
    @JsonProperty("max")
    MAX(Partial.Kind.COUNT, Partial.Kind.MOST) {
        @Override
        DataType type(Value value) {
            return value.type();
        }

        @Override
        Object result(Fold fold) {
            return fold.count() == 0 ? null : fold.most();
        }
    },
    @JsonProperty("var_pop")
    VAR_POP(Needs.SPREAD) {
        @Override
        Object result(Fold fold) {
            return fold.count() == 0 ? null : (Object) (fold.distances() / fold.count());
        }
    },
    @JsonProperty("var_samp")
    VAR_SAMP(Needs.SPREAD) {
        @Override
        Object result(Fold fold) {
            return fold.count() < 2 ? null : (Object) (fold.distances() / (fold.count() - 1));
        }
    },
    @JsonProperty("std_pop")
    STD_POP(Needs.SPREAD) {
        @Override
        Object result(Fold fold) {
            return fold.count() == 0 ? null : (Object) Math.sqrt(fold.distances() / fold.count());
        }
    },
    @JsonProperty("std_samp")
    STD_SAMP(Needs.SPREAD) {
        @Override
        Object result(Fold fold) {
            return fold.count() < 2 ? null : (Object) Math.sqrt(fold.distances() / (fold.count() - 1));
        }
    },
    @JsonProperty("first")
    FIRST(Partial.Kind.FIRST) {
        @Override
        DataType type(Value value) {
            return value.type();
        }

        @Override
        Object result(Fold fold) {
            return fold.end(Partial.Kind.FIRST);
        }
    },
    @JsonProperty("last")
    LAST(Partial.Kind.LAST) {
        @Override
        DataType type(Value value) {
            return value.type();
        }

        @Override
        Object result(Fold fold) {
            return fold.end(Partial.Kind.LAST);
        }
    },
    @JsonProperty("last_n")
    LAST_N(Partial.Kind.COUNT) {
        @Override
        DataType type(Value value) {
            return DataTypes.ARRAY(value.type());
        }
    },
    @JsonProperty("count_distinct")
    COUNT_DISTINCT {
        @Override
        DataType type(Value value) {
            return DataTypes.BIGINT();
        }

        @Override
        Multiset values(Value value) {
            return new Multiset.Distinct();
        }
    },
    @JsonProperty("quantile")
    QUANTILE {
        @Override
        Multiset values(Value value) {
            return new Multiset.Histogram(value);
        }
    };

    /** What a variance needs; that all values are equal is seen from the least and the most, to the bit. */
    private static final class Needs {
        static final Partial.Kind[] SPREAD = {
            Partial.Kind.COUNT, Partial.Kind.SUM, Partial.Kind.SQUARES, Partial.Kind.LEAST, Partial.Kind.MOST
        };
    }

    /** Of an exact sum: as many as a decimal of Flink has at most. */
    static final int SUM_DIGITS = DecimalType.MAX_PRECISION;

    /** What it needs of blocks of rows; none where it needs the values of the window. */
    final Set<Partial.Kind> partials;

    Aggregation(Partial.Kind... partials) {
        this.partials = Set.of(partials);
    }

    /** A function with its parameter, a number of rows or a share of them, as a fraction: ranks are computed in whole numbers. */
    record Call(Aggregation aggregation, long numerator, long denominator) implements Serializable {
        private static final long serialVersionUID = 1L;

        /** {@code parameter} is a decimal, null for a function that has none. */
        static Call of(Aggregation aggregation, String parameter) {
            BigDecimal number = parameter == null ? BigDecimal.ZERO : new BigDecimal(parameter);
            long denominator = BigDecimal.TEN.pow(number.scale()).longValueExact();
            return new Call(aggregation, number.unscaledValue().longValueExact(), denominator);
        }

        /** Of a quantile: the place of its value among {@code count} values in order, the first being 1. */
        long rank(long count) {
            return Math.max(1, (numerator * count + denominator - 1) / denominator);
        }

        /** Of a list of the last values: how many. */
        int rows() {
            return (int) numerator;
        }
    }

    /** The type of the result; most are doubles. */
    DataType type(Value value) {
        return DataTypes.DOUBLE();
    }

    /** The value of a window whose rows {@code fold} has seen; null where an empty window has none. */
    Object result(Fold fold) {
        throw new IllegalStateException(this + " is not made of partials");
    }

    /** Whether it needs the {@link #values} of the window, and not partials. */
    final boolean keepsValues() {
        return partials.isEmpty();
    }

    /** What keeps the values of a window, for a function without partials. */
    Multiset values(Value value) {
        throw new IllegalStateException(this + " has partials");
    }
}
