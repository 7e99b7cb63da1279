"""The message of a feature vector, decoded by its plan: what the model does not need is not even decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from features.inputs.columns import window_types
from features.plan import ColumnType, Plan
from schemas import Reason
from schemas.codec import UNREADABLE

# Bounded, so that a number which neither JSON's other readers nor an entity key can hold is refused as it comes in.
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
TYPES: dict[str, Any] = {
    "int64": Int64,
    "float64": float,
    "decimal": float,
    "string": str,
    "bool": bool,
    "timestamp": Int64,
}


class _PlanOnly(msgspec.Struct):
    plan: str


class UnscorableError(ValueError):
    """A feature vector that has no prediction; the text is the dead letter's detail."""

    reason: Reason = "unscorable"


class OtherPlanError(UnscorableError):
    """The vector is of another plan."""

    def __init__(self, plan: str, ours: str) -> None:
        super().__init__(f"computed by plan '{plan}'; this scorer's is '{ours}'")
        self.plan = plan


class TooLargeError(UnscorableError):
    """The prediction would be longer than Kafka takes."""

    reason = "too_large"


def decoder(plan: Plan, event: Sequence[str], windows: Sequence[str]) -> Callable[[bytes | None], Any]:
    """Decodes a record's value to a message with these columns of the event and these window features, in this order.

    The rest of the message is as in `schemas.FeatureVector`, ``origin`` as it is written. A value that is no such message, or is
    of another plan, raises `UnscorableError`.
    """
    ours = plan.short_digest
    decode_json: Callable[[bytes], Any] = msgspec.json.Decoder(_message_type(plan, event, windows)).decode

    def decode(value: bytes | None) -> Any:
        if value is None:
            raise UnscorableError("the record has no value")
        try:
            message = decode_json(value)
        except UNREADABLE as error:
            raise _of_other_plan(value, ours) or UnscorableError(str(error)) from None
        if message.plan != ours:
            raise OtherPlanError(message.plan, ours)
        return message

    return decode


def struct(name: str, types: Mapping[str, Any]) -> type[msgspec.Struct]:
    """A struct with fields of any name, which holds no container of containers: the collector need not look at it (gc=False)."""
    places = {f"f{i}": written for i, written in enumerate(types)}
    return msgspec.defstruct(name, [(place, types[written]) for place, written in places.items()], rename=places, gc=False)


def _message_type(plan: Plan, event: Sequence[str], windows: Sequence[str]) -> type[msgspec.Struct]:
    column, types = plan.spine_source.column, window_types(plan)
    fields: list[tuple[str, Any]] = [
        ("event_id", Int64 | str),
        ("event_time", Int64),
        ("plan", str),
        ("origin", msgspec.Raw),
        ("arrived_at", Int64),
        ("complete", bool),
        ("event", struct("Event", {name: value_type(column(name).type) | None for name in event})),
        ("features", struct("Features", {name: feature_type(types[name]) for name in windows})),
    ]
    return msgspec.defstruct("Message", fields, gc=False)


def feature_type(kind: ColumnType) -> Any:
    """What a window feature is decoded as."""
    if kind.length:
        return list[value_type(kind)]  # type: ignore[misc]
    return (int if kind.kind == "int64" else value_type(kind)) | None  # a sum of longs may be beyond 64 bits


def value_type(kind: ColumnType) -> Any:
    """What a value of a column is decoded as."""
    whole = kind.kind == "decimal" and kind.scale == 0  # is written without a point: an int, as in history
    return int | float if whole else TYPES[kind.kind]


def _of_other_plan(value: bytes, ours: str) -> OtherPlanError | None:
    """Why a record of another plan cannot be scored; None where the plan is ours, or not to be read."""
    try:
        theirs = msgspec.json.decode(value, type=_PlanOnly).plan
    except UNREADABLE:
        return None
    return OtherPlanError(theirs, ours) if theirs != ours else None
