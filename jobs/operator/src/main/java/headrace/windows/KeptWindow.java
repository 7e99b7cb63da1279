package headrace.windows;

/** The values of one window of one key: exactly those of its rows in (after, through]. */
final class KeptWindow {
    private final Layout layout;
    private final RowTree rows;
    private final KeptColumn[] columns;
    private final Multiset[] values;
    private long after;
    private long through;

    /** Empty, for {@code columns} of {@code rows}. */
    KeptWindow(Layout layout, RowTree rows, KeptColumn[] columns) {
        this.layout = layout;
        this.rows = rows;
        this.columns = columns;
        values = new Multiset[columns.length];
        for (int c = 0; c < columns.length; c++) {
            values[c] = columns[c].newValues();
        }
    }

    /** The values of the column at {@code c}. */
    Multiset values(int c) {
        return values[c];
    }

    /** How many bytes of memory they take, about. */
    long bytes() {
        long bytes = 0;
        for (Multiset set : values) {
            bytes += set.bytes();
        }
        return bytes;
    }

    /** Moves the window to (newAfter, newThrough], reading only the rows that enter it or leave it. */
    void moveTo(long newAfter, long newThrough) {
        if (newAfter >= through || newThrough <= after) {
            clear(newAfter);
        }
        visit(this::remove, after, newAfter);
        visit(this::add, newAfter, after);
        visit(this::remove, newThrough, through);
        visit(this::add, through, newThrough);
        after = newAfter;
        through = newThrough;
    }

    /** Adds a row that has been inserted, if the window holds it. */
    void inserted(StagedRow row) {
        if (row.time <= after || row.time > through) {
            return;
        }
        for (int c = 0; c < columns.length; c++) {
            if (!row.nulls[columns[c].column()]) {
                int word = layout.word[columns[c].column()];
                values[c].add(row.words[word], columns[c].hasTwoWords() ? row.words[word + 1] : 0);
            }
        }
    }

    /** Removes the rows up to {@code time}, which are about to be forgotten. */
    void forgets(long time) {
        if (time >= through) {
            clear(time);
        } else if (time > after) {
            visit(this::remove, after, time);
            after = time;
        }
    }

    private void clear(long at) {
        for (Multiset set : values) {
            set.clear();
        }
        after = at;
        through = at;
    }

    private void visit(RowTree.Visitor change, long from, long to) {
        if (from < to) {
            rows.visit(change, from, to);
        }
    }

    private boolean add(byte[] block, int row) {
        for (int c = 0; c < columns.length; c++) {
            if (!layout.isNull(block, row, columns[c].column())) {
                values[c].add(first(block, row, columns[c]), second(block, row, columns[c]));
            }
        }
        return true;
    }

    private boolean remove(byte[] block, int row) {
        for (int c = 0; c < columns.length; c++) {
            if (!layout.isNull(block, row, columns[c].column())) {
                values[c].remove(first(block, row, columns[c]), second(block, row, columns[c]));
            }
        }
        return true;
    }

    private long first(byte[] block, int row, KeptColumn column) {
        return layout.value(block, row, layout.word[column.column()]);
    }

    private long second(byte[] block, int row, KeptColumn column) {
        return column.hasTwoWords() ? layout.value(block, row, layout.word[column.column()] + 1) : 0;
    }
}
