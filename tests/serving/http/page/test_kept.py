"""Files that others replace: read once while they stay what they are, and refused where they cannot be read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from features.errors import StackError
from serving.http.page import kept
from serving.http.page.kept import Kept

pytestmark = pytest.mark.slow


def test_a_file_is_decoded_once_and_again_when_it_is_replaced(tmp_path: Path) -> None:
    """Also by one of the same length; before there is one it is None."""
    file, decoded = tmp_path / "a.json", list[str]()

    def decode(path: Path) -> str:
        decoded.append(path.read_text())
        return decoded[-1]

    files = Kept(decode)
    assert files.read(file) is None
    for text in ("one", "two"):
        beside = tmp_path / "beside"
        beside.write_text(text)
        beside.replace(file)
        for _ in range(3):
            found = files.read(file)
            assert found is not None
            assert found.value == text
            assert found.written_at == file.stat().st_mtime_ns // 1_000_000
    assert decoded == ["one", "two"]
    file.unlink()
    assert files.read(file) is None


def test_a_file_that_several_panels_look_at_at_once_is_decoded_once(tmp_path: Path) -> None:
    """The others wait for the one that decodes it."""
    decoded = list[str]()
    begun, go = Event(), Event()

    def decode(path: Path) -> str:
        decoded.append(path.read_text())
        begun.set()
        assert go.wait(30)
        return decoded[-1]

    (tmp_path / "a.json").write_text("one")
    files = Kept(decode)
    with ThreadPoolExecutor(4) as panels:
        looks = [panels.submit(files.read, tmp_path / "a.json") for _ in range(4)]
        assert begun.wait(30)
        go.set()
        found = [look.result(30) for look in looks]
    assert [one and one.value for one in found] == ["one"] * 4
    assert decoded == ["one"]


def test_what_cannot_be_read_and_what_is_too_long_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says which file."""
    files = Kept(lambda path: path.read_bytes())
    with pytest.raises(StackError, match="which gave: Is a directory; make it readable"):
        files.read(tmp_path)
    monkeypatch.setattr(kept, "MOST_BYTES", 3)
    (tmp_path / "long").write_bytes(b"1234")
    with pytest.raises(StackError, match=r"at most 3 bytes; .*long has 4"):
        files.read(tmp_path / "long")
