"""The runner in a process that can import nothing but numpy and ONNX Runtime: what it predicts, keeps and refuses."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.definitions.load import load
from jobs.history.compute import compute
from jobs.ingest.event_files import checked, read
from jobs.ingest.publish import feed
from serving.edge.headrace_edge.__main__ import main
from serving.models.registry import Registry
from serving.models.session import load_model
from tests.serving.edge.bundles import BARE, EVENTS, bare, content, said

pytestmark = pytest.mark.slow

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(capfdbinary: pytest.CaptureFixture[bytes]) -> Here:
    """The runner in this process, which is quicker: its exit code, and what it wrote."""

    def run(bundle: Path, *options: str) -> tuple[int, str, str]:
        code = main(["--bundle", str(bundle), *options])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return run


def test_predictions_are_those_of_the_batch_engine(project: Path, bundle: Path, lines: list[str]) -> None:
    """Every input to the bit as DuckDB has it of the whole history, and every score as the registry's model gives it."""
    predictions = said(bare(bundle, "--whole-from", "ever", stdin="\n".join(lines)))
    service = load(project).service("num")
    table = compute(service)
    scores = load_model(Registry(project / "models").get("num", 1)).score_table(table, service.plan).scores.to_pylist()
    assert [one["event_id"] for one in predictions] == table["id"].to_pylist()
    assert [one["score"] for one in predictions] == pytest.approx(scores, rel=1e-5)
    names = [name for name in table.column_names if "__" in name and "last_2" not in name]
    assert len(names) == 5
    for row, one in zip(table.select(names).to_pylist(), predictions, strict=True):
        inputs = one["receipt"]["inputs"]
        assert [inputs[name] for name in names] == [None if row[n] is None else type(inputs[n] or 0)(row[n]) for n in names]
    last = [one["receipt"]["inputs"] for one in predictions]
    for two, inputs in zip(table["totals__last_2_d"].to_pylist(), last, strict=True):
        assert [inputs["totals__last_2_d_1"], inputs["totals__last_2_d_2"]] == [None] * (2 - len(two)) + two
    assert all(one["receipt"]["complete"] for one in predictions)


def test_a_receipt_says_what_a_prediction_is_of(project: Path, bundle: Path, lines: list[str]) -> None:
    """It is a message like those of the topic; before a whole window was seen it is not complete."""
    from schemas.codec import decode_prediction

    done = bare(bundle, stdin="\n".join(lines))
    found = [decode_prediction(line.encode()) for line in done.stdout.splitlines()]
    manifest = Registry(project / "models").manifest("num", 1)
    receipt = found[-1].receipt
    assert (receipt.origin, receipt.plan, receipt.version) == (None, manifest.plan[:12], 1)
    assert (receipt.model, receipt.sha256) == ("num", manifest.sha256)
    assert receipt.arrived_at <= receipt.featured_at <= receipt.scored_at
    hour = 3_600_000
    assert [one.receipt.complete for one in found] == [one.event_time - hour >= found[0].event_time for one in found]


def test_golden_vectors_are_replayed(bundle: Path) -> None:
    """``--check`` says how many; all windows of the plan are in them."""
    done = bare(bundle, "--check")
    vectors = sum("features" in json.loads(line) for line in (bundle / "golden.jsonl").read_text().splitlines())
    assert vectors > 20
    assert (done.returncode, done.stdout) == (
        0,
        f"{vectors} golden vectors, {5 * vectors} values of windows: all as they should be\n",
    )


def with_golden(bundle: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the golden vectors, and the manifest so that it fits them."""
    path = bundle / "golden.jsonl"
    vectors = [json.loads(line) for line in path.read_text().splitlines()]
    change(vectors)
    path.write_text("".join(json.dumps(one) + "\n" for one in vectors))
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"]["golden.jsonl"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def another_score(vectors: list[dict[str, Any]]) -> None:
    """A score that is a ten thousandth off."""
    vectors[-1]["score"] *= 1.0001


def another_sum(vectors: list[dict[str, Any]]) -> None:
    """A sum of money that is a cent off."""
    vectors[-1]["features"]["totals__sum_v"] += 0.01


def another_maximum(vectors: list[dict[str, Any]]) -> None:
    """A double that is one bit off."""
    known = [one for one in vectors if "features" in one and one["features"]["totals__max_d"]]
    known[-1]["features"]["totals__max_d"] *= 1 + 2**-52


def none(vectors: list[dict[str, Any]]) -> None:
    """Nothing to hold against."""
    vectors.clear()


@pytest.mark.parametrize(
    ("change", "what"),
    [(another_score, "the score"), (another_sum, "totals__sum_v"), (another_maximum, "totals__max_d"), (none, "got none")],
)
def test_a_runner_that_computes_anything_else_does_not_run(
    change: Callable[[list[dict[str, Any]]], None], what: str, bundle: Path, tmp_path: Path, here: Here
) -> None:
    """One line says what differs, and no event has a prediction."""
    changed = shutil.copytree(bundle, tmp_path / "bundle")
    with_golden(changed, change)
    code, out, err = here(changed, "--events", str(bundle / "README.md"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: windows and scores are those of the golden vectors; {what}")


@pytest.mark.parametrize("name", ["model.onnx", "plan.json", "functions.py", "headrace_edge/windows.py"])
def test_a_changed_file_is_refused(name: str, bundle: Path, tmp_path: Path, here: Here) -> None:
    """Every file is held against its sha256."""
    changed = shutil.copytree(bundle, tmp_path / "bundle")
    with (changed / name).open("ab") as file:
        file.write(b"\n")
    code, _, err = here(changed, "--check")
    assert (code, err.count("\n")) == (2, 1)
    assert f"a bundle's files never change; {name} has sha256" in err
    (changed / name).unlink()
    assert f"a bundle has the files of its manifest; {name}" in here(changed, "--check")[2]


def test_a_bad_event_is_refused_and_its_neighbours_are_not(bundle: Path, lines: list[str]) -> None:
    """Each with the reason that its dead letter would have."""
    bad = [
        "",
        "no JSON",
        "[1]",
        lines[0].replace('"k":', '"q":'),
        lines[0].replace('"v":', '"v":"x","v2":'),
        "other\t{}",
        '{"a":"\xff"}',
    ]
    found = said(bare(bundle, stdin="\n".join([lines[0], *bad, lines[1]])))
    assert [one.get("refused") for one in found] == [
        None,
        "not_json",
        "not_json",
        "missing_key",
        "wrong_type",
        "not_json",
        "missing_time",
        None,
    ]
    again = said(bare(bundle, stdin=f"num\t{lines[0]}\n"))
    assert content(again[0]) == content(found[0])


def killed(bundle: Path, state: Path, events: list[str], after: int) -> list[dict[str, Any]]:
    """What a runner said before it was killed: after so many predictions were read from it, with others on their way."""
    words = [sys.executable, "-c", BARE, str(bundle), "--state", str(state), "--whole-from", "ever", "--save-every", "37"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdin
        assert runner.stdout
        runner.stdin.write("".join(f"{event}\n" for event in events))
        runner.stdin.flush()
        found = [json.loads(runner.stdout.readline()) for _ in range(after)]
        runner.send_signal(signal.SIGKILL)
        rest = runner.stdout.read().splitlines(keepends=True)
        runner.wait()
    return [*found, *(json.loads(line) for line in rest if line.endswith("\n"))]


def test_no_event_is_lost_or_doubled_by_kills(bundle: Path, lines: list[str], tmp_path: Path) -> None:
    """Killed again and again, and each time sent all events once more: as if it had never been killed."""
    expected = {one["event_id"]: content(one) for one in said(bare(bundle, "--whole-from", "ever", stdin="\n".join(lines)))}
    state, chance, first = tmp_path / "state", random.Random(2), dict[int, dict[str, Any]]()
    for after in (1, 20, 90, 150, 260):
        for one in killed(bundle, state, lines, after + chance.randrange(10)):
            assert first.setdefault(one["event_id"], one) == one  # the very prediction that was given before, its times too
            assert content(one) == expected[one["event_id"]]
    rest = said(bare(bundle, "--state", str(state), "--whole-from", "ever", stdin="\n".join(lines)))
    assert [content(one) for one in rest] == list(expected.values())
    kept = [json.loads(line) for path in sorted((state / "outbox").iterdir()) for line in path.read_text().splitlines()]
    assert [one["id"] for one in kept] == list(range(EVENTS))
    assert [one["_edge"]["n"] for one in kept] == list(range(1, EVENTS + 1))
    assert [one["_edge"]["prediction"] for one in kept] == rest
    saved = json.loads((state / "state.json").read_text().partition("\n")[2])
    assert saved["device"]["taken"] == EVENTS


def test_a_line_that_was_not_written_whole_is_taken_again(bundle: Path, lines: list[str], tmp_path: Path) -> None:
    """The end of the outbox was torn when the power went: that event was never taken."""
    state = tmp_path / "state"
    said(bare(bundle, "--state", str(state), stdin="\n".join(lines[:10])))
    (state / "state.json").unlink()
    (path,) = (state / "outbox").iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    found = said(bare(bundle, "--state", str(state), "--sync", stdin="\n".join(lines[9:12])))
    whole = said(bare(bundle, stdin="\n".join(lines[:12])))
    assert [content(one) for one in found] == [content(one) for one in whole[9:]]


def test_a_damaged_state_is_refused(bundle: Path, lines: list[str], tmp_path: Path, here: Here) -> None:
    """One line says so, and what to do; the state of another bundle is refused too."""
    state, events = tmp_path / "state", tmp_path / "events.jsonl"
    events.write_text(lines[0])
    assert here(bundle, "--state", str(state), "--events", str(events))[0] == 0
    path = state / "state.json"
    good = path.read_text()
    for changed, what in (
        (good.replace('"taken":1', '"taken":2'), "was changed or damaged"),
        (good.replace('"format": 1', '"format": 2'), "has format 1"),
        (good.replace('"bundle": "', '"bundle": "x'), "a state is of the bundle that wrote it"),
        ("", "begins with its format and sha256"),
    ):
        assert changed != good
        path.write_text(changed)
        code, out, err = here(bundle, "--state", str(state), "--events", str(events))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert what in err


def test_a_state_has_one_runner(bundle: Path, lines: list[str], tmp_path: Path, here: Here) -> None:
    """A second one is refused while the first lives."""
    state, events = tmp_path / "state", tmp_path / "events.jsonl"
    events.write_text(lines[0])
    words = [sys.executable, str(bundle / "run.py"), "--state", str(state)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdin
        assert first.stdout
        first.stdin.write(f"{lines[0]}\n")
        first.stdin.flush()
        assert first.stdout.readline()
        code, out, err = here(bundle, "--state", str(state), "--events", str(events))
        assert (code, out) == (2, "")
        assert err.startswith("error: a state has one runner; another one has")
        first.stdin.close()
    assert here(bundle, "--state", str(state), "--events", str(events))[0] == 0


def test_windows_can_be_filled_before(bundle: Path, lines: list[str], tmp_path: Path) -> None:
    """``--fill`` takes earlier events without a word; what follows is as if the runner had predicted them."""
    earlier, state = tmp_path / "earlier.jsonl", tmp_path / "state"
    earlier.write_text("\n".join([*lines[:200], "no event"]))
    done = bare(bundle, "--fill", "--events", str(earlier), "--state", str(state))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "200 events fill the windows, 1 were refused\n"
    found = said(bare(bundle, "--state", str(state), stdin="\n".join(lines[199:])))
    whole = said(bare(bundle, stdin="\n".join(lines)))
    assert found[0] == {"event_id": 199, "event_time": whole[199]["event_time"], "repeated": True}
    assert [content(one) for one in found[1:]] == [content(one) for one in whole[200:]]
    assert bare(bundle, "--fill").stderr == "error: --fill fills windows for a later run; got no --state; add --state DIR\n"


def test_an_outbox_is_published_as_it_is(project: Path, bundle: Path, lines: list[str], tmp_path: Path) -> None:
    """``headrace publish`` takes the file, keyed as the topic is; an event is as it came, with its prediction beside it."""
    state = tmp_path / "state"
    predictions = said(bare(bundle, "--state", str(state), stdin="\n".join(lines)))
    (path,) = (state / "outbox").glob("num-*.jsonl")
    outbox = feed(path, "num", load(project).plans)
    assert checked(outbox) == EVENTS
    for line, prediction, (_, when, key, value) in zip(lines, predictions, read(outbox), strict=True):
        assert value.decode().startswith(line[:-1])
        event = json.loads(value)
        assert (when, key) == (event["at"], event["k"].encode())
        assert event.pop("_edge")["prediction"] == prediction
        assert event == json.loads(line)


def test_it_runs_as_a_module_too(bundle: Path, lines: list[str]) -> None:
    """``python -m headrace_edge`` in the bundle's folder."""
    words = [sys.executable, "-m", "headrace_edge"]
    done = subprocess.run(words, input=lines[0], capture_output=True, text=True, check=False, cwd=bundle)
    assert said(done)[0]["event_id"] == 0
