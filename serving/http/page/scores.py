"""The panel of scores: what a version says now, beside what it said of the rows after its training."""

from __future__ import annotations

import msgspec

from features.inputs.reference import SCORE
from serving.http.page.drift import SOURCE
from serving.http.page.empties import nothing, waiting
from serving.http.page.monitored import Monitored, Seen, judged
from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Sources
from serving.monitor.state import Version

MOST_WINDOWS = 14
"""Windows of a version that can be chosen."""


class Window(msgspec.Struct, frozen=True):
    """The scores of some predictions. Times are UTC milliseconds, of event time."""

    start: int
    end: int
    is_open: bool
    """Whether predictions are still counted into it: nothing is said of it yet."""
    counts: list[int]
    """How many scores each cell has."""
    psi: float | None = None
    js: float | None = None
    limit: float | None = None
    drifted: bool = False


class Scored(msgspec.Struct, frozen=True):
    """One version."""

    model: str
    version: int
    scored_from: int
    scored_until: int
    """The rows that training measured its scores on."""
    cells: list[str]
    trained: list[int]
    windows: list[Window]
    """Oldest first, the one that is open last."""


class Scores(msgspec.Struct, frozen=True):
    """What the panel shows."""

    silent_since: int | None
    """When the monitor saved this, where that is long ago."""
    versions: list[Scored]


def scores(sources: Sources, service: str) -> Scores | Empty:
    """The panel of a service."""
    seen = sources.monitored.seen(service)
    if seen is None:
        return nothing(service)
    found = [_scored(sources.monitored, seen, version) for version in seen.versions]
    versions = [one for one in found if one is not None and one.windows]
    return Scores(seen.silent_since, versions) if versions else waiting(seen)


def _scored(monitored: Monitored, seen: Seen, version: Version) -> Scored | None:
    reference = monitored.reference(version)
    if reference is None:
        return None
    trained = reference.histograms[-1]
    return Scored(
        model=version.model,
        version=version.version,
        scored_from=reference.scored_from,
        scored_until=reference.scored_until,
        cells=list(trained.bins.labels),
        trained=list(trained.counts),
        windows=_windows(seen, version),
    )


def _windows(seen: Seen, version: Version) -> list[Window]:
    """Those that were judged, and the newest of those that are open."""
    windows = []
    for verdict in judged(version, MOST_WINDOWS):
        finding = next((one for one in verdict.findings if one.input == SCORE), None)
        if finding is not None:
            counts, end = verdict.counts[SCORE], verdict.start + seen.length_ms
            windows.append(Window(verdict.start, end, False, counts, finding.psi, finding.js, finding.limit, finding.drifted))
    start = max(version.windows, default=None)
    if start is not None and SCORE in version.windows[start].counts:
        windows.append(Window(start, start + seen.length_ms, True, version.windows[start].counts[SCORE]))
    return windows


SCORES = Panel("scores", SOURCE, scores, 5)
