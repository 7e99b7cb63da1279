"""``headrace batch-views``, and what the other commands say of batch rows; real files and a real online store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.definitions.load import load
from features.feast.online import open_online_store
from infra.cli import run
from infra.cli.batch_rows import noting_days, tell_of_no_push
from jobs.ingest.publish import Event


@pytest.fixture
def project(small_copy: Path) -> Path:
    """The example with data of 2018-04-01 to 2018-05-15."""
    return small_copy


def command(project: Path, *options: str, service: str = "fraud") -> int:
    """The exit code of a command over the project."""
    return run(["batch-views", service, *options, "--project", str(project)])


def told(capsys: pytest.CaptureFixture[str], project: Path, *options: str) -> dict[str, Any]:
    """What the command prints as JSON of the example's one view."""
    assert command(project, *options, "--json") == 0
    (fields,) = json.loads(capsys.readouterr().out)
    return dict(fields)


@pytest.mark.slow
def test_from_a_daily_feature_to_the_online_store(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Computed, kept the second time, and pushed: each key's row online is that of the last day."""
    span = ("--from", "2018-05-01", "--to", "2018-05-04")
    first = told(capsys, project, *span)
    assert (first["computed"], first["kept"], first["pushed"]) == (["2018-05-01", "2018-05-02", "2018-05-03"], [], None)
    assert first["file"] == str(project / "data" / "customer_profile.parquet")
    second = told(capsys, project, *span, "--push")
    assert (second["computed"], second["rows"], len(second["kept"])) == ([], 0, 3)
    service = load(project).service("fraud")
    (row,) = open_online_store(project, service.objects, service.plan.batch)(service.plan.batch[0], [(1,)])
    assert row is not None
    assert row.as_of == datetime(2018, 5, 3, tzinfo=UTC).timestamp() * 1000
    assert second["pushed"] > 100
    assert told(capsys, project, "--to", "2018-05-05")["computed"] == ["2018-05-04"]
    assert len(told(capsys, project, "--to", "2018-05-20")["computed"]) == 7
    assert len(told(capsys, project, *span, "--again")["computed"]) == 3


@pytest.mark.parametrize(
    ("options", "service", "said"),
    [
        (("--from", "2018-05-04", "--to", "2018-05-04"), "fraud", "--to is after --from; got --from 2018-05-04 --to 2018-05-04"),
        (("--from", "1 May"), "fraud", "--from is a day, YYYY-MM-DD; got '1 May'"),
        (("--to", "2999-01-01"), "fraud", "2998-12-31 has not begun"),
        ((), "handbook", "'handbook' has none; add one"),
        (("--history", "transactions=gone.parquet"), "fraud", "no file gone.parquet"),
    ],
)
def test_what_cannot_be_computed_is_one_line(
    options: tuple[str, ...], service: str, said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, the rule, what came and what to do."""
    assert command(project, *options, service=service) == 2
    captured = capsys.readouterr()
    assert said in " ".join(captured.err.split())
    assert captured.err.strip().count("\n") == 0


def test_a_history_that_ends_long_before_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rows of a day are no newer than what they are made of."""
    assert command(project, "--from", "2018-05-20", "--to", "2018-05-21") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "the history of 'transactions' ends on 2018-05-15, long before 2018-05-20" in said


def test_a_day_that_has_not_begun_is_no_default(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --to, the last day is today."""
    today = datetime.now(UTC).date()
    fields = told(capsys, project, "--from", str(today))
    assert (fields["computed"], fields["to"]) == ([str(today)], str(today + timedelta(days=1)))


@pytest.mark.slow
def test_features_say_which_rows_they_lack(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning on stderr for a file that ends before the events, and none where each day has its rows."""
    assert command(project, "--from", "2018-05-01", "--to", "2018-05-03") == 0
    for first, end, lines in (("2018-05-01", "2018-05-04", 0), ("2018-05-01", "2018-05-10", 1), ("2018-04-30", "2018-05-03", 1)):
        capsys.readouterr()
        options = ["--from", first, "--to", end, "--out", str(tmp_path / "out.parquet"), "--project", str(project)]
        assert run(["features", "fraud", *options]) == 0
        assert capsys.readouterr().err.count("warning: batch view 'customer_profile'") == lines


def test_publishing_several_days_says_what_it_does_not_do(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the topic is the spine of a service with batch views, and the events are of more than one day."""
    plans = load(project).plans
    day = 86_400_000
    for times, topic, said in (([0, day], "transactions", True), ([1, 2], "transactions", False), ([0, day], "labels", False)):
        days = set[int]()
        assert len(list(noting_days([Event(time, topic, None, b"") for time in times], days))) == 2
        tell_of_no_push(plans, topic, days)
        assert ("'headrace replay fraud'" in capsys.readouterr().err) == said
