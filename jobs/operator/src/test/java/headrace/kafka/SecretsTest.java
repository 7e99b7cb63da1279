package headrace.kafka;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.StringReader;
import java.io.StreamTokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.config.ConfigException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a reference of a job's SQL becomes in the process that runs the client. */
class SecretsTest {
    private static final String NAME = "HEADRACE_KAFKA__SASL_PASSWORD";
    private static final String HOSTILE = "a\"b\\c'd ;${headrace:environment:X}é\\\"";

    private final Secrets secrets = new Secrets(Map.of(NAME, HOSTILE, "OTHER", "x")::get);

    /** A variable is given as it is; for JAAS so that its tokenizer reads the same text. */
    @Test
    void anyPasswordIsReadAsItIs() throws IOException {
        assertEquals(HOSTILE, get("environment", NAME));
        StreamTokenizer tokens = new StreamTokenizer(new StringReader('"' + get("jaas", NAME) + '"'));
        tokens.nextToken();
        assertEquals(HOSTILE, tokens.sval);
    }

    /** A file is given whole, whatever its path holds. */
    @Test
    void aFileIsItsText(@TempDir Path folder) throws IOException {
        Path file = Files.writeString(folder.resolve("a:b.pem"), "-----BEGIN\nx\n");
        assertEquals("-----BEGIN\nx\n", get("file", file.toString()));
    }

    /** What is missing is named; nothing beyond Kafka's settings is given out. */
    @Test
    void whatIsMissingIsNamed() {
        assertTrue(refused("jaas", "HEADRACE_KAFKA__SSL_KEY_PASSWORD").contains("HEADRACE_KAFKA__SSL_KEY_PASSWORD is not set"));
        assertTrue(refused("environment", "OTHER").contains("begins with HEADRACE_KAFKA__"));
        assertTrue(refused("file", "/no/such/file").contains("/no/such/file cannot be read here"));
        assertTrue(refused("vault", NAME).contains("got 'vault'"));
    }

    private String get(String kind, String name) {
        return secrets.get(kind, Set.of(name)).data().get(name);
    }

    private String refused(String kind, String name) {
        return assertThrows(ConfigException.class, () -> get(kind, name)).getMessage();
    }
}
