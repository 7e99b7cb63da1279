package headrace;

import org.apache.flink.types.Row;

/** One row of a stage's table, taken apart. */
final class StagedRow {
    final long time;
    final boolean contributes;
    final boolean asks;
    final int partition;
    final long offset;
    final long[] values;
    final boolean[] nulls;
    final Object[] carry;

    StagedRow(Stage stage, Row row) {
        time = (Long) row.getField(stage.time);
        contributes = (Boolean) row.getField(stage.contributes);
        asks = (Boolean) row.getField(stage.asks);
        partition = (Integer) row.getField(stage.partition);
        offset = (Long) row.getField(stage.offset);
        values = new long[stage.values.length];
        nulls = new boolean[stage.values.length];
        for (int i = 0; contributes && i < values.length; i++) {
            Object value = row.getField(stage.values[i].position());
            nulls[i] = value == null;
            values[i] = nulls[i] ? 0 : SlidingWindows.bits(value);
        }
        carry = new Object[asks ? stage.carry.length : 0];
        for (int i = 0; i < carry.length; i++) {
            carry[i] = row.getField(stage.carry[i]);
        }
    }

    StagedRow(
            long time,
            boolean contributes,
            boolean asks,
            int partition,
            long offset,
            long[] values,
            boolean[] nulls,
            Object[] carry) {
        this.time = time;
        this.contributes = contributes;
        this.asks = asks;
        this.partition = partition;
        this.offset = offset;
        this.values = values;
        this.nulls = nulls;
        this.carry = carry;
    }
}
