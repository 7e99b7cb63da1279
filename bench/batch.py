"""The whole example service over its history, beside what one would write by hand: DuckDB's SQL, and pandas.

    python -m bench.batch [DATA_DIR]    # a folder with the fraud example's transactions.parquet and labels.parquet

Each reads both files and gives the features of every transaction: ours and the SQL write them to a Parquet file. The values are
compared: pandas' running sums agree to 1e-9; the SQL counts rows of one millisecond together, and agrees but for these.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from bench.common import EXAMPLE, handbook_data, peak_memory_mb, row, timed
from bench.report import table
from features.definitions.load import load
from features.plan import Stage
from features.service import Resources, Service
from features.sql.quoting import literal
from features.times import DAY_MS
from jobs.history.compute import stream_features
from jobs.history.rows_file import write

THREADS = 2
RUNS = 2
DAYS = (1, 7, 30)


def rows(data: Path) -> list[dict[str, Any]]:
    """Rows a second of the three, and our share of the others' speed: the best of two runs, pandas' only one."""
    service = load(EXAMPLE).service("handbook")
    with tempfile.TemporaryDirectory() as temporary:
        ours, by_hand = Path(temporary) / "ours.parquet", Path(temporary) / "by hand.parquet"
        took = best_of(RUNS, lambda: features(service, data, ours))
        sql_took = best_of(RUNS, lambda: features_by_sql(data, by_hand))
        pandas_took, found = timed(lambda: features_by_pandas(service, data))
        computed = pq.read_table(ours)
        compare(computed, pq.read_table(by_hand), found)
    speed, sql_speed, pandas_speed = (computed.num_rows / seconds for seconds in (took, sql_took, pandas_took))
    return [
        row("batch features, whole service", round(speed), "rows/s", baseline=round(sql_speed)),
        row("batch features over SQL by hand", round(speed / sql_speed, 2), "times", goal=0.9, baseline=1),
        row("batch features over pandas", round(speed / pandas_speed, 1), "times", goal=5, baseline=1),
    ]


def features(service: Service, data: Path, out: Path) -> None:
    """What `headrace features` does."""
    histories = {source.name: data / Path(source.history).name for source in service.plan.sources}
    write(stream_features(service, histories=histories, threads=THREADS), out)


def features_by_sql(data: Path, out: Path) -> None:
    """What a user would write: windows by RANGE, the labels' beside the transactions, which are their queries, and a join."""
    frames = ",\n".join(
        f"d{days} AS (PARTITION BY {{key}} ORDER BY event_time RANGE BETWEEN INTERVAL {days * DAY_MS - 1} MILLISECONDS PRECEDING "
        "AND CURRENT ROW)"
        for days in DAYS
    )
    spend = ", ".join(f"count(amount) OVER d{days} AS count_{days}d, avg(amount) OVER d{days} AS mean_{days}d" for days in DAYS)
    risk = ", ".join(
        f"count(is_fraud) OVER d{days} AS risks_{days}d, coalesce(avg(is_fraud) OVER d{days}, 0) AS risk_{days}d" for days in DAYS
    )
    transactions, labels = (f"read_parquet('{data / name}.parquet')" for name in ("transactions", "labels"))
    sql = f"""
        WITH spend AS (
            SELECT *, {spend}, amount::DOUBLE AS own_amount, CAST(isodow(event_time) >= 6 AS BIGINT) AS weekend,
                CAST(hour(event_time) <= 6 AS BIGINT) AS night
            FROM {transactions} WINDOW {frames.format(key="customer_id")}
        ), wanted AS (
            SELECT terminal_id, event_time, is_fraud, NULL AS transaction_id FROM {labels}
            UNION ALL SELECT terminal_id, event_time, NULL, transaction_id FROM {transactions}
        ), risk AS (
            SELECT transaction_id, {risk} FROM wanted WINDOW {frames.format(key="terminal_id")} QUALIFY transaction_id IS NOT NULL
        )
        SELECT * FROM spend JOIN risk USING (transaction_id) ORDER BY transaction_id
    """
    with duckdb.connect(config={"threads": THREADS}) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        connection.execute(f"COPY ({sql}) TO '{out}' (FORMAT parquet)")


def features_by_pandas(service: Service, data: Path) -> dict[str, Any]:
    """What a user would write: a rolling window for each customer, and for each terminal over labels and transactions."""
    frame = pq.read_table(data / "transactions.parquet").to_pandas(date_as_object=False)
    frame["amount"] = frame["amount"].astype(float)
    labels = pq.read_table(data / "labels.parquet").to_pandas()
    customers, terminals = service.plan.windows
    found = rolled(customers, frame, "customer_id", "amount")
    both = pd.concat([labels, frame], ignore_index=True).sort_values("event_time", kind="stable")
    place = np.argsort(both.index.to_numpy())[len(labels) :]
    found |= {name: values[place] for name, values in rolled(terminals, both, "terminal_id", "is_fraud").items()}
    times = frame["event_time"].dt
    return {
        **{name: np.nan_to_num(values) for name, values in found.items()},
        "transaction_amount__amount": frame["amount"].to_numpy(),
        "transaction_flags__weekend": (times.dayofweek >= 5).astype(int).to_numpy(),
        "transaction_flags__night": (times.hour <= 6).astype(int).to_numpy(),
    }


def rolled(stage: Stage, frame: pd.DataFrame, key: str, column: str) -> dict[str, Any]:
    """The windows of a stage, in the order of ``frame``, which is that of time."""
    by_time, place = frame.set_index("event_time"), np.argsort(np.argsort(frame[key].to_numpy(), kind="stable"))
    found = {}
    for length in sorted({feature.window_ms for feature in stage.features}):
        windows = by_time.groupby(key)[column].rolling(pd.Timedelta(milliseconds=length), min_periods=0)
        for feature in stage.features:
            if feature.window_ms == length:
                found[feature.name] = getattr(windows, feature.function)().to_numpy()[place]
    return found


def compare(ours: pa.Table, by_sql: pa.Table, by_pandas: dict[str, Any]) -> None:
    """Raises where they do not agree."""
    for name, values in by_pandas.items():
        np.testing.assert_allclose(ours[name].to_numpy(), values, rtol=1e-9, atol=1e-9, err_msg=name)
    names = {f"customer_spend__{name}": name for days in DAYS for name in (f"count_{days}d", f"mean_{days}d")}
    names |= {f"terminal_risk__count_{days}d": f"risks_{days}d" for days in DAYS}
    names |= {f"terminal_risk__mean_{days}d": f"risk_{days}d" for days in DAYS}
    names |= {f"transaction_flags__{name}": name for name in ("weekend", "night")} | {"transaction_amount__amount": "own_amount"}
    for name, other in names.items():
        differ = ~np.isclose(ours[name].to_numpy(), by_sql[other].to_numpy(), rtol=1e-9)
        assert differ.mean() < 1e-3, f"{name}: {differ.sum()} rows differ"


def memory_rows(data: Path, megabytes: int = 512) -> list[dict[str, Any]]:
    """The peak memory of a process that computes the service with so much for DuckDB, over the rows once and eight times."""
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        for times in (1, 8):
            folder = Path(temporary) / str(times)
            multiply(data, folder, times)
            words = [sys.executable, "-m", "bench.batch", "--peak", str(folder), str(megabytes)]
            peak, seconds = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
            what = f"{times} x the rows, {megabytes} MiB for DuckDB"
            lines.append(row(f"peak memory, {what}", int(peak), "MiB", better="lower"))
            lines.append(row(f"time, {what}", round(float(seconds), 1), "s", better="lower"))
    return lines


def multiply(data: Path, folder: Path, times: int) -> None:
    """The rows as many times, of other customers and terminals each time, in order of time."""
    folder.mkdir()
    steps = {"transaction_id": 10**7, "customer_id": 10**5, "terminal_id": 10**5}
    others = ", ".join(f"{name} + copy * {step} AS {name}" for name, step in steps.items())
    with duckdb.connect(config={"threads": THREADS, "temp_directory": str(folder / "spill")}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in ("transactions", "labels"):
            read = f"SELECT *, row_number() OVER () AS place FROM read_parquet({literal(f'{data / name}.parquet')})"
            copies = f"({read}), range({times}) AS copies(copy) ORDER BY event_time, copy, place"
            ordered = f"SELECT * EXCLUDE (copy, place) REPLACE ({others}) FROM {copies}"
            connection.execute(f"COPY ({ordered}) TO '{folder / name}.parquet' (FORMAT parquet)")


def peak(data: Path, megabytes: int) -> None:
    """Print this process's peak memory in MiB, and the seconds, of computing the service over ``data``."""
    service = msgspec.structs.replace(load(EXAMPLE).service("handbook"), resources=Resources(megabytes, data))
    seconds, _ = timed(lambda: features(service, data, data / "out.parquet"))
    print(peak_memory_mb(), seconds)


def best_of(runs: int, run: Callable[[], object]) -> float:
    """The fewest seconds of some runs."""
    return min(timed(run)[0] for _ in range(runs))


def main() -> None:
    """Print the figures as a table."""
    words = sys.argv[1:]
    if words[:1] == ["--peak"]:
        peak(Path(words[1]), int(words[2]))
        return
    is_memory = words[:1] == ["--memory"]
    data = Path(words[-1]) if words[int(is_memory) :] else handbook_data()
    Console().print(table(memory_rows(data) if is_memory else rows(data)))


if __name__ == "__main__":
    main()
