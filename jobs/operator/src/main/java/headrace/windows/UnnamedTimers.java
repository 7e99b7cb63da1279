package headrace.windows;

import org.apache.flink.table.functions.ProcessTableFunction.TimeContext;

/** A time context with what windows use of one, where Flink gives none: the watermark, and timers without names. */
interface UnnamedTimers extends TimeContext<Long> {
    @Override
    default Long tableWatermark() {
        return currentWatermark();
    }

    @Override
    default void registerOnTime(String name, Long at) {
        throw new UnsupportedOperationException();
    }

    @Override
    default void clearTimer(String name) {
        throw new UnsupportedOperationException();
    }

    @Override
    default void clearTimer(Long at) {
        throw new UnsupportedOperationException();
    }

    @Override
    default void clearAllTimers() {
        throw new UnsupportedOperationException();
    }
}
