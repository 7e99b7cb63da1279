"""State and outbox: what is left of them when the runner ends between any two of its writes, and what may not be in them."""

from __future__ import annotations

import argparse
import io
import json
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from features.definitions.load import load
from jobs.ingest.event_files import checked
from jobs.ingest.publish import feed
from serving.edge.compare import compare
from serving.edge.headrace_edge import __main__ as runner
from serving.edge.headrace_edge import bundle as bundles
from serving.edge.headrace_edge import state as states
from serving.edge.headrace_edge.bundle import Bundle
from serving.edge.headrace_edge.errors import EdgeError
from serving.edge.headrace_edge.outbox import Outbox
from tests.serving.edge.bundles import content

Options = argparse.Namespace
CALLS = ("write", "fsync", "open", "truncate")
"""What the runner asks of the system, besides the renaming of a state."""


@pytest.fixture(scope="module")
def found(bundle: Path) -> Bundle:
    """The bundle, read."""
    return bundles.read(bundle)


def options_of(state: Path, *words: str) -> Options:
    """A command line."""
    return runner._parser().parse_args(["--state", str(state), "--save-every", "2", "--sync", *words])


def ran(found: Bundle, options: Options, lines: list[str]) -> list[dict[str, Any]]:
    """What a runner says of events, without the golden vectors, which take longer."""
    out = io.BytesIO()
    run_into(found, options, lines, out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def run_into(found: Bundle, options: Options, lines: list[str], out: io.BytesIO) -> None:
    """The same, into ``out``, where it is left when the runner ends."""
    outbox, device = runner._restored(found, options)
    for some in runner._batches(iter([line.encode() for line in lines]), options.save_every):
        runner._predict(device, some, out)
        runner._save(found, options, device, outbox)


class Killed(BaseException):
    """Nothing of the runner's catches it."""


def killing(monkeypatch: pytest.MonkeyPatch, at: int, before: bool) -> Iterator[int]:
    """End the runner at its ``at``-th call of the system: before it, in the middle of a write, or after it."""
    calls = count()

    def ending(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*words: Any, **named: Any) -> Any:
            if next(calls) != at:
                return call(*words, **named)
            if not before:
                call(*words, **named)
            elif call is write:
                write(words[0], words[1][: len(words[1]) // 2])
            raise Killed

        return called

    write = os.write
    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, ending(getattr(os, name)))
        patch.setattr(Path, "replace", ending(Path.replace))
        yield at


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False])
def test_whenever_the_runner_ends_nothing_is_lost_or_doubled(
    found: Bundle, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """It ends at each of its calls of the system in turn; then all events are sent again, twice: once of each is there."""
    sent = lines[:3]
    expected = [content(one) for one in ran(found, options_of(tmp_path / "whole"), sent)]
    for at in count():
        state, out, ended = tmp_path / f"{at}-{before}", io.BytesIO(), False
        for _ in killing(monkeypatch, at, before):
            try:
                run_into(found, options_of(state), sent, out)
            except Killed:
                ended = True
        given = [json.loads(line) for line in out.getvalue().splitlines()]
        again = ran(found, options_of(state), sent)
        assert [content(one) for one in again] == expected, at
        assert again[: len(given)] == given, at  # the very predictions that were given before
        assert ran(found, options_of(state), sent) == again, at
        kept = [json.loads(line) for path in sorted((state / "outbox").iterdir()) for line in path.read_text().splitlines()]
        assert [one["_edge"] for one in kept] == [{"n": n, "prediction": one} for n, one in enumerate(again, 1)], at
        if not ended:
            break
    assert at > 20


def test_the_disk_knows_of_a_file_before_a_state_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file's folder is waited for; and what a killed runner left is waited for by the next, though it adds nothing."""
    synced: list[str] = []
    fsync = os.fsync

    def noted(file: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{file}")).name)
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    Outbox(tmp_path / "outbox", 1, sync=True).append("num", '{"id":1}', {"n": 1})
    assert synced == ["outbox", "num-00000001.jsonl"]
    synced.clear()
    assert Outbox(tmp_path / "outbox", 1).next() == 2
    assert synced == ["num-00000001.jsonl", "outbox"]


def test_white_space_of_json_stays_in_a_line(found: Bundle, lines: list[str], tmp_path: Path) -> None:
    """A carriage return between two fields is no end of a line."""
    sent = [line.replace(',"k"', ',\r"k"') for line in lines[:3]]
    options = options_of(tmp_path / "state")
    said = ran(found, options, sent)
    (tmp_path / "state" / "state.json").unlink()
    assert ran(found, options, sent) == said
    assert [one["event_id"] for one in said] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "line", "what"),
    [
        ("num", "no JSON", "an outbox has the events that a runner took; "),
        ("num", '{"id":1}', "an outbox has the events that a runner took; "),
        ("num", '{"id":1,"_edge":{}}', "an outbox has the events that a runner took; "),
        ("num", '{"id":1,"_edge":{"n":1}}', "event 1 of num: at is missing"),
        ("other", '{"id":1,"_edge":{"n":1}}', "event 1 of other: an event is of a source of this bundle, num; got 'other'"),
    ],
)
def test_an_outbox_that_no_runner_wrote_is_refused(found: Bundle, name: str, line: str, what: str, tmp_path: Path) -> None:
    """One line says which."""
    (tmp_path / "outbox").mkdir()
    (tmp_path / "outbox" / f"{name}-00000001.jsonl").write_text(f"{line}\n")
    with pytest.raises(EdgeError) as refused:
        runner._restored(found, options_of(tmp_path))
    assert what in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_state_is_of_its_bundle_from_the_first_moment(found: Bundle, tmp_path: Path) -> None:
    """Before the first event: a runner that is killed early does not leave its outbox to another bundle."""
    runner._restored(found, options_of(tmp_path))
    with pytest.raises(EdgeError, match="a state is of the bundle that wrote it"):
        states.load(tmp_path / "state.json", "another")


def test_smaller_bounds_hold_for_what_was_saved(found: Bundle, lines: list[str], tmp_path: Path) -> None:
    """Rows, keys and ids beyond them leave at once, and the receipt says so."""
    ran(found, options_of(tmp_path, "--whole-from", "ever", "--save-every", "50"), lines[:60])
    outbox, device = runner._restored(found, options_of(tmp_path, "--rows", "5", "--keys", "2", "--ids", "7"))
    saved = device.save()
    assert [len(times) for _, _, times, _ in saved["stages"][0]["keys"]] == [5, 5]
    assert len(saved["ids"]) == 7
    assert outbox.number > 1
    (said,) = ran(found, options_of(tmp_path, "--rows", "5", "--keys", "2"), lines[60:61])
    assert not said["receipt"]["complete"]


def test_whole_from_may_be_said_later(found: Bundle, lines: list[str], tmp_path: Path) -> None:
    """What the command says holds, not what an earlier one did not know."""
    assert not any(one["receipt"]["complete"] for one in ran(found, options_of(tmp_path), lines[:2]))
    said = ran(found, options_of(tmp_path, "--whole-from", "ever"), lines[2:4])
    assert all(one["receipt"]["complete"] for one in said)
    assert all(one["receipt"]["complete"] for one in ran(found, options_of(tmp_path), lines[4:6]))


def test_whole_from_outlives_a_kill(found: Bundle, lines: list[str], tmp_path: Path) -> None:
    """What the command says is in the state before the first event, also where there is a state of an earlier start."""
    ran(found, options_of(tmp_path), lines[:2])
    runner._restored(found, options_of(tmp_path, "--whole-from", "ever"))  # and killed
    (said,) = ran(found, options_of(tmp_path), lines[2:3])
    assert said["receipt"]["complete"]


def test_more_ids_after_a_kill_change_nothing_that_was_taken(found: Bundle, lines: list[str], tmp_path: Path) -> None:
    """An event that had been forgotten when it came again is in windows and outbox twice; so it is for a runner with more ids."""
    sent = [lines[0], lines[1], lines[0]]
    small = options_of(tmp_path / "killed", "--ids", "1", "--save-every", "50")
    _, device = runner._restored(found, small)
    runner._predict(device, [line.encode() for line in sent], io.BytesIO())  # and killed
    taken = device.save()
    _, after = runner._restored(found, options_of(tmp_path / "killed", "--save-every", "50"))
    restored = after.save()
    assert {name: restored[name] for name in ("taken", "stages")} == {name: taken[name] for name in ("taken", "stages")}
    assert [one for _, one, *_ in restored["ids"]] == [json.loads(line)["id"] for line in (lines[1], lines[0])]
    runner._predict(after, [lines[2].encode()], io.BytesIO())
    kept = [line for path in sorted((tmp_path / "killed" / "outbox").iterdir()) for line in path.read_text().splitlines()]
    assert [json.loads(line)["_edge"]["n"] for line in kept] == [1, 2, 3, 4]


def test_what_is_kept_can_be_published(project: Path, found: Bundle, lines: list[str], tmp_path: Path) -> None:
    """A function may give an infinity: the model has it, JSON has null, as the scorer writes it. An event with one is refused."""
    event = json.loads(lines[0])
    infinite, zero = json.dumps({**event, "d": 1.7e308, "more": "\U0001f600"}), json.dumps({**event, "id": 8, "n": 0})
    bad = [json.dumps({**event, "id": 9, "more": more}) for more in ([float("nan")], {"\ud800": 1})]
    one, two, *refused = ran(found, options_of(tmp_path), [infinite, zero.replace('"n": 0', '"n": 0e99'), *bad])
    assert (one["receipt"]["inputs"]["doubled__twice"], two["event_id"]) == (None, 8)
    assert [each["refused"] for each in refused] == ["not_json"] * 2
    assert [each["detail"].partition("; got ")[2] for each in refused] == [
        "NaN, which JSON does not have",
        "half of a surrogate pair",
    ]
    (path,) = (tmp_path / "outbox").iterdir()
    assert checked(feed(path, "num", load(project).plans)) == 2
    assert compare([path], []).events == 2


def test_a_line_without_an_end_takes_no_memory() -> None:
    """Of a line that is longer than a record of Kafka the beginning is looked at; the next line is whole."""
    file = io.BytesIO(b'{"id":1}' + b" " * runner.LONGEST * 3 + b'\n{"id":2}\n' + b"x" * runner.LONGEST * 2)
    first, second, last = runner._lines(file)
    assert second == b'{"id":2}\n'
    assert len(first) == len(last) == runner.LONGEST + 1 + len(runner.TOO_LONG)
    with pytest.raises(ValueError, match="Extra data"):
        json.loads(first)
