package headrace.windows;

import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.DataType;

/**
 * An entry in the ledger of late rows: what one late row would have changed in one view.
 *
 * @param index of the view, in the stage
 * @param late how late the row was, in milliseconds
 * @param vectors how many feature vectors were already given that would have held it
 * @param changed how many of their values would have been different
 * @param counted whether these two are complete: false where queries have been forgotten, or are too many to compute again
 */
record LateRow(int index, String view, long time, long late, long vectors, long changed, boolean counted) {
    static final DataType TYPE =
            DataTypes.ROW(
                    DataTypes.FIELD("view", DataTypes.STRING()),
                    DataTypes.FIELD("time", DataTypes.BIGINT()),
                    DataTypes.FIELD("late_ms", DataTypes.BIGINT()),
                    DataTypes.FIELD("vectors", DataTypes.BIGINT()),
                    DataTypes.FIELD("changed", DataTypes.BIGINT()),
                    DataTypes.FIELD("counted", DataTypes.BOOLEAN()));

    RowData row() {
        return GenericRowData.of(StringData.fromString(view), time, late, vectors, changed, counted);
    }
}
