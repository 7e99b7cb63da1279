"""Feature vectors on their way through a scorer's parts, without a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from features.feast.online import ReadRows
from features.plan import Plan
from schemas import FeatureVector, Origin, Prediction
from schemas.codec import decode_prediction
from serving.models.manifest import Model
from serving.models.session import load_model
from serving.predict.message import UnscorableError
from serving.predict.predictor import Predictor
from serving.predict.vector import Vectors


def streamed(
    model: Model, plan: Plan, events: Sequence[Mapping[str, Any]], functions: Mapping[str, Callable[..., Any]], rows: ReadRows
) -> list[Prediction | UnscorableError]:
    """What a scorer says of ``events``, the spine's columns and the windows' features of each, all of one poll."""
    predictor = Predictor(load_model(model), plan)
    vectors = Vectors(plan, [predictor.needed], functions)
    messages = [vectors.decode(message(plan, event)) for event in events]
    found = predictor.predict(vectors.events(messages, [0] * len(messages)), rows)
    return [one if isinstance(one, UnscorableError) else decode_prediction(one) for one in found]


def message(plan: Plan, row: Mapping[str, Any]) -> bytes:
    """What the stream writes of a row: decimals as plain numbers."""
    spine = plan.spine_source
    event = {c.name: row[c.name] for c in spine.columns}
    features = {f.name: row[f.name] for f in plan.window_features}
    vector = FeatureVector(row[spine.event_id], row[spine.time], plan.short_digest, Origin("t", 0, 0), 0, True, event, features)
    return msgspec.json.Encoder(decimal_format="number").encode(vector)
