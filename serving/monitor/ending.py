"""Alarms that close although nobody has seen that all is well: nothing is judged of what they are about any more."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from features.inputs.reference import Length
from schemas.alarm import Alarm
from serving.monitor.state import State, Track, Version

LONG: dict[Length, str] = {"hour": "an hour", "day": "a day"}


def watched_text(name: str, model: str, version: int, segment: str) -> str:
    """What an alarm is of, for people: an input of a version, and of which predictions where it is not of all."""
    of = f"{name} of {model} v{version}"
    return f"{of} where {segment}" if segment else of


def unserved(version: Version, now: int) -> list[Alarm]:
    """The alarms of a version that predicts no longer, closed."""
    return _closed(version.tracks.values(), "its version predicts no longer", now)


def silent(version: Version, now: int) -> list[Alarm]:
    """Close the alarms of inputs and segments that were judged in none of the kept windows, and forget how they went.

    They have no predictions, or too few. It is not sooner, as a segment of some hours of the day is judged again the next day.
    """
    first = version.closed[0].start
    keys = [key for key, track in version.tracks.items() if track.recent and track.recent[-1][0] < first]
    why = f"none of the last {len(version.closed)} windows had enough predictions of it"
    return _closed([version.tracks.pop(key) for key in keys], why, now)


def superseded(state: State, by: Length, now: int) -> list[Alarm]:
    """Close all alarms of a state that nobody goes on with, as windows are of another length now."""
    why = f"windows are of {LONG[by]} now, and this alarm was of windows of {LONG[state.length]}: it is superseded"
    tracks = [track for version in state.versions.values() for track in version.tracks.values()]
    for version in state.versions.values():
        version.tracks.clear()
    return _closed(tracks, why, now)


def _closed(tracks: Iterable[Track], why: str, now: int) -> list[Alarm]:
    closed = []
    for alarm in (track.alarm for track in tracks if track.alarm is not None):
        what = watched_text(alarm.input, alarm.model, alarm.version, alarm.segment)
        text = f"nothing is said of {what} any more: {why}"
        closed.append(msgspec.structs.replace(alarm, state="closed", text=text, raised_at=now, events=[]))
    return closed
