"""Drift alarms: how many are false on the example's stationary stream, and how long shifts take until they are found.

    python -m bench drift

A model learns from a week of July. Two later months are held against it, as they are, and with one input changed from a day on,
after the windows and before the model, so that the scores change with it; the model is watched by segments of one more input, and
without them. Beside it, as one would write it at first, a two-sample test of Kolmogorov and Smirnov for each input and day
against the training rows, p < 0.05, and the detectors of Evidently and of river with their defaults, on the same streams
(`bench.drift_detectors`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from scipy.stats import ks_2samp

from bench import drift_others
from bench.common import EXAMPLE, handbook_data, peers_python, row
from features.definitions.load import load
from features.inputs.arrow import table_matrix
from features.inputs.reference import SCORE, Reference
from features.times import DAY_MS, day_ms
from infra.config import monitor_rules
from infra.models import registering
from infra.monitor_settings import MonitorSettings
from infra.settings import load_settings
from jobs.history.compute import compute
from jobs.training.fitted import onnx_scores
from jobs.training.split import Split
from jobs.training.train import train
from schemas import Alarm
from serving.models.manifest import read_reference
from serving.models.registry import Registry
from serving.monitor.monitor import Monitor
from serving.monitor.state import State

SERVICE, KEY = "handbook", "customer_id"
SPLIT = Split(date(2018, 7, 25), days=7, delay_days=7, test_days=7)
FROM, UNTIL = day_ms(date(2018, 8, 1)), day_ms(date(2018, 10, 1))
STARTS = [date(2018, 8, 8), date(2018, 8, 15), date(2018, 8, 24), date(2018, 9, 4), date(2018, 9, 15)]
"""Days on which a shift begins, each tried alone."""
BEFORE, AFTER = 3, 10
"""Days of the stream around such a day."""
AMOUNT, MEAN = "transaction_amount__amount", "customer_spend__mean_7d"
SEGMENTS, SEGMENT = "customer_spend__mean_30d", 4
"""The input by whose values rows are watched apart, and the one of its segments, of about a tenth of the rows, that changes."""


class Own(NamedTuple):
    """Which rows are changed where not all are."""

    of_key: Any
    """Those of a tenth of the keys."""
    of_segment: Any


Change = Callable[[Any, Own, float], Any]
"""(the input's column, the rows, the standard deviation in training) → the column."""
SHIFTS: dict[str, tuple[str, Change]] = {
    "mean + 0.25 sd": (MEAN, lambda x, own, sd: x + 0.25 * sd),
    "mean + 0.5 sd": (MEAN, lambda x, own, sd: x + 0.5 * sd),
    "gone null": (MEAN, lambda x, own, sd: np.full_like(x, np.nan)),
    "a unit changed, x 100": (AMOUNT, lambda x, own, sd: x * 100),
    "one segment + 0.25 sd": (AMOUNT, lambda x, own, sd: np.where(own.of_segment, x + 0.25 * sd, x)),
    "one segment + 0.5 sd": (AMOUNT, lambda x, own, sd: np.where(own.of_segment, x + 0.5 * sd, x)),
    "a tenth of the keys + 0.5 sd": (AMOUNT, lambda x, own, sd: np.where(own.of_key, x + 0.5 * sd, x)),
}


class Made(NamedTuple):
    """A model of a week of July, and the stream of the months after it."""

    onnx: bytes
    inputs: tuple[str, ...]
    reference: Reference
    trained: Any
    """[trained rows, inputs]; NaN is null."""
    times: Any
    """[rows], UTC milliseconds."""
    x: Any
    """[rows, inputs]."""
    keys: Any
    """[rows]."""

    @property
    def whole(self) -> Reference:
        """The reference without segments."""
        return msgspec.structs.replace(self.reference, segments=())

    @property
    def months(self) -> float:
        """Of the stream."""
        return (UNTIL - FROM) / DAY_MS / 30


def rows() -> list[dict[str, Any]]:
    """False alarms a month by windows of a day and an hour, and the days from a shift to its alarm; -1: none was found."""
    peers_python()  # refused before what is slow
    handbook_data()  # where the example has its history
    made = _made()
    found, cases = _false_alarms(made), []
    for name, (column, change) in SHIFTS.items():
        told, of_shift = _shifted(made, name, column, change)
        found.append(told)
        cases += of_shift
    return found + drift_others.rows(drift_others.Stream(made.trained, made.times, made.x), cases, made.months)


def _made() -> Made:
    service = load(EXAMPLE).service(SERVICE)
    config = msgspec.structs.replace(load_settings(EXAMPLE).train[SERVICE].config, segments=(SEGMENTS,))
    with tempfile.TemporaryDirectory() as temporary:
        registry = Registry(Path(temporary))
        result = train(service, config, SPLIT, register=registering(registry))
        reference = read_reference(registry.get(SERVICE, 1))
    assert reference is not None
    inputs = result.manifest.inputs
    table = compute(service, start_ms=SPLIT.first_day * DAY_MS, end_ms=UNTIL)
    times, x, keys = table["event_time"].to_numpy(), table_matrix(table, service.plan, inputs), table[KEY].to_numpy()
    live = times >= FROM
    return Made(result.onnx, inputs, reference, x[~live], times[live], x[live], keys[live])


def _false_alarms(made: Made) -> list[dict[str, Any]]:
    """Of the stream as it is, to which nothing happens."""
    found, scores = [], onnx_scores(made.onnx, made.x)
    for of, how in ((made.whole, ""), (made.reference, ", by segments too")):
        for window in ("day", "hour"):
            opened = _opened(of, window, made.inputs, made.times, made.x, scores)
            name = f"drift: false alarms a model-month, windows of a {window}{how}"
            found.append(row(name, round(len(opened) / made.months, 2), "alarms", goal=1, better="lower"))
    name = "drift: a month's days of an input with Kolmogorov-Smirnov p < 0.05"
    naive = _naive(made.trained, made.x, made.times) / made.months
    return [*found, row(name, round(naive, 1), f"of {30 * made.x.shape[1]}", better="lower")]


def _shifted(made: Made, name: str, column: str, change: Change) -> tuple[dict[str, Any], list[drift_others.Case]]:
    """In how many cases a shift is found, and how late; and the cases, one for each day that it may begin on."""
    cases, delays, without = [], [], 0
    place = made.inputs.index(column)
    for start in STARTS:
        begin = day_ms(start)
        near = (made.times >= begin - BEFORE * DAY_MS) & (made.times < begin + AFTER * DAY_MS)
        changed = _changed(made, near, begin, place, change)
        times, scores = made.times[near], onnx_scores(made.onnx, changed)
        cases.append(drift_others.Case(f"{name} of {column}", place, begin, times, changed[:, place]))
        ends, ends_whole = (
            [
                one.window_end
                for one in _opened(of, "day", made.inputs, times, changed, scores)
                if one.input == column and one.window_end > begin
            ]
            for of in (made.reference, made.whole)
        )
        delays.append((ends[0] - begin) / DAY_MS if ends else np.inf)
        without += bool(ends_whole)
    known = sorted(delay for delay in delays if np.isfinite(delay))
    what = f"drift: {name} of {column}, found in {len(known)} of {len(delays)} ({without} without segments), the slowest after"
    return row(what, known[-1] if known else -1, "days", better="lower"), cases


def _changed(made: Made, near: Any, begin: int, place: int, change: Change) -> Any:
    """The rows ``near``, with one input changed from ``begin`` on, [rows, inputs]."""
    changed, own = made.x[near].copy(), made.times[near] >= begin
    some = Own(made.keys[near][own] % 10 == 0, _in_segment(made.reference, changed[own, made.inputs.index(SEGMENTS)]))
    changed[own, place] = change(changed[own, place], some, float(np.nanstd(made.trained[:, place])))
    return changed


def _in_segment(reference: Reference, values: Any) -> Any:
    """Whether each value is of the segment."""
    (segments,) = reference.segments
    bins = next(one.bins for one in reference.histograms if one.name == SEGMENTS)
    return np.array(segments.of_cells)[bins.cells(values)] == SEGMENT


def _opened(reference: Reference, window: Any, inputs: Any, times: Any, x: Any, scores: Any) -> list[Alarm]:
    """The alarms that a monitor with the settings' defaults, but for the kind of window, opens."""
    rules = monitor_rules(MonitorSettings(window=window, kept_windows=10_000))
    monitor = Monitor(State(SERVICE, window), rules, lambda model, version: reference)
    columns = {name: x[:, place] for place, name in enumerate(inputs)}
    monitor.count(SERVICE, 1, times.astype(np.int64), columns | {SCORE: scores})
    return [alarm for alarm in monitor.advance(2**62) if alarm.state == "open"]


def _naive(trained: Any, x: Any, times: Any) -> int:
    """How often an input of a day is another than in training, by the textbook."""
    found = 0
    for day in np.unique(times // DAY_MS):
        own = x[times // DAY_MS == day]
        found += sum(ks_2samp(trained[::7, place], own[:, place], method="asymp").pvalue < 0.05 for place in range(x.shape[1]))
    return found
