"""Definitions change while a stack serves a running stream: a new plan takes over, and each event has one prediction."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.definitions.load import load
from infra.local.broker import Broker
from tests.infra.run.moving import RATE, WINDOW, Stream, moving

pytestmark = pytest.mark.stack


@pytest.fixture
def stream(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    """A stack that was backfilled, and serves a stream."""
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    with moving(tmp_path / "a project", broker, "moving") as made:
        yield made


def test_a_new_plan_takes_over_from_the_one_that_serves(
    stream: Stream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed window, with `headrace up` killed once in between: for each partition the old plan predicts the events before an
    offset and the new one those from it on, each once and to the bit; before that a plan that fails leaves all as it was."""
    old = load(stream.folder).service(stream.name).plan.short_digest
    stream.await_all()
    before = stream.pids()

    stream.define(*WINDOW)
    assert stream.command("up") == 2
    assert "a model scores what it was trained on" in capsys.readouterr().err
    new = stream.train()
    data, hidden = stream.folder / "data" / "num.parquet", tmp_path / "num.parquet"
    data.rename(hidden)
    assert stream.command("up") == 2
    assert f"nothing was taken over: {stream.name} runs on as before" in " ".join(capsys.readouterr().err.split())
    assert stream.pids() == before
    stream.await_all()
    hidden.rename(data)

    assert stream.command("up", "--dry-run") == 0
    assert "take over" in capsys.readouterr().out
    assert stream.pids() == before
    stream.killed("up", once=_beside(stream))
    assert stream.pids().items() > before.items(), "what runs is left alone"
    assert stream.command("up") == 0, capsys.readouterr().err + _logs(stream)
    assert stream.pids().keys() == before.keys()
    assert not set(stream.pids().values()) & set(before.values())
    kept = {file.parents[3].name for file in stream.folders.checkpoints.glob("*/*/*/*/chk-*/_metadata")}
    assert len(kept) == 2, "those of the plan before are the way back"

    _check_both(stream, tmp_path, old, new)


def test_a_new_plan_takes_over_in_event_time_mode(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for events that wait until none before them can come, of which many come after newer ones."""
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    with moving(tmp_path / "a project", broker, "waiting", "event_time") as stream:
        old = load(stream.folder).service(stream.name).plan.short_digest
        stream.await_all()
        stream.define(*WINDOW)
        new = stream.train()
        assert stream.command("up") == 0, _logs(stream)
        _check_both(stream, tmp_path, old, new)


def test_a_service_more_and_one_less(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service goes that shares its job, and comes again with one of its own; the other predicts each event once all along."""
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    stream = Stream(tmp_path / "a project", broker, "sharing")
    try:
        file = stream.folder / "definitions.py"
        without = file.read_text()
        stream.define_also()
        also, plan = stream.train(stream.also), stream.train()
        stream.serve(stream.name, stream.also)
        stream.begin()
        assert stream.command("up", "--until", stream.until) == 0, _logs(stream)
        both = stream.pids()
        assert len([name for name in both if name.startswith("stream-")]) == 1, "they share a job"
        stream.await_all(stream.also)

        file.write_text(without)
        stream.serve(stream.name)
        assert stream.command("up") == 0, _logs(stream)
        one = stream.pids()
        assert not [name for name in one if stream.also in name]
        assert one[f"scorer-{stream.name}"] == both[f"scorer-{stream.name}"], "its plan is the same"
        stream.await_all()

        stream.define_also()
        stream.serve(stream.name, stream.also)
        assert stream.command("up") == 0, _logs(stream)
        assert stream.pids().items() >= one.items(), "what runs is left alone"
        time.sleep(2)
        stream.end()
        for service, digest in ((stream.name, plan), (stream.also, also)):
            stream.check(stream.await_all(service), {digest: stream.values(tmp_path / service, service=service)}, {0: 0, 1: 0})
        assert not stream.dead_letters()
    finally:
        stream.close()


def _check_both(stream: Stream, folder: Path, old: str, new: str) -> None:
    """Each event has one prediction, of the plan whose turn it was, and both plans have more than a second's; no dead letter."""
    time.sleep(2)
    stream.end()
    found = stream.await_all()
    assert not stream.dead_letters()
    true = {old: stream.values(folder / "old", (WINDOW[1], WINDOW[0])), new: stream.values(folder / "new")}
    assert min(stream.check(found, true, _taken_over(stream)).values()) > RATE


def _taken_over(stream: Stream) -> dict[int, int]:
    """The offset of each partition from which the new plan predicts."""
    (taken,) = stream.folders.checkpoints.glob("*/*/*/takeover.json")
    return {int(p): offset for p, offset in json.loads(taken.read_bytes())["offsets"][stream.name].items()}


def _beside(stream: Stream) -> Path:
    """The record of the job beside, which is there once it was started."""
    from features.job import job_plan

    job = job_plan([load(stream.folder).service(stream.name).plan])
    return stream.folder / ".headrace" / "processes" / f"stream-{stream.name}~{job.short_digest}.json"


def _logs(stream: Stream) -> str:
    return "".join(f"\n== {log.name}\n{log.read_text()[-1500:]}" for log in sorted(stream.folders.logs.glob("s*.log")))
