"""What a device said of its events, held against what the cloud said of the same ones, by event id."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from features.errors import SettingError
from schemas import Prediction
from schemas.codec import UNREADABLE, decode_prediction
from serving.edge.headrace_edge.events import OWN
from serving.models.golden import SMALLEST, TOLERANCE

Cause = Literal["model", "plan", "incomplete", "inputs", "score"]
UNEXPLAINED = ("inputs", "score")
"""Both receipts say that nothing is missing, and are of one model: yet the inputs differ, or the score of equal ones does."""
CAUSES: dict[str, str] = {
    "model": "another model",
    "plan": "another plan",
    "incomplete": "incomplete",
    "inputs": "other inputs",
    "score": "other score",
}
"""Why two scores of an event differ, the first that holds, as reports say it."""
EXAMPLES = 5


class _Own(msgspec.Struct):
    """What the runner added to an event."""

    n: int
    prediction: Prediction | None = None


class _Line(msgspec.Struct, rename={"own": OWN}):
    own: _Own


class Differing(msgspec.Struct, frozen=True):
    """An event whose two scores differ."""

    event_id: int | str
    cause: Cause
    edge: float
    cloud: float
    inputs: dict[str, tuple[Any, Any]]
    """The inputs that differ: the device's, the cloud's."""


class Compared(msgspec.Struct, frozen=True):
    """Events of a device's outbox, held against predictions of the cloud."""

    events: int
    """With a prediction of the device."""
    unscored: int
    """Without one: events of other sources, and those that the model could not score."""
    compared: int
    """Events that the cloud predicted too."""
    equal: int
    """Of these, the scores that are equal within the tolerance."""
    largest: float
    """The largest difference of two scores."""
    causes: dict[str, int]
    values: int
    """Inputs of the events that were compared and have one plan."""
    differing_values: dict[str, int]
    """By input, how many are not equal to the bit."""
    examples: list[Differing]
    unreadable: int
    """Records that are no predictions."""

    @property
    def missing(self) -> int:
        """Events that the cloud has no prediction of: not published, dead letters, or not scored yet."""
        return self.events - self.compared

    @property
    def unexplained(self) -> int:
        """Scores that differ without a cause that a receipt names."""
        return sum(self.causes[cause] for cause in UNEXPLAINED)


def compare(outbox: Iterable[Path], cloud: Iterable[bytes]) -> Compared:
    """Compare the predictions in files of an outbox with those of the cloud. Raises `SettingError` for what is no outbox.

    Scores are equal within the tolerance of a golden batch (`serving.models.golden`).
    """
    edge, unscored = _edge(outbox)
    causes: Counter[str] = Counter(dict.fromkeys(CAUSES, 0))
    differing_values: Counter[str] = Counter()
    seen, equal, values, unreadable, largest = set[int | str](), 0, 0, 0, 0.0
    examples: list[Differing] = []
    for record in cloud:
        try:
            theirs = decode_prediction(record)
        except UNREADABLE:
            unreadable += 1
            continue
        ours = edge.get(theirs.event_id)
        if ours is None or theirs.event_id in seen:
            continue
        seen.add(theirs.event_id)
        other: dict[str, tuple[Any, Any]] = {}
        if ours.receipt.plan == theirs.receipt.plan:
            other = _inputs(ours.receipt.inputs, theirs.receipt.inputs)
            values += len(ours.receipt.inputs)
        differing_values.update(other.keys())
        largest = max(largest, abs(ours.score - theirs.score))
        if math.isclose(ours.score, theirs.score, rel_tol=TOLERANCE, abs_tol=SMALLEST):
            equal += 1
            continue
        cause = _cause(ours, theirs, other)
        causes[cause] += 1
        if len(examples) < EXAMPLES or (cause in UNEXPLAINED and examples[-1].cause not in UNEXPLAINED):
            examples[EXAMPLES - 1 :] = [Differing(theirs.event_id, cause, ours.score, theirs.score, other)]
    return Compared(
        events=len(edge),
        unscored=unscored,
        compared=len(seen),
        equal=equal,
        largest=largest,
        causes=dict(causes),
        values=values,
        differing_values=dict(differing_values.most_common()),
        examples=examples,
        unreadable=unreadable,
    )


def _edge(files: Iterable[Path]) -> tuple[dict[int | str, Prediction], int]:
    found: dict[int | str, Prediction] = {}
    unscored = 0
    decode = msgspec.json.Decoder(_Line).decode
    for path, number, line in _lines(files):
        try:
            prediction = decode(line).own.prediction
        except UNREADABLE as error:
            raise SettingError(
                f"an outbox has events with a field '{OWN}'; {path}, line {number}: {error}; name other files"
            ) from None
        if prediction is None:
            unscored += 1
        else:
            found[prediction.event_id] = prediction
    return found, unscored


def _lines(files: Iterable[Path]) -> Iterator[tuple[Path, int, bytes]]:
    """The whole lines: the runner may be writing the last one."""
    for path in files:
        with path.open("rb") as file:
            yield from ((path, number, line) for number, line in enumerate(file, 1) if line.endswith(b"\n"))


def _inputs(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*ours, *theirs])
    return {name: (ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)}


def _cause(ours: Prediction, theirs: Prediction, other: Mapping[str, Any]) -> Cause:
    if ours.receipt.sha256 != theirs.receipt.sha256:
        return "model"
    if ours.receipt.plan != theirs.receipt.plan:
        return "plan"
    if not ours.receipt.complete or not theirs.receipt.complete:
        return "incomplete"
    return "inputs" if other else "score"
