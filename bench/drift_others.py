"""What other detectors of drift, those of `bench.drift_detectors`, find on the streams of `bench.drift`."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.common import ROOT, peers_python, row
from features.times import DAY_MS

SECONDS = 3600


class Stream(NamedTuple):
    """What nothing happens to, in order of time."""

    trained: Any
    """[trained rows, inputs]; NaN is null."""
    times: Any
    """[rows], UTC milliseconds."""
    x: Any
    """[rows, inputs]."""


class Case(NamedTuple):
    """One input with a shift, on the days around it."""

    shift: str
    place: int
    begin: int
    """Of the shift, UTC milliseconds."""
    times: Any
    """[rows]."""
    values: Any
    """[rows], those of the days before as they are."""


def rows(stream: Stream, cases: Sequence[Case], months: float) -> list[dict[str, Any]]:
    """For each detector: alarms a model-month on the stream, then the days from each shift to the first it says.

    Days of an input in a row on which a detector says drift are one alarm. Beside each shift, in how many of its cases it says so
    in the same days where nothing happens: what it finds by chance.
    """
    assert (np.diff(stream.times) >= 0).all()
    unchanged = [_unchanged(stream, case) for case in cases]
    told = []
    for name, found in _detected(stream, [*cases, *unchanged]).items():
        flagged = [sorted({(at - 1) // DAY_MS for at in of_input}) for of_input in found["stream"]]
        alarms = sum(_runs(days) for days in flagged)
        told.append(row(f"{name}: false alarms a model-month", round(alarms / months, 1), "alarms", better="lower"))
        told.append(
            row(
                f"{name}: a month's days of an input with an alarm",
                round(sum(map(len, flagged)) / months, 1),
                f"of {30 * stream.x.shape[1]}",
                better="lower",
            )
        )
        delays = [_delay(case, times) for case, times in zip([*cases, *unchanged], found["cases"], strict=True)]
        for shift in dict.fromkeys(case.shift for case in cases):
            own = [place for place, case in enumerate(cases) if case.shift == shift]
            known = sorted(delay for place in own if (delay := delays[place]) is not None)
            chance = sum(delays[len(cases) + place] is not None for place in own)
            what = f"{name}: {shift}, found in {len(known)} of {len(own)}, by chance in {chance}, the slowest after"
            told.append(row(what, round(known[-1], 2) if known else -1, "days", better="lower"))
    return told


def _unchanged(stream: Stream, case: Case) -> Case:
    """The same input and days without the shift."""
    start, end = np.searchsorted(stream.times, (case.times[0], case.times[-1] + 1))
    return case._replace(times=stream.times[start:end], values=stream.x[start:end, case.place])


def _delay(case: Case, times: Sequence[int]) -> float | None:
    """Days from the begin to the first time that drift is said; None: it is not."""
    return next(((at - case.begin) / DAY_MS for at in times if at > case.begin), None)


def _runs(days: Sequence[int]) -> int:
    """How many there are where neighbours are one; ``days`` ascend.

    >>> _runs([3, 4, 5, 9, 11, 12]), _runs([])
    (3, 0)
    """
    return sum(place == 0 or day > days[place - 1] + 1 for place, day in enumerate(days))


def _detected(stream: Stream, cases: Sequence[Case]) -> dict[str, dict[str, list[list[int]]]]:
    """What `bench.drift_detectors` writes."""
    with tempfile.TemporaryDirectory() as temporary:
        given, out = Path(temporary) / "given.npz", Path(temporary) / "found.json"
        columns = {f"times{number}": case.times for number, case in enumerate(cases)}
        columns |= {f"values{number}": case.values for number, case in enumerate(cases)}
        np.savez(given, places=np.array([case.place for case in cases]), **stream._asdict(), **columns)
        command = [peers_python(), "-m", "bench.drift_detectors", given, out]
        subprocess.run(command, cwd=ROOT, env=os.environ | {"DO_NOT_TRACK": "1"}, check=True, timeout=SECONDS)
        found: dict[str, dict[str, list[list[int]]]] = json.loads(out.read_text())
        return found
