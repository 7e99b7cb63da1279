package headrace.formats;

import static headrace.formats.EventDecoderTest.AHEAD;
import static headrace.formats.EventDecoderTest.ALL;
import static headrace.formats.EventDecoderTest.NOW;
import static headrace.formats.EventDecoderTest.assertBad;
import static headrace.formats.EventDecoderTest.assertGood;
import static headrace.formats.EventDecoderTest.decoder;
import static java.nio.charset.StandardCharsets.UTF_8;

import org.apache.flink.table.data.GenericRowData;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which event times are taken (rule 8). */
class EventTimesTest {
    private static final long AGE = 18_262 * 86_400_000L;

    /** Times before 1970, or further ahead of the clock than the bound, are out of bounds; the bounds are in. */
    @Test
    void timesHaveBounds() {
        assertGood(event("\"at\": 0"));
        assertGood(event("\"at\": " + (NOW + AHEAD)));
        assertBad("time_out_of_bounds", event("\"at\": -1"), "at is before 1970; got -1");
        String ahead = "at is 3600001 ms ahead of the clock; got " + (NOW + AHEAD + 1);
        assertBad("time_out_of_bounds", event("\"at\": " + (NOW + AHEAD + 1)), ahead);
        assertBad("time_out_of_bounds", event("\"at\": " + Long.MAX_VALUE), "ahead of the clock");
        assertBad("time_out_of_bounds", event("\"at\": " + Long.MIN_VALUE), "before 1970");
        assertBad("time_out_of_bounds", event("\"at\": \"1969-12-31T23:59:59.999Z\""), "got -1");
    }

    /** A time that is too old is out of bounds, and one in another unit, by which the unit is named. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "1700000000|at looks like seconds; got 1700000000",
                "1700000000000000|at looks like microseconds; got 1700000000000000",
                "1700000000000000000|at looks like nanoseconds; got 1700000000000000000",
                "0|at is 19675 days old; got 0",
                "121999999999|at is 18263 days old; got 121999999999",
                "-1|at is before 1970; got -1"
            })
    void aTimeInAnotherUnitIsNamed(long time, String detail) {
        assertBad("time_out_of_bounds", aged(time), detail);
        assertGood(aged(NOW - AGE));
    }

    /** Only the event time has bounds: a date of birth may lie before 1970. */
    @Test
    void otherTimestampsHaveNoBounds() {
        assertGood(event("\"at\": 1, \"seen\": -1"));
    }

    private static GenericRowData event(String fields) {
        return decoder(ALL).decode(("{\"id\": 7, \"shop\": \"A\", " + fields + "}").getBytes(UTF_8));
    }

    /** An event of this time, where events of {@code AGE} are the oldest. */
    private static GenericRowData aged(long time) {
        return decoder(ALL, AGE).decode(("{\"id\": 7, \"shop\": \"A\", \"at\": " + time + "}").getBytes(UTF_8));
    }
}
