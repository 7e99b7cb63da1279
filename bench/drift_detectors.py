"""Evidently's and river's detectors of drift on one input after the other, in a process of ``.venv-bench``.

    .venv-bench/bin/python -m bench.drift_detectors IN.npz OUT.json

Imports nothing of Headrace. IN has ``trained``, [trained rows, inputs], then a stream in order of time, ``times``, [rows], UTC
milliseconds, and ``x``, [rows, inputs], and cases, each one input on some days: ``places``, [cases], which one, and for case i
``times<i>`` and ``values<i>``. OUT has for each detector, by input of the stream and by case, when it said that there is drift.

All have their library's defaults. Evidently holds each UTC day against the trained rows, by the test that it picks itself, and is
told by the end of the day. A detector of river is given every value, those of training first, as deviations from their mean in
training, without nulls, of which it takes none; KSWIN has one value in `EVERY`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

DAY_MS = 86_400_000
EVERY = 100
"""A value takes KSWIN half a millisecond: all streams here would take it three hours."""
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Detect = Callable[[Numbers, Any, Numbers], list[int]]
"""(trained values, [trained rows]; times and values of the stream, [rows]) → the times at which there is drift, ascending."""


def evidently(trained: Numbers, times: Any, values: Numbers) -> list[int]:
    """The ends of the days that have drifted. A day of nulls alone counts as one: a report of it ends with an error."""
    import pandas as pd
    from evidently.legacy.calculations.stattests.registry import get_stattest
    from evidently.legacy.core import ColumnType

    found, days = [], times // DAY_MS
    reference = pd.Series(trained[~np.isnan(trained)])
    for day in np.unique(days).tolist():
        own = values[days == day]
        current = pd.Series(own[~np.isnan(own)])
        test = None if current.empty else get_stattest(reference, current, ColumnType.Numerical, None)
        if test is None or test(reference, current, ColumnType.Numerical, None).drifted:
            found.append((day + 1) * DAY_MS)
    return found


def streaming(make: Callable[[], Any], every: int = 1) -> Detect:
    """A detector of river, made anew for each stream."""

    def detect(trained: Numbers, times: Any, values: Numbers) -> list[int]:
        mean, deviation = float(np.nanmean(trained)), float(np.nanstd(trained)) or 1.0
        detector, found = make(), []
        for value in ((trained[~np.isnan(trained)][::every] - mean) / deviation).tolist():
            detector.update(value)
        some = ~np.isnan(values)
        for time, value in zip(times[some][::every].tolist(), ((values[some][::every] - mean) / deviation).tolist(), strict=True):
            detector.update(value)
            if detector.drift_detected:
                found.append(time)
        return found

    return detect


def detectors() -> dict[str, Detect]:
    """By their names in the results."""
    from river.drift import ADWIN, KSWIN, PageHinkley

    return {
        "Evidently": evidently,
        "river ADWIN": streaming(ADWIN),
        f"river KSWIN, one value in {EVERY}": streaming(lambda: KSWIN(seed=0), EVERY),
        "river Page-Hinkley": streaming(PageHinkley),
    }


def main() -> None:
    """Run them all."""
    given, out = map(Path, sys.argv[1:])
    with np.load(given) as read:
        trained, times, x = read["trained"].astype(np.float64), read["times"], read["x"].astype(np.float64)
        cases = [(place, read[f"times{i}"], read[f"values{i}"].astype(np.float64)) for i, place in enumerate(read["places"])]
    found = {
        name: {
            "stream": [detect(trained[:, place], times, x[:, place]) for place in range(x.shape[1])],
            "cases": [detect(trained[:, place], when, values) for place, when, values in cases],
        }
        for name, detect in detectors().items()
    }
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
