package headrace.seam;

import java.io.Serializable;
import java.nio.file.Path;
import java.util.Set;

/**
 * The history of one source of a backfilled job, as its table's options say.
 *
 * @param folder of the history's files, and of the marks that say how far the backfill is; all machines of the job see it
 * @param source whose rows these are
 * @param files how many; none where no window is over the source
 * @param sources all sources of the job that have files
 * @param start of the job: each submission has another
 */
public record History(String folder, String source, int files, Set<String> sources, String start) implements Serializable {
    private static final long serialVersionUID = 1L;

    /** The partition of a row of history: no partition of Kafka has the number. */
    public static final int PARTITION = -1;

    Path file(int number) {
        return Path.of(folder, source + "-" + number + ".rows");
    }

    Path mark(String name) {
        return Path.of(folder, start + "." + name);
    }
}
