package headrace.windows;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Map;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.junit.jupiter.api.Test;

class RowCodecTest {
    private static final Stage BEFORE = stages().bind();
    private static final Stage STAGE =
            stages().carrying("_trace", DataTypes.MAP(DataTypes.STRING(), DataTypes.BYTES())).bind();

    /** Headers wait with their row. */
    @Test
    void aMapIsReadAsItWasWritten() throws IOException {
        byte[] value = {0, -1, 7};
        StagedRow row = row(STAGE, StringData.fromString("a note"), new GenericMapData(Map.of(StringData.fromString("name"), value)));
        StagedRow read = read(STAGE, written(STAGE, row));
        assertEquals("a note", read.carry.getString(0).toString());
        assertEquals(1, read.carry.getMap(1).size());
        assertEquals("name", read.carry.getMap(1).keyArray().getString(0).toString());
        assertArrayEquals(value, read.carry.getMap(1).valueArray().getBinary(0));
    }

    /** A row without headers is written as it was before there were any: it costs nothing, and either version reads the other's. */
    @Test
    void aLastColumnThatIsNullIsNotWritten() throws IOException {
        byte[] before = written(BEFORE, row(BEFORE, StringData.fromString("a note")));
        assertArrayEquals(before, written(STAGE, row(STAGE, StringData.fromString("a note"), null)));
        StagedRow read = read(STAGE, before);
        assertEquals("a note", read.carry.getString(0).toString());
        assertTrue(read.carry.isNullAt(1));
    }

    /** Any other column is written as null, and so is what stands before it. */
    @Test
    void anotherColumnMayBeNull() throws IOException {
        StagedRow read = read(STAGE, written(STAGE, row(STAGE, null, new GenericMapData(Map.of()))));
        assertTrue(read.carry.isNullAt(0));
        assertEquals(0, read.carry.getMap(1).size());
        assertTrue(read(STAGE, written(STAGE, row(STAGE, null, null))).carry.isNullAt(1));
    }

    private static Stages stages() {
        return Stages.over(DataTypes.BIGINT()).feature("max", 100).carrying("note", DataTypes.STRING());
    }

    private static StagedRow row(Stage stage, Object... carried) {
        StagedRow row = Stages.row(stage, 10, true, true, 1L);
        row.carry = GenericRowData.of(carried);
        return row;
    }

    private static byte[] written(Stage stage, StagedRow row) throws IOException {
        DataOutputSerializer out = new DataOutputSerializer(64);
        new RowCodec(stage).write(row, out);
        return out.getCopyOfBuffer();
    }

    private static StagedRow read(Stage stage, byte[] bytes) throws IOException {
        return new RowCodec(stage).read(bytes, 0, bytes.length);
    }
}
