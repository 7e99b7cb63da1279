"""The project `num`, and `headrace retrain` of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.cli import run
from tests.infra.retraining.support import DAYS, Look
from tests.support.num import num_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project, with a version in production that knows nothing and learnt from days long ago."""
    return num_project(tmp_path / "num")


@pytest.fixture
def look(project: Path, capsys: pytest.CaptureFixture[str]) -> Look:
    """`headrace retrain num --when …`; gives what it said, once its exit code is as expected."""

    def called(*options: str, code: int = 0) -> str:
        found = run(["retrain", "num", *DAYS, *options, "--project", str(project)])
        said = capsys.readouterr()
        assert found == code, said
        return " ".join((said.out + said.err).split())

    return called
