package headrace.seam;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.UnixOperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.junit.jupiter.api.Test;

/** {@link HistoryFile} reads what {@code tests/jobs/history/test_backfill.py} has Python write. */
class HistoryFileTest {
    private static final Path ORDERS = Path.of("src", "test", "resources", "orders-0.rows");
    private static final long UNTIL = 1_700_000_000_000L;
    private static final RowShape SHAPE =
            new RowShape(
                    (RowType)
                            DataTypes.ROW(
                                            DataTypes.FIELD("_reason", DataTypes.STRING()),
                                            DataTypes.FIELD("id", DataTypes.BIGINT()),
                                            DataTypes.FIELD("at", DataTypes.BIGINT()),
                                            DataTypes.FIELD("shop", DataTypes.BIGINT()),
                                            DataTypes.FIELD("price", DataTypes.DOUBLE()),
                                            DataTypes.FIELD("tax", DataTypes.DECIMAL(12, 2)),
                                            DataTypes.FIELD("size", DataTypes.BIGINT()),
                                            DataTypes.FIELD("web", DataTypes.BOOLEAN()),
                                            DataTypes.FIELD("kind", DataTypes.STRING()))
                                    .getLogicalType(),
                    List.of("partition", "offset"));

    /** Values of every type, in order of time and then of the file; columns that the file does not have are null. */
    @Test
    void rowsAreRead() throws IOException {
        try (HistoryFile file = new HistoryFile(ORDERS, SHAPE, 0, 0)) {
            check(file.next(), 1, UNTIL - 5, "-12.34", "");
            check(file.next(), 2, UNTIL - 5, "0.25", "süß");
            RowData last = file.next();
            assertEquals(3, last.getLong(1));
            for (int column : new int[] {0, 4, 5, 6, 7, 8}) {
                assertTrue(last.isNullAt(column), "column " + column);
            }
            assertNull(file.next());
        }
    }

    /** From where a checkpoint found it, reading goes on with the row after the last. */
    @Test
    void readingGoesOn() throws IOException {
        for (int read = 0; read <= 3; read++) {
            try (HistoryFile file = new HistoryFile(ORDERS, SHAPE, 0, 0)) {
                for (int i = 0; i < read; i++) {
                    file.next();
                }
                try (HistoryFile resumed = new HistoryFile(ORDERS, SHAPE, file.frame(), file.row())) {
                    for (RowData wanted = file.next(); wanted != null; wanted = file.next()) {
                        assertEquals(wanted, resumed.next());
                    }
                    assertNull(resumed.next());
                }
            }
        }
    }

    /** A file that cannot be read is closed: a job begins again and again with one. */
    @Test
    void aFileThatCannotBeReadIsClosed() throws IOException {
        byte[] whole = Files.readAllBytes(ORDERS);
        Path file = Files.createTempFile("orders", ".rows");
        RowShape without = new RowShape(RowType.of(SHAPE.columns().getTypeAt(1)), List.of());
        long before = openFiles();
        for (int length = 0; length < 32; length++) {
            Files.write(file, Arrays.copyOf(whole, length)); // within its columns' names
            assertThrows(IOException.class, () -> new HistoryFile(file, SHAPE, 0, 0));
            assertThrows(IOException.class, () -> new HistoryFile(ORDERS, SHAPE, whole.length - 2, 1));
            String told = assertThrows(IOException.class, () -> new HistoryFile(ORDERS, without, 0, 0)).getMessage();
            assertTrue(told.endsWith(" has a column id, which its source has not"), told);
        }
        Files.delete(file);
        assertTrue(openFiles() < before + 32, "files are left open");
    }

    private static long openFiles() {
        return ((UnixOperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getOpenFileDescriptorCount();
    }

    private static void check(RowData row, long id, long at, String tax, String kind) {
        assertTrue(row.isNullAt(0));
        assertEquals(id, row.getLong(1));
        assertEquals(at, row.getLong(2));
        assertEquals(7, row.getLong(3));
        assertEquals(1.5, row.getDouble(4));
        assertEquals(new BigDecimal(tax), row.getDecimal(5, 12, 2).toBigDecimal());
        assertEquals(id, row.getLong(6));
        assertEquals(id % 2 == 0, row.getBoolean(7));
        assertEquals(kind, row.getString(8).toString());
        assertEquals(History.PARTITION, row.getInt(9));
    }
}
