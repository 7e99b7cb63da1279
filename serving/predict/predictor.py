"""From the events of one poll to a model's predictions with receipts, as JSON, or to the reason why one cannot be scored."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from features.errors import SettingError
from features.feast.keys import UnheldKeyError
from features.feast.online import ReadRows
from features.inputs.outputs import no_score, why
from features.plan import Plan
from schemas import Prediction, Receipt
from schemas.codec import encode
from serving.models.manifest import Manifest
from serving.models.session import LoadedModel
from serving.predict.message import UnscorableError, struct
from serving.predict.vector import Events, Needed, needed_by

Clock = Callable[[], float]
Result = bytes | UnscorableError
"""A `schemas.Prediction` in JSON, or why there is none."""


class Predictor:
    """One model at work on the events of its plan."""

    def __init__(self, model: LoadedModel, plan: Plan, clock: Clock = time.time) -> None:
        """Raises `SettingError` for a model of another plan, `DefinitionError` for an input that the plan does not give."""
        check_model(model.manifest, plan)
        self.needed: Needed = needed_by(plan, model.manifest.inputs, model.manifest.segments)
        self.manifest: Manifest = model.manifest
        self._model = model
        self._clock = clock
        self._inputs, self._segments = _values(self.needed.inputs), _values(self.needed.segments)

    @property
    def model(self) -> LoadedModel:
        """The model itself."""
        return self._model

    def predict(self, events: Events, rows: ReadRows, tries: float = math.inf) -> list[Result]:
        """The result of each event, in order. The model runs once for all.

        Where an event makes the whole batch fail, the halves are tried apart, down to that event: its neighbours are predicted.
        After so many ``tries`` what has failed is not tried again. ``rows`` reads batch views; what it raises, an unheld key
        aside, is not caught: a store that is down must not turn events into dead letters.
        """
        results: list[Result] = [UnscorableError("")] * len(events)
        parts = [(range(len(events)), events)] if len(events) else []
        while parts:
            places, part = parts.pop()
            tries -= 1
            try:
                part.look_up(self.needed, rows)
                found = self._attempt(part)
            except (UnheldKeyError, UnscorableError) as error:
                middle = len(places) // 2
                if middle and tries > 0:
                    for half in (range(middle, len(places)), range(middle)):  # the first half is tried first
                        parts.append((places[half.start : half.stop], part.some(half)))
                    continue
                found = [error if isinstance(error, UnscorableError) else UnscorableError(str(error))] * len(places)
            results[places.start : places.stop] = found
        return results

    def _attempt(self, events: Events) -> list[Result]:
        try:
            vectors = events.vectors(self.needed)
            found = self._model.score(vectors)
        except Exception as error:  # a function is the user's code, and what it gives may be no model's input
            raise _unscorable(error) from error
        manifest, inputs = self.manifest, self._inputs
        scored_at = int(self._clock() * 1000)
        batch_as_of, incomplete = events.batch_of(self.needed)
        absent: list[Any] = [msgspec.UNSET] * len(events)
        outputs = found.outputs or absent
        segments = [self._segments(*row) for row in events.segments(self.needed)] if self.needed.segments else absent
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
                        inputs=inputs(*vector),
                        batch_as_of=as_of,
                        complete=message.complete and not reasons,
                        arrived_at=message.arrived_at,
                        featured_at=featured,
                        scored_at=scored_at,
                        incomplete=reasons,
                        segments=of_event,
                    ),
                    outputs=others,
                )
            )
            if math.isfinite(score)
            else UnscorableError(no_score(manifest.name, manifest.version))
            for message, vector, score, others, as_of, reasons, of_event, featured in zip(
                events.messages,
                vectors,
                found.scores,
                outputs,
                batch_as_of,
                incomplete,
                segments,
                events.featured_at,
                strict=True,
            )
        ]


@lru_cache(maxsize=256)
def _values(names: tuple[str, ...]) -> Callable[..., Any]:
    """The struct of a receipt's values by name: written as the dict that it stands for, and three times as fast to make.

    Kept, since a class lives until the collector comes: models that follow one another have the same inputs.
    """
    return struct("Values", dict.fromkeys(names, Any))


def _unscorable(error: Exception) -> UnscorableError:
    if isinstance(error, UnscorableError):
        return error
    return UnscorableError(why(error))


def check_model(manifest: Manifest, plan: Plan) -> None:
    """Refuse a model that was trained on other features than this plan's: raises `SettingError`."""
    if manifest.plan != plan.digest:
        raise SettingError(
            f"model '{manifest.name}' {manifest.version}: a model scores what it was trained on; it was trained on plan "
            f"{manifest.plan[:12]}, service '{plan.service}' has {plan.short_digest}; train it again, restore the definitions, "
            "or, where definitions.py has that plan by now, run 'headrace up'"
        )
