"""Whether a window of live predictions is one that training could have had: pure functions of counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from features.inputs.bins import BELOW, NEW, NULL, ZERO, Bins, Shares
from features.inputs.drift import critical, discoveries, jensen_shannon, p_value, psi, psi_terms
from features.inputs.reference import Profile, Reference
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
    profiles = [profile for profile in reference.profiles if sum(counts.get(profile.name, ()))]
    indices = [psi(profile.counts, counts[profile.name]) for profile in profiles]
    rows = [sum(counts[profile.name]) for profile in profiles]
    known = [bool(profile.limits.get(rules.window)) for profile in profiles]
    likely = [
        p_value(profile.limits[rules.window], count, index) if is_known else None
        for profile, count, index, is_known in zip(profiles, rows, indices, known, strict=True)
    ]
    found, cut = discoveries([p for p in likely if p is not None], rules.false_discoveries)
    unlikely = iter(found)
    findings = []
    for profile, count, index, p in zip(profiles, rows, indices, likely, strict=True):
        own = counts[profile.name]
        limit = None if p is None else max(rules.min_psi, critical(profile.limits[rules.window], count, cut))
        drifted = p is not None and next(unlikely) and index >= rules.min_psi
        shares, what = profile.bins.shares(own), what_moved(profile, own)
        findings.append(Finding(profile.name, index, jensen_shannon(profile.counts, own), shares, p, limit, drifted, what))
    return findings


def what_moved(profile: Profile, found: Sequence[int]) -> What:
    """The kind of cells that have the largest part of the index."""
    parts: dict[What, float] = {}
    terms = psi_terms(np.array(profile.counts, np.float64), np.array(found, np.float64))
    for place, term in enumerate(terms.tolist()):
        kind = _kind(profile.bins, place)
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
