"""`headrace freshness`: the table, JSON, and what is refused before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.cli import run

pytestmark = pytest.mark.slow

DAYS = ("--from", "2018-04-05", "--until", "2018-05-14", "--ages", "0,4")


def test_it_shows_what_age_loses(small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a table with a recommendation, and as JSON."""
    project = ("--project", str(small_data))
    assert run(["freshness", "handbook", *DAYS, "--out", str(tmp_path / "picture.svg"), *project]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "3 cut-off days from 2018-04-23 to 2018-05-07, 6 models of 7 days" in text
    assert "Retrain" in text
    assert (tmp_path / "picture.svg").read_text().startswith("<?xml")
    assert run(["freshness", "handbook", *DAYS, "--json", *project]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["age"] for one in told["ages"]] == [0, 4]
    assert told["recommendation"].startswith("Retrain")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ages", "7,14"), "ages are days, ascending, from 0 on; got '7,14'"),
        (("--ages", "0,14,7"), "ages are days, ascending"),
        (("--ages", "0,x"), "ages are days, ascending"),
        (("--every", "3"), "a test day counts once; got --every 3 and --test-days 7"),
        (("--until", "soon"), "a day is YYYY-MM-DD; got 'soon'"),
        (("--until", "2018-06-14"), "labels are due of days before 2018-05-15; got --until 2018-06-14"),
        (("--from", "2018-05-01"), "an interval needs 3 cut-off days"),
    ],
)
def test_mistakes_are_one_line(options: tuple[str, ...], said: str, small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that do not fit, and too little history."""
    assert run(["freshness", "handbook", *DAYS, *options, "--project", str(small_data)]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
