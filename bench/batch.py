"""Windows over history: DuckDB's rows a second, beside pandas.

python -m bench.batch DATA_DIR    # a folder with the fraud example's transactions.parquet
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from bench.common import EXAMPLE, handbook_data, row
from bench.report import table
from features.definitions.load import load
from features.plan import Plan
from features.sql.duckdb import windows_sql
from features.times import ALWAYS
from jobs.history.files import connect
from jobs.history.tables import File, create_table

THREADS = 2
RUNS = 3
T = TypeVar("T")


def rows(data: Path) -> list[dict[str, Any]]:
    """Three customer windows, count and mean, over all transactions in ``data``: the best of three runs of each engine.

    The values are compared: DuckDB's agree with exact sums to the bit, pandas' running sums to 1e-9.
    """
    plan = load(EXAMPLE).service("handbook").plan
    transactions = data / "transactions.parquet"
    took, features = duckdb_windows(plan, transactions)
    pandas_took, pandas_features = pandas_windows(plan, transactions)
    for name, values in pandas_features.items():
        np.testing.assert_allclose(features[name].to_numpy(), values, rtol=1e-9)
    speed, baseline = features.num_rows / took, features.num_rows / pandas_took
    return [
        row("batch windows, DuckDB", round(speed), "rows/s", goal=1_000_000, baseline=round(baseline)),
        row("batch windows, DuckDB over pandas", round(speed / baseline, 1), "times", goal=5, baseline=1),
    ]


def duckdb_windows(plan: Plan, transactions: Path) -> tuple[float, pa.Table]:
    """Seconds, and the features of each row."""
    source = plan.spine_source
    with connect(THREADS) as connection:
        create_table(connection, source, [File(transactions, queries=ALWAYS)], {source.time}, ALWAYS)
        return best_of(lambda: connection.sql(windows_sql(plan, plan.windows[0])).to_arrow_table())


def pandas_windows(plan: Plan, transactions: Path) -> tuple[float, dict[str, Any]]:
    """Seconds, and the features of each row, in the order of the file."""
    frame = pq.read_table(transactions).to_pandas(date_as_object=False)
    frame["amount"] = frame["amount"].astype(float)
    return best_of(lambda: pandas_features(plan, frame))


def pandas_features(plan: Plan, frame: pd.DataFrame) -> dict[str, Any]:
    """What a user would write: a rolling window for each customer."""
    features = {}
    by_time = frame.set_index("event_time")
    for days in sorted({feature.window_ms for feature in plan.windows[0].features}):
        rolled = by_time.groupby("customer_id")["amount"].rolling(pd.Timedelta(milliseconds=days))
        for feature in plan.windows[0].features:
            if feature.window_ms == days:
                features[feature.name] = getattr(rolled, feature.function)().to_numpy()
    by_customer = np.argsort(frame["customer_id"].to_numpy(), kind="stable")
    place = np.argsort(by_customer)
    return {name: values[place] for name, values in features.items()}


def best_of(run: Callable[[], T]) -> tuple[float, T]:
    """The fewest seconds of some runs, and the last one's result."""
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - began)
    return min(seconds), result


def main() -> None:
    """Print the figures as a table."""
    Console().print(table(rows(Path(sys.argv[1]) if len(sys.argv) > 1 else handbook_data())))


if __name__ == "__main__":
    main()
