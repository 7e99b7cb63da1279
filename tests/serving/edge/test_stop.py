"""A runner that is told to end, as systemd and Ctrl-C do, long before ``--save-every`` events."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.serving.edge.bundles import BARE, EVENTS, bare, content, said

pytestmark = pytest.mark.slow


def ended(bundle: Path, state: Path, events: Sequence[str], number: int, after: int) -> tuple[int, list[dict[str, Any]], str]:
    """A runner that gets a signal ``after`` so many predictions, its input still open: exit code, predictions, errors."""
    words = [sys.executable, "-c", BARE, str(bundle), "--state", str(state)]
    with subprocess.Popen(words, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as runner:
        assert runner.stdin
        assert runner.stdout
        assert runner.stderr
        runner.stdin.write("".join(f"{event}\n" for event in events))
        runner.stdin.flush()
        found = [json.loads(runner.stdout.readline()) for _ in range(after)]
        runner.send_signal(number)
        found += [json.loads(line) for line in runner.stdout]
        return runner.wait(), found, runner.stderr.read()


def taken(state: Path) -> int:
    """How many events the saved state has had."""
    count: int = json.loads((state / "state.json").read_text().partition("\n")[2])["device"]["taken"]
    return count


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_runner_that_is_told_to_end_saves_its_state(
    number: int, code: int, bundle: Path, lines: list[str], tmp_path: Path
) -> None:
    """A few events at a time, and the outbox published and removed between: its windows are those of one long run."""
    state, found = tmp_path / "state", list[dict[str, Any]]()
    for first in range(0, 15, 5):
        got, predictions, err = ended(bundle, state, lines[first : first + 5], number, 5)
        assert (got, taken(state)) == (code, first + 5)
        assert (
            err == "" if code == 0 else err.startswith("interrupted: every event that was taken is in the outbox and the saved")
        )
        found += predictions
        for file in (state / "outbox").iterdir():
            file.unlink()
    assert [content(one) for one in found] == [content(one) for one in said(bare(bundle, stdin="\n".join(lines[:15])))]


def test_the_event_in_hand_is_finished(bundle: Path, lines: list[str], tmp_path: Path) -> None:
    """In mid-stream: what was predicted is in outbox and state, and another runner goes on with the next event."""
    state = tmp_path / "state"
    code, found, _ = ended(bundle, state, lines, signal.SIGTERM, 40)
    assert (code, taken(state)) == (0, len(found))
    (path,) = (state / "outbox").iterdir()
    assert [json.loads(line)["_edge"]["prediction"] for line in path.read_text().splitlines()] == found
    assert 40 <= len(found) < EVENTS
    rest = said(bare(bundle, "--state", str(state), stdin="\n".join(lines[len(found) :])))
    assert [content(one) for one in (*found, *rest)] == [content(one) for one in said(bare(bundle, stdin="\n".join(lines)))]


def test_what_a_killed_runner_left_is_saved_by_the_next(bundle: Path, lines: list[str], tmp_path: Path) -> None:
    """So the outbox's files are closed, and a runner that is killed each time has not more to take again each time."""
    state = tmp_path / "state"
    for first in range(0, 10, 5):
        ended(bundle, state, lines[first : first + 5], signal.SIGKILL, 5)
        assert taken(state) == first
    assert said(bare(bundle, "--state", str(state))) == []
    assert taken(state) == 10
    assert [len(path.read_text().splitlines()) for path in sorted((state / "outbox").iterdir())] == [5, 5]


def test_windows_are_not_filled_by_half(bundle: Path, lines: list[str], tmp_path: Path) -> None:
    """``--fill`` that is ended keeps nothing, so that the whole file may be taken again."""
    state = tmp_path / "state"
    said(bare(bundle, "--state", str(state), stdin=lines[0]))
    words = [sys.executable, "-c", BARE, str(bundle), "--state", str(state), "--fill"]
    with subprocess.Popen(words, text=True, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as runner:
        assert runner.stdin
        assert runner.stderr
        runner.stdin.write("".join(f"{line}\n" for line in lines[1:] * 20))  # more than a pipe holds: it reads them
        runner.stdin.flush()
        runner.send_signal(signal.SIGTERM)
        assert (runner.wait(), taken(state)) == (143, 1)
        assert runner.stderr.read().startswith("interrupted: windows are filled by a whole file")


def test_whole_from_is_of_windows_that_are_filled(bundle: Path, lines: list[str], tmp_path: Path) -> None:
    """``--fill`` that is ended leaves a state that promises nothing; one that is whole keeps what it was told."""
    state = tmp_path / "state"
    words = [sys.executable, "-c", BARE, str(bundle), "--state", str(state), "--fill", "--whole-from", "ever"]
    with subprocess.Popen(words, text=True, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as runner:
        assert runner.stdin
        runner.stdin.write("".join(f"{line}\n" for line in lines[1:] * 20))  # more than a pipe holds: it reads them
        runner.stdin.flush()
        runner.send_signal(signal.SIGTERM)
        assert runner.wait() == 143
    assert not said(bare(bundle, "--state", str(state), stdin=lines[0]))[0]["receipt"]["complete"]
    bare(bundle, "--state", str(state), "--fill", "--whole-from", "ever", stdin="\n".join(lines[1:3]))
    assert said(bare(bundle, "--state", str(state), stdin=lines[3]))[0]["receipt"]["complete"]
