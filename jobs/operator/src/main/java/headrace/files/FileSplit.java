package headrace.files;

import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/** A whole file, by its number. */
record FileSplit(int number) implements SourceSplit {
    @Override
    public String splitId() {
        return Integer.toString(number);
    }

    /** On the way to readers. */
    static final class Serializer implements SimpleVersionedSerializer<FileSplit> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(FileSplit split) {
            return ByteBuffer.allocate(Integer.BYTES).putInt(split.number).array();
        }

        @Override
        public FileSplit deserialize(int version, byte[] bytes) throws IOException {
            return new FileSplit(ByteBuffer.wrap(bytes).getInt());
        }
    }
}
