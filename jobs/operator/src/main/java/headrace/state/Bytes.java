package headrace.state;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** Numbers in an array of bytes, big-endian as Flink writes them. */
public final class Bytes {
    private static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle INTS = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);

    private Bytes() {}

    public static long getLong(byte[] bytes, int at) {
        return (long) LONGS.get(bytes, at);
    }

    public static void setLong(byte[] bytes, int at, long value) {
        LONGS.set(bytes, at, value);
    }

    public static int getInt(byte[] bytes, int at) {
        return (int) INTS.get(bytes, at);
    }

    public static void setInt(byte[] bytes, int at, int value) {
        INTS.set(bytes, at, value);
    }
}
