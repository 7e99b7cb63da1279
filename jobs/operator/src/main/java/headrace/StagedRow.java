package headrace;

import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.utils.ProjectedRowData;

/** One row of a stage's table, taken apart; it may be read anew for each row. */
final class StagedRow {
    long time;
    boolean contributes;
    boolean asks;
    int partition;
    long offset;

    /** Of a stage that keeps something of it in memory, else null. */
    GenericRowData key;

    /** The words of the aggregated columns, one behind the other, and which columns are null. */
    final long[] words;

    final boolean[] nulls;

    /** The carried columns; of a row that was read, as they lie in it. */
    RowData carry;

    private final ProjectedRowData carried;

    StagedRow(Stage stage) {
        int words = 0;
        for (Stage.Value value : stage.values) {
            words += value.words();
        }
        this.words = new long[words];
        nulls = new boolean[stage.values.length];
        carried = ProjectedRowData.from(stage.carry);
    }

    void read(Stage stage, RowData row) {
        time = row.getLong(stage.time);
        contributes = row.getBoolean(stage.contributes);
        asks = row.getBoolean(stage.asks);
        partition = row.getInt(stage.partition);
        offset = row.getLong(stage.offset);
        key = stage.keyed ? stage.key.of(row) : null;
        int at = 0;
        for (int i = 0; contributes && i < nulls.length; i++) {
            Stage.Value column = stage.values[i];
            nulls[i] = row.isNullAt(column.position());
            for (int w = 0; w < column.words(); w++) {
                words[at + w] = 0;
            }
            if (!nulls[i] && column.words() > 0) {
                column.read(row, words, at);
            }
            at += column.words();
        }
        carry = carried.replaceRow(row);
    }
}
