"""`headrace outcomes`: from a file of predictions to how right they were."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from infra.cli import run
from schemas import Prediction, Receipt
from schemas.codec import encode
from schemas.outcomes_report import OutcomesReport
from tests.support.num import num_project

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project, with a prediction of each event by one of two versions; labels come a day later."""
    folder = num_project(tmp_path / "num")
    lines = []
    for row in pq.read_table(folder / "data" / "num.parquet").to_pylist():
        at = round(row["at"].timestamp() * 1000)
        receipt = Receipt(None, "p", "num", 1 + row["id"] % 2, "0", {"n": row["n"]}, {}, True, at, at, at)
        lines.append(encode(Prediction(row["id"], at, 0.9 if row["id"] % 3 == 2 else 0.2, receipt)).decode())
    (folder / "predictions.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def said(project: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The command's words on stdout, on stderr of an error, once its exit code is as expected."""

    def called(*options: str, code: int = 0) -> str:
        command = ["outcomes", "num", "--predictions", str(project / "predictions.jsonl"), "--delay", "1", *options]
        assert run([*command, "--project", str(project)]) == code
        found = capsys.readouterr()
        return found.err if code else found.out + found.err

    return called


def test_only_days_that_are_due_are_measured(project: Path, said: Callable[..., str], tmp_path: Path) -> None:
    """The newest labels are of 6 May, and due a day after their events: of 5 May some may be missing. All are in the file."""
    told = json.loads(said("--json", "--by", "k", "--out", str(tmp_path / "outcomes.parquet")))
    assert (told["predictions"], told["matured_until"]) == (48, "2024-05-05")
    whole = told["performances"][0]
    assert (whole["kind"], whole["rows"], whole["coverage"]) == ("matured", told["matured"], 1.0)
    assert whole["metrics"]["auc"]["value"] == 1.0
    kinds = [one["kind"] for one in told["performances"]]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"matured": 1, "version": 2, "segment": 3, "day": 4}
    rows = pq.read_table(tmp_path / "outcomes.parquet").to_pylist()
    assert len(rows) == 48
    assert all(row["label"] == (row["score"] > 0.5) and row["known_at"] == row["event_time"] + 86_400_000 for row in rows)


def test_the_table_says_how_many_labels_are_known(project: Path, said: Callable[..., str]) -> None:
    """And warns where it is few."""
    outcomes = project / "data" / "outcomes.parquet"
    rows = pq.read_table(outcomes)
    pq.write_table(rows.take([number for number in range(48) if number % 4 or number > 40]), outcomes)
    text = said()
    assert "By version" in text
    assert "events of days that are due" in " ".join(text.split())
    assert "have no label within 30d" in " ".join(text.split())


def test_segments_are_those_that_the_model_is_watched_by(project: Path, said: Callable[..., str]) -> None:
    """`--by` names others. What no prediction has is said, and holds nothing up; without predictions there is nothing to say."""
    settings = project / "headrace.toml"
    settings.write_text(settings.read_text().replace("[train.num]", '[train.num]\nsegments = ["n", "c", "totals__sum_v"]'))
    text = " ".join(said().split())
    assert "By n " in text
    assert "By c " in text
    assert "nothing by totals__sum_v, segments of [train.num]: no receipt of these predictions has them" in text
    told = json.loads(said("--json", "--by", "k", "--by", "c"))
    columns = [one["column"] for one in told["performances"] if one["kind"] == "segment"]
    assert columns == ["k", "k", "k", "c"]
    (project / "predictions.jsonl").write_text("")
    assert "nothing by" not in said()
    settings.write_text(settings.read_text().replace("totals__sum_v", "country"))
    assert "a column of num but its time and id; got 'country' in segments; there are totals__sum_v" in said(code=2)


def test_what_was_found_stays_for_the_page(project: Path, said: Callable[..., str]) -> None:
    """In the run folder, in place of what was there; of a shadow nothing is left."""
    file = project / ".headrace" / "outcomes" / "num.json"
    said("--alias", "staging")
    assert not file.exists()
    for by in ("k", "c"):
        told = json.loads(said("--json", "--by", by))
        left = msgspec.json.decode(file.read_bytes(), type=OutcomesReport)
        assert (left.service, left.segments, left.matured_until) == ("num", [by], told["matured_until"])
        assert left.source == str(project / "predictions.jsonl")
        measured = [(one["kind"], one["name"], one["rows"], one["labelled"]) for one in told["performances"]]
        assert [(one.kind, one.name, one.rows, one.labelled) for one in left.cohorts] == measured
        assert left.cohorts[0].metrics["auc"].value == 1.0
        assert left.calibration
    assert sorted(one.name for one in file.parent.iterdir()) == ["num.json"]


def test_what_cannot_be_left_is_said_after_what_was_found(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run folder that is a file, say: the table is there, the exit code is 2, and one line says what to fix."""
    (project / ".headrace").write_text("")
    command = ["outcomes", "num", "--predictions", str(project / "predictions.jsonl"), "--delay", "1", "--project", str(project)]
    assert run(command) == 2
    found = capsys.readouterr()
    assert "By version" in found.out
    assert "the stack keeps its files in" in found.err


def test_before_any_label_is_due_nothing_is_measured(said: Callable[..., str]) -> None:
    """It says from which day on it will be."""
    assert "no event day is due yet" in said("--delay", "30")


def test_without_any_label_it_is_said(project: Path, said: Callable[..., str]) -> None:
    """Not that labels of days before 1970 are due."""
    labels = project / "data" / "outcomes.parquet"
    pq.write_table(pq.read_table(labels).slice(0, 0), labels)
    text = " ".join(said().split())
    assert "label outcomes.bad: 48 predictions, and no label" in text
    assert "there is no label yet, so no event day is due" in text
    assert "1970" not in text


def test_mistakes_are_one_line(project: Path, said: Callable[..., str]) -> None:
    """Of options, of the file, and of settings."""
    assert "got 'colour'; there are id" in said("--by", "colour", code=2)
    assert "got 'score' as a segment or group; take another" in said("--by", "score", code=2)
    for written in ("soon", ""):
        assert "--horizon is a whole number and a unit" in said("--horizon", written, code=2)
    (project / "predictions.jsonl").write_text("{}")
    assert "line 1: it is no prediction" in said(code=2)
    (project / "headrace.toml").write_text("")
    assert "headrace.toml has no [train.num]" in said(code=2)


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (["--stream", "--by", "k"], "--stream joins the predictions in production as they come, and prints nothing; got --by"),
        (["--stream", "--predictions", "p.jsonl"], "got --predictions; leave it out"),
        (["--stream", "--json"], "got --json; leave it out"),
        (["--stream", "--delay", "0"], "got --delay; leave it out"),
        (["--stream", "--alias", "staging"], "got --alias; leave it out"),
        (
            ["--joined", "--horizon", "3d"],
            "--joined reads what --stream has joined, by horizon of [train.SERVICE]; got --horizon",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_the_stream_joins_has_no_other_options(
    project: Path, capsys: pytest.CaptureFixture[str], options: list[str], refused: str
) -> None:
    """Before anything is read."""
    assert run(["outcomes", "num", *options, "--project", str(project)]) == 2
    assert refused in capsys.readouterr().err


def test_the_horizon_is_the_setting_unless_an_option_says_another(project: Path, said: Callable[..., str]) -> None:
    """Labels come a day later: within 30 days, and beyond 3 hours."""

    def labelled(*options: str) -> int:
        told, _ = json.JSONDecoder().raw_decode(said("--json", *options))  # a warning is behind it
        count: int = told["performances"][0]["labelled"]
        return count

    assert labelled() > 0
    (project / "headrace.toml").write_text(
        (project / "headrace.toml").read_text().replace("[train.num]", '[train.num]\nhorizon = "3h"')
    )
    assert labelled() == 0
    assert labelled("--horizon", "24h") > 0
    (project / "headrace.toml").write_text((project / "headrace.toml").read_text().replace("3h", "0h"))
    assert "train.num.horizon" in said(code=2)
