"""Counts predictions by windows of event time, judges each window that is over, and opens and closes alarms. No Kafka here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from features.errors import StackError
from features.inputs.reference import Histogram, Reference, encode_reference
from features.times import moment_text
from schemas.alarm import Alarm
from serving.monitor.config import Rules
from serving.monitor.judge import Finding, judged
from serving.monitor.state import State, Track, Verdict, Version, Window

GiveReference = Callable[[str, int], Reference | None]
"""The reference of a model's version; None: it has none."""
MOST_OPEN = 1000
"""Starts of windows that are open at once, at most: where much is unread, partitions are read to different times."""
WORDS = {
    "nulls": "its share of nulls",
    "zeros": "its share of zeros",
    "out_of_range": "values beyond those of training",
    "new_values": "values that training did not have",
    "distribution": "its distribution",
}
"""What has moved, in words."""


class Monitor:
    """One service's. All that it knows is in ``state``, which it changes."""

    def __init__(self, state: State, rules: Rules, references: GiveReference, clock: Callable[[], float] = time.time) -> None:
        self.state, self.rules = state, rules
        self._references, self._clock = references, clock
        self._known: dict[tuple[str, int], tuple[Reference | None, str]] = {}

    def reference(self, model: str, version: int) -> Reference | None:
        """What the version is held against, read once. Raises `StackError` where the state has counted with another one."""
        place = model, version
        if place not in self._known:
            found = self._references(model, version)
            self._known[place] = found, sha256(encode_reference(found)).hexdigest() if found else ""
        found, digest = self._known[place]
        own = self.state.versions.get(f"{model}/{version}")
        if found and own and own.reference != digest:
            raise StackError(
                f"a version has one reference for good; {model} v{version} had another when its predictions were counted: the "
                "registry was made anew; remove the monitor's state in the run folder: what the topic still has is counted anew"
            )
        return found

    def count(self, model: str, version: int, times: npt.NDArray[np.int64], columns: Mapping[str, Any]) -> None:
        """Count predictions of one version: their event times, [n], and by input, and ``score``, their values, [n].

        Those whose window is closed are late, and in none.
        """
        state, length = self.state, self.rules.length_ms
        reference = self.reference(model, version)
        if reference is None:
            state.without_reference += len(times)
            return
        starts = times - times % length
        is_open = starts >= state.closed_until
        state.late += int(len(times) - is_open.sum())
        found, window = np.unique(starts[is_open], return_inverse=True)
        if not len(found):
            return
        state.events += len(window)
        own = state.versions.setdefault(f"{model}/{version}", Version(model, version, self._known[model, version][1]))
        for start, rows in zip(found.tolist(), np.bincount(window).tolist(), strict=True):
            own.windows.setdefault(start, Window(0, {})).rows += rows
        for histogram in reference.histograms:
            if histogram.name not in columns:
                continue
            size = histogram.bins.size
            cells = histogram.bins.cells(columns[histogram.name])[is_open]
            counts = np.bincount(window * size + cells, minlength=len(found) * size).reshape(len(found), size)
            for start, row in zip(found.tolist(), counts, strict=True):
                kept = own.windows[start].counts
                kept[histogram.name] = (row + kept[histogram.name]).tolist() if histogram.name in kept else row.tolist()

    def advance(self, until_ms: int) -> list[Alarm]:
        """Close the windows that are over once the stream has come to ``until_ms``; gives the alarms that open or close by it.

        Where more than `MOST_OPEN` are open, the oldest are closed too: what a wrong clock wrote takes no memory.
        """
        state, length = self.state, self.rules.length_ms
        starts = sorted({start for version in state.versions.values() for start in version.windows})
        surplus = set(starts[: max(0, len(starts) - MOST_OPEN)])
        alarms = []
        for start in starts:
            if start + length + self.rules.wait_ms > until_ms and start not in surplus:
                break
            for version in list(state.versions.values()):
                if start in version.windows:
                    alarms += self._close(version, start)
            state.closed_until = max(state.closed_until, start + length)
        return alarms + self._forget()

    def _close(self, version: Version, start: int) -> list[Alarm]:
        """Judge one window of one version."""
        window = version.windows.pop(start)
        reference = self.reference(version.model, version.version)
        enough = reference is not None and window.rows >= self.rules.min_events
        findings = judged(reference, window.counts, self.rules) if reference is not None and enough else []
        verdict = Verdict(start, window.rows, window.counts, findings)
        version.closed = [*version.closed, verdict][-self.rules.kept_windows :]
        alarms = []
        for finding in findings:
            track = version.tracks.setdefault(finding.input, Track())
            alarm = self._tracked(track, version, verdict, finding)
            if alarm is not None:
                alarms.append(alarm)
        return alarms

    def _tracked(self, track: Track, version: Version, verdict: Verdict, finding: Finding) -> Alarm | None:
        """What one more window makes of an input's alarm."""
        rules = self.rules
        if finding.p_value is None:
            return None
        track.recent = [*track.recent, (verdict.start, finding.drifted)][-max(rules.windows_looked_at, rules.windows_needed) :]
        drifted = [start for start, has_drifted in track.recent if has_drifted]
        if track.alarm is None and finding.drifted and len(drifted) >= rules.windows_needed:
            track.alarm = self._alarm("open", drifted[0], version, verdict, finding)
            return track.alarm
        quiet = [not has_drifted for _, has_drifted in track.recent[-rules.windows_needed :]]
        if track.alarm is not None and len(quiet) == rules.windows_needed and all(quiet):
            since, track.alarm, track.recent = track.alarm.since, None, []  # the next alarm is of windows of its own
            return self._alarm("closed", since, version, verdict, finding)
        return None

    def _alarm(self, state: Any, since: int, version: Version, verdict: Verdict, finding: Finding) -> Alarm:
        histogram, reference = self._histogram(version, finding.input)
        of_score = histogram is reference.histograms[-1]
        end = verdict.start + self.rules.length_ms
        return Alarm(
            id=f"{self.state.service}/{version.model}/{version.version}/{finding.input}/{since}",
            state=state,
            service=self.state.service,
            model=version.model,
            version=version.version,
            input=finding.input,
            what=finding.what,
            text=_text(state, since, version, verdict, finding, end),
            since=since,
            window_start=verdict.start,
            window_end=end,
            rows=verdict.rows,
            psi=finding.psi,
            js=finding.js,
            p_value=finding.p_value or 0.0,
            limit=finding.limit or 0.0,
            trained_from=reference.scored_from if of_score else reference.trained_from,
            trained_until=reference.scored_until if of_score else reference.trained_until,
            cells=list(histogram.bins.labels),
            trained=list(histogram.counts),
            found=list(verdict.counts[finding.input]),
            raised_at=round(self._clock() * 1000),
        )

    def _histogram(self, version: Version, name: str) -> tuple[Histogram, Reference]:
        reference = self.reference(version.model, version.version)
        assert reference is not None  # noqa: S101 - a version without one has no windows
        return next(histogram for histogram in reference.histograms if histogram.name == name), reference

    def _forget(self) -> list[Alarm]:
        """Forget versions that have predicted nothing for as long as windows are kept; an alarm of theirs that is open closes."""
        state, alarms = self.state, []
        oldest = state.closed_until - self.rules.kept_windows * self.rules.length_ms
        for name, version in list(state.versions.items()):
            if version.windows or not version.closed or version.closed[-1].start >= oldest:
                continue
            del state.versions[name]
            for track in version.tracks.values():
                if track.alarm is not None:
                    alarms.append(_unserved(track.alarm, round(self._clock() * 1000)))
        return alarms


def _unserved(alarm: Alarm, now: int) -> Alarm:
    text = f"{alarm.model} v{alarm.version} predicts no longer: nothing is said of {alarm.input} any more"
    return msgspec.structs.replace(alarm, state="closed", text=text, raised_at=now)


def _text(state: str, since: int, version: Version, verdict: Verdict, finding: Finding, end: int) -> str:
    who = f"{finding.input} of {version.model} v{version.version}"
    window = f"{verdict.rows:,} predictions from {moment_text(verdict.start)} to {moment_text(end)}"
    if state == "closed":
        return f"{who} is as in training again: PSI {finding.psi:.3f}, limit {finding.limit or 0:.3f}, in {window}"
    return (
        f"{who} has drifted since {moment_text(since)}, most of all {WORDS[finding.what]}: PSI {finding.psi:.3f}, limit "
        f"{finding.limit or 0:.3f}, JS {finding.js:.3f} bits, {finding.shares.null:.1%} null, "
        f"{finding.shares.out_of_range:.1%} out of range, in {window}"
    )


def columns_of(inputs: Sequence[Mapping[str, Any]], scores: Sequence[float], reference: Reference) -> dict[str, Any]:
    """The receipts' inputs of some predictions, one mapping each, and their scores as columns of the reference's inputs.

    An input that a receipt lacks is null: the version's receipts have them all.
    """
    columns: dict[str, Any] = {p.name: [one.get(p.name) for one in inputs] for p in reference.histograms[:-1]}
    return columns | {reference.histograms[-1].name: scores}
