"""``--from`` and ``--to``: a span without a time in it is refused, one without events is said."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from features.errors import SettingError
from features.times import Span
from infra.cli import run
from infra.cli.options import span, span_text
from tests.support.commands import COMMANDS, good
from tests.support.num import num_project

SPANNED = [words for words, one in COMMANDS.items() if {"--from", "--to"} <= {name for p in one.params for name in p.opts}]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project."""
    return num_project(tmp_path_factory.mktemp("spans") / "num")


@pytest.mark.parametrize("words", SPANNED, ids=" ".join)
@pytest.mark.parametrize("end", ["2024-05-01", "2024-05-02"])
def test_a_span_that_ends_before_it_starts(
    words: tuple[str, ...], end: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or as it starts: refused, and with both where nothing else is wrong."""
    monkeypatch.chdir(project)
    assert run([*good(*words), "--from", "2024-05-02", "--to", end]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    if words[0] in ("features", "score", "publish", "replay"):
        assert f"got --from 2024-05-02 --to {end}" in said


@pytest.mark.parametrize("command", ["features", "score"])
def test_a_span_without_events_is_said(
    command: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, and the file has no rows."""
    monkeypatch.chdir(project)
    assert run([*good(command), "--from", "2023-05-01", "--to", "2023-05-02"]) == 0
    assert (
        "note: the history of the spine has no event from 2023-05-01 00:00:00 before 2023-05-02 00:00:00"
        in capsys.readouterr().err
    )
    assert pq.read_metadata("out/out.parquet").num_rows == 0


def test_a_span_may_be_open() -> None:
    """On either side."""
    assert span(None, None) == Span()
    assert span("1970-01-02", None) == Span(86_400_000)
    assert span_text(span(None, "1970-01-01")) == " before 1970-01-01 00:00:00"
    with pytest.raises(SettingError, match="got --from 1970-01-02T00:00:00Z --to 1970-01-02; swap them"):
        span("1970-01-02T00:00:00Z", "1970-01-02")
