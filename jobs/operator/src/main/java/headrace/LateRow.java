package headrace;

import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.DataType;

/**
 * An entry of the ledger of late rows: what one row that came late would have changed in one view.
 *
 * @param index of the view, in the stage
 * @param late how far behind the newest of its key it came, in event-time mode behind the watermark, in milliseconds
 * @param answers how many answers had been given whose windows would hold it
 * @param changed how many of their values would have been different, had it come in time
 * @param counted whether these two are all: false where answers have been forgotten, or are too many to redo
 */
record LateRow(int index, String view, long time, long late, long answers, long changed, boolean counted) {
    static final DataType TYPE =
            DataTypes.ROW(
                    DataTypes.FIELD("view", DataTypes.STRING()),
                    DataTypes.FIELD("time", DataTypes.BIGINT()),
                    DataTypes.FIELD("late_ms", DataTypes.BIGINT()),
                    DataTypes.FIELD("answers", DataTypes.BIGINT()),
                    DataTypes.FIELD("changed", DataTypes.BIGINT()),
                    DataTypes.FIELD("counted", DataTypes.BOOLEAN()));

    RowData row() {
        return GenericRowData.of(StringData.fromString(view), time, late, answers, changed, counted);
    }
}
