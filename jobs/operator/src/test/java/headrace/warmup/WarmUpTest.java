package headrace.warmup;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeout;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class WarmUpTest {
    private final String before = System.getProperty(WarmUp.PROPERTY);
    private final List<Integer> steps = new ArrayList<>();

    @BeforeEach
    void warmUps() {
        System.setProperty(WarmUp.PROPERTY, "60000");
    }

    @AfterEach
    void asBefore() {
        System.setProperty(WarmUp.PROPERTY, before);
    }

    /** It ends, in a part of its time, where the compilers are not calm before; its steps are numbered. */
    @Test
    void itEnds() {
        assertTimeout(Duration.ofSeconds(25), () -> WarmUp.run("itEnds", steps::add));
        assertEquals(List.of(0, 1, 2), steps.subList(0, 3));
    }

    /** A task that starts again in the same JVM is warm. */
    @Test
    void onceInAJvm() {
        WarmUp.run("onceInAJvm", steps::add);
        int once = steps.size();
        WarmUp.run("onceInAJvm", steps::add);
        assertEquals(once, steps.size());
    }

    /** Whoever wants none has none. */
    @Test
    void zeroIsNone() {
        System.setProperty(WarmUp.PROPERTY, "0");
        WarmUp.run("zeroIsNone", steps::add);
        assertEquals(List.of(), steps);
    }

    /** A warm-up that fails is over, and stops no job; the log says so, with the reason. */
    @Test
    void aFailureStopsNothing() {
        List<LogRecord> said = new ArrayList<>();
        Logger log = Logger.getLogger(WarmUp.class.getName());
        log.setFilter(line -> !said.add(line));
        try {
            WarmUp.run(
                    "aFailureStopsNothing",
                    number -> {
                        steps.add(number);
                        throw new IllegalArgumentException("no");
                    });
        } finally {
            log.setFilter(null);
        }
        assertEquals(List.of(0), steps);
        assertEquals(1, said.size());
        assertEquals("the warm-up of aFailureStopsNothing failed; its first rows are slower", said.get(0).getMessage());
        assertEquals("no", said.get(0).getThrown().getMessage());
    }
}
