package headrace;

import java.util.Locale;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/**
 * The aggregation functions: what each gives of a {@link Fold}, and of which type. The table of their
 * names is in {@code features/aggregations.py}.
 */
enum Aggregation {
    COUNT {
        @Override
        DataType type(LogicalType column) {
            return DataTypes.BIGINT();
        }

        @Override
        Object result(Fold fold) {
            return fold.count;
        }
    },
    SUM {
        @Override
        DataType type(LogicalType column) {
            return column.is(LogicalTypeRoot.DOUBLE) ? DataTypes.DOUBLE() : DataTypes.DECIMAL(38, scale(column));
        }

        @Override
        Object result(Fold fold) {
            return fold.sum();
        }
    },
    MEAN {
        @Override
        DataType type(LogicalType column) {
            return DataTypes.DOUBLE();
        }

        @Override
        Object result(Fold fold) {
            return fold.count == 0 ? null : (Object) fold.mean();
        }
    },
    MIN {
        @Override
        DataType type(LogicalType column) {
            return same(column);
        }

        @Override
        Object result(Fold fold) {
            return fold.count == 0 ? null : fold.min();
        }
    },
    MAX {
        @Override
        DataType type(LogicalType column) {
            return same(column);
        }

        @Override
        Object result(Fold fold) {
            return fold.count == 0 ? null : fold.max();
        }
    };

    /** The type of the result over {@code column}. */
    abstract DataType type(LogicalType column);

    /** The value of a window whose rows {@code fold} has seen; null where an empty window has none. */
    abstract Object result(Fold fold);

    static Aggregation of(String name) {
        return valueOf(name.toUpperCase(Locale.ROOT));
    }

    private static int scale(LogicalType column) {
        return column instanceof DecimalType decimal ? decimal.getScale() : 0;
    }

    private static DataType same(LogicalType column) {
        if (column instanceof DecimalType decimal) {
            return DataTypes.DECIMAL(decimal.getPrecision(), decimal.getScale());
        }
        return column.is(LogicalTypeRoot.DOUBLE) ? DataTypes.DOUBLE() : DataTypes.BIGINT();
    }
}
