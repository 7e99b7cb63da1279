"""Predictions of batch runs in the project's online store: each entity's newest, in a table that no view of Feast's has.

A row is an entity's key, its place in the order of the key's predictions, and the prediction as JSON. The table is not in Feast's
registry, so `feast apply` leaves it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from features.errors import SettingError
from features.feast.keys import Key, UnheldKeyError, entity_keys
from features.feast.online import ORDER, let_readers_read, open_store, telling
from features.feast.online_guarded import StoredRow, guarded_writer, order_of
from features.plan import Plan
from features.service import Service
from schemas import StoredPrediction
from schemas.codec import decode_stored_prediction, encode

PREDICTION = "prediction"
"""The column with the prediction as JSON."""
FIELDS = {"int64": "int64_val", "string": "string_val"}

WritePredictions = Callable[[Iterable[tuple[Key, StoredPrediction]]], int]
"""Stores predictions, which may be several of a key; gives how many were stored, of each key the newest at most."""
ReadPredictions = Callable[[Sequence[Key]], Sequence[StoredPrediction | None]]
"""Gives the prediction of each key, in their order; None where there is none."""


def open_predictions_for_writing(service: Service) -> WritePredictions:
    """Stores the predictions of a service's entities, none over a newer one.

    Raises `SettingError` where feature_store.yaml describes no store that can be written, and for a service without keys;
    what it gives raises `StackError` where the store fails.
    """
    from feast.protos.feast.types.Value_pb2 import Value

    store, table = _opened(service)
    write, entity_key = guarded_writer(store), _entity_keys(service.plan)

    def row(key: Key, prediction: StoredPrediction) -> StoredRow:
        order = order_of(prediction.as_of, prediction.computed_at)
        texts = {ORDER: order, PREDICTION: encode(prediction).decode()}
        values = {name: Value(string_val=text).SerializeToString() for name, text in texts.items()}
        return StoredRow(entity_key(key), prediction.as_of, prediction.computed_at, values)

    def write_predictions(predictions: Iterable[tuple[Key, StoredPrediction]]) -> int:
        newest: dict[Key, StoredPrediction] = {}
        for key, prediction in predictions:
            before = newest.get(key)
            if before is None or _place(before) <= _place(prediction):
                newest[key] = prediction
        rows = [row(*one) for one in newest.items()]
        with telling(service.folder):
            return write(table, rows)

    return write_predictions


def open_predictions(service: Service) -> ReadPredictions:
    """Reads what `open_predictions_for_writing` stores. Raises `SettingError` as it does.

    A key that no store holds, such as a number beyond 64 bits, has no prediction.
    """
    store, table = _opened(service)
    entity_key = _entity_keys(service.plan)

    def held(key: Key) -> Any:
        try:
            return entity_key(key)
        except UnheldKeyError:
            return None

    def read(keys: Sequence[Key]) -> Sequence[StoredPrediction | None]:
        wanted = [held(key) for key in keys]
        there = [key for key in wanted if key is not None]
        found = store._get_provider().online_read(store.config, table, there, [PREDICTION]) if there else []
        rows = iter(found)
        return [None if key is None else _prediction(next(rows)[1]) for key in wanted]

    return read


def _place(prediction: StoredPrediction) -> tuple[int, int]:
    return prediction.as_of, prediction.computed_at


def _prediction(values: Any) -> StoredPrediction | None:
    text = values[PREDICTION].string_val if values and PREDICTION in values else ""
    return decode_stored_prediction(text) if text else None


def _entity_keys(plan: Plan) -> Callable[[Key], Any]:
    return entity_keys([column.name for column in plan.entity], [FIELDS[column.type.kind] for column in plan.entity])


def _opened(service: Service) -> tuple[Any, Any]:
    """Feast's store of the project, and the table of the service's predictions in it, which is made where it is missing."""
    from feast import FeatureView, Field, FileSource
    from feast.types import String

    plan = service.plan
    if not plan.entity:
        raise SettingError(
            f"a prediction is stored by the key of its entity; got service '{plan.service}', whose features have no key; "
            "write a file with --out"
        )
    # Two underscores: no view of a project has a name with them.
    table = FeatureView(
        name=f"{plan.service}__predictions",
        entities=[],
        schema=[Field(name=name, dtype=String) for name in (ORDER, PREDICTION)],
        source=FileSource(name="none", path="none", timestamp_field="none"),
    )
    store = open_store(service.folder)
    try:
        store._get_provider().update_infra(store.project, [], [table], [], [], partial=True)
        let_readers_read(store)
    except Exception as error:  # each online store has errors of its own
        raise SettingError(
            f"predictions are stored in the online store of {service.folder / 'feature_store.yaml'}; it said: "
            f"{type(error).__name__}: {error}; fix that"
        ) from error
    return store, table
