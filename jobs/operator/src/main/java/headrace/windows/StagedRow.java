package headrace.windows;

import headrace.seam.History;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.utils.ProjectedRowData;

/** One row of a stage's table, decoded; one object may be read into for row after row. */
final class StagedRow {
    long time;
    boolean contributes;
    boolean isQuery;
    int partition;
    long offset;

    /** Null where the stage keeps nothing of a key in memory. */
    GenericRowData key;

    /** The words of all aggregated columns, and which columns are null. */
    final long[] words;

    final boolean[] nulls;

    /** The carried columns: a view of the row that was read. */
    RowData carry;

    /** The words of the row's id; only of a row that contributes, from before the seam. */
    final long[] id;

    private final ProjectedRowData carried;

    StagedRow(Stage stage) {
        int words = 0;
        for (Value value : stage.values) {
            words += value.words();
        }
        this.words = new long[words];
        nulls = new boolean[stage.values.length];
        id = new long[stage.id == null ? 0 : stage.id.words()];
        carried = ProjectedRowData.from(stage.carry);
    }

    /** One of so many words, and nothing else. */
    StagedRow(int words) {
        this.words = new long[words];
        nulls = new boolean[1];
        id = new long[0];
        carried = null;
    }

    /** Whether the row is of the history that a job was backfilled with. */
    boolean isHistory() {
        return partition == History.PARTITION;
    }

    void read(Stage stage, RowData row) {
        time = row.getLong(stage.time);
        contributes = row.getBoolean(stage.contributes);
        isQuery = row.getBoolean(stage.isQuery);
        partition = row.getInt(stage.partition);
        offset = row.getLong(stage.offset);
        key = stage.key != null ? stage.key.of(row) : null;
        if (contributes && time < stage.seam) {
            stage.id.read(row, id, 0);
        }
        int at = 0;
        for (int i = 0; contributes && i < nulls.length; i++) {
            Value column = stage.values[i];
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
