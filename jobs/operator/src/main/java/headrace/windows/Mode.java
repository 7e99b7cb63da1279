package headrace.windows;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.annotation.JsonProperty;

/** What the modes differ in (docs/windows.md, rule 6): when a row is processed, and what makes it late. */
interface Mode {
    /** No lateness: the row is in time. */
    long IN_TIME = -1;

    /** The modes, as a spec names them. */
    enum Name {
        @JsonProperty("arrival")
        ARRIVAL,
        @JsonProperty("event_time")
        EVENT_TIME
    }

    static Mode of(Stage stage) {
        return switch (stage.mode) {
            case ARRIVAL -> new ArrivalMode();
            case EVENT_TIME -> new EventTimeMode(stage);
        };
    }

    /** How many milliseconds late a contributing row is, at the key of {@code windower}; {@link #IN_TIME} if it is not. */
    long lateBy(StagedRow row, Windower windower);

    /** Processes a row that has arrived, or lets it wait. */
    void arrive(StagedRow row, Turn turn);

    /** Processes the rows that the timer of {@code time} was set for, if any. */
    void onTimer(long time, Turn turn);
}
