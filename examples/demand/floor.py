"""How good any model could be: the errors of the true rate, which no model knows better than to its noise.

python examples/demand/floor.py examples/demand/data/truth.parquet 2026-03-03 7
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq


def floor(truth: Path, start: date, days: int) -> dict[str, float]:
    """The errors of what the true rate expects, at the rentals of some days: ``mae``, ``rmse`` and ``bias``, as for a model."""
    table = pq.read_table(truth, columns=["rented_at", "expected", "demand"])
    day = pc.floor_temporal(table["rented_at"], unit="day").cast("date32").to_numpy()
    first = np.datetime64(start)
    tested = (day >= first) & (day < first + np.timedelta64(days, "D"))
    demand, expected = (table[name].to_numpy().astype(np.float64) for name in ("demand", "expected"))
    error = expected[tested] - demand[tested]
    return {
        "rentals": float(tested.sum()),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias": float(error.mean()),
    }


if __name__ == "__main__":
    found = floor(Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), int(sys.argv[3]))
    for name, value in found.items():
        sys.stdout.write(f"{name:8} {value:12,.4f}\n")
