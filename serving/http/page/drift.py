"""The panel of drift: each input of each version in each window, as how far its index is from its limit."""

from __future__ import annotations

import msgspec
import numpy as np

from features.inputs.drift import psi_terms
from schemas.alarm import What
from serving.http.page.details import Detail, Parameters, whole
from serving.http.page.empties import nothing, waiting
from serving.http.page.monitored import Monitored, judged
from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Sources
from serving.monitor.judge import Finding
from serving.monitor.state import Verdict, Version

MOST_WINDOWS = 60
MOST_INPUTS = 200
"""What a heat map shows, at most: the newest windows, and of the inputs those that were furthest from their limits."""


class Row(msgspec.Struct, frozen=True):
    """One input, a value for each window of the map; None: nothing was said of it there."""

    input: str
    psi: list[float | None]
    limit: list[float | None]
    """None also where training was too small to say."""
    drifted: list[bool | None]
    has_alarm: bool
    """Whether an alarm is open now."""


class HeatMap(msgspec.Struct, frozen=True):
    """One version. Times are UTC milliseconds, of event time."""

    model: str
    version: int
    starts: list[int]
    """Of the windows that were judged, oldest first."""
    predictions: list[int]
    """Of each window."""
    rows: list[Row]
    """In the model's order, the score last; where inputs are left out, the furthest first."""
    left_out: int
    """Inputs beyond `MOST_INPUTS`."""
    unjudged: int
    """Closed windows with too few predictions for anything to be said of them."""


class Drift(msgspec.Struct, frozen=True):
    """What the panel shows."""

    window_ms: int
    silent_since: int | None
    """When the monitor saved this, where that is long ago."""
    counted: int
    """Predictions that are in windows."""
    late: int
    without_reference: int
    """Predictions that are in none: they came too late, or their version has nothing to be held against."""
    versions: list[HeatMap]


def drift(sources: Sources, service: str) -> Drift | Empty:
    """The panel of a service."""
    seen = sources.monitored.seen(service)
    if seen is None:
        return nothing(service)
    state = seen.state
    maps = [found for version in seen.versions if (found := _heat_map(version)).starts]
    if not maps:
        return waiting(seen)
    return Drift(
        window_ms=seen.length_ms,
        silent_since=seen.silent_since,
        counted=state.events,
        late=state.late,
        without_reference=state.without_reference,
        versions=maps,
    )


def _heat_map(version: Version) -> HeatMap:
    windows = judged(version, MOST_WINDOWS)
    found = [{finding.input: finding for finding in verdict.findings} for verdict in windows]
    names = list(dict.fromkeys(finding.input for verdict in windows for finding in verdict.findings))
    rows = [_row(version, name, [window.get(name) for window in found]) for name in names]
    if len(rows) > MOST_INPUTS:
        rows = sorted(rows, key=_furthest, reverse=True)[:MOST_INPUTS]
    return HeatMap(
        model=version.model,
        version=version.version,
        starts=[verdict.start for verdict in windows],
        predictions=[verdict.rows for verdict in windows],
        rows=rows,
        left_out=len(names) - len(rows),
        unjudged=sum(not verdict.findings for verdict in version.closed),
    )


def _row(version: Version, name: str, findings: list[Finding | None]) -> Row:
    track = version.tracks.get(name)
    return Row(
        input=name,
        psi=[one.psi if one else None for one in findings],
        limit=[one.limit if one else None for one in findings],
        drifted=[one.drifted if one else None for one in findings],
        has_alarm=track is not None and track.alarm is not None,
    )


def _furthest(row: Row) -> float:
    pairs = zip(row.psi, row.limit, strict=True)
    return max((psi / limit for psi, limit in pairs if psi is not None and limit), default=0.0)


class Cell(msgspec.Struct, frozen=True):
    """One cell of a histogram."""

    label: str
    trained: int
    found: int
    psi: float
    """What the cell adds to the index."""


class Histogram(msgspec.Struct, frozen=True):
    """One input in one window, beside training. Times are UTC milliseconds, of event time."""

    model: str
    version: int
    input: str
    start: int
    end: int
    trained_from: int
    trained_until: int
    trained: int
    """Values of training, of the score those that it was measured on."""
    found: int
    """Values of the window."""
    psi: float
    js: float
    """In bits."""
    p_value: float | None
    limit: float | None
    drifted: bool
    what: What
    cells: list[Cell]


def histogram(sources: Sources, service: str, parameters: Parameters) -> Histogram | Empty:
    """What is behind one field of the heat map."""
    seen, start = sources.monitored.seen(service), whole(parameters, "start")
    own = seen.state.versions.get(f"{parameters.get('model')}/{whole(parameters, 'version')}") if seen else None
    verdict = next((one for one in own.closed if one.start == start), None) if own else None
    finding = next((one for one in verdict.findings if one.input == parameters.get("input")), None) if verdict else None
    if seen is None or own is None or verdict is None or finding is None:
        return Empty("The monitor does not have this window any more: it keeps the newest, monitor.kept_windows of them.")
    found = _histogram(sources.monitored, own, verdict, finding, start + seen.length_ms)
    return found or Empty("The registry does not have this version any more, and so not what it was trained on.")


def _histogram(monitored: Monitored, version: Version, verdict: Verdict, finding: Finding, end: int) -> Histogram | None:
    reference = monitored.reference(version)
    if reference is None:
        return None
    of_score = finding.input == reference.histograms[-1].name
    trained = next(one for one in reference.histograms if one.name == finding.input)
    counts = verdict.counts[finding.input]
    terms = psi_terms(np.array(trained.counts, np.float64), np.array(counts, np.float64)).tolist()
    return Histogram(
        model=version.model,
        version=version.version,
        input=finding.input,
        start=verdict.start,
        end=end,
        trained_from=reference.scored_from if of_score else reference.trained_from,
        trained_until=reference.scored_until if of_score else reference.trained_until,
        trained=sum(trained.counts),
        found=sum(counts),
        psi=finding.psi,
        js=finding.js,
        p_value=finding.p_value,
        limit=finding.limit,
        drifted=finding.drifted,
        what=finding.what,
        cells=[Cell(*one) for one in zip(trained.bins.labels, trained.counts, counts, terms, strict=True)],
    )


SOURCE = "the monitor's state"
DRIFT = Panel("drift", SOURCE, drift, 5)
HISTOGRAM = Detail("drift", "histogram", SOURCE, histogram)
