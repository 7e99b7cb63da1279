"""Batch prediction of a million events, files in and a file out, beside ONNX Runtime alone on the finished input vectors.

python -m bench.score [DATA_DIR]    # a folder with the fraud example's Parquet files

What ONNX Runtime alone takes is the least that any batch prediction takes on one thread: ours also reads the files, computes the
windows of each event, calls the on-demand functions and writes the result.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from bench.common import EXAMPLE, handbook_data, peak_memory_mb, row, timed
from bench.report import table
from features.definitions.load import load
from features.feast.predictions import open_predictions_for_writing
from features.inputs.arrow import BATCH, table_matrix
from features.inputs.session import open_session
from features.service import Resources, Service
from features.sql.quoting import literal
from features.times import day_ms
from jobs.history.compute import stream_features
from jobs.history.rows_file import together, write
from jobs.predict.score import by_version, stream_scores
from jobs.predict.store import Storing
from jobs.training.trainers.xgboost import fit
from serving.models.admit import admit
from serving.models.manifest import Model
from serving.models.registry import Registry
from serving.models.session import load_model

ROWS, SECONDS, SHARE = 1_000_000, 20, 0.5
MEMORY_MB = 512
"""Of DuckDB, where memory is measured."""
ENTITIES = 100_000
DAYS = day_ms(date(2018, 5, 1)), day_ms(date(2018, 5, 8))


def rows(data: Path) -> list[dict[str, Any]]:
    """Time and speed, our share of the bare loop's, peak memory, and how many predictions are stored a second."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _first(data, folder)
        took, memory = map(float, _in_a_process("--whole", folder).split())
        found = pq.read_table(folder / "scores.parquet")
        service, model = load(EXAMPLE).service("handbook"), _model(folder)
        bare, scoring = _bare(service, model, found)
        _, small = map(float, _in_a_process("--small", folder).split())
        stored = _stored(service, folder, found.slice(0, ENTITIES))
    assert found.num_rows == ROWS
    return [
        row("score: a million events, file to file", round(took, 1), "s", goal=SECONDS, better="lower", baseline=round(bare, 1)),
        row(
            "score: columns to scores, share of ONNX Runtime's own speed",
            round(bare / scoring, 2),
            "times",
            goal=SHARE,
            baseline=1,
        ),
        row("score: file to file, share of ONNX Runtime's own speed", round(bare / took, 2), "times", baseline=1),
        row("score: events a second", round(ROWS / took), "rows/s", baseline=round(ROWS / bare)),
        row("score: peak memory", int(memory), "MiB", better="lower"),
        row(f"score: peak memory, {MEMORY_MB} MiB for DuckDB", int(small), "MiB", better="lower"),
        row("score: predictions stored in SQLite", round(ENTITIES / stored), "rows/s"),
    ]


def _first(data: Path, folder: Path) -> None:
    """The first million events, and what was known of them by then; a project for the store."""
    last = "(SELECT event_time FROM all_of ORDER BY transaction_id LIMIT 1 OFFSET 999999)"
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW all_of AS SELECT * FROM read_parquet({literal(f'{data}/transactions.parquet')})")
        for name, where in (("transactions", f"transaction_id < {ROWS}"), ("labels", f"event_time <= {last}")):
            source = literal(f"{data}/{name}.parquet")
            connection.execute(
                f"COPY (SELECT * FROM read_parquet({source}) WHERE {where} ORDER BY event_time, transaction_id) "
                f"TO {literal(f'{folder}/{name}.parquet')}"
            )
    service = load(EXAMPLE).service("handbook")
    Registry(folder / "models").register(admit(_trained(service, folder), service.plan, name="handbook", created_at=0))


def _trained(service: Service, folder: Path) -> bytes:
    """100 trees that have learned from some days: what a row costs depends on how it falls through them."""
    days = together(
        stream_features(service, end_ms=DAYS[1], start_ms=DAYS[0], histories=_histories(folder), label="labels.is_fraud")
    )
    labels = days["label"].fill_null(0).to_numpy().astype(np.float64)
    return fit(table_matrix(days, service.plan, service.plan.inputs), labels, "classification").onnx


def _histories(folder: Path) -> dict[str, str | Path]:
    return {name: folder / f"{name}.parquet" for name in ("transactions", "labels")}


def _model(folder: Path) -> Model:
    return Registry(folder / "models").get("handbook", 1)


def _in_a_process(mode: str, folder: Path) -> str:
    words = [sys.executable, "-m", "bench.score", mode, str(folder)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def _whole(folder: Path, resources: Resources) -> None:
    """Print the seconds of what `headrace score --events` does once all is loaded, and the process's peak memory in MiB."""
    service = msgspec.structs.replace(load(EXAMPLE).service("handbook"), resources=resources)
    model = _model(folder)
    loaded = load_model(model)
    tables = stream_scores(
        service, partial(loaded.score_table, plan=service.plan), inputs=model.manifest.inputs, histories=_histories(folder)
    )
    took, _ = timed(lambda: write(by_version(service, tables, model.manifest.name, 1), folder / "scores.parquet"))
    print(took, peak_memory_mb())


def _bare(service: Service, model: Model, found: pa.Table) -> tuple[float, float]:
    """Seconds of ONNX Runtime alone, and of ours from the columns to the scores; the scores are the same."""
    session = open_session(model.read("model.onnx"))
    vectors = table_matrix(found, service.plan, model.manifest.inputs)
    (given,) = model.manifest.signature.inputs
    output, place = model.manifest.signature.score

    def loop() -> list[Any]:
        return [session.run([output], {given.name: vectors[first : first + BATCH]})[0] for first in range(0, len(vectors), BATCH)]

    loop()
    took, outputs = timed(loop)
    np.testing.assert_array_equal(np.concatenate(outputs)[:, place], found["score"].to_numpy())
    loaded, features = load_model(model), found.select([*service.plan.inputs])
    scoring, _ = timed(lambda: loaded.score_table(features, plan=service.plan))
    return took, scoring


def _stored(service: Service, folder: Path, found: pa.Table) -> float:
    """Seconds until so many predictions are in a new store of SQLite."""
    project = folder / "project"
    project.mkdir()
    (project / "feature_store.yaml").write_text(
        "project: bench\nprovider: local\nregistry: registry.db\nonline_store:\n  type: sqlite\n  path: online.db\n"
        "entity_key_serialization_version: 3\n"
    )
    write_predictions = open_predictions_for_writing(msgspec.structs.replace(service, folder=project))
    storing = Storing(service.plan, write_predictions, model="handbook", version=1, computed_at=0, holds_ms=None)
    parts = [found.slice(first, BATCH) for first in range(0, found.num_rows, BATCH)]
    took, _ = timed(lambda: list(storing.of(parts)))
    return took


def main() -> None:
    """Print the figures as a table."""
    words = sys.argv[1:]
    if words[:1] in (["--whole"], ["--small"]):
        folder = Path(words[1])
        _whole(folder, Resources(MEMORY_MB, folder) if words[0] == "--small" else Resources())
        return
    Console().print(table(rows(Path(words[0]) if words else handbook_data())))


if __name__ == "__main__":
    main()
