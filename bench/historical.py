"""get_historical_features: exact windows by our offline store, beside Feast's own store that joins values computed before.

python -m bench.historical [DATA_DIR [ROWS]]    # a folder with the fraud example's Parquet files
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from bench.common import EXAMPLE, handbook_data, row, timed
from bench.report import table
from features.definitions.load import load
from features.inputs.arrow import floats
from features.service import Service
from jobs.history.compute import compute

ROWS = 10_000
STORE = """
project: fraud
provider: local
registry: registry.db
online_store:
  type: sqlite
  path: online.db
offline_store:
  type: {store}
entity_key_serialization_version: 3
"""
OURS = "jobs.history.feast_store.HeadraceOfflineStore"
KEYS = {"customer_spend": "customer_id", "terminal_risk": "terminal_id"}


def rows(data: Path, count: int = ROWS) -> list[dict[str, Any]]:
    """Twelve windows of ``count`` random transactions; and what Feast's store needs first, the windows of all of them.

    The values of the two stores are compared.
    """
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        service = load(_project(Path(folder) / "ours", OURS, data)).service("handbook")
        entities, features = _entities(service, count), _features(service)
        before, precomputed = timed(lambda: _precompute(service, Path(folder) / "theirs"))
        ours, stock = _store(service.folder, service.objects), _store(precomputed, _views(precomputed, service))
        took, found = timed(lambda: ours.get_historical_features(entities, features, full_feature_names=True).to_df())
        theirs, expected = timed(lambda: stock.get_historical_features(entities, features, full_feature_names=True).to_df())
    _same(found, expected)
    return [
        row("get_historical_features, exact windows from history", round(count / took), "rows/s", baseline=round(count / theirs)),
        row("the values that Feast's file store joins, computed for all events before", round(before, 1), "s", better="lower"),
    ]


def _project(folder: Path, store: str, data: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    for name in ("transactions.parquet", "labels.parquet"):
        (folder / "data" / name).symlink_to(data.resolve() / name)
    shutil.copy(EXAMPLE / "definitions.py", folder)
    (folder / "feature_store.yaml").write_text(STORE.format(store=store))
    return folder


def _entities(service: Service, count: int) -> pd.DataFrame:
    columns = [*KEYS.values(), "event_time"]
    whole = pq.read_table(service.folder / service.plan.spine_source.history, columns=columns).to_pandas()
    chosen = np.random.default_rng(0).choice(len(whole), count, replace=False)
    return whole.iloc[chosen].rename(columns={"event_time": "event_timestamp"}).reset_index(drop=True)


def _features(service: Service) -> list[str]:
    return [feature.name.replace("__", ":") for feature in service.plan.window_features]


def _precompute(service: Service, folder: Path) -> Path:
    """Each view's values at each event of its key, as Feast wants them: a file a view."""
    (folder / "data").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(STORE.format(store="file"))
    whole = floats(compute(service))
    time_name = service.plan.spine_source.time
    for view, key in KEYS.items():
        names = [name for name in whole.column_names if name.startswith(f"{view}__")]
        kept = whole.select([key, time_name, *names]).rename_columns([key, "at", *(name.partition("__")[2] for name in names)])
        at = kept["at"].cast(pa.timestamp("ms", "UTC"))
        pq.write_table(kept.set_column(1, "at", at), folder / "data" / f"{view}.parquet")
    return folder


def _views(folder: Path, service: Service) -> list[Any]:
    """Feast's views of the values, and their entities."""
    from feast import Entity, FeatureView, Field, FileSource, StreamFeatureView

    entities = {one.join_key: one for one in service.objects if isinstance(one, Entity)}
    streams = {one.name: one for one in service.objects if isinstance(one, StreamFeatureView)}
    views = [
        FeatureView(
            name=name,
            entities=[entities[key]],
            ttl=timedelta(0),
            schema=[Field(name=field.name, dtype=field.dtype) for field in streams[name].features],
            source=FileSource(name=f"{name}_file", path=str(folder / "data" / f"{name}.parquet"), timestamp_field="at"),
        )
        for name, key in KEYS.items()
    ]
    return [*entities.values(), *views]


def _store(folder: Path, objects: Any) -> Any:
    from feast import FeatureStore

    store = FeatureStore(repo_path=str(folder))
    store.apply(list(objects))
    return store


def _same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Feast's store gives the rows in an order of its own. Of two events of one key in one millisecond it has either's value."""
    order = [*KEYS.values(), "event_timestamp"]
    one, other = (frame.sort_values(order).reset_index(drop=True)[found.columns] for frame in (found, expected))
    differ = (one != other).any(axis=1).mean()
    assert differ < 0.001, f"{differ:.2%} of the rows differ"


def main() -> None:
    """Print the figures as a table."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else handbook_data()
    Console().print(table(rows(data, *map(int, sys.argv[2:3]))))


if __name__ == "__main__":
    main()
