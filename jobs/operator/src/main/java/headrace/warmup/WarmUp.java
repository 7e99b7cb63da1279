package headrace.warmup;

import java.lang.management.CompilationMXBean;
import java.lang.management.ManagementFactory;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Runs code before its first row comes, on made-up data, until the JVM's compilers have little left to do: of a task that is not
 * yet open no row is waiting, and its job is not yet ready. What it runs on is its own, so nothing of it is in the job's state or
 * on a topic.
 */
public final class WarmUp {
    /** The system property that says for how many milliseconds at most, of a job in a JVM; 0: no warm-up. */
    public static final String PROPERTY = "headrace.warm-up-ms";

    private static final System.Logger LOG = System.getLogger(WarmUp.class.getName());
    private static final long DEFAULT_MS = 3000;

    /** The compilers are calm when they have worked for less than a tenth of so long. */
    private static final long LOOK_MS = 400;

    private static final long CALM = 10;

    private static final int STEPS = 256;
    private static final long PAUSE_MS = 5;

    /** A task opens one operator after the other: each has a part of the time, so that none takes it all. */
    private static final int PARTS = 3;

    /** Kept by the job's class loader: a job that restarts in its JVM is warm. */
    private static final Set<String> DONE = ConcurrentHashMap.newKeySet();

    /** When the first warm-up of the job began. */
    private static final AtomicLong BEGAN = new AtomicLong();

    private WarmUp() {}

    /** A short piece of what the code does. */
    @FunctionalInterface
    public interface Step {
        /** {@code number} counts the steps from 0, so that each may be of other data. */
        void run(int number) throws Exception;
    }

    /** Runs {@code step} again and again, unless there was a warm-up {@code of} this in the JVM before. */
    public static void run(String of, Step step) {
        long most = Long.getLong(PROPERTY, DEFAULT_MS);
        if (most <= 0 || !DONE.add(of)) {
            return;
        }
        try {
            run(step, most);
        } catch (InterruptedException e) { // the job is cancelled
            Thread.currentThread().interrupt();
        } catch (Exception e) {
            LOG.log(System.Logger.Level.WARNING, "the warm-up of " + of + " failed; its first rows are slower", e);
        }
    }

    private static void run(Step step, long most) throws Exception {
        CompilationMXBean compilers = ManagementFactory.getCompilationMXBean(); // null in a JVM that only interprets
        long now = System.nanoTime();
        BEGAN.compareAndSet(0, now);
        long part = TimeUnit.MILLISECONDS.toNanos(most) / PARTS;
        long end = Math.min(now + part, BEGAN.get() + PARTS * part);
        long look = now + TimeUnit.MILLISECONDS.toNanos(LOOK_MS);
        long compiled = compilers == null ? 0 : compilers.getTotalCompilationTime();
        for (int number = 0; now - end < 0; number++, now = System.nanoTime()) {
            step.run(number);
            if (number % STEPS == 0) {
                Thread.sleep(PAUSE_MS); // the cores are for the compilers
            }
            if (now - look >= 0) {
                long before = compiled;
                compiled = compilers == null ? 0 : compilers.getTotalCompilationTime();
                look = now + TimeUnit.MILLISECONDS.toNanos(LOOK_MS);
                if (compiled - before < LOOK_MS / CALM) {
                    return;
                }
            }
        }
    }
}
