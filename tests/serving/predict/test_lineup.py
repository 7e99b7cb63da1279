"""Several models over the events of one poll: shared work, a canary's keys, and what shadows cannot spoil."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from features.feast.keys import Key
from features.feast.online import Row
from features.plan import BatchView
from schemas.codec import decode_prediction
from serving.models.registry import Registry
from serving.models.session import load_model
from serving.predict.lineup import Lane, Lineup
from serving.predict.message import UnscorableError
from serving.predict.predictor import Predictor, Result
from serving.predict.share import takes
from serving.predict.vector import Events
from tests.serving.predict.test_vector import PLAN, message, ratio, sizes
from tests.support.models import register, stumps
from tests.support.odd_models import nan, register_odd, throwing

WINDOWS = ("by-shop__count", "by-shop__mean")
FUNCTIONS = ("ratio__of_mean", "by-shop__count")
KEYS = [str(number).encode() for number in range(200)]


class Record(NamedTuple):
    """Of Kafka, as far as a shadow looks at it."""

    value: bytes


def predictor(folder: Path, inputs: Sequence[str], onnx: bytes | None = None) -> Predictor:
    """A new version of the model, with these inputs."""
    if onnx is None:
        manifest = register(folder, PLAN, stumps([0.1] * len(inputs)), inputs=tuple(inputs), alias=None)
    else:
        manifest = register_odd(folder, PLAN, onnx, tuple(inputs))
    return Predictor(load_model(Registry(folder).get(PLAN.service, manifest.version)), PLAN)


def events(lineup: Lineup, values: Sequence[bytes]) -> Events:
    """The events of a poll."""
    return lineup.vectors.events([lineup.vectors.decode(value) for value in values], [0] * len(values))


def versions(results: Sequence[Result]) -> list[int]:
    """Which version made each prediction."""
    return [decode_prediction(result).receipt.version for result in results if isinstance(result, bytes)]


def test_a_canary_has_the_keys_of_its_share(tmp_path: Path) -> None:
    """In the order of the events; a greater share keeps the keys of the smaller one, and a function is called once for both."""
    calls = []

    def spying(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        calls.append(columns)
        return ratio(columns)

    production, canary = predictor(tmp_path, FUNCTIONS), predictor(tmp_path, FUNCTIONS)
    taken = []
    for share in (0.05, 0.2):
        lineup = Lineup(PLAN, {"ratio": spying}, Lane("production", production), Lane("canary", canary, share), rows=sizes)
        found = versions(lineup.predict(events(lineup, [message()] * len(KEYS)), KEYS))
        assert found == [2 if takes(key, share) else 1 for key in KEYS]
        taken.append({key for key, version in zip(KEYS, found, strict=True) if version == 2})
    assert taken[0] < taken[1]
    assert len(calls) == 2


def test_an_event_that_a_canary_cannot_score_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    """It is unscorable, as in production."""
    production, canary = predictor(tmp_path, WINDOWS), predictor(tmp_path, WINDOWS, nan(len(WINDOWS)))
    lineup = Lineup(PLAN, {}, Lane("production", production), Lane("canary", canary, 0.2))
    results = lineup.predict(events(lineup, [message()] * len(KEYS)), KEYS)
    assert [isinstance(result, UnscorableError) for result in results] == [takes(key, 0.2) for key in KEYS]


@pytest.mark.parametrize("onnx", [nan, throwing])
def test_a_shadow_that_fails_is_counted(tmp_path: Path, onnx: Any) -> None:
    """Event by event; a model that always throws is not tried for each of them."""
    shadow = Lane("staging", predictor(tmp_path, WINDOWS, onnx(len(WINDOWS))))
    lineup = Lineup(PLAN, {}, Lane("production", predictor(tmp_path, WINDOWS)), shadows=[shadow])
    poll = events(lineup, [message()] * 300)
    assert len(versions(lineup.predict(poll, ()))) == 300
    assert versions(lineup.shadow(shadow, poll)) == []
    assert (shadow.tally.events, shadow.tally.errors) == (0, 300)


def test_what_only_a_shadow_takes_is_no_affair_of_productions(tmp_path: Path) -> None:
    """Production predicts a vector whose other field is wrong, and calls no function and reads no row that it does not need;
    the shadow has the vectors that are whole.
    """
    calls: list[str] = []

    def spying(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        calls.append("function")
        return ratio(columns)

    def rows(view: BatchView, keys: Sequence[Key]) -> list[Row | None]:
        calls.append("rows")
        return sizes(view, keys)

    shadow = Lane("staging", predictor(tmp_path, (*FUNCTIONS, "shops__age")))
    production = Lane("production", predictor(tmp_path, WINDOWS[:1]))
    lineup = Lineup(PLAN, {"ratio": spying}, production, shadows=[shadow], shadow_rows=rows)
    values = [message(), message({"price": "wrong"}), message({"shop": 2})]
    poll = events(lineup, values)
    assert len(versions(lineup.predict(poll, ()))) == 3
    assert calls == []
    whole, records = lineup.for_shadows(poll, [Record(value) for value in values])
    assert [record.value for record in records] == [values[0], values[2]]
    assert len(versions(lineup.shadow(shadow, whole))) == 2
    assert sorted(calls) == ["function", "rows"]
