package headrace;

import java.io.Serializable;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.DecimalType;

/**
 * The aggregation functions: the partials that each needs and its result, or what keeps the values that it needs. The table of
 * their names is in {@code features/aggregations.py}.
 */
enum Aggregation {
    COUNT(Partial.Kind.COUNT) {
        @Override
        DataType type(Stage.Value value) {
            return DataTypes.BIGINT();
        }

        @Override
        Object result(Fold fold) {
            return fold.count();
        }
    },
    SUM(Partial.Kind.SUM) {
        @Override
        DataType type(Stage.Value value) {
            return value.floating() ? DataTypes.DOUBLE() : DataTypes.DECIMAL(SUM_DIGITS, value.scale());
        }

        @Override
        Object result(Fold fold) {
            return fold.sum();
        }
    },
    MEAN(Partial.Kind.COUNT, Partial.Kind.SUM) {
        @Override
        Object result(Fold fold) {
            return fold.count() == 0 ? null : (Object) fold.mean();
        }
    },
    MIN(Partial.Kind.COUNT, Partial.Kind.LEAST) {
        @Override
        DataType type(Stage.Value value) {
            return value.type();
        }

        @Override
        Object result(Fold fold) {
            return fold.count() == 0 ? null : fold.least();
        }
    },
    MAX(Partial.Kind.COUNT, Partial.Kind.MOST) {
        @Override
        DataType type(Stage.Value value) {
            return value.type();
        }

        @Override
        Object result(Fold fold) {
            return fold.count() == 0 ? null : fold.most();
        }
    },
    VAR_POP(Needs.SPREAD) {
        @Override
        Object result(Fold fold) {
            return fold.count() == 0 ? null : (Object) (fold.distances() / fold.count());
        }
    },
    VAR_SAMP(Needs.SPREAD) {
        @Override
        Object result(Fold fold) {
            return fold.count() < 2 ? null : (Object) (fold.distances() / (fold.count() - 1));
        }
    },
    STD_POP(Needs.SPREAD) {
        @Override
        Object result(Fold fold) {
            return fold.count() == 0 ? null : (Object) Math.sqrt(fold.distances() / fold.count());
        }
    },
    STD_SAMP(Needs.SPREAD) {
        @Override
        Object result(Fold fold) {
            return fold.count() < 2 ? null : (Object) Math.sqrt(fold.distances() / (fold.count() - 1));
        }
    },
    FIRST(Partial.Kind.FIRST) {
        @Override
        DataType type(Stage.Value value) {
            return value.type();
        }

        @Override
        Object result(Fold fold) {
            return fold.end(Partial.Kind.FIRST);
        }
    },
    LAST(Partial.Kind.LAST) {
        @Override
        DataType type(Stage.Value value) {
            return value.type();
        }

        @Override
        Object result(Fold fold) {
            return fold.end(Partial.Kind.LAST);
        }
    },
    LAST_N(Partial.Kind.COUNT) {
        @Override
        DataType type(Stage.Value value) {
            return DataTypes.ARRAY(value.type());
        }
    },
    COUNT_DISTINCT {
        @Override
        DataType type(Stage.Value value) {
            return DataTypes.BIGINT();
        }

        @Override
        Multiset values(Stage.Value value) {
            return new Multiset.Distinct();
        }
    },
    QUANTILE {
        @Override
        Multiset values(Stage.Value value) {
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

    private static final Pattern LAST_OF = Pattern.compile("last_(\\d+)");
    private static final Pattern PERCENT = Pattern.compile("p(\\d+)(?:_(\\d+))?");

    /** What it needs of blocks of rows; none where it needs the values of the window. */
    final Set<Partial.Kind> partials;

    Aggregation(Partial.Kind... partials) {
        this.partials = Set.of(partials);
    }

    /** A function as a definition names it: {@code last_10} has the numerator 10, {@code p99_9} is 999 of 1000. */
    record Call(Aggregation aggregation, long numerator, long denominator) implements Serializable {
        private static final long serialVersionUID = 1L;

        static Call of(String name) {
            Matcher last = LAST_OF.matcher(name);
            if (last.matches()) {
                return new Call(LAST_N, Long.parseLong(last.group(1)), 1);
            }
            Matcher percent = PERCENT.matcher(name);
            if (percent.matches()) {
                String behind = percent.group(2) == null ? "" : percent.group(2);
                long denominator = (long) Math.pow(10, 2 + behind.length());
                return new Call(QUANTILE, Long.parseLong(percent.group(1) + behind), denominator);
            }
            return new Call(valueOf(name.toUpperCase(Locale.ROOT)), 0, 1);
        }
    }

    /** The type of the result; most are doubles. */
    DataType type(Stage.Value value) {
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
    Multiset values(Stage.Value value) {
        throw new IllegalStateException(this + " has partials");
    }
}
