"""A Parquet file that is written while its next rows are made: whole or not there, however it ends."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.history.rows_file import write

TABLE = pa.table({"n": [1, 2, 3]})


@pytest.mark.slow
def test_a_writer_is_not_closed_while_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who presses Ctrl-C twice interrupts the wait for the table in hand too; to close its file then aborted the process."""
    steps: list[str] = []

    class Slow(pq.ParquetWriter):  # type: ignore[misc]
        def write_table(self, *given: Any, **named: Any) -> None:
            steps.append("writes")
            time.sleep(0.5)
            super().write_table(*given, **named)
            steps.append("has written")

        def close(self) -> None:
            steps.append("is closed")
            super().close()

    def tables() -> Iterator[pa.Table]:
        yield TABLE
        threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(pq, "ParquetWriter", Slow)
    with pytest.raises(KeyboardInterrupt):
        write(tables(), tmp_path / "rows.parquet")
    assert steps[:3] == ["writes", "has written", "is closed"]
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full by the first table, or only by the last, of whose writing nothing else is left to be waited for."""
    whole = pq.ParquetWriter
    for broken in (1, 3):
        left = iter(range(broken - 1))

        class Full(whole):  # type: ignore[misc, valid-type]
            def write_table(self, *given: Any, **named: Any) -> None:
                if next(left, None) is None:  # noqa: B023 - called in this turn
                    raise OSError(28, "No space left on device")
                super().write_table(*given, **named)

        monkeypatch.setattr("jobs.history.rows_file.pq.ParquetWriter", Full)
        with pytest.raises(OSError, match="No space left"):
            write(iter([TABLE] * 3), tmp_path / "new" / "rows.parquet")
        assert not list(tmp_path.iterdir())
    assert [one.name for one in threading.enumerate() if one.name.startswith("parquet")] == []
