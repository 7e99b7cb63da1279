"""A device's outbox held against the cloud's predictions: what is equal, what differs, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from features.errors import SettingError
from infra.cli import run
from serving.edge.compare import compare


def prediction(number: int, score: float = 0.5, **receipt: Any) -> dict[str, Any]:
    """Of an event."""
    known = {
        "origin": None,
        "plan": "p",
        "model": "m",
        "version": 1,
        "sha256": "s",
        "inputs": {"a": 1, "b": None},
        "batch_as_of": {},
    }
    times = {"complete": True, "arrived_at": 1, "featured_at": 1, "scored_at": 1}
    return {"event_id": number, "event_time": 1, "score": score, "receipt": {**known, **times, **receipt}}


def outbox(path: Path, *found: dict[str, Any] | None) -> Path:
    """A file of events with these predictions, and the beginning of another one."""
    lines = [
        json.dumps({"id": n, "_edge": {"n": n, **({} if one is None else {"prediction": one})}}) for n, one in enumerate(found)
    ]
    path.write_text("\n".join([*lines, '{"id": 99, "_e']))
    return path


def encoded(*found: dict[str, Any]) -> list[bytes]:
    """As records of the topic."""
    return [json.dumps(one).encode() for one in found]


def test_each_difference_has_its_cause(tmp_path: Path) -> None:
    """Another model, another plan, what is incomplete; and what no receipt explains."""
    path = outbox(tmp_path / "x.jsonl", *(prediction(n) for n in range(7)), prediction(7, complete=False), None)
    cloud = [
        prediction(0),
        prediction(1, 0.5 + 1e-7),
        prediction(2, 0.75, sha256="t"),
        prediction(3, 0.75, plan="q", inputs={}),
        prediction(4, 0.75, inputs={"a": 2, "b": None}),
        prediction(5, 0.75),
        prediction(7, 0.875, inputs={"a": 1, "b": 3.0}),
        prediction(0, 0.9),  # a repeat: the first counts
        prediction(77),
    ]
    found = compare([path], [b"no prediction", *encoded(*cloud)])
    assert (found.events, found.unscored, found.compared, found.missing, found.equal, found.unreadable) == (8, 1, 7, 1, 2, 1)
    assert found.causes == {"model": 1, "plan": 1, "incomplete": 1, "inputs": 1, "score": 1}
    assert (found.values, found.differing_values, found.largest) == (12, {"a": 1, "b": 1}, 0.375)
    assert found.unexplained == 2
    assert {one.event_id: one.inputs for one in found.examples}[4] == {"a": (1, 2)}


def test_the_command_fails_where_nothing_explains_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and the event by name; 0 where all is equal or explained."""
    path = outbox(tmp_path / "x.jsonl", prediction(0), prediction(1))
    there = tmp_path / "predictions.jsonl"
    words = ["edge-audit", "num", str(path), "--predictions", str(there), "--project", str(tmp_path)]
    there.write_text("\n".join(json.dumps(one) for one in (prediction(0), prediction(1, 0.7, complete=False))))
    assert run(words) == 0
    assert "2 predictions of the device, 2 of them by the cloud too, 0 not (yet)" in capsys.readouterr().out
    there.write_text(json.dumps(prediction(1, 0.7, inputs={"a": 3, "b": None})))
    assert run(words) == 1
    assert "event 1: 0.5 there, 0.7 here, other inputs a 1 there, 3 here" in capsys.readouterr().out
    assert run([*words, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["events"], told["compared"], told["missing"], told["unexplained"]) == (2, 1, 1, 1)


def test_what_is_no_outbox_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file and the line are named."""
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 1}\n')
    with pytest.raises(SettingError, match=r"an outbox has events with a field '_edge'; .*x.jsonl, line 1"):
        compare([path], [])
    assert run(["edge-audit", "num", str(tmp_path / "y.jsonl"), "--project", str(tmp_path)]) == 2
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_devices_outbox_is_equal_to_itself(bundle: Path, lines: list[str], tmp_path: Path) -> None:
    """The runner's own files are read, and its predictions are such as the cloud's."""
    from tests.serving.edge.bundles import bare

    done = bare(bundle, "--state", str(tmp_path / "state"), stdin="\n".join(lines))
    found = compare((tmp_path / "state" / "outbox").iterdir(), done.stdout.encode().splitlines())
    assert (found.events, found.compared, found.equal, found.differing_values) == (len(lines), len(lines), len(lines), {})
