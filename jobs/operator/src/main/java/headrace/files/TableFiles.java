package headrace.files;

import java.io.Serializable;
import java.nio.file.Path;

/**
 * The files of one table, which all machines of the job see.
 *
 * @param folder of the files
 * @param name of the table
 * @param count how many; of a sink, one for each subtask
 */
record TableFiles(String folder, String name, int count) implements Serializable {
    private static final long serialVersionUID = 1L;

    Path file(int number) {
        return Path.of(folder, name + "-" + number + ".rows");
    }

    /** What an attempt of a subtask has not written to the end. */
    Path unfinished(int number, int attempt) {
        return Path.of(folder, name + "-" + number + "." + attempt + ".unfinished");
    }
}
