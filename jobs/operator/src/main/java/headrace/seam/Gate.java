package headrace.seam;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * What keeps the topics of a job closed until all of its histories are in the state. The enumerators of its sources share one: they
 * run in one JVM, the JobManager's.
 *
 * <p>A history is in the state once a checkpoint is complete that began when all of it had been sent on. So no restart comes back to
 * before that, and what is told here is never taken back.
 */
final class Gate {
    private static final Map<String, Gate> ALL = new ConcurrentHashMap<>();

    private final History history;
    private final Set<String> sent = new HashSet<>();
    private final Set<String> kept = new HashSet<>();
    private final List<Runnable> waiting = new ArrayList<>();

    private Gate(History history) {
        this.history = history;
    }

    /** That of the job of {@code history}. */
    static Gate of(History history) {
        return ALL.computeIfAbsent(history.start(), start -> new Gate(history));
    }

    /** All of the history of {@code source} has been sent on: time for a checkpoint, once that holds for all sources. */
    synchronized void sent(String source) {
        if (sent.add(source) && sent.containsAll(history.sources())) {
            mark("sent");
        }
    }

    /** All of the history of {@code source} is in a complete checkpoint. */
    void kept(String source) {
        List<Runnable> open = List.of();
        synchronized (this) {
            if (kept.add(source) && isOpen()) {
                open = List.copyOf(waiting);
                mark("kept");
            }
        }
        open.forEach(Runnable::run);
    }

    /** Runs {@code opened} when all histories are in the state, at once if they are. */
    void whenOpen(Runnable opened) {
        synchronized (this) {
            if (!isOpen()) {
                waiting.add(opened);
                return;
            }
            mark("kept");
        }
        opened.run();
    }

    /** Runs {@code opened} no more: its enumerator is closed. */
    synchronized void leave(Runnable opened) {
        waiting.remove(opened);
    }

    private boolean isOpen() {
        return kept.containsAll(history.sources());
    }

    /** Makes a file for the process that has submitted the job; one that has deleted the folder wants to know nothing more. */
    private void mark(String name) {
        Path mark = history.mark(name);
        try {
            if (Files.isDirectory(mark.getParent()) && !Files.exists(mark)) {
                Files.createFile(mark);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
