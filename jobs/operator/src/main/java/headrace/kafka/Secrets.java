package headrace.kafka;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Cipher;
import javax.crypto.EncryptedPrivateKeyInfo;
import javax.crypto.SecretKey;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.PBEKeySpec;
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
 *   ${headrace:key:PATH}           a private key in PEM, decrypted where it is not in the clear
 * </pre>
 *
 * Kafka's own provider of variables leaves a reference as it is where the variable is missing, and a JAAS configuration would end
 * at a quote within a password. Its client cannot decrypt what openssl writes by default (PBES2, with Java 17).
 */
public final class Secrets implements ConfigProvider {
    private static final String PREFIX = "HEADRACE_KAFKA__";
    private static final String KEY_PASSWORD = PREFIX + "SSL_KEY_PASSWORD";
    private static final Pattern ENCRYPTED =
            Pattern.compile("-----BEGIN ENCRYPTED PRIVATE KEY-----([^-]*)-----END ENCRYPTED PRIVATE KEY-----");

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
            case "key" -> key(text(name), name);
            default -> throw new ConfigException("a secret is of environment, jaas, file or key; got '" + kind + "'");
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

    private String key(String pem, String path) {
        Matcher encrypted = ENCRYPTED.matcher(pem);
        if (!encrypted.find()) {
            return pem;
        }
        PBEKeySpec password = new PBEKeySpec(variable(KEY_PASSWORD).toCharArray());
        try {
            EncryptedPrivateKeyInfo info = new EncryptedPrivateKeyInfo(Base64.getMimeDecoder().decode(encrypted.group(1)));
            // Of PBES2 the name is in the parameters alone: getAlgName gives "PBES2", which no factory knows.
            String named = info.getAlgParameters().toString();
            String algorithm = named.startsWith("PBEWith") ? named : info.getAlgName();
            Cipher cipher = Cipher.getInstance(algorithm);
            SecretKey key = SecretKeyFactory.getInstance(algorithm).generateSecret(password);
            cipher.init(Cipher.DECRYPT_MODE, key, info.getAlgParameters());
            String text = Base64.getMimeEncoder().encodeToString(info.getKeySpec(cipher).getEncoded());
            return "-----BEGIN PRIVATE KEY-----\n" + text + "\n-----END PRIVATE KEY-----\n";
        } catch (IOException | GeneralSecurityException | IllegalArgumentException error) {
            throw new ConfigException(
                    "a client's key is decrypted with " + KEY_PASSWORD + "; " + path + " is not, with what is set here: "
                            + error.getClass().getSimpleName());
        } finally {
            password.clearPassword();
        }
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
