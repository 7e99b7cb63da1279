"""Whether a window of live predictions is one that training could have had: pure functions of counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def judged(reference: Reference, counts: Mapping[str, Sequence[int]], rules: Rules) -> list[Finding]:
    """What is said of a window with these counters, in the order of the reference; an input that has none is left out."""
    histograms = [histogram for histogram in reference.histograms if sum(counts.get(histogram.name, ()))]
    rows = {one.name: sum(counts[one.name]) for one in histograms}
    indices = {one.name: psi(one.counts, counts[one.name]) for one in histograms}
    limits = {one.name: one.limits[rules.window] for one in histograms if one.limits.get(rules.window)}
    likely = {name: p_value(known, rows[name], indices[name]) for name, known in limits.items()}
    found, cut = discoveries(list(likely.values()), rules.false_discoveries)
    unlikely = {name for name, is_found in zip(likely, found, strict=True) if is_found}
    findings = []
    for histogram in histograms:
        name, own = histogram.name, counts[histogram.name]
        limit = max(rules.min_psi, critical(limits[name], rows[name], cut)) if name in limits else None
        drifted = name in unlikely and indices[name] >= rules.min_psi
        shares, what = histogram.bins.shares(own), what_moved(histogram, own)
        js = jensen_shannon(histogram.counts, own)
        findings.append(Finding(name, indices[name], js, shares, likely.get(name), limit, drifted, what))
    return findings


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
