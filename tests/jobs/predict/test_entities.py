"""Entities scored as of one time: their features by hand, whatever kind of file they are in."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from features.definitions.load import load
from features.errors import SettingError
from features.service import Service
from jobs.history.rows_file import together
from jobs.predict.score import by_version, stream_entity_scores, stream_scores
from serving.models.registry import Registry
from serving.models.session import load_model
from tests.support.num import T, num_project

TWO_HOURS = 2 * 3_600_000
ROWS = {"k": ["k0", "k1", "new", "k0"], "d": [1.5, None, 0.25, -2.0], "note": ["not", "read", "by", "anyone"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with windows of an hour by ``k``, a function over ``d``, and a row every two hours: k0, k1, k2, k0, …"""
    return num_project(tmp_path_factory.mktemp("entities") / "a num")


@pytest.fixture(scope="module")
def num(project: Path) -> Service:
    """Its service."""
    return load(project).service("num")


def scored(num: Service, entities: Path | str, at: int) -> pa.Table:
    """Features and scores by the model in production."""
    model = Registry(num.folder / "models").get("num", "production")
    score = partial(load_model(model).score_table, plan=num.plan)
    return together(stream_entity_scores(num, score, entities, at, inputs=model.manifest.inputs))


def written(folder: Path, kind: str) -> str:
    """`ROWS` as a file of that kind, or as a table of SQLite."""
    table, path = pa.table(ROWS), folder / f"entities.{kind}"
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "csv":
        pa.csv.write_csv(table, path)
    elif kind == "jsonl":
        path.write_text(
            "".join(f'{{"k": "{row["k"]}", "d": {"null" if row["d"] is None else row["d"]}}}\n' for row in table.to_pylist())
        )
    elif kind == "glob":
        for number in range(2):
            pq.write_table(table.slice(2 * number, 2), folder / f"part-{number}.parquet")
        return str(folder / "part-*.parquet")
    else:
        path = folder / "entities.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE rows (k TEXT, d REAL)")
            connection.executemany("INSERT INTO rows VALUES (?, ?)", zip(ROWS["k"], ROWS["d"], strict=True))
        return f"sqlite:///{path}#rows"
    return str(path)


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "glob", "table"])
def test_the_features_of_entities_are_as_of_their_time(num: Service, kind: str, tmp_path: Path) -> None:
    """Windows hold the rows of history up to that millisecond; a function has the columns of the file; every row has a score."""
    at = T + TWO_HOURS  # that of the second row, 1, of k1: the first, of k0, is older than the windows are long
    found = scored(num, written(tmp_path, kind), at)
    assert found["k"].to_pylist() == ROWS["k"]
    assert found["at"].to_pylist() == [at] * 4
    assert found["totals__count_id"].to_pylist() == [0, 1, 0, 0]
    assert found["totals__sum_n"].to_pylist() == [0, 1, 0, 0]
    assert found["totals__last_2_d"].to_pylist() == [[], [1 / 7], [], []]
    assert found["doubled__twice"].to_pylist() == [3.0, None, 0.5, -4.0]
    assert found["score"].null_count == 0
    assert "note" not in found.column_names


@pytest.mark.slow
def test_a_row_of_the_same_millisecond_counts_and_one_of_the_next_does_not(num: Service, tmp_path: Path) -> None:
    """Rules 1 and 2 of the windows' contract, for a query that is no event."""
    file = written(tmp_path, "parquet")
    counts = {at: scored(num, file, at)["totals__count_id"].to_pylist()[1] for at in (T + TWO_HOURS - 1, T + TWO_HOURS)}
    assert counts == {T + TWO_HOURS - 1: 0, T + TWO_HOURS: 1}
    hour = T + TWO_HOURS + 3_600_000  # a window is half open: (at - 1 h, at]
    assert scored(num, file, hour)["totals__count_id"].to_pylist()[1] == 0
    assert scored(num, file, hour - 1)["totals__count_id"].to_pylist()[1] == 1


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no key": ({"d": [1.0]}, "source 'entities' has column 'k' of type string; got no such column"),
    "no request field": ({"k": ["a"]}, "source 'entities' has column 'd' of type float64; got no such column"),
    "a null key": ({"k": ["a", None], "d": [1.0, 2.0]}, "row 2: column 'k' is never null"),
    "a time": ({"k": ["a"], "d": [1.0], "at": [datetime(2024, 5, 1, tzinfo=UTC)]}, "have no column 'at'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_none_of_entities_is_refused(num: Service, name: str, tmp_path: Path) -> None:
    """With the column, and the row where there is one."""
    columns, said = BAD[name]
    pq.write_table(pa.table(columns), tmp_path / "bad.parquet")
    with pytest.raises(SettingError, match=said):
        scored(num, tmp_path / "bad.parquet", T)


def test_columns_of_a_prediction_are_refused_where_they_are_written(num: Service) -> None:
    """A source with a column ``score`` cannot be scored; one with a column ``model`` can, but not say which model it was."""
    model = Registry(num.folder / "models").get("num", "production")
    score = partial(load_model(model).score_table, plan=num.plan)
    with pytest.raises(SettingError, match=r"score, unscorable, outputs; source 'num' has 'score' too"):
        stream_scores(with_column(num, "score"), score)
    of_model = with_column(num, "model")
    tables = stream_scores(of_model, score)
    with pytest.raises(SettingError, match=r"model, version; source 'num' has 'model' too"):
        by_version(of_model, tables, "num", 1)


def with_column(service: Service, name: str) -> Service:
    """``service`` with a further column of its spine."""
    spine = service.plan.spine_source
    wider = msgspec.structs.replace(spine, columns=(*spine.columns, msgspec.structs.replace(spine.columns[0], name=name)))
    sources = tuple(wider if source is spine else source for source in service.plan.sources)
    return msgspec.structs.replace(service, plan=msgspec.structs.replace(service.plan, sources=sources))
