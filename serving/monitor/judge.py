"""Whether a window of live predictions is one that training could have had: pure functions of counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from features.inputs.bins import BELOW, NEW, NULL, ZERO, Bins, Shares
from features.inputs.drift import critical, discoveries, jensen_shannon, p_value, psi, psi_terms
from features.inputs.reference import Histogram, Reference
from schemas.alarm import What
from serving.monitor.config import Rules


class Finding(msgspec.Struct, frozen=True):
    """What is said of one input in one window."""

    input: str
    psi: float
    js: float
    """In bits."""
    shares: Shares
    p_value: float | None
    """None where training was too small to say how far its windows are apart."""
    limit: float | None
    """The index from which on the window drifted: what is unlikely enough among all inputs, and no small effect."""
    drifted: bool
    what: What
    """What has moved most, whether or not it drifted."""
    segment: str = ""
    """Of which rows, as `features.inputs.reference.Segments.text` has it; empty: of all."""
    rows: int = 0
    """How many rows it is of."""

    @property
    def key(self) -> str:
        """The input, and the segment where it is of one."""
        return f"{self.input} where {self.segment}" if self.segment else self.input


class Case(NamedTuple):
    """One histogram of training, and the counters that are held against it."""

    histogram: Histogram
    counts: Sequence[int]
    segment: str = ""


def judged(
    reference: Reference,
    counts: Mapping[str, Sequence[int]],
    rules: Rules,
    by_segment: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
) -> list[Finding]:
    """What is said of a window with these counters, in the order of the reference, where there are ``rules.min_events`` of them.

    A column of the event has fewer than the inputs where some receipts do not carry it. ``by_segment`` are the counters of
    segments, as `serving.monitor.state.Window` has them, which come behind. False discoveries are few among all together.
    """
    cases = [Case(one, counts[one.name]) for one in reference.histograms if sum(counts.get(one.name, ())) >= rules.min_events]
    cases += _of_segments(reference, by_segment or {}, rules)
    rows, indices = [sum(case.counts) for case in cases], [psi(case.histogram.counts, case.counts) for case in cases]
    limits = [case.histogram.limits.get(rules.window) for case in cases]
    likely = [p_value(known, n, index) if known else None for known, n, index in zip(limits, rows, indices, strict=True)]
    found, cut = discoveries([p for p in likely if p is not None], rules.false_discoveries)
    unlikely, findings = iter(found), []
    for case, known, n, index, p in zip(cases, limits, rows, indices, likely, strict=True):
        histogram, own = case.histogram, case.counts
        limit = max(rules.min_psi, critical(known, n, cut)) if known else None
        drifted = p is not None and next(unlikely) and index >= rules.min_psi
        js, shares, what = jensen_shannon(histogram.counts, own), histogram.bins.shares(own), what_moved(histogram, own)
        findings.append(Finding(histogram.name, index, js, shares, p, limit, drifted, what, case.segment, n))
    return findings


def _of_segments(reference: Reference, counts: Mapping[str, Mapping[str, Sequence[int]]], rules: Rules) -> list[Case]:
    """The segments that have rows enough, live and in training."""
    cases = []
    for segments in reference.segments:
        for number, histograms in enumerate(segments.histograms):
            for one in histograms:
                size = one.bins.size
                own = counts.get(segments.column, {}).get(one.name, ())[number * size : (number + 1) * size]
                if one.limits.get(rules.window) and sum(own) >= rules.min_events:
                    cases.append(Case(one, own, segments.text(number)))
    return cases


def what_moved(histogram: Histogram, found: Sequence[int]) -> What:
    """The kind of cells that have the largest part of the index."""
    parts: dict[What, float] = {}
    terms = psi_terms(np.array(histogram.counts, np.float64), np.array(found, np.float64))
    for place, term in enumerate(terms.tolist()):
        kind = _kind(histogram.bins, place)
        parts[kind] = parts.get(kind, 0.0) + term
    return max(parts, key=lambda kind: parts[kind])


def _kind(bins: Bins, place: int) -> What:
    if place == NULL:
        return "nulls"
    if bins.kind == "text":
        return "new_values" if place == NEW else "distribution"
    if place == ZERO:
        return "zeros"
    return "out_of_range" if place in (BELOW, bins.size - 1) else "distribution"
