package headrace;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Which package may import which. */
class PackagesTest {
    private static final Path SOURCES = Path.of("src", "main", "java", "headrace");
    private static final Map<String, Set<String>> MAY_IMPORT =
            Map.of(
                    "windows", Set.of("state", "seam", "warmup"),
                    "outcomes", Set.of(),
                    "state", Set.of(),
                    "formats", Set.of("warmup"),
                    "kafka", Set.of("seam"),
                    "files", Set.of("seam"),
                    "seam", Set.of(),
                    "warmup", Set.of(),
                    "rest", Set.of());

    /** Imports point one way: windows need state, state needs no windows; topics, files and windows need what a history is; a warm-up nothing. */
    @Test
    void importsPointOneWay() throws IOException {
        try (Stream<Path> packages = Files.list(SOURCES)) {
            assertEquals(MAY_IMPORT.keySet(), packages.map(path -> path.getFileName().toString()).collect(Collectors.toSet()));
        }
        for (Map.Entry<String, Set<String>> entry : MAY_IMPORT.entrySet()) {
            try (Stream<Path> files = Files.list(SOURCES.resolve(entry.getKey()))) {
                for (Path file : files.toList()) {
                    assertEquals(List.of(), importsBeyond(entry.getValue(), file), file.toString());
                }
            }
        }
    }

    private static List<String> importsBeyond(Set<String> allowed, Path file) throws IOException {
        return Files.readString(file)
                .lines()
                .filter(line -> line.startsWith("import headrace."))
                .filter(line -> !allowed.contains(line.split("\\.")[1]))
                .toList();
    }
}
