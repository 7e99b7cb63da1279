package headrace.windows;

import java.math.BigDecimal;
import java.util.Arrays;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;

/** Values as tests write them, and as Flink's tables have them: {@link BigDecimal}, {@link String}, arrays are others there. */
final class Values {
    private Values() {}

    static Object internal(LogicalType type, Object value) {
        if (value instanceof BigDecimal decimal) {
            DecimalType digits = (DecimalType) type;
            return DecimalData.fromBigDecimal(decimal, digits.getPrecision(), digits.getScale());
        }
        if (value instanceof Object[] list) {
            LogicalType element = ((ArrayType) type).getElementType();
            return new GenericArrayData(Arrays.stream(list).map(one -> internal(element, one)).toArray());
        }
        return value instanceof String text ? StringData.fromString(text) : value;
    }

    static Object external(LogicalType type, Object value) {
        if (value instanceof ArrayData list) {
            LogicalType element = ((ArrayType) type).getElementType();
            ArrayData.ElementGetter getter = ArrayData.createElementGetter(element);
            Object[] elements = new Object[list.size()];
            Arrays.setAll(elements, i -> external(element, getter.getElementOrNull(list, i)));
            return elements;
        }
        return value instanceof DecimalData decimal ? decimal.toBigDecimal() : value instanceof StringData ? value.toString() : value;
    }

    /** A feature vector of {@code stage}. */
    static Object[] external(Stage stage, Object[] vector) {
        Object[] values = new Object[vector.length];
        Arrays.setAll(values, i -> i < stage.features.length ? external(stage.type(stage.features[i]).getLogicalType(), vector[i]) : vector[i]);
        return values;
    }
}
