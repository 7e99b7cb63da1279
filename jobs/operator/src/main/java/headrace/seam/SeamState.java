package headrace.seam;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;

/**
 * What a checkpoint has of a {@link SeamEnumerator}.
 *
 * @param files the numbers of the files that no reader has
 * @param sent whether all of the history has been sent on
 * @param topic null while the topic is closed
 */
record SeamState<E>(List<Integer> files, boolean sent, E topic) {

    /** Of checkpoints. */
    record Serializer<E>(SimpleVersionedSerializer<E> topics) implements SimpleVersionedSerializer<SeamState<E>> {
        @Override
        public int getVersion() {
            return topics.getVersion();
        }

        @Override
        public byte[] serialize(SeamState<E> state) throws IOException {
            DataOutputSerializer out = new DataOutputSerializer(64);
            out.writeInt(state.files.size());
            for (int file : state.files) {
                out.writeInt(file);
            }
            out.writeBoolean(state.sent);
            out.writeBoolean(state.topic != null);
            if (state.topic != null) {
                out.write(topics.serialize(state.topic));
            }
            return out.getCopyOfBuffer();
        }

        @Override
        public SeamState<E> deserialize(int version, byte[] bytes) throws IOException {
            DataInputDeserializer in = new DataInputDeserializer(bytes);
            List<Integer> files = new ArrayList<>();
            for (int left = in.readInt(); left > 0; left--) {
                files.add(in.readInt());
            }
            boolean sent = in.readBoolean();
            boolean open = in.readBoolean();
            byte[] topic = new byte[in.available()];
            in.readFully(topic);
            return new SeamState<>(files, sent, open ? topics.deserialize(version, topic) : null);
        }
    }
}
