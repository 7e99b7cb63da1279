"""What a backfill reads of a history, and how it writes it down for Flink."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from features.errors import SettingError, StackError
from features.job import job_plan
from features.plan import Column
from features.seam import seam_at
from jobs.history.backfill import write_history
from jobs.history.frames import read_frames
from tests.support.orders import COLUMNS, HOUR, PLAN

UNTIL_MS = 1_700_000_000_000
WRITTEN = Path(__file__).parents[3] / "jobs" / "operator" / "src" / "test" / "resources" / "orders-0.rows"
"""What `HistoryFileTest` reads."""
JOB = job_plan([PLAN])


def order(number: int, at: int, **columns: object) -> dict[str, object]:
    """A row of the history."""
    row = {"id": number, "at": at, "shop": 7, "price": 1.5, "tax": 0.25, "size": number, "web": number % 2 == 0, "kind": "süß"}
    return row | columns


def history(folder: Path, *rows: dict[str, object]) -> Path:
    """The rows in a file."""
    file = folder / "orders of old.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a file."""
    columns = [Column(*one) for one in COLUMNS.items()]
    return pa.Table.from_batches(read_frames(file, columns)).to_pylist()


def test_a_frame_is_what_the_operator_reads(tmp_path: Path) -> None:
    """Every type, nulls and the order of rows are those of the file that the operator's own test reads."""
    nothing = {"price": None, "tax": None, "size": None, "web": None, "kind": None}
    file = history(
        tmp_path,
        order(3, UNTIL_MS - 1, **nothing),
        order(1, UNTIL_MS - 5, tax=-12.34, kind=""),
        order(2, UNTIL_MS - 5),
    )
    filled = write_history(JOB, seam_at(JOB, UNTIL_MS, 1), tmp_path, tmp_path / "out", histories={"orders": file})
    assert filled == {"orders": (3, UNTIL_MS - 1)}
    written = read(tmp_path / "out" / "orders-0.rows")
    assert [row["id"] for row in written] == [1, 2, 3]
    assert written[1]["kind"] == "süß"
    assert set(written[2].values()) == {3, UNTIL_MS - 1, 7, None}
    assert written == read(WRITTEN)


def test_a_file_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    """Whether it ends within its frame, or is of other columns."""
    cut = tmp_path / "cut.rows"
    for written in (WRITTEN.read_bytes()[:-1], WRITTEN.read_bytes() + b"\1"):
        cut.write_bytes(written)
        with pytest.raises(StackError, match=r"cut\.rows ends within a frame"):
            read(cut)
    with pytest.raises(StackError, match=r"writes the columns id; .* has id, at, shop"):
        list(read_frames(WRITTEN, [Column("id", COLUMNS["id"])]))


def test_only_rows_that_can_still_matter_are_read(tmp_path: Path) -> None:
    """From the longest window and the allowed lateness before the seam, and to before the seam."""
    job = job_plan([msgspec.structs.replace(PLAN, lateness_ms=500)])
    seam = seam_at(job, UNTIL_MS, 1)
    assert seam.from_ms == {"orders": UNTIL_MS - HOUR - 500}
    times = (seam.from_ms["orders"] - 1, seam.from_ms["orders"], UNTIL_MS - 1, UNTIL_MS)
    file = history(tmp_path, *(order(number, at) for number, at in enumerate(times)))
    assert write_history(job, seam, tmp_path, tmp_path / "out", histories={"orders": file}) == {"orders": (2, UNTIL_MS - 1)}
    file = history(tmp_path, order(1, seam.from_ms["orders"] - 1))
    assert write_history(job, seam, tmp_path, tmp_path / "out", histories={"orders": file}) == {"orders": (0, None)}


def test_rows_of_one_time_are_in_one_file(tmp_path: Path) -> None:
    """Files are read side by side, and rows of one time have an order."""
    file = history(tmp_path, *(order(number, UNTIL_MS - 1 - number // 2) for number in range(20)))
    seam = seam_at(JOB, UNTIL_MS, 3)
    assert write_history(JOB, seam, tmp_path, tmp_path / "out", histories={"orders": file}) == {"orders": (20, UNTIL_MS - 1)}
    written = [(tmp_path / "out" / f"orders-{number}.rows").read_bytes() for number in range(3)]
    for at in range(UNTIL_MS - 10, UNTIL_MS):
        assert [one.count(at.to_bytes(8, "little")) for one in written].count(2) == 1


def test_times_of_whole_seconds_are_dealt_to_all_files(tmp_path: Path) -> None:
    """Or one task would read all of the history, and the others none of it."""
    file = history(tmp_path, *(order(number, UNTIL_MS - 1000 - number * 1000) for number in range(100)))
    write_history(JOB, seam_at(JOB, UNTIL_MS, 4), tmp_path, tmp_path / "out", histories={"orders": file})
    assert all(len(read(tmp_path / "out" / f"orders-{number}.rows")) > 10 for number in range(4))


def test_a_history_of_no_window_is_refused(tmp_path: Path) -> None:
    """A file that would be read for nothing is a mistake."""
    with pytest.raises(SettingError, match="a backfill reads the sources that windows are over: orders; got returns"):
        write_history(JOB, seam_at(JOB, UNTIL_MS, 1), tmp_path, tmp_path, histories={"returns": tmp_path / "x.jsonl"})
