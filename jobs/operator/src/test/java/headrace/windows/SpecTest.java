package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.table.api.DataTypes;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The argument {@code spec}, as Python writes it. */
class SpecTest {
    /** A parameter is a decimal: a number of rows, or a share of them, to the last digit. */
    @Test
    void parametersAreDecimals() {
        assertEquals(10, call("last_n 10").rows());
        assertEquals(1, call("quantile 0.5").rank(1));
        assertEquals(999, call("quantile 0.999").rank(1_000));
        assertEquals(1_000, call("quantile 0.999").rank(1_001));
        assertEquals(1, call("quantile 0.0001").rank(1_000));
        assertEquals(new Aggregation.Call(Aggregation.MEAN, 0, 1), call("mean"));
    }

    /** A function or a mode that the operator does not have is refused, with the spec, when the job is planned. */
    @ParameterizedTest
    @CsvSource({"count, p99_9", "arrival, processing_time", "lateness, lateness_ms"})
    void whatIsUnknownIsRefused(String known, String unknown) {
        Stages stages = Stages.over(DataTypes.BIGINT()).feature("count", 100);
        String spec = stages.spec().replace('"' + known + '"', '"' + unknown + '"');
        IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, () -> Stage.bind(spec, stages.table()));
        assertTrue(refused.getMessage().startsWith("spec is not the JSON of a stage: {"), refused.getMessage());
    }

    private static Aggregation.Call call(String function) {
        return Stages.over(DataTypes.BIGINT()).feature(function, 100).bind().features[0].call();
    }
}
