package headrace.windows;

/** A row is processed when it arrives. It is late if the key has a newer row or query. */
final class ArrivalMode implements Mode {
    /** A row of another source than the spine precedes the queries of its own time: it is late after one of them, too. */
    @Override
    public long lateBy(StagedRow row, Windower windower) {
        long newestQuery = row.isQuery ? Long.MIN_VALUE : windower.newestQuery();
        long newest = Math.max(windower.newestRow(), newestQuery);
        boolean late = row.time < newest || row.time == newestQuery;
        return late ? newest - row.time : IN_TIME;
    }

    @Override
    public void arrive(StagedRow row, Turn turn) {
        turn.process(row, turn.watermark());
    }

    /** No row waits. */
    @Override
    public void onTimer(long time, Turn turn) {}
}
