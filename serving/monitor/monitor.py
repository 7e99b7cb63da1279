"""Counts predictions by windows of event time, judges each window that is over, and opens and closes alarms. No Kafka here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.errors import StackError
from features.inputs.reference import Reference, encode_reference
from features.times import moment_text
from schemas.alarm import Alarm
from serving.monitor.config import Rules
from serving.monitor.ending import silent, unserved, watched_text
from serving.monitor.judge import Finding, judged
from serving.monitor.state import State, Track, Verdict, Version, Window
from serving.monitor.tally import Tally, events_behind, held_against

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


class Closing(NamedTuple):
    """A window that is being closed."""

    start: int
    window: Window


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

    def count(
        self,
        model: str,
        version: int,
        times: npt.NDArray[np.int64],
        columns: Mapping[str, Any],
        events: Sequence[int | str] = (),
    ) -> None:
        """Count predictions of one version: their event times, [n], and by input, and ``score``, their values, [n].

        ``events`` are their ids, [n], that alarms may name; without, they name none. Those whose window is closed are late, and
        in none.
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
        windows = [own.windows[start] for start in found.tolist()]
        cells = {one.name: one.bins.cells(columns[one.name])[is_open] for one in reference.histograms if one.name in columns}
        tally = Tally(reference, cells, window)
        tally.add_to(windows)
        if len(events):
            tally.sample_to(windows, [event for event, kept in zip(events, is_open.tolist(), strict=True) if kept])

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
        findings = judged(reference, window.counts, self.rules, window.segments) if reference is not None and enough else []
        of_all = [finding for finding in findings if not finding.segment]
        of_segments = [finding for finding in findings if finding.segment and finding.drifted]
        verdict = Verdict(start, window.rows, window.counts, of_all, of_segments)
        version.closed = [*version.closed, verdict][-self.rules.kept_windows :]
        alarms = []
        for finding in findings:
            track = version.tracks.setdefault(finding.key, Track())
            alarm = self._tracked(track, version, Closing(start, window), finding)
            if alarm is not None:
                alarms.append(alarm)
        return alarms + silent(version, self._now_ms())

    def _tracked(self, track: Track, version: Version, closing: Closing, finding: Finding) -> Alarm | None:
        """What one more window makes of an input's alarm; where all of an input's has one, a segment of it opens none."""
        rules = self.rules
        if finding.p_value is None:
            return None
        track.recent = [*track.recent, (closing.start, finding.drifted)][-max(rules.windows_looked_at, rules.windows_needed) :]
        drifted = [start for start, has_drifted in track.recent if has_drifted]
        whole = version.tracks.get(finding.input) if finding.segment else None
        is_said = whole is not None and whole.alarm is not None
        if track.alarm is None and finding.drifted and len(drifted) >= rules.windows_needed and not is_said:
            track.alarm = self._alarm("open", drifted[0], version, closing, finding)
            return track.alarm
        quiet = [not has_drifted for _, has_drifted in track.recent[-rules.windows_needed :]]
        if track.alarm is not None and len(quiet) == rules.windows_needed and all(quiet):
            since, track.alarm, track.recent = track.alarm.since, None, []  # the next alarm is of windows of its own
            return self._alarm("closed", since, version, closing, finding)
        return None

    def _alarm(self, state: Any, since: int, version: Version, closing: Closing, finding: Finding) -> Alarm:
        reference = self.reference(version.model, version.version)
        assert reference is not None  # noqa: S101 - a version without one has no windows
        histogram, found = held_against(reference, closing.window, finding)
        of_score = finding.input == reference.histograms[-1].name
        end = closing.start + self.rules.length_ms
        events = events_behind(reference, closing.window, finding) if state == "open" else []
        return Alarm(
            id=f"{self.state.service}/{version.model}/{version.version}/{finding.key}/{since}",
            state=state,
            service=self.state.service,
            model=version.model,
            version=version.version,
            input=finding.input,
            what=finding.what,
            text=_text(state, since, version, closing, finding, end, events),
            since=since,
            window_start=closing.start,
            window_end=end,
            rows=finding.rows,
            psi=finding.psi,
            js=finding.js,
            p_value=finding.p_value or 0.0,
            limit=finding.limit or 0.0,
            trained_from=reference.scored_from if of_score else reference.trained_from,
            trained_until=reference.scored_until if of_score else reference.trained_until,
            cells=list(histogram.bins.labels),
            trained=list(histogram.counts),
            found=found,
            raised_at=self._now_ms(),
            segment=finding.segment,
            events=events,
        )

    def _forget(self) -> list[Alarm]:
        """Forget versions that have predicted nothing for as long as windows are kept; an alarm of theirs that is open closes."""
        state, alarms = self.state, list[Alarm]()
        oldest = state.closed_until - self.rules.kept_windows * self.rules.length_ms
        for name, version in list(state.versions.items()):
            if version.windows or not version.closed or version.closed[-1].start >= oldest:
                continue
            del state.versions[name]
            alarms += unserved(version, self._now_ms())
        return alarms

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def _text(
    state: str, since: int, version: Version, closing: Closing, finding: Finding, end: int, events: Sequence[int | str]
) -> str:
    who = watched_text(finding.input, version.model, version.version, finding.segment)
    window = f"{finding.rows:,} predictions from {moment_text(closing.start)} to {moment_text(end)}"
    if state == "closed":
        return f"{who} is as in training again: PSI {finding.psi:.3f}, limit {finding.limit or 0:.3f}, in {window}"
    return (
        f"{who} has drifted since {moment_text(since)}, most of all {WORDS[finding.what]}: PSI {finding.psi:.3f}, limit "
        f"{finding.limit or 0:.3f}, JS {finding.js:.3f} bits, {finding.shares.null:.1%} null, "
        f"{finding.shares.out_of_range:.1%} out of range, in {window}" + _such_as(events)
    )


def _such_as(events: Sequence[int | str]) -> str:
    return f", such as {', '.join(map(str, events))}" if events else ""


def columns_of(values: Sequence[Mapping[str, Any]], scores: Sequence[float], reference: Reference) -> dict[str, Any]:
    """The receipts' values of some predictions, one mapping each, and their scores as columns of the reference's histograms.

    A value that a receipt lacks is null: the version's receipts have them all. A column of the event that none of them has is
    left out: they are of a scorer of an older Headrace, whose receipts do not carry any.
    """
    lacking = reference.of_event(set().union(*values)) if reference.segments else ()
    names = [p.name for p in reference.histograms[:-1] if p.name not in lacking]
    columns: dict[str, Any] = {name: [one.get(name) for one in values] for name in names}
    return columns | {reference.histograms[-1].name: scores}
