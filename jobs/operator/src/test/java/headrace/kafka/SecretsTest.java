package headrace.kafka;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.StringReader;
import java.io.StreamTokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.config.ConfigException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a reference of a job's SQL becomes in the process that runs the client. */
class SecretsTest {
    private static final String NAME = "HEADRACE_KAFKA__SASL_PASSWORD";
    private static final String HOSTILE = "a\"b\\c'd ;${headrace:environment:X}é\\\"";

    private static final String KEY_PASSWORD = "HEADRACE_KAFKA__SSL_KEY_PASSWORD";
    private static final String KEY =
            "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVAFSzd47cIdzxXCUbR8K5EcNskJ3GwB/6EBFW5noCCmhRANCAAS6"
                    + "ei/glXljOjAmrh1Fn1sBlmY+ZwOpqNWiGQUUDlDsLhtxAdS6ZYBEHT24VWtZiPe/Vw/UR7CbTdeU0ivOlZou";
    /** By {@code openssl pkcs8 -topk8}, OpenSSL 3: PBES2 with the password {@code a"b\\c}. */
    private static final String ENCRYPTED =
            "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgm6nGwXNPeDwICCAAwDAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoE"
                    + "EDQz9kQn6y367SP+0ncvLTcEgZDOScewiu3k9ne3F0/+41p43ERYejYkPKhAnsQD1R1Uwa4RaEkMEFfYAZ0wThGoNuKmZ9upckg9"
                    + "VRkldBYKg7OnqvC93btjdpzECB2v+76c94FOYpTRaYJopcKkcttcokFI3LZUeNzvUWmEpC1yAhDyf0Jt4kTwgZUTetNnr67wPVVB"
                    + "LKOV2B54In4SKamZTts=";
    /** The same with {@code -v1 PBE-SHA1-3DES}: PBES1. */
    private static final String ENCRYPTED_BEFORE =
            "MIGxMBwGCiqGSIb3DQEMAQMwDgQISu2lMXXVR/ACAggABIGQym1XzhJhqIbdVtokmNhstwTwfW7LcsPL/Jk2SP0obxgR1/RIysMw"
                    + "iA9fFs/Nz+MzEkM8T2U9kLj+W9qk7yiZF3ErcOF7/iYQvCd//C6Q0SMycm4Y0bSwmCJ6mKV77fGjwjP9b9GXIzvsl5xhggZ2FS8K"
                    + "Zjsvf4rw1h5pa9Ps1Y3F6gWBqR2Qa1VRevy8mFa0";

    private final Secrets secrets = new Secrets(Map.of(NAME, HOSTILE, "OTHER", "x", KEY_PASSWORD, "a\"b\\c")::get);

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

    /** A key is given in the clear, whichever way it was encrypted. */
    @Test
    void anEncryptedKeyIsDecrypted(@TempDir Path folder) throws IOException {
        for (String body : List.of(ENCRYPTED, ENCRYPTED_BEFORE)) {
            Path file = Files.writeString(folder.resolve("key.pem"), pem("ENCRYPTED PRIVATE KEY", body));
            String key = get("key", file.toString());
            assertEquals(pem("PRIVATE KEY", KEY), key.replaceAll("(?<=[^-])\\R(?=[^-])", ""));
        }
        Path clear = Files.writeString(folder.resolve("clear.pem"), pem("PRIVATE KEY", KEY));
        assertEquals(pem("PRIVATE KEY", KEY), get("key", clear.toString()));
    }

    /** A wrong password is told as that, without the password. */
    @Test
    void aKeyThatCannotBeDecryptedIsNamed(@TempDir Path folder) throws IOException {
        Path file = Files.writeString(folder.resolve("key.pem"), pem("ENCRYPTED PRIVATE KEY", ENCRYPTED));
        Secrets others = new Secrets(Map.of(KEY_PASSWORD, "hunter2")::get);
        String message =
                assertThrows(ConfigException.class, () -> others.get("key", Set.of(file.toString()))).getMessage();
        assertTrue(message.contains("decrypted with " + KEY_PASSWORD + "; " + file + " is not"), message);
        assertTrue(!message.contains("hunter2"), message);
    }

    private static String pem(String kind, String body) {
        return "-----BEGIN " + kind + "-----\n" + body + "\n-----END " + kind + "-----\n";
    }

    /** What is missing is named; nothing beyond Kafka's settings is given out. */
    @Test
    void whatIsMissingIsNamed() {
        assertTrue(refused("jaas", "HEADRACE_KAFKA__SASL_TOKEN").contains("HEADRACE_KAFKA__SASL_TOKEN is not set"));
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
