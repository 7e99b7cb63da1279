package headrace.seam;

import java.io.IOException;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;

/**
 * What one reader reads of a {@link SeamSource}: a file of history from a place in it on, or a split of the topic.
 *
 * @param number of the file
 * @param frame where the frame of the next row begins
 * @param row the place of that row in its frame
 * @param topic null for a file
 */
record SeamSplit<S extends SourceSplit>(int number, long frame, int row, S topic) implements SourceSplit {
    static <S extends SourceSplit> SeamSplit<S> ofFile(int number) {
        return new SeamSplit<>(number, 0, 0, null);
    }

    static <S extends SourceSplit> SeamSplit<S> ofTopic(S split) {
        return new SeamSplit<>(0, 0, 0, split);
    }

    boolean isHistory() {
        return topic == null;
    }

    @Override
    public String splitId() {
        return isHistory() ? "history " + number : topic.splitId();
    }

    /** Of checkpoints, and of what is sent to readers. */
    record Serializer<S extends SourceSplit>(SimpleVersionedSerializer<S> topics) implements SimpleVersionedSerializer<SeamSplit<S>> {
        @Override
        public int getVersion() {
            return topics.getVersion();
        }

        @Override
        public byte[] serialize(SeamSplit<S> split) throws IOException {
            DataOutputSerializer out = new DataOutputSerializer(64);
            out.writeInt(split.number);
            out.writeLong(split.frame);
            out.writeInt(split.row);
            if (!split.isHistory()) {
                out.write(topics.serialize(split.topic));
            }
            return out.getCopyOfBuffer();
        }

        @Override
        public SeamSplit<S> deserialize(int version, byte[] bytes) throws IOException {
            DataInputDeserializer in = new DataInputDeserializer(bytes);
            int number = in.readInt();
            long frame = in.readLong();
            int row = in.readInt();
            byte[] topic = new byte[in.available()];
            in.readFully(topic);
            return new SeamSplit<>(number, frame, row, topic.length == 0 ? null : topics.deserialize(version, topic));
        }
    }
}
