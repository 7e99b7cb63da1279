package headrace.warmup;

import java.math.BigDecimal;
import java.util.List;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;

/** Made-up values of the types that events, feature vectors and what is between them have. */
public final class Samples {
    private static final int LIST = 3;
    private static final int DIGITS = 10;

    private Samples() {}

    /** A row of these types; another {@code number}, another row. */
    public static GenericRowData row(List<LogicalType> types, int number) {
        GenericRowData row = new GenericRowData(types.size());
        for (int i = 0; i < types.size(); i++) {
            row.setField(i, value(types.get(i), number + i));
        }
        return row;
    }

    /** A value of this type; null where we have none of it. */
    public static Object value(LogicalType type, int number) {
        return switch (type.getTypeRoot()) {
            case BIGINT -> (long) number;
            case INTEGER -> number;
            case DOUBLE -> number / (double) LIST;
            case BOOLEAN -> number % 2 == 0;
            case VARCHAR, CHAR -> StringData.fromString("sample " + number);
            case VARBINARY, BINARY -> new byte[] {(byte) number};
            case DECIMAL -> decimal((DecimalType) type, number);
            case ARRAY -> array(((ArrayType) type).getElementType(), number);
            case ROW -> row(type.getChildren(), number);
            default -> null;
        };
    }

    private static DecimalData decimal(DecimalType type, int number) {
        BigDecimal value = BigDecimal.valueOf(number % DIGITS, Math.min(type.getScale(), 2));
        return DecimalData.fromBigDecimal(value, type.getPrecision(), type.getScale());
    }

    private static GenericArrayData array(LogicalType type, int number) {
        Object[] values = new Object[LIST];
        for (int i = 0; i < LIST; i++) {
            values[i] = value(type, number + i);
        }
        return new GenericArrayData(values);
    }
}
