"""``headrace features --engine``: what is refused before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.cli import run


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--engine", "flink"), "none is named; write --flink HOST:PORT, or set stream.cluster"),
        (("--flink", "localhost:8081"), "got --engine duckdb; add --engine flink"),
        (("--engine", "flink", "--flink", "localhost"), "a Flink cluster is HOST:PORT, of its REST API; got localhost"),
        (("--engine", "flink", "--flink", "a:1", "--as-of", "served"), "values that were computed; leave out --engine"),
        (("--engine", "flink", "--flink", "127.0.0.1:1"), "start the cluster, or name another with --flink"),
    ],
)
def test_what_no_cluster_can_compute_is_one_line(
    options: tuple[str, ...], said: str, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, the rule, what came and what to do; and no file."""
    out = tmp_path / "out.parquet"
    assert run(["features", "handbook", *options, "--out", str(out), "--project", str(small_data)]) == 2
    told = capsys.readouterr().err.strip()
    assert said in " ".join(told.split())
    assert "\n" not in told
    assert not out.exists()
