package headrace.seam;

import java.io.Serializable;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.logical.RowType;

/**
 * The rows that a topic's table gives: its own columns, then the metadata of records.
 *
 * @param columns with their types
 * @param metadata the names of Kafka's metadata, in order
 */
public record RowShape(RowType columns, List<String> metadata) implements Serializable {
    private static final long serialVersionUID = 1L;
    private static final GenericMapData NO_HEADERS = new GenericMapData(Map.of());

    /** The position of the column with a row's partition; -1 where there is none. */
    public int partition() {
        int at = metadata.indexOf("partition");
        return at < 0 ? -1 : columns.getFieldCount() + at;
    }

    /** A row of history without its columns; {@code place} takes the place of the offset. */
    GenericRowData row(long place) {
        int width = columns.getFieldCount();
        GenericRowData row = new GenericRowData(width + metadata.size());
        for (int i = 0; i < metadata.size(); i++) {
            switch (metadata.get(i)) {
                case "partition" -> row.setField(width + i, History.PARTITION);
                case "offset" -> row.setField(width + i, place);
                case "timestamp" -> row.setField(width + i, TimestampData.fromEpochMillis(0));
                case "headers" -> row.setField(width + i, NO_HEADERS);
                default -> throw new IllegalStateException("no row of history has the metadata " + metadata.get(i));
            }
        }
        return row;
    }
}
