"""Which candidates are worth a thought, and which one to take: or to keep the original."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from jobs.compress.candidate import Candidate
from jobs.compress.judging import is_better_higher
from jobs.compress.measure import SPREAD, Agreement
from jobs.training.bootstrap import Interval

NOISE = 1.05
"""Times that are apart by less are taken for the same, and sizes."""
GAIN = 1.1
"""How many times smaller or faster a candidate has to be, to be worth it."""


class Measured(msgspec.Struct, frozen=True):
    """A model, and what was measured of it."""

    name: str
    """What made it, as the recipe was written; ``original``."""
    recipe: str
    """The same with all parameters: it makes it again. Of the original empty."""
    made: Candidate
    size: int
    """Bytes of the ONNX file."""
    memory: int
    """Bytes that a process's resident memory grows by."""
    milliseconds: Mapping[int, float]
    """The median time of a batch, by its rows."""
    metrics: Mapping[str, float]
    """On the test rows."""
    spread: float
    """The largest difference of a row's scores alone and in a batch."""
    intervals: Mapping[str, Interval] = {}
    """Of each metric, candidate less original; of the original none."""
    agreement: Agreement | None = None
    """With the original's scores."""


class Rule(msgspec.Struct, frozen=True):
    """What a candidate is chosen by."""

    metric: str
    tolerance: float
    """The share of the original's metric that may be lost."""
    batch: int
    """The rows of the batch whose time counts."""
    noise: float = NOISE
    """Times that are apart by less are the same: `NOISE`, or more where the original, measured twice, was so far from itself."""


class Recommendation(msgspec.Struct, frozen=True):
    """What to take."""

    chosen: int | None
    """Which of the candidates; None: keep the original."""
    sentence: str


def front(original: Measured, candidates: Sequence[Measured], rule: Rule) -> tuple[int, ...]:
    """The candidates than which none, nor the original, is at least as good in size, time and metric, and better in one.

    Times within the rule's noise are the same. One whose scores depend on the batch beyond `SPREAD` is not among them: its
    receipts do not give the scores again.
    """
    able = [place for place, one in enumerate(candidates) if one.spread <= SPREAD]
    others = [original, *(candidates[place] for place in able)]
    return tuple(place for place in able if not any(_beats(other, candidates[place], rule) for other in others))


def recommend(original: Measured, candidates: Sequence[Measured], rule: Rule) -> Recommendation:
    """Of the candidates that hold the metric and gain by it, the one whose size × time is least; else the original.

    A candidate holds the metric where its whole paired interval lies no more than the tolerance below the original. It gains
    where it is `GAIN` times smaller or faster, and in the other no worse than `NOISE`; of times the rule's noise counts, where it
    is more. Each interval is of one candidate alone: one that loses just too much passes in 1 of 40 tests, and of many candidates
    one passes sooner.
    """
    objections = [objection(original, one, rule) for one in candidates]
    able = [place for place, said in enumerate(objections) if said is None]
    if able:
        chosen = min(able, key=lambda place: candidates[place].size * candidates[place].milliseconds[rule.batch])
        return Recommendation(chosen, f"take {candidates[chosen].name}: {_praise(original, candidates[chosen], rule)}")
    if not candidates:
        return Recommendation(None, "keep the original: no method can be applied to it")
    said = "; ".join(f"{one.name} {objected}" for one, objected in zip(candidates, objections, strict=True))
    return Recommendation(None, f"keep the original: {said}")


def objection(original: Measured, one: Measured, rule: Rule) -> str | None:
    """Why a candidate is not taken; None: it may be."""
    if one.spread > SPREAD:
        return f"gives a row scores that depend on its batch, by up to {one.spread:.2g}"
    name, allowed = rule.metric.replace("_", " "), rule.tolerance * abs(original.metrics[rule.metric])
    lost = loss(one.intervals[rule.metric], rule.metric)
    if math.isnan(lost):
        return f"has no interval of its {name}: too few test rows"
    if lost > allowed:
        return f"may lose {lost:.4f} of {name}, more than {allowed:.4f}"
    smaller, faster = _ratios(original, one, rule)
    if faster < 1 / rule.noise:
        return f"is {1 / faster:.1f} × slower at batch {rule.batch}"
    if smaller < 1 / NOISE:
        return f"is {1 / smaller:.1f} × larger"
    if smaller < GAIN and faster < _gain(rule):
        return f"is neither {GAIN:g} × smaller nor {_gain(rule):.2g} × faster at batch {rule.batch}"
    return None


def loss(interval: Interval, metric: str) -> float:
    """How much of a metric may be lost, by the worse end of its interval; below 0: nothing is, NaN: nobody knows."""
    return -interval.low if is_better_higher(metric) else interval.high


def _praise(original: Measured, one: Measured, rule: Rule) -> str:
    smaller, faster = _ratios(original, one, rule)
    interval, name = one.intervals[rule.metric], rule.metric.replace("_", " ")
    allowed = rule.tolerance * abs(original.metrics[rule.metric])
    gains = [f"{smaller:.1f} × smaller"] if smaller >= GAIN else []
    gains += [f"{faster:.1f} × faster at batch {rule.batch}"] if faster >= _gain(rule) else []
    return (
        f"{' and '.join(gains)}, and its {name} differs by {interval.low:+.4f} to {interval.high:+.4f}, where "
        f"{allowed:.4f} may be lost"
    )


def _gain(rule: Rule) -> float:
    """How many times faster a candidate has to be: more than noise is."""
    return max(GAIN, rule.noise)


def _ratios(original: Measured, one: Measured, rule: Rule) -> tuple[float, float]:
    """How many times smaller and faster it is than the original."""
    return original.size / one.size, original.milliseconds[rule.batch] / one.milliseconds[rule.batch]


def _beats(one: Measured, other: Measured, rule: Rule) -> bool:
    if one is other:
        return False
    sign = 1 if is_better_higher(rule.metric) else -1
    ahead = sign * (one.metrics[rule.metric] - other.metrics[rule.metric])
    times = one.milliseconds[rule.batch] / other.milliseconds[rule.batch]
    if ahead < 0 or one.size > other.size or times > rule.noise:
        return False
    return ahead > 0 or one.size < other.size or times < 1 / rule.noise
