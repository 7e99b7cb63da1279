package headrace.files;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.UnixOperatingSystemMXBean;
import headrace.seam.HistoryFile;
import headrace.seam.RowShape;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.util.List;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.RowType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What {@link FrameWriter} writes, {@link HistoryFile} reads; lists are read by Python alone, in tests/jobs/cluster. */
class FrameWriterTest {
    private static final RowType TYPE =
            (RowType)
                    DataTypes.ROW(
                                    DataTypes.FIELD("id", DataTypes.BIGINT()),
                                    DataTypes.FIELD("price", DataTypes.DOUBLE()),
                                    DataTypes.FIELD("tax", DataTypes.DECIMAL(12, 2)),
                                    DataTypes.FIELD("total", DataTypes.DECIMAL(38, 2)),
                                    DataTypes.FIELD("web", DataTypes.BOOLEAN()),
                                    DataTypes.FIELD("kind", DataTypes.STRING()))
                            .getLogicalType();

    @TempDir
    Path folder;

    /** Values of every type, their extremes and nulls, over several frames, the last of which is not full. */
    @Test
    void rowsComeBack() throws IOException {
        List<RowData> samples =
                List.of(
                        row(Long.MIN_VALUE, -0.0, "-12.34", "-999999999999999999999999999999999999.99", true, "süß"),
                        row(Long.MAX_VALUE, Double.MIN_VALUE, "0.25", "999999999999999999999999999999999999.99", false, ""),
                        row(0, Double.NaN, "-0.01", "-0.01", true, "𝄞 x"),
                        new GenericRowData(TYPE.getFieldCount()));
        int many = FrameWriter.FRAME_ROWS + 1;
        Path file = folder.resolve("rows");
        try (FrameWriter writer = new FrameWriter(file, TYPE)) {
            for (int i = 0; i < many; i++) {
                writer.add(samples.get(i % samples.size()));
            }
        }
        try (HistoryFile found = new HistoryFile(file, new RowShape(TYPE, List.of()), 0, 0)) {
            for (int i = 0; i < many; i++) {
                assertEquals(samples.get(i % samples.size()), found.next());
            }
            assertNull(found.next());
        }
    }

    /** A table without a row is a file with its columns' names. */
    @Test
    void noRows() throws IOException {
        Path file = folder.resolve("none");
        new FrameWriter(file, TYPE).close();
        try (HistoryFile found = new HistoryFile(file, new RowShape(TYPE, List.of()), 0, 0)) {
            assertNull(found.next());
        }
    }

    /** A file for which the disk has no room is closed, by whom it fails. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void aFileWithoutRoomIsClosed() {
        UnixOperatingSystemMXBean system = (UnixOperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long before = system.getOpenFileDescriptorCount();
        for (int i = 0; i < 32; i++) {
            assertThrows(IOException.class, () -> new FrameWriter(Path.of("/dev/full"), TYPE));
        }
        assertTrue(system.getOpenFileDescriptorCount() < before + 32, "files are left open");
    }

    private static RowData row(long id, double price, String tax, String total, boolean web, String kind) {
        return GenericRowData.of(
                id,
                price,
                DecimalData.fromBigDecimal(new BigDecimal(tax), 12, 2),
                DecimalData.fromBigDecimal(new BigDecimal(total), 38, 2),
                web,
                StringData.fromString(kind));
    }
}
