"""From decoded feature messages to predictions with receipts, as JSON, or to the reason why one cannot be scored."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET

from features.errors import SettingError
from features.feast.keys import UnheldKeyError
from features.feast.online import ReadRows
from features.inputs.outputs import no_score, why
from features.plan import Plan
from schemas import Prediction, Receipt
from schemas.codec import encode
from serving.models.manifest import Manifest, Model
from serving.models.session import load_model
from serving.predict.message import UnscorableError, struct
from serving.predict.vector import Known, Vectors, slice_of

Clock = Callable[[], float]


class Predictor:
    """One model at work on the messages of one plan.

    ``rows`` reads batch views; what it raises is not caught: a store that is down must not turn events into dead letters.
    """

    def __init__(self, model: Model, vectors: Vectors, rows: ReadRows, clock: Clock = time.time) -> None:
        self._manifest = model.manifest
        self._model = load_model(model)
        self._vectors = vectors
        self._rows = rows
        self._clock = clock
        # Written as the dict that it stands for, and three times as fast to make.
        self._inputs: Callable[..., Any] = struct("Inputs", dict.fromkeys(vectors.inputs, Any))

    @property
    def model(self) -> Manifest:
        """The model that predicts."""
        return self._manifest

    def predict(self, messages: Sequence[Any], featured_at: Sequence[int]) -> list[bytes | UnscorableError]:
        """A `schemas.Prediction` in JSON for each message, in order, or what is wrong with it. The model runs once for all.

        ``featured_at`` are the times of the messages' records. Where an event makes the whole batch fail, the halves are tried
        apart, down to that event: its neighbours are predicted.
        """
        if not messages:
            return []
        try:
            known = self._vectors.look_up(messages, self._rows)
        except UnheldKeyError as error:
            if len(messages) == 1:
                return [UnscorableError(str(error))]
            return [one for part in _halves(messages) for one in self.predict(messages[part], featured_at[part])]
        return self._attempt(messages, featured_at, known)

    def _attempt(self, messages: Sequence[Any], featured_at: Sequence[int], known: Known) -> list[bytes | UnscorableError]:
        try:
            return self._predict(messages, featured_at, known)
        except Exception as error:  # a function is the user's code, and what it gives may be no model's input
            if len(messages) == 1:
                return [_unscorable(error)]
        return [
            result
            for part in _halves(messages)
            for result in self._attempt(messages[part], featured_at[part], slice_of(known, part))
        ]

    def _predict(self, messages: Sequence[Any], featured_at: Sequence[int], known: Known) -> list[bytes | UnscorableError]:
        rows = self._vectors.complete(known)
        scored = self._model.score(rows)
        found = scored.scores
        if not all(map(math.isfinite, found)):
            raise UnscorableError(no_score(self._manifest.name, self._manifest.version))
        outputs: list[Any] = [UNSET] * len(found) if scored.outputs is None else [*scored.outputs]
        manifest, inputs = self._manifest, self._inputs
        scored_at = int(self._clock() * 1000)
        return [
            encode(
                Prediction(
                    event_id=message.event_id,
                    event_time=message.event_time,
                    score=score,
                    receipt=Receipt(
                        origin=message.origin,
                        plan=message.plan,
                        model=manifest.name,
                        version=manifest.version,
                        sha256=manifest.sha256,
                        inputs=inputs(*row),
                        batch_as_of=batch_as_of,
                        complete=message.complete and not incomplete,
                        arrived_at=message.arrived_at,
                        featured_at=featured,
                        scored_at=scored_at,
                        incomplete=incomplete,
                    ),
                    outputs=others,
                )
            )
            for message, row, score, others, batch_as_of, incomplete, featured in zip(
                messages, rows, found, outputs, known.batch_as_of, known.incomplete, featured_at, strict=True
            )
        ]


def _halves(messages: Sequence[Any]) -> tuple[slice, slice]:
    middle = len(messages) // 2
    return slice(0, middle), slice(middle, None)


def _unscorable(error: Exception) -> UnscorableError:
    if isinstance(error, UnscorableError):
        return error
    return UnscorableError(why(error))


def check_model(model: Model, plan: Plan) -> None:
    """Refuse a model that was trained on other features than this plan's: raises `SettingError`."""
    manifest = model.manifest
    if manifest.plan != plan.digest:
        raise SettingError(
            f"model '{manifest.name}' {manifest.version}: a model scores what it was trained on; it was trained on plan "
            f"{manifest.plan[:12]}, service '{plan.service}' has {plan.short_digest}; train it again, or restore the definitions"
        )
