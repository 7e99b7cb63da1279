"""The metric of models against the age of their data, over many cut-off days.

::

                 days                delay      test days
        ────├════════════┤─────────┤─────────├════════════┤────►  age 0: the freshest model that there can be
        ├════════════┤─── age ─────┤─────────├════════════┤────►  older data, the same test
                                           cut-off

At each cut-off every age is tested on the same rows: their differences are paired, and what is hard about a cut-off's days drops
out. An interval is drawn over cut-offs (`jobs.training.bootstrap`), whose test days are not shared. Every age learns from equally
many days, with the same settings, by the labels that were known ``delay`` days after them. Features are computed once; a
model serves every cut-off and age that want its days.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import product

import msgspec
import numpy as np
import numpy.typing as npt

from features.errors import SettingError
from features.service import Service
from features.times import DAY_MS, day_ms, day_of
from jobs.history.compute import Progress
from jobs.history.places import Written
from jobs.training.bootstrap import Interval, bootstrap
from jobs.training.config import TrainConfig
from jobs.training.labels import labels_known
from jobs.training.metrics import main_metric
from jobs.training.rows import Rows, check_labels, rows_of
from jobs.training.split import Split, rows_to_test
from jobs.training.train import fitting

LEAST_CUT_OFFS = 3
"""Of fewer there is no interval worth the name."""
YEAR = 365


class Comparison(msgspec.Struct, frozen=True):
    """Which models are compared, and when."""

    first: date
    """The first day of the oldest model's data at the first cut-off, at the earliest."""
    end: date
    """The day after the last test."""
    days: int
    delay_days: int
    test_days: int
    every: int
    """Days from a cut-off to the next; at least ``test_days``, so that no test day is counted twice."""
    ages: tuple[int, ...]
    """Days between the newest labels that were known and those that a model learnt from; ascending, from 0."""

    @property
    def cut_offs(self) -> tuple[int, ...]:
        """The first test days (since 1970), ascending: as many as there is data for, the last of them as late as may be."""
        earliest = day_ms(self.first) // DAY_MS + max(self.ages) + self.days + self.delay_days
        last = day_ms(self.end) // DAY_MS - self.test_days
        return tuple(sorted(range(last, earliest - 1, -self.every)))


class Age(msgspec.Struct, frozen=True):
    """How models of one age do."""

    age: int
    metric: Interval
    """The mean over the cut-offs."""
    lost: Interval
    """By how much it is worse than age 0, in the metric's unit, the mean over the cut-offs; below 0: better."""
    seconds_a_year: float
    """What training costs, in seconds of CPU, where a model is replaced when it is so old: at age 0, each day."""


class Freshness(msgspec.Struct, frozen=True):
    """What age costs, and what freshness does."""

    service: str
    metric: str
    cut_offs: tuple[date, ...]
    ages: tuple[Age, ...]
    values: dict[int, tuple[float, ...]]
    """The metric by age, at each cut-off."""
    models: int
    """How many were trained."""
    seconds: float
    """Of CPU of one training, the mean, on this machine; without the features."""
    tolerance: float
    """Which loss is accepted, as a share of age 0's metric."""

    @property
    def accepted(self) -> float:
        """The same in the metric's unit."""
        return self.tolerance * abs(self.ages[0].metric.value)

    @property
    def longest(self) -> int:
        """The highest age up to which every tested one loses no more than is accepted, at the worse end of its interval."""
        found = 0
        for one in self.ages[1:]:
            if not one.lost.high <= self.accepted:
                break
            found = one.age
        return found

    @property
    def recommendation(self) -> str:
        """In one sentence, by the rule of `longest`."""
        accepted = f"{100 * self.tolerance:g}% of the {self.metric} ({self.accepted:.4f})"
        if self.longest == self.ages[-1].age:
            return (
                f"Retrain every {self.longest} days or less often: even data {self.longest} days older lose at most "
                f"{self.ages[-1].lost.high:.4f}, less than {accepted}; try higher ages."
            )
        worse = next(one for one in self.ages if one.age > self.longest)
        lost = f"{worse.age} days may lose {worse.lost.high:.4f} (measured: {worse.lost.value:.4f})"
        if self.longest == 0:
            return f"Retrain as often as you can, at least every {worse.age} days: {lost}, more than {accepted}."
        return f"Retrain every {self.longest} days: up to then at most {accepted} is lost, and {lost}."


def freshness(
    service: Service,
    config: TrainConfig,
    wanted: Comparison,
    *,
    tolerance: float,
    histories: Mapping[str, Written] | None = None,
    on_progress: Progress | None = None,
    clock: Callable[[], float] = time.process_time,
) -> Freshness:
    """Measure every age at every cut-off. Raises `SettingError` where there are fewer than `LEAST_CUT_OFFS`.

    A cut-off's test rows are those that `headrace train` tests a model of age 0 on.
    """
    cut_offs = wanted.cut_offs
    if len(cut_offs) < LEAST_CUT_OFFS:
        needed = max(wanted.ages) + wanted.days + wanted.delay_days + wanted.test_days + (LEAST_CUT_OFFS - 1) * wanted.every
        raise SettingError(
            f"an interval needs {LEAST_CUT_OFFS} cut-off days; got {len(cut_offs)} from {wanted.first} to {wanted.end}; take "
            f"lower --ages, or {needed} days of history"
        )
    rows = _rows(service, config, wanted, cut_offs, histories, on_progress)
    fit, metric = fitting(config, service.plan), main_metric(config.task)
    labels = rows.frame["label"].to_numpy(np.float64)
    uses: dict[int, list[tuple[int, int]]] = {}
    for cut, age in product(cut_offs, wanted.ages):
        uses.setdefault(cut - wanted.delay_days - age, []).append((cut, age))
    tests = {cut: rows_tested(rows, config, wanted, cut) for cut in cut_offs}
    found, seconds = dict[tuple[int, int], float](), list[float]()
    for done, (end, used_at) in enumerate(sorted(uses.items())):
        if on_progress:
            on_progress("training", done, len(uses))
        training, learnt = rows_learnt(rows, config, wanted, end)
        began = clock()
        predict = fit(rows.x[training], learnt).predict
        seconds.append(clock() - began)
        for cut, age in used_at:
            found[cut, age] = metric.measure(labels[tests[cut]], predict(rows.x[tests[cut]]))
    values = {age: tuple(found[cut, age] for cut in cut_offs) for age in wanted.ages}
    cost = float(np.mean(seconds))
    return Freshness(
        service.name,
        metric.name,
        tuple(map(_day, cut_offs)),
        ages_of(values, cost, higher_is_better=metric.higher_is_better),
        values,
        len(uses),
        cost,
        tolerance,
    )


def ages_of(values: Mapping[int, Sequence[float]], seconds: float, *, higher_is_better: bool) -> tuple[Age, ...]:
    """The intervals of each age's metric, and of what it loses beside age 0, paired by cut-off."""
    sign, fresh = 1 if higher_is_better else -1, np.array(values[0])
    found = []
    for age, some in values.items():
        measured = np.array(some)
        metric, lost = _means(np.stack([measured, sign * (fresh - measured)]))
        found.append(Age(age, metric, lost, seconds * YEAR / max(1, age)))
    return tuple(found)


def _means(values: npt.NDArray[np.float64]) -> list[Interval]:
    """The mean of each row over the cut-offs, [rows, cut-offs], with intervals of the same draws."""
    return bootstrap(lambda weights: values @ weights / weights.sum(), [np.arange(values.shape[1])])


def _rows(
    service: Service,
    config: TrainConfig,
    wanted: Comparison,
    cut_offs: Sequence[int],
    histories: Mapping[str, Written] | None,
    on_progress: Progress | None,
) -> Rows:
    """The rows of all days that any model learns from or is tested on."""
    first = cut_offs[0] - wanted.delay_days - max(wanted.ages) - wanted.days
    whole = Split(_day(first), cut_offs[-1] - first, 0, wanted.test_days)
    every = msgspec.structs.replace(config, leave_out_known_positives=False)
    return rows_of(service, every, whole, histories=histories, known_then=False, on_progress=on_progress)


def rows_learnt(
    rows: Rows, config: TrainConfig, wanted: Comparison, end: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The places of the rows of ``wanted.days`` days before the day ``end`` (since 1970), and their labels: as they were known
    ``wanted.delay_days`` days later. Raises `SettingError` where these are of one class.
    """
    days = rows.frame["day"].to_numpy()
    there = np.flatnonzero((days >= end - wanted.days) & (days < end))
    then = labels_known(rows.frame["event_id"].iloc[there], rows.known, (end + wanted.delay_days) * DAY_MS)
    training, learnt = there[~np.isnan(then)], then[~np.isnan(then)]
    check_labels(learnt, config.task, f"{wanted.days} days before {_day(end)}", fix="take more --days, or a later --from")
    return training, learnt


def rows_tested(rows: Rows, config: TrainConfig, wanted: Comparison, cut: int) -> npt.NDArray[np.int64]:
    """The places of a cut-off's test rows. Raises `SettingError` where these are of one class.

    Labels of the training days of age 0 are those known by then, as `jobs.training.labels.outcomes` has them: they say which
    positives were known.
    """
    first = cut - wanted.delay_days - wanted.days
    split = Split(_day(first), wanted.days, wanted.delay_days, wanted.test_days)
    there = np.flatnonzero(rows.frame["day"].between(first, cut + wanted.test_days, inclusive="left"))
    frame = rows.frame.iloc[there]
    then = labels_known(frame["event_id"], rows.known, cut * DAY_MS)
    frame = frame.assign(label=np.where(frame["day"] < first + wanted.days, then, frame["label"]))
    tested = there[rows_to_test(frame, split, config).to_numpy()]
    if config.task == "classification" and len(np.unique(rows.frame["label"].to_numpy()[tested])) < 2:
        raise SettingError(
            f"a test has rows labelled 0 and rows labelled 1; got {len(tested)} rows of one class from {split.train_from} + "
            f"{wanted.days + wanted.delay_days} days on; take more --test-days, or other days"
        )
    return tested


def _day(number: int) -> date:
    """The day of that number since 1970."""
    return day_of(number * DAY_MS)
