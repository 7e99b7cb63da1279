package headrace.windows;

import java.util.List;

/** A row waits until the watermark reaches it. It is late, and processed at once, if the watermark has reached it already. */
final class EventTimeMode implements Mode {
    private final PendingRows pending;
    private final long retention;

    EventTimeMode(Stage stage) {
        pending = new PendingRows(stage);
        retention = stage.retention;
    }

    @Override
    public long lateBy(StagedRow row, Windower windower) {
        return row.time <= windower.watermark() ? windower.watermark() - row.time : IN_TIME;
    }

    @Override
    public void arrive(StagedRow row, Turn turn) {
        pending.open(turn.blocks());
        if (row.time > turn.watermark()) {
            letWait(row, turn);
        } else {
            processReady(turn);
            turn.process(row, turn.watermark());
        }
        pending.save();
    }

    @Override
    public void onTimer(long time, Turn turn) {
        pending.open(turn.blocks());
        boolean due = pending.timer() <= time;
        boolean clears = Turn.clears(time);
        if (due || clears) {
            processReady(turn);
        }
        if (due) {
            pending.setTimer(PendingRows.NOTHING);
            setTimer(pending.nextTimer(), turn);
        }
        if (clears && pending.earliest() != PendingRows.NOTHING) {
            turn.setClearing(pending.earliest() + retention);
        }
        pending.save();
    }

    /**
     * A query sets a timer. A row that only contributes is processed with the next query, or when many rows wait, or at the latest
     * when the key may be cleared.
     */
    private void letWait(StagedRow row, Turn turn) {
        pending.add(row);
        if (row.isQuery) {
            setTimer(row.time, turn);
            return;
        }
        if (!Windower.knows(turn.blocks())) {
            turn.setClearing(row.time + retention);
        }
        if (pending.areMany()) {
            processReady(turn);
        }
    }

    /** Processes the waiting rows that the watermark has reached. */
    private void processReady(Turn turn) {
        for (List<StagedRow> ready = pending.take(turn.watermark()); !ready.isEmpty(); ready = pending.take(turn.watermark())) {
            for (StagedRow row : ready) {
                turn.process(row, row.time - 1); // it waited for the watermark, and so is in time
            }
        }
    }

    private void setTimer(long at, Turn turn) {
        if (at < pending.timer()) {
            turn.setTimer(at);
            pending.setTimer(at);
        }
    }
}
