package headrace.formats;

import java.io.IOException;
import java.math.BigDecimal;
import java.time.DateTimeException;
import java.time.OffsetDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.format.ResolverStyle;
import java.time.temporal.ChronoField;
import java.util.Locale;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonParser;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonToken;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.exc.InputCoercionException;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/** How a column's value is read from JSON: by the rules of docs/messages.md, which files have too (jobs/history/readings.py). */
record JsonColumn(String name, LogicalType type, boolean isTimestamp) {
    private static final int SHOWN = 40;
    private static final int DATE_LENGTH = 10;

    /** In characters: no column of whole numbers or decimals needs as many, and reading them takes the square of the time. */
    private static final int LONGEST_NUMBER = 1000;

    /** As {@code features.times.ISO} has it; Java's own takes years of more digits, and a point without any. */
    private static final DateTimeFormatter ISO =
            new DateTimeFormatterBuilder()
                    .parseCaseInsensitive()
                    .appendValue(ChronoField.YEAR, 4)
                    .appendPattern("-MM-dd'T'HH:mm")
                    .optionalStart()
                    .appendPattern(":ss")
                    .optionalStart()
                    .appendFraction(ChronoField.NANO_OF_SECOND, 1, 9, true)
                    .optionalEnd()
                    .optionalEnd()
                    .appendOffset("+HH:mm:ss", "Z")
                    .toFormatter(Locale.ROOT)
                    .withResolverStyle(ResolverStyle.STRICT);

    /** The value at which the parser is, as Flink's tables have it; null for null. */
    Object read(JsonParser parser, JsonToken token) throws IOException, BadEventException {
        if (token == JsonToken.VALUE_NULL) {
            return null;
        }
        if (isConstant(parser, token)) {
            throw new BadEventException("not_finite", name + " is " + brief(parser));
        }
        switch (type.getTypeRoot()) {
            case BIGINT:
                return isTimestamp && token == JsonToken.VALUE_STRING ? instant(parser) : integer(parser, token);
            case DOUBLE:
                return floating(parser, token);
            case DECIMAL:
                return decimal(parser, token);
            case VARCHAR:
                expect(token == JsonToken.VALUE_STRING && isUnicode(parser.getText()), parser);
                return StringData.fromString(parser.getText());
            case BOOLEAN:
                expect(token == JsonToken.VALUE_TRUE || token == JsonToken.VALUE_FALSE, parser);
                return parser.getBooleanValue();
            default:
                throw new IllegalStateException("no column of an event has the type " + type);
        }
    }

    /** NaN and the infinities, which the parser takes for numbers. */
    static boolean isConstant(JsonParser parser, JsonToken token) throws IOException {
        return token == JsonToken.VALUE_NUMBER_FLOAT && parser.isNaN();
    }

    /** JSON can escape half a surrogate pair, but no UTF-8 holds one: it could be read, and never be written. */
    private static boolean isUnicode(String text) {
        return text.codePoints().noneMatch(point -> Character.MIN_SURROGATE <= point && point <= Character.MAX_SURROGATE);
    }

    private long integer(JsonParser parser, JsonToken token) throws IOException, BadEventException {
        expect(isNumber(parser, token), parser);
        try {
            return token == JsonToken.VALUE_NUMBER_INT ? parser.getLongValue() : whole(number(parser));
        } catch (InputCoercionException | ArithmeticException e) {
            throw wrongType(parser);
        }
    }

    /** 3.0 and 3e0 are 3: so whole numbers are written that have stood beside nulls in a column of doubles. */
    private static long whole(BigDecimal value) {
        return value.signum() == 0 ? 0 : value.longValueExact(); // which counts the digits of 1e999999999 first
    }

    private double floating(JsonParser parser, JsonToken token) throws IOException, BadEventException {
        expect(token.isNumeric(), parser);
        double value = parser.getDoubleValue();
        if (!Double.isFinite(value)) {
            throw new BadEventException("not_finite", name + " is beyond a double: " + brief(parser));
        }
        return value == 0 ? 0.0 : value; // one zero: engines need not agree on which
    }

    private DecimalData decimal(JsonParser parser, JsonToken token) throws IOException, BadEventException {
        expect(isNumber(parser, token), parser);
        DecimalType decimal = (DecimalType) type;
        BigDecimal value = number(parser);
        // The digits are counted before they are written out: 1e999999999 has one.
        boolean fits = value.signum() == 0 || (long) value.precision() - value.scale() <= decimal.getPrecision() - decimal.getScale();
        if (!fits || value.stripTrailingZeros().scale() > decimal.getScale()) {
            throw wrongType(parser);
        }
        return DecimalData.fromBigDecimal(value, decimal.getPrecision(), decimal.getScale());
    }

    private static boolean isNumber(JsonParser parser, JsonToken token) throws IOException {
        return token.isNumeric() && parser.getTextLength() <= LONGEST_NUMBER;
    }

    private BigDecimal number(JsonParser parser) throws IOException, BadEventException {
        try {
            return parser.getDecimalValue();
        } catch (NumberFormatException e) { // an exponent beyond an int; Jackson 2.20 lets it through
            throw wrongType(parser);
        }
    }

    /** Digits finer than milliseconds are cut off. */
    private long instant(JsonParser parser) throws IOException, BadEventException {
        String text = parser.getText();
        boolean spaced = text.length() > DATE_LENGTH && text.charAt(DATE_LENGTH) == ' '; // as in RFC 3339
        try {
            String iso = spaced ? text.substring(0, DATE_LENGTH) + 'T' + text.substring(DATE_LENGTH + 1) : text;
            return OffsetDateTime.parse(iso, ISO).toInstant().toEpochMilli();
        } catch (DateTimeException e) {
            throw wrongType(parser);
        }
    }

    private void expect(boolean fits, JsonParser parser) throws IOException, BadEventException {
        if (!fits) {
            throw wrongType(parser);
        }
    }

    private BadEventException wrongType(JsonParser parser) throws IOException {
        String wanted = isTimestamp ? "UTC milliseconds or ISO 8601 with its offset" : described();
        return new BadEventException("wrong_type", name + " is " + wanted + "; got " + brief(parser));
    }

    /** The type as definitions have it. */
    private String described() {
        if (type instanceof DecimalType decimal) {
            return "decimal(" + decimal.getPrecision() + "," + decimal.getScale() + ")";
        }
        return type.is(LogicalTypeRoot.BIGINT) ? "long" : type.asSummaryString().toLowerCase(Locale.ROOT);
    }

    private static String brief(JsonParser parser) throws IOException {
        String text = parser.getText();
        String quote = parser.currentToken() == JsonToken.VALUE_STRING ? "\"" : "";
        return quote + (text.length() <= SHOWN ? text : text.substring(0, SHOWN) + "…") + quote;
    }
}
