package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.Stream;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.types.DataType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The warm-up of a stage. */
class MadeUpRowsTest {
    private static final int ROWS = 5_000;
    private static final long WINDOW = 86_400_000;
    private static final long SEAM = 1_700_000_000_000L;
    private static final List<String> ALL = List.of("count", "first", "last", "last_n 3", "count_distinct", "quantile 0.5");
    private static final List<String> OF_NUMBERS = List.of("sum", "mean", "min", "max", "std_pop");

    static Stream<Arguments> stages() {
        return Stream.of(
                Arguments.of(DataTypes.BIGINT(), OF_NUMBERS),
                Arguments.of(DataTypes.DOUBLE(), OF_NUMBERS),
                Arguments.of(DataTypes.DECIMAL(12, 2), OF_NUMBERS),
                Arguments.of(DataTypes.DECIMAL(1, 0), OF_NUMBERS),
                Arguments.of(DataTypes.BIGINT(), ALL),
                Arguments.of(DataTypes.STRING(), List.of("count", "count_distinct")));
    }

    /** Whatever a stage's columns and functions are, in either mode: no row fails, and each is given its feature vector. */
    @ParameterizedTest
    @MethodSource("stages")
    void everyStageTakesThem(DataType value, List<String> functions) {
        Stages stages = Stages.over(value).all(functions, WINDOW).all(functions, 7 * WINDOW).carrying("c", DataTypes.STRING());
        assertEquals(ROWS, vectors(stages.bind(), ROWS));
        assertEquals(ROWS, vectors(stages.eventTime().bind(), ROWS));
        assertEquals(ROWS, vectors(stages.seam(SEAM, DataTypes.STRING()).bind(), ROWS), "backfilled");
    }

    private static int vectors(Stage stage, int rows) {
        int[] vectors = {0};
        MadeUpRows madeUp = new MadeUpRows(stage, row -> vectors[0]++);
        for (int number = 0; number < rows; number++) {
            madeUp.run(number);
        }
        return vectors[0];
    }
}
