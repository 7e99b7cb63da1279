"""The three kinds of prediction, by what each costs, how soon it is there, and how good it is: ``docs/kinds.svg``.

    python -m bench kinds && python -m bench.kinds    # the figures, and the picture of those that are in bench/results

The quality is that of the fraud example's model on the days that `headrace run` predicts. One model after another is trained and
tested on windows as they were at the last midnight, at the last full hour, and at the event itself: a daily batch run, an hourly
one, and the stream. What is known of the event itself, its amount and its time, is the same for all. Cost and latency are those
that other benches have measured: `score`, `serve`, `throughput` and `latency`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.common import EXAMPLE, ROOT, handbook_data, row
from bench.report import RESULTS
from features.definitions.load import load
from features.inputs.arrow import table_matrix
from features.inputs.columns import input_columns
from features.service import Service
from features.times import DAY_MS
from infra.settings import load_settings
from jobs.history.compute import compute
from jobs.history.files import connect
from jobs.history.point_in_time import Windows, queries_of, windows_as_of
from jobs.training.config import TrainConfig
from jobs.training.labels import labels_of, outcomes
from jobs.training.metrics import measure
from jobs.training.split import Split, rows_to_test, rows_to_train, test_rows
from jobs.training.trainers import chosen

PICTURE = ROOT / "docs" / "kinds.svg"
SPLIT = Split(date(2018, 7, 25), 7, 7, 7)
HOUR_MS = 3_600_000
FRESH = {"refreshed daily": DAY_MS, "refreshed hourly": HOUR_MS, "streaming": 0}
"""How old windows may be."""
NONE = "of the event alone"
METRICS = {"average_precision": "average precision", "auc": "AUC"}
MILLION = 1_000_000
SETTINGS = {"svg.hashsalt": "headrace", "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False}


class Cost(NamedTuple):
    """Where a part of a kind's cost is."""

    result: str
    name: str
    """What the row's name begins with."""
    core_seconds: Callable[[float], float]
    """Of a million predictions, made of the row's value."""


class Kind(NamedTuple):
    """A kind of prediction, and where its figures are."""

    name: str
    costs: tuple[Cost, ...]
    latency: tuple[str, str] | None
    """The result, and the beginning of the row's name, with the milliseconds until a prediction is there; None: until the next
    run."""


def _of_rate(rate: float) -> float:
    return CORES * MILLION / rate


def _of_micros(micros: float) -> float:
    return micros


CORES = 2
"""Those of the machine, all of which the benches of files and of the stream job use."""
KINDS = (
    Kind("batch", (Cost("score", "score: events a second", _of_rate),), None),
    Kind(
        "online",
        (Cost("serve", "SQLite, cached 10 s, CPU a request", _of_micros),),
        ("serve", "SQLite, cached 10 s, steady: p50"),
    ),
    Kind(
        "streaming",
        (
            Cost(
                "throughput", "stream job, arrival mode, warm", lambda rate: 2 * _of_rate(rate)
            ),  # half of its records are labels
            Cost("scorer", "scorer, CPU", _of_micros),
        ),
        ("latency", "event → prediction at 200/s, p50"),
    ),
)


def rows() -> list[dict[str, Any]]:
    """The quality at each age of the windows, and without any."""
    handbook_data()
    service = load(EXAMPLE).service("handbook")
    config = load_settings(EXAMPLE).train["handbook"].config
    table = compute(service, start_ms=SPLIT.first_day * DAY_MS, end_ms=SPLIT.end_day * DAY_MS)
    frame = outcomes(service.plan, table, labels_of(service, config.label, config.task), config.group)
    found = []
    for name, age in FRESH.items():
        metrics = _quality(service, config, _as_of(service, table, age), frame, service.plan.inputs)
        found += [row(f"{label}, windows {name}", round(metrics[metric], 4), "") for metric, label in METRICS.items()]
    windows = {feature.name for feature in service.plan.window_features}
    metrics = _quality(service, config, table, frame, [name for name in service.plan.inputs if name not in windows])
    return [*(row(f"{label}, {NONE}", round(metrics[metric], 4), "") for metric, label in METRICS.items()), *found]


def _as_of(service: Service, table: pa.Table, age: int) -> pa.Table:
    """The rows with their windows as they were at the last refresh, every ``age`` milliseconds; 0: at the event."""
    if not age:
        return table
    plan = service.plan
    times = table[plan.spine_source.time].to_numpy() // age * age
    keys = {name: table[name].combine_chunks() for stage in plan.windows for name in stage.key}
    wanted = [Windows(plan.source(one.source), tuple((key, key) for key in one.key), one.features) for one in plan.windows]
    with connect() as connection:
        found = windows_as_of(connection, service.folder, wanted, queries_of(pa.array(times), keys))
    return pa.table({name: found.get(name, table[name]) for name in table.column_names})


def _quality(service: Service, config: TrainConfig, table: pa.Table, frame: pd.DataFrame, features: Any) -> dict[str, float]:
    """A model of these features, trained on some days and tested on later ones, as `headrace train` does it."""
    x = table_matrix(table, service.plan, input_columns(service.plan, features))
    training, test = rows_to_train(frame, SPLIT), rows_to_test(frame, SPLIT, config)
    fit, _ = chosen(config)
    fitted = fit(x[training], frame["label"][training].to_numpy())
    return measure(test_rows(frame, SPLIT, config), np.asarray(fitted.predict(x[test])), config)


def main() -> None:
    """Draw what was measured last."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("svg")
    quality = {one["name"]: one["value"] for one in _result("kinds")}
    names = [NONE, *(f"windows {name}" for name in FRESH)]
    with mpl.rc_context(SETTINGS):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        values = [quality[f"average precision, {name}"] for name in names]
        bars = left.barh(names, values, color=["#9ca3af", "#1e40af", "#0e7490", "#c2410c"])
        left.bar_label(bars, [f"{value:.3f}" for value in values], padding=4)
        left.invert_yaxis()
        left.set_xlabel("average precision")
        left.set_title("How good it is", loc="left")
        points = _points()
        costs = right.barh([name for name, _, _ in points], [cost for _, cost, _ in points], color="#4b5563")
        right.bar_label(costs, [f"{cost:,.0f}" for _, cost, _ in points], padding=4)
        right.set_yticks(range(len(points)), [f"{name}\n{when}" for name, _, when in points])
        right.invert_yaxis()
        right.set_xlabel("core seconds for a million predictions")
        right.set_title("How soon it is there, and what it costs", loc="left")
        figure.savefig(PICTURE, metadata={"Date": None})
    print(f"→ {PICTURE.relative_to(ROOT)}")


def _points() -> list[tuple[str, float, str]]:
    """Of each kind that was measured: name, core seconds a million, and how soon it is there."""
    found = []
    for kind in KINDS:
        costs = [(cost, _measured(cost.result, cost.name)) for cost in kind.costs]
        known = [cost.core_seconds(value) for cost, value in costs if value is not None]
        latency = _measured(*kind.latency) if kind.latency else None
        if len(known) < len(costs) or (kind.latency and latency is None):
            print(f"{kind.name} is not drawn: not all of its figures are in {RESULTS.relative_to(ROOT)}")
            continue
        found.append((kind.name, sum(known), "at the next run" if latency is None else f"in {latency:.1f} ms"))
    return found


def _measured(result: str, name: str) -> float | None:
    return next((float(one["value"]) for one in _result(result) if one["name"].startswith(name)), None)


def _result(name: str) -> list[dict[str, Any]]:
    path = Path(RESULTS / f"{name}.json")
    found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return found


if __name__ == "__main__":
    main()
