package headrace.kafka;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.config.ConfigData;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.config.ConfigException;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.config.provider.ConfigProvider;

/**
 * Gives a Kafka client its secrets where it runs, so that a job's SQL and configuration hold references alone.
 *
 * <pre>
 *   ${headrace:environment:NAME}   the variable of this process
 *   ${headrace:jaas:NAME}          the same, as it stands between the quotes of a JAAS configuration
 *   ${headrace:file:PATH}          the text of a file
 * </pre>
 *
 * Kafka's own provider of variables leaves a reference as it is where the variable is missing, and a JAAS configuration would end
 * at a quote within a password.
 */
public final class Secrets implements ConfigProvider {
    private static final String PREFIX = "HEADRACE_KAFKA__";

    private final UnaryOperator<String> environment;

    /** For Kafka, with this process's environment. */
    public Secrets() {
        this(System::getenv);
    }

    Secrets(UnaryOperator<String> environment) {
        this.environment = environment;
    }

    @Override
    public void configure(Map<String, ?> configuration) {}

    @Override
    public ConfigData get(String kind) {
        return get(kind, Set.of());
    }

    @Override
    public ConfigData get(String kind, Set<String> names) {
        Map<String, String> found = new HashMap<>();
        for (String name : names) {
            found.put(name, one(kind, name));
        }
        return new ConfigData(found);
    }

    @Override
    public void close() {}

    private String one(String kind, String name) {
        return switch (kind) {
            case "environment" -> variable(name);
            case "jaas" -> variable(name).replace("\\", "\\\\").replace("\"", "\\\"");
            case "file" -> text(name);
            default -> throw new ConfigException("a secret is of environment, jaas or file; got '" + kind + "'");
        };
    }

    /** Only Kafka's settings: whoever may submit a job may not read all that its cluster's environment holds. */
    private String variable(String name) {
        if (!name.startsWith(PREFIX)) {
            throw new ConfigException("a secret's variable begins with " + PREFIX + "; got " + name);
        }
        String value = environment.apply(name);
        if (value == null || value.isEmpty()) {
            throw new ConfigException(
                    "a Kafka client reads its secret from the environment of its process; " + name
                            + " is not set; set it for each JobManager and TaskManager");
        }
        return value;
    }

    private static String text(String path) {
        try {
            return Files.readString(Path.of(path));
        } catch (IOException error) {
            throw new ConfigException(
                    "certificate and key lie at the same path for each JobManager and TaskManager; " + path
                            + " cannot be read here: " + error.getClass().getSimpleName());
        }
    }
}
