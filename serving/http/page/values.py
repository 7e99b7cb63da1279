"""The panel of odd values: nulls, values beyond those of training, and texts that training did not have, by input and window."""

from __future__ import annotations

import msgspec

from features.inputs.bins import Shares
from serving.http.page.drift import SOURCE
from serving.http.page.empties import nothing, waiting
from serving.http.page.monitored import Monitored, judged
from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Sources
from serving.monitor.state import Version

MOST_WINDOWS = 60
MOST_INPUTS = 200
"""What the panel shows, at most: of the inputs those that changed most."""


class Values(msgspec.Struct, frozen=True):
    """One input: shares of all values, between 0 and 1, in training and in each window; None: it had no values there."""

    input: str
    kind: str
    """``number`` or ``text``: only a number can be out of range, only a text can be new."""
    trained: Shares
    nulls: list[float | None]
    out_of_range: list[float | None]
    new: list[float | None]


class OfVersion(msgspec.Struct, frozen=True):
    """One version. Times are UTC milliseconds, of event time."""

    model: str
    version: int
    starts: list[int]
    """Of the windows that were judged, oldest first."""
    inputs: list[Values]
    """What changed most comes first, by the newest window."""
    left_out: int
    """Inputs beyond `MOST_INPUTS`."""


class OddValues(msgspec.Struct, frozen=True):
    """What the panel shows."""

    silent_since: int | None
    """When the monitor saved this, where that is long ago."""
    window_ms: int
    versions: list[OfVersion]


def odd_values(sources: Sources, service: str) -> OddValues | Empty:
    """The panel of a service."""
    seen = sources.monitored.seen(service)
    if seen is None:
        return nothing(service)
    found = [_of_version(sources.monitored, version) for version in seen.versions]
    versions = [one for one in found if one.starts and one.inputs]
    return OddValues(seen.silent_since, seen.length_ms, versions) if versions else waiting(seen)


def _of_version(monitored: Monitored, version: Version) -> OfVersion:
    windows = judged(version, MOST_WINDOWS)
    shares = [{finding.input: finding.shares for finding in verdict.findings} for verdict in windows]
    found = []
    for name, histogram in monitored.histograms(version).items():
        own = [window.get(name) for window in shares]
        found.append(
            Values(
                input=name,
                kind=histogram.bins.kind,
                trained=histogram.bins.shares(histogram.counts),
                nulls=[one.null if one else None for one in own],
                out_of_range=[one.out_of_range if one else None for one in own],
                new=[one.new if one else None for one in own],
            )
        )
    found.sort(key=_change, reverse=True)
    kept = found[:MOST_INPUTS]
    return OfVersion(version.model, version.version, [verdict.start for verdict in windows], kept, len(found) - len(kept))


def _change(values: Values) -> float:
    """How far the newest window is from training, in the share that moved most."""
    trained = values.trained
    pairs = ((values.nulls, trained.null), (values.out_of_range, trained.out_of_range), (values.new, trained.new))
    newest = [(shares[-1], before) for shares, before in pairs if shares]
    return max((abs(share - before) for share, before in newest if share is not None), default=0.0)


VALUES = Panel("values", SOURCE, odd_values, 5)
