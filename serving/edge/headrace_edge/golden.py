"""The golden vectors: events, and what history says of them. A runner that computes anything else does not run.

::

    {"source": "orders", "event": "{…}", "features": {…}, "own": {…}, "score": 0.25, "outputs": {…}}

``features`` are the batch engine's: equal to the bit where rule 7 of the window contract says so, and else as near as it says.
``own`` are the runner's of those others, where the bundle was made: equal to the bit too. The score is the registry's model's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from . import events
from .device import EVER, Device
from .errors import EdgeError, UnscorableError
from .model import Session
from .on_demand import Function
from .plan import Feature, Plan
from .windows import Bounds


class Replayed(NamedTuple):
    """What was compared, and the runner's own values."""

    vectors: int
    values: int
    own: list[dict[str, float | None]]
    """For each vector, the features that rule 7 does not give to the bit."""


def replay(plan: Plan, session: Session, functions: Mapping[str, Function], content: bytes) -> Replayed:
    """Take the golden events. Raises `EdgeError` with the first difference."""
    lines = [json.loads(line, parse_float=Decimal) for line in content.splitlines()]
    device = Device(plan, session, functions, Bounds(len(lines) + 1, len(lines) + 1), whole_from=EVER, ids=1)
    of_features = {feature.name: feature for stage in plan.stages for feature in stage.features}
    scores = [float(line["score"]) for line in lines if "score" in line]
    least = plan.model.smallest * max([1.0, *map(abs, scores)])
    own, values = [], 0
    for place, line in enumerate(lines, 1):
        event = events.read_again(plan.sources[line["source"]], line["event"])
        device.add(event)
        if "features" not in line:
            continue
        try:
            features, _ = device.features(event)
            inputs = device.inputs(event, features)
            score, outputs = session.score(inputs)
        except UnscorableError as error:
            raise EdgeError(f"{RULE}; event {event.id} in line {place} has no prediction: {error}; {ADVICE}") from None
        for what, expected, got in _differing(of_features, line, features):
            raise EdgeError(f"{RULE}; {what} of event {event.id} in line {place} is {got}, not {expected}; {ADVICE}")
        if not math.isclose(score, float(line["score"]), rel_tol=plan.model.tolerance, abs_tol=least):
            came = f"the score of event {event.id} in line {place} is {score}, not {line['score']}"
            raise EdgeError(f"{RULE}; {came} within {plan.model.tolerance}; {ADVICE}")
        if not _are_close(line.get("outputs", {}), outputs, plan.model.tolerance, plan.model.smallest):
            raise EdgeError(f"{RULE}; the outputs of event {event.id} in line {place} are {outputs}; {ADVICE}")
        values += len(features)
        own.append({name: features[name] for name, feature in of_features.items() if not feature.bits})
    if not own:
        raise EdgeError(f"{RULE}; got none; export the model again, with --golden")
    return Replayed(len(own), values, own)


RULE = "windows and scores are those of the golden vectors"
ADVICE = "install the versions of numpy and onnxruntime in manifest.json, or export the model again"


def _differing(of: Mapping[str, Feature], line: dict[str, Any], found: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name, feature in of.items():
        expected, got = line["features"][name], found[name]
        if not same(expected, got, 0.0 if feature.bits else feature.relative):
            yield name, expected, got
        if "own" in line and not feature.bits and not same(line["own"][name], got, 0.0):
            yield f"{name}, which is the same to the bit on every machine,", line["own"][name], got


def same(expected: Any, got: Any, relative: float) -> bool:
    """Whether a value is the one in JSON: to the bit, or within ``relative``."""
    if isinstance(got, list):
        return isinstance(expected, list) and len(expected) == len(got) and all(map(same, expected, got, [relative] * len(got)))
    if isinstance(got, float) and isinstance(expected, int | Decimal) and not isinstance(expected, bool):
        return math.isclose(float(expected), got, rel_tol=relative)
    of_one_kind = type(expected) is type(got) or (_is_number(expected) and _is_number(got))
    return of_one_kind and bool(expected == got)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _are_close(before: Any, now: Any, tolerance: float, smallest: float) -> bool:
    if isinstance(before, dict):
        return before.keys() == now.keys() and all(_are_close(one, now[key], tolerance, smallest) for key, one in before.items())
    if isinstance(now, float):
        return math.isclose(float(before), now, rel_tol=tolerance, abs_tol=smallest)
    return bool(before == now)
