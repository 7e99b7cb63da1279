package headrace.windows;

import java.io.IOException;
import java.util.List;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.annotation.JsonProperty;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;

/**
 * The argument {@code spec} of {@link SlidingWindows}, as Python writes it: names of columns and features, durations
 * in milliseconds, sizes in bytes.
 *
 * @param retention how long rows are kept: the longest window and the allowed lateness
 * @param seam of a backfilled job: rows before this time may come from its history and from the topic; else null
 * @param wholeFrom rows of this time or before may have been deleted before the job could read them; null: none were
 * @param cache the size of the cache of blocks; 0: none
 * @param kept how much memory {@link KeptValues} may use
 * @param values the aggregated columns
 * @param carry the columns that a query's feature vector takes from its row
 */
record Spec(
        @JsonProperty("mode") Mode.Name mode,
        @JsonProperty("retention") long retention,
        @JsonProperty("lateness") long lateness,
        @JsonProperty("seam") Long seam,
        @JsonProperty("whole_from") Long wholeFrom,
        @JsonProperty("cache") long cache,
        @JsonProperty("kept") long kept,
        @JsonProperty("values") List<String> values,
        @JsonProperty("features") List<Feature> features,
        @JsonProperty("carry") List<String> carry) {

    /**
     * One feature.
     *
     * @param parameter of the function: a number of rows, a share; null where it has none
     * @param value an index into {@link Spec#values}
     */
    record Feature(
            @JsonProperty("name") String name,
            @JsonProperty("view") String view,
            @JsonProperty("function") Aggregation function,
            @JsonProperty("parameter") String parameter,
            @JsonProperty("value") int value,
            @JsonProperty("window") long window,
            @JsonProperty("fill") Double fill) {}

    static Spec parse(String text) {
        try {
            return new ObjectMapper().readValue(text, Spec.class);
        } catch (IOException e) {
            throw new IllegalArgumentException("spec is not the JSON of a stage: " + text, e);
        }
    }

    /** Whether a column is counted and nothing else, so that its values need not be kept. */
    boolean isOnlyCounted(int value) {
        return features.stream()
                .filter(feature -> feature.value() == value)
                .allMatch(feature -> feature.function() == Aggregation.COUNT);
    }
}
