"""The deployment log and the versions that it names, with several writers at once, in a folder and on an S3 server."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from features.errors import SettingError
from schemas.deployment import Placed
from serving.models.lifecycle import Change, replay
from serving.models.registry import Registry
from serving.models.reports import Report, Serving
from tests.serving.models.test_registry import register

WRITER = """
import sys
from pathlib import Path
from features.errors import SettingError
from serving.models.lifecycle import Change
from serving.models.registry import Registry
from tests.serving.models.test_registry import register
root, number = sys.argv[1], int(sys.argv[2])
registry = Registry(root if "://" in root else Path(root))
for turn in range(3):
    made = register(registry, b"%d %d" % (number, turn), name="orders", service="orders")
    registry.change("orders", Change(action="promote", model="orders", version=made.version, who=f"{number} {turn}"))
    try:
        registry.change("orders", Change(action="rollback", model="orders", who=f"{number} {turn} back"))
    except SettingError as error:
        assert "there is none" in str(error), error
"""


def orders(root: Path | str, versions: int) -> Registry:
    """A registry with versions of a model of the service ``orders``."""
    registry = Registry(root)
    for number in range(versions):
        register(registry, b"%d" % number, name="orders", service="orders")
    return registry


def promote(version: int, **more: str) -> Change:
    """The promotion of a version."""
    return Change(action="promote", model="orders", version=version, **more)  # type: ignore[arg-type]


def test_a_change_is_an_entry_that_every_reader_has(root: Path | str) -> None:
    """Who, when, why, from and to; a registry that was open before sees it too."""
    first = orders(root, 2)
    second = Registry(root, clock=lambda: 12.5)
    assert (second.entries("orders"), second.deployed("orders").production) == ([], None)
    first.change("orders", promote(1, who="ann@host", why="the first"))
    entry = second.change("orders", promote(2, who="bob@host"))
    assert (entry.seq, entry.placed, entry.before) == (2, Placed("orders", 2), Placed("orders", 1))
    assert (entry.who, entry.at, entry.alias, entry.forced) == ("bob@host", 12_500, "production", False)
    assert first.entries("orders", after=1) == [entry]
    assert [one.why for one in Registry(root).entries("orders")] == ["the first", ""]
    assert first.deployed("orders") == Registry(root).deployed("orders") == replay("orders", first.entries("orders"))
    assert first.services() == ("orders",)
    assert first.get("orders", "production").manifest.version == 2


def test_changes_at_once_each_have_an_entry(root: Path | str) -> None:
    """Five threads, each with a registry of its own: no entry is lost, doubled or overwritten."""
    orders(root, 1)
    aliases = [f"shadow-{chr(97 + number)}" for number in range(5)]
    changes = [Change(action="alias", model="orders", version=1, alias=alias) for alias in aliases]
    with ThreadPoolExecutor(5) as pool:
        made = list(pool.map(lambda one: Registry(root).change("orders", one), changes))
    assert sorted(entry.seq for entry in made) == list(range(1, 6))
    registry = Registry(root)
    assert sorted(registry.entries("orders"), key=lambda e: e.alias or "") == sorted(made, key=lambda e: e.alias or "")
    assert registry.aliases("orders") == dict.fromkeys(aliases, 1)


@pytest.mark.slow
def test_processes_at_once_leave_a_whole_registry(root: Path | str) -> None:
    """Two processes register, promote and roll back: every version is whole, and the log is one that is legal."""
    command = [sys.executable, "-c", WRITER, str(root)]
    writers = [subprocess.Popen([*command, str(number)], cwd=Path(__file__).parents[3]) for number in range(2)]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    registry = Registry(root)
    assert registry.versions("orders") == tuple(range(1, 7))
    assert len({registry.get("orders", version).manifest.sha256 for version in range(1, 7)}) == 6
    entries = registry.entries("orders")
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert sum(entry.action == "promote" for entry in entries) == 6
    assert len({entry.who for entry in entries}) == len(entries)
    for place, entry in enumerate(entries):
        assert entry.before == replay("orders", entries[:place]).production


def test_a_change_is_refused_that_names_no_whole_version_of_the_service(tmp_path: Path) -> None:
    """Of another service, unknown, or with other bytes than it was registered with; nothing is written."""
    registry = orders(tmp_path, 2)
    register(registry, name="others", service="others")
    with pytest.raises(SettingError, match="a model is for one service; got others for orders, and it is for others"):
        registry.change("orders", Change(action="promote", model="others", version=1))
    with pytest.raises(SettingError, match="a model is for one service; 'others' is for others; got it for orders"):
        register(registry, name="others", service="orders")
    with pytest.raises(SettingError, match="no version 9; it has 1, 2"):
        registry.change("orders", promote(9))
    (tmp_path / "orders" / "2" / "model.onnx").write_bytes(b"other")
    with pytest.raises(SettingError, match="a version never changes"):
        registry.change("orders", promote(2))
    with pytest.raises(SettingError, match="keeps its logs in 'deployments'"):
        register(registry, name="deployments", service="deployments")
    assert registry.entries("orders") == []


def test_a_change_is_refused_whose_version_nobody_could_load(tmp_path: Path) -> None:
    """Without its golden batch no scorer puts it in service: the log would say that it serves."""
    registry = orders(tmp_path, 2)
    registry.change("orders", Change(action="promote", model="orders", version=1))
    (tmp_path / "orders" / "2" / "golden").write_bytes(b"another")
    (tmp_path / "orders" / "1" / "golden").unlink()
    with pytest.raises(SettingError, match="its golden has"):
        registry.change("orders", Change(action="promote", model="orders", version=2))
    with pytest.raises(SettingError, match="'orders' 1 has no golden"):
        registry.change("orders", Change(action="alias", model="orders", version=1, alias="staging"))
    registry.remove("orders", 2, who="who cleans up")


def test_a_removed_version_is_gone_and_its_number_is_not_used_again(root: Path | str) -> None:
    """Its manifest stays beside the place, so that what it predicted can be traced; what serves is not removed."""
    registry = orders(root, 3)
    registry.change("orders", promote(1))
    with pytest.raises(SettingError, match="which is production of orders"):
        registry.remove("orders", 1, who="ann@host")
    entry = registry.remove("orders", 3, who="ann@host", why="too large")
    assert entry
    assert (entry.action, entry.placed, entry.why) == ("remove", Placed("orders", 3), "too large")
    assert registry.versions("orders") == (1, 2)
    assert [path for path in registry._store.paths("orders") if path.startswith("3/")] == ["3/removed.json"]
    assert register(registry, name="orders", service="orders").version == 4
    assert registry.remove("orders", 3, who="ann@host") is None
    with pytest.raises(SettingError, match="does not come back"):
        registry.change("orders", promote(3))


def test_a_broken_log_is_said_and_not_passed_over(tmp_path: Path) -> None:
    """An entry that is missing, or that is none."""
    registry = orders(tmp_path, 3)
    for version in (1, 2, 3):
        registry.change("orders", promote(version))
    log = tmp_path / "deployments" / "orders"
    kept = (log / "00000002.json").read_bytes()
    (log / "00000002.json").write_bytes(kept[:20])
    with pytest.raises(SettingError, match=r"deployments/orders/00000002.json gave .*; restore it"):
        Registry(tmp_path).deployed("orders")
    (log / "00000002.json").unlink()
    with pytest.raises(SettingError, match=r"deployments/orders has no 00000002\.json; restore it"):
        Registry(tmp_path).deployed("orders")


def test_a_change_whose_reply_was_lost_is_written_once(tmp_path: Path) -> None:
    """The store's library tries again, finds the entry there, and it is the writer's own."""
    registry = orders(tmp_path, 1)

    class Deaf(type(registry._store)):  # type: ignore[misc]
        """A folder that writes and says that another did."""

        def create(self, path: str, content: bytes) -> bool:
            super().create(path, content)
            return False

    registry = Registry(Deaf(tmp_path))
    assert registry.change("orders", promote(1)).seq == 1
    assert len(registry.entries("orders")) == 1


def test_a_scorer_says_what_it_serves(root: Path | str) -> None:
    """Its last report is kept, one for each instance, whatever its name."""
    registry = Registry(root)
    assert registry.reports("orders") == []
    serving = Serving("production", "orders", 2, None, "serving", None, 5, 3, {0: 10, 1: 2**40}, 100, 0, 0, 1.5)
    failed = msgspec.structs.replace(serving, alias="staging", state="failed", error="no input 'x'", p99_ms=None)
    registry.report("orders", "0", Report("0", 9, [serving]))
    registry.report("orders", "0", Report("0", 10, [serving, failed]))
    registry.report("orders", "../b c", Report("../b c", 11, []))
    assert sorted(registry.reports("orders"), key=lambda report: report.at) == [
        Report("0", 10, [serving, failed]),
        Report("../b c", 11, []),
    ]
    assert registry.entries("orders") == []
