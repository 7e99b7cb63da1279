package headrace;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.types.Row;

/** One row of a stage's table, taken apart; it may be read anew for each row. */
final class StagedRow {
    long time;
    boolean contributes;
    boolean asks;
    int partition;
    long offset;

    /** Of a stage that keeps something of it in memory, else null; of several columns a list. */
    Object key;

    /** The words of the aggregated columns, one behind the other, and which columns are null. */
    final long[] words;

    final boolean[] nulls;
    final Object[] carry;

    StagedRow(Stage stage) {
        int words = 0;
        for (Stage.Value value : stage.values) {
            words += value.words();
        }
        this.words = new long[words];
        nulls = new boolean[stage.values.length];
        carry = new Object[stage.carry.length];
    }

    void read(Stage stage, Row row) {
        time = (Long) row.getField(stage.time);
        contributes = (Boolean) row.getField(stage.contributes);
        asks = (Boolean) row.getField(stage.asks);
        partition = (Integer) row.getField(stage.partition);
        offset = (Long) row.getField(stage.offset);
        key = stage.keyed ? key(row.getField(stage.key)) : null;
        int at = 0;
        for (int i = 0; contributes && i < nulls.length; i++) {
            Stage.Value column = stage.values[i];
            Object value = row.getField(column.position());
            nulls[i] = value == null;
            for (int w = 0; w < column.words(); w++) {
                words[at + w] = 0;
            }
            if (value != null && column.words() > 0) {
                column.write(value, words, at);
            }
            at += column.words();
        }
        for (int i = 0; i < carry.length; i++) {
            carry[i] = row.getField(stage.carry[i]);
        }
    }

    private static Object key(Object key) {
        if (!(key instanceof Row columns)) {
            return key;
        }
        List<Object> list = new ArrayList<>();
        for (int i = 0; i < columns.getArity(); i++) {
            list.add(columns.getField(i));
        }
        return list;
    }
}
