"""From the messages of one poll to the input vectors of a model: decoded by the plan, completed by batch views and functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from features.errors import DefinitionError
from features.feast.online import ReadRows
from features.inputs.columns import at, input_columns, list_columns
from features.plan import BatchView, OnDemand, Plan
from features.service import Function
from schemas.features import Value

Columns = dict[str, Sequence[Any]]

# Bounded here, so that a number which neither JSON's other readers nor an entity key can hold is refused as it comes in.
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Number = Int64 | float | bool | None
COLUMN_TYPES: dict[str, Any] = {
    "int64": Int64,
    "float64": float,
    "decimal": float,
    "string": str,
    "bool": bool,
    "timestamp": Int64,
}


class UnscorableError(ValueError):
    """A feature vector that cannot be scored; the text is the dead letter's detail."""


class Known(NamedTuple):
    """What is known of some events before a function is called."""

    columns: Columns
    """Window and batch features, by full name."""
    event: Columns
    """Columns of the events themselves."""
    batch_as_of: Sequence[dict[str, int]]
    """For each event, the times of its batch rows, by view."""


class Vectors:
    """Makes the input vectors of one model of one plan; ``inputs`` are the model's, in its order, a list as its columns.

    Raises `DefinitionError` where the plan does not give one of them.
    """

    def __init__(self, plan: Plan, inputs: Sequence[str], functions: Mapping[str, Function]) -> None:
        of_lists = list_columns(plan)
        self.inputs = input_columns(plan, inputs)
        self.plan = plan.short_digest
        self._of_lists = {name: of_lists[name] for name in self.inputs if name in of_lists}
        features = {self._of_lists[name][0] if name in self._of_lists else name for name in self.inputs}
        self.on_demand = tuple(v for v in plan.on_demand if not _features(v).isdisjoint(features))
        wanted = {*features, *(full for v in self.on_demand for _, full in v.feature_inputs)}
        self.batch = tuple(v for v in plan.batch if not _features(v).isdisjoint(wanted))
        self._functions = functions
        self._windows = tuple(f.name for f in plan.window_features if f.name in wanted)
        self._event = _each_once([*(v.event_inputs for v in self.on_demand), *(v.key for v in self.batch)])
        given = {*self._windows}
        views: tuple[OnDemand | BatchView, ...] = (*self.on_demand, *self.batch)
        for view in views:
            given |= _features(view)
        _check_given(plan.service, wanted, given)
        lists = {feature for feature, _ in of_lists.values()}
        types = {n: list[Number] if n in lists else Number if n in features else Number | str for n in self._windows}
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(_message_type(plan, self._event, types)).decode

    def decode(self, value: bytes | None) -> Any:
        """The message with the fields that this model needs, and ``origin`` as it is written; raises `UnscorableError`."""
        if value is None:
            raise UnscorableError("the record has no value")
        try:
            message = self._decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnscorableError(_other_plan(value, self.plan) or str(error)) from None
        if message.plan != self.plan:
            raise UnscorableError(_other_plan(value, self.plan))
        return message

    def look_up(self, messages: Sequence[Any], rows: ReadRows) -> Known:
        """The messages turned into columns, and the rows of the batch views beside them."""
        columns = _columns(self._windows, [msgspec.structs.astuple(m.features) for m in messages])
        event = _columns(self._event, [msgspec.structs.astuple(m.event) for m in messages])
        batch_as_of: list[dict[str, int]] = [{} for _ in messages]
        for view in self.batch:
            found = rows(view, list(zip(*(event[column] for column in view.key), strict=True)))
            absent = (None,) * len(view.features)
            names = [f"{view.view}__{feature}" for feature in view.features]
            columns |= _columns(names, [absent if row is None else row.values for row in found])
            for as_of, row in zip(batch_as_of, found, strict=True):
                if row is not None:
                    as_of[view.view] = row.as_of
        return Known(columns, event, batch_as_of)

    def complete(self, known: Known) -> Sequence[tuple[Value, ...]]:
        """The input vectors, a row for each event. Every on-demand function is called once, for whole columns."""
        columns = dict(known.columns)
        for view in self.on_demand:
            given = {name: list(known.event[name]) for name in view.event_inputs}
            given |= {seen: list(columns[full]) for seen, full in view.feature_inputs}
            made = self._functions[view.view](given)
            for output in view.outputs:
                columns[f"{view.view}__{output}"] = _output(view, made, output, len(known.batch_as_of))
        for column, (feature, place) in self._of_lists.items():
            columns[column] = [at(values, place) for values in columns[feature]]
        return list(zip(*(columns[name] for name in self.inputs), strict=True))


def inputs_type(inputs: Sequence[str]) -> Callable[..., msgspec.Struct]:
    """A struct that JSON writes as an object by input, three times as fast to make as that dict."""
    return _struct("Inputs", dict.fromkeys(inputs, Any))


def matrix(rows: Sequence[tuple[Value, ...]]) -> npt.NDArray[np.float32]:
    """Input vectors as [n, inputs]; null becomes NaN."""
    with np.errstate(over="ignore"):  # beyond float32 is infinite to the model, in training too
        return np.array(rows, np.float32)


def slice_of(known: Known, part: slice) -> Known:
    """What is known of some of the events."""
    return Known(
        {name: column[part] for name, column in known.columns.items()},
        {name: column[part] for name, column in known.event.items()},
        known.batch_as_of[part],
    )


def _message_type(plan: Plan, event: Sequence[str], windows: Mapping[str, Any]) -> type[msgspec.Struct]:
    """`schemas.FeatureVector` with this plan's names as fields: what the model does not need is not even decoded."""
    column = plan.spine_source.column
    fields: list[tuple[str, Any]] = [
        ("event_id", Int64 | str),
        ("event_time", Int64),
        ("plan", str),
        ("origin", msgspec.Raw),
        ("arrived_at", Int64),
        ("complete", bool),
        ("event", _struct("Event", {name: COLUMN_TYPES[column(name).type.kind] | None for name in event})),
        ("features", _struct("Features", windows)),
    ]
    return msgspec.defstruct("Message", fields, gc=False)


def _struct(name: str, types: Mapping[str, Any]) -> type[msgspec.Struct]:
    """A struct with fields of any name, which holds no container of containers: the collector need not look at it (gc=False)."""
    places = {f"f{i}": written for i, written in enumerate(types)}
    return msgspec.defstruct(name, [(place, types[written]) for place, written in places.items()], rename=places, gc=False)


class _PlanOnly(msgspec.Struct):
    plan: str


def _other_plan(value: bytes, ours: str) -> str:
    """What to say of a record of another plan; empty where the plan is ours, or not to be read."""
    try:
        theirs = msgspec.json.decode(value, type=_PlanOnly).plan
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return f"computed by plan '{theirs}'; this scorer's is '{ours}'" if theirs != ours else ""


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if names else {}


def _output(view: OnDemand, made: Mapping[str, Sequence[Any]], output: str, count: int) -> Sequence[Any]:
    if output not in made or len(made[output]) != count:
        came = f"{len(made[output])} values" if output in made else "none"
        raise UnscorableError(f"on-demand view '{view.view}' gives a value of '{output}' for each of {count} events; got {came}")
    return made[output]


def _features(view: OnDemand | BatchView) -> set[str]:
    names = view.outputs if isinstance(view, OnDemand) else view.features
    return {f"{view.view}__{name}" for name in names}


def _each_once(groups: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))


def _check_given(service: str, wanted: set[str], given: set[str]) -> None:
    missing = sorted(wanted - given)
    if missing:
        raise DefinitionError(
            f"service '{service}': every input of the model is a feature of the plan; got {', '.join(missing)}; "
            "add it to the service, or train a model without it"
        )
