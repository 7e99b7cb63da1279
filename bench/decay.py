"""What a model loses where the world changes, and what updates bring back: ``docs/decay.svg``.

    python -m bench decay && python -m bench.decay    # the figures, and the picture of those that are in bench/results

The fraud example's stream with a new kind of fraud from `BEGINS` on. One model is made once and serves for good. Others are made
anew every four weeks, every week and every day, each from the newest week whose labels are known, and serve until the next; one
more each week as `headrace retrain` makes it, which keeps the newest two weeks for its test. Beside them two learners of river
take in each label as it becomes known. All score the same rows, of every second customer, and are measured by weeks once all
labels are known: a week's rows are those that `headrace freshness` would test on, by its pieces.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from bench.common import EXAMPLE, ROOT, handbook_data, peers_python, row, simulation
from bench.report import RESULTS
from features.definitions.load import load
from features.service import Service
from features.times import DAY_MS, day_ms, day_of
from infra.settings import load_settings
from jobs.freshness.measure import Comparison, ages_of, rows_learnt, rows_tested
from jobs.training.config import TrainConfig
from jobs.training.metrics import main_metric
from jobs.training.rows import Rows, rows_of
from jobs.training.split import Split
from jobs.training.train import fitting

SERVICE, KEY = "handbook", "customer_id"
TRAINER = "lightgbm"
"""A week's model takes a second: there are 115."""
PICTURE = ROOT / "docs" / "decay.svg"
NEW_FRAUD_FROM = 98
BEGINS = date(2018, 7, 8)
"""The same as a date."""
FIRST, END = date(2018, 6, 10), date(2018, 9, 30)
"""Of the days that are scored: four weeks before, twelve after."""
WEEKS = Comparison(date(2018, 5, 27), END, days=7, delay_days=7, test_days=7, every=7, ages=(0,))
HELD_OUT = 14
"""Days by which `headrace retrain` learns from older rows: its test's, and the delay before them."""
EVERY_SECOND = 2
PATIENCE_SECONDS = 3600
Doubles = npt.NDArray[np.float64]


class Policy(NamedTuple):
    """When models are made, and from what."""

    name: str
    every: int | None
    """Days from an update to the next; None: there is none."""
    older: int = 0
    """Days by which the rows learnt from are older than the newest whose labels are known."""


DAILY, UNIT = "every day", "average precision"
POLICIES = (
    Policy("no updates", None),
    Policy("every 4 weeks", 28),
    Policy("every week", 7),
    Policy(DAILY, 1),
    Policy("every week, two weeks held out", 7, HELD_OUT),
)
LEARNERS = {"logistic": "river: logistic regression", "forest": "river: adaptive random forest"}
"""By their name in `bench.streaming`."""


def rows() -> list[dict[str, Any]]:
    """Each week's average precision of each, then means before and after, and what it costs."""
    peers_python()  # refused before what is slow
    data = handbook_data(NEW_FRAUD_FROM)
    assert day_ms(BEGINS) == simulation().START.astype(int) + NEW_FRAUD_FROM * DAY_MS
    service = load(EXAMPLE).service(SERVICE)
    config = msgspec.structs.replace(load_settings(EXAMPLE).train[SERVICE].config, trainer=TRAINER, parameters={})
    stream = _rows(service, config, data)
    scored = _scored(stream)
    with tempfile.TemporaryDirectory() as temporary, _streaming(Path(temporary), stream, scored, service) as learners:
        scores, cost = _retrained(service, config, stream, scored)
        for learner, name in LEARNERS.items():
            scores[name], cost[name] = _finished(learners[learner], Path(temporary) / f"{learner}.npz")
    return _report(_by_week(stream, config, scored, scores), cost)


def _rows(service: Service, config: TrainConfig, data: Path) -> Rows:
    """The rows of all days that any model learns from or scores."""
    first = FIRST - timedelta(days=WEEKS.days + WEEKS.delay_days + HELD_OUT)
    every = msgspec.structs.replace(config, leave_out_known_positives=False)
    split = Split(first, (FIRST - first).days, 0, (END - FIRST).days)
    histories = {source.name: data / Path(source.history).name for source in service.plan.sources}
    return rows_of(service, every, split, histories=histories, known_then=False)


def _scored(stream: Rows) -> npt.NDArray[np.bool_]:
    """Which rows all have to score."""
    later = stream.frame["day"].to_numpy() >= day_ms(FIRST) // DAY_MS
    found: npt.NDArray[np.bool_] = later & (stream.table[KEY].to_numpy() % EVERY_SECOND == 0)
    return found


def _retrained(
    service: Service, config: TrainConfig, stream: Rows, scored: npt.NDArray[np.bool_]
) -> tuple[dict[str, Doubles], dict[str, float]]:
    """The scores of each policy, [rows], and the seconds of CPU that its trainings took."""
    fit, days = fitting(config, service.plan), stream.frame["day"].to_numpy()
    first, end = day_ms(FIRST) // DAY_MS, day_ms(END) // DAY_MS
    scores = {policy.name: np.full(len(days), np.nan) for policy in POLICIES}
    cost = dict.fromkeys(scores, 0.0)
    serves = dict[int, list[tuple[str, int, int]]]()  # by the day up to which a model learnt: whose it is, from when until when
    for policy in POLICIES:
        step = policy.every or end - first
        for cut in range(first, end, step):
            learnt_until = cut - WEEKS.delay_days - policy.older
            serves.setdefault(learnt_until, []).append((policy.name, cut, min(cut + step, end)))
    for learnt_until, served in sorted(serves.items()):
        places, labels = rows_learnt(stream, config, WEEKS, learnt_until)
        began = time.process_time()
        predict = fit(stream.x[places], labels).predict
        took = time.process_time() - began
        for name, start, stop in served:
            own = scored & (days >= start) & (days < stop)
            scores[name][own] = predict(stream.x[own])
            cost[name] += took
    return scores, cost


@contextmanager
def _streaming(
    folder: Path, stream: Rows, scored: npt.NDArray[np.bool_], service: Service
) -> Iterator[Mapping[str, subprocess.Popen[bytes]]]:
    """The learners of `bench.streaming`, on the same rows, beside what the block does; ended with it."""
    ids, known = stream.frame["event_id"].to_numpy(), stream.known
    order = np.argsort(known["event_id"].to_numpy())
    of = order[np.searchsorted(known["event_id"].to_numpy()[order], ids)]
    assert (known["event_id"].to_numpy()[of] == ids).all()  # the simulation gives each row one label
    times = stream.table[service.plan.spine_source.time].to_numpy()
    given = folder / "stream.npz"
    columns = {"time": times, "known_at": known["known_at"].to_numpy()[of], "label": known["label"].to_numpy()[of]}
    np.savez(given, x=stream.x, scored=scored, **columns)
    made = dict[str, subprocess.Popen[bytes]]()
    try:
        for learner in LEARNERS:
            command = [peers_python(), "-m", "bench.streaming", learner, given, folder / f"{learner}.npz"]
            made[learner] = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
        yield made
    finally:
        for one in made.values():
            one.kill()
            one.wait()


def _finished(process: subprocess.Popen[bytes], out: Path) -> tuple[Doubles, float]:
    """The scores, [rows], and the seconds of CPU, of a learner that is waited for."""
    if process.wait(PATIENCE_SECONDS):
        raise RuntimeError(f"a learner of river ended with {process.returncode}; its message is above")
    with np.load(out) as found:
        return found["scores"], float(found["seconds"])


def _by_week(
    stream: Rows, config: TrainConfig, scored: npt.NDArray[np.bool_], scores: Mapping[str, Doubles]
) -> dict[str, dict[date, float]]:
    """The main metric of each by the first day of a week."""
    metric, labels = main_metric(config.task), stream.frame["label"].to_numpy()
    found: dict[str, dict[date, float]] = {name: {} for name in scores}
    for cut in WEEKS.cut_offs:
        tested = rows_tested(stream, config, WEEKS, cut)
        own = tested[scored[tested]]
        for name, values in scores.items():
            found[name][day_of(cut * DAY_MS)] = metric.measure(labels[own], values[own])
    return found


def _report(weeks: Mapping[str, Mapping[date, float]], cost: Mapping[str, float]) -> list[dict[str, Any]]:
    after = {name: np.array([value for start, value in values.items() if start >= BEGINS]) for name, values in weeks.items()}
    told = []
    for name, values in weeks.items():
        before = [value for start, value in values.items() if start < BEGINS]
        told.append(row(f"decay: before, {name}", round(float(np.mean(before)), 4), UNIT))
        told.append(row(f"decay: after, {name}", round(float(after[name].mean()), 4), UNIT))
        if name != DAILY:
            lost = ages_of({0: after[DAILY], 1: after[name]}, cost[name], higher_is_better=True)[1].lost
            bounds = ("", lost.value), (", low", lost.low), (", high", lost.high)
            told += [
                row(f"decay: lost beside {DAILY}{bound}, {name}", round(of, 4), UNIT, better="lower") for bound, of in bounds
            ]
        told.append(row(f"decay: cost, {name}", round(cost[name], 1), "CPU s", better="lower"))
    for name, values in weeks.items():
        told += [row(f"decay: week of {start}, {name}", round(value, 4), UNIT) for start, value in values.items()]
    return told


def main() -> None:
    """Draw what was measured last."""
    from jobs.audit.drawing import figure, write

    told = {one["name"]: one["value"] for one in json.loads((RESULTS / "decay.json").read_text())}
    names = [policy.name for policy in POLICIES] + list(LEARNERS.values())
    title = "Average precision by week: a new kind of fraud begins on " + str(BEGINS)
    starts = [day_of(cut * DAY_MS) for cut in WEEKS.cut_offs]
    with figure(9.5, 4.6) as drawing:
        axes = drawing.subplots()
        for name, (colour, style, marker) in zip(names, LOOKS, strict=True):
            values = [told[f"decay: week of {start}, {name}"] for start in starts]
            axes.plot(
                [str(start)[5:] for start in starts],
                values,
                color=colour,
                linestyle=style,
                marker=marker,
                markersize=4,
                label=name,
            )
        axes.axvline(starts.index(BEGINS) - 0.5, color="#6b7280", linewidth=0.8)
        axes.tick_params("x", rotation=45)
        axes.set_xlabel("the week from")
        axes.set_ylabel("average precision")
        axes.grid(axis="y", color="#e5e7eb", zorder=0)
        drawing.legend(frameon=False, loc="outside right upper")
        drawing.suptitle(title, x=0.01, ha="left", fontweight="bold")
        write(PICTURE, drawing, title)
    print(f"→ {PICTURE.relative_to(ROOT)}")


LOOKS = (
    ("#dc2626", "-", "o"),
    ("#f59e0b", "-", "o"),
    ("#0e7490", "-", "o"),
    ("#1e40af", "-", "o"),
    ("#0e7490", ":", "s"),
    ("#9ca3af", "--", "^"),
    ("#4b5563", "--", "v"),
)
"""Of the lines: colour, style, marker."""

if __name__ == "__main__":
    main()
