"""``plan.json``: what the device computes, as `serving.edge.plan` writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from .errors import EdgeError

FORMAT = 1
DIGITS = Context(prec=1000)
"""Decimals are exact: a sum has more digits than its column."""


@dataclass(frozen=True)
class Column:
    """A column of a source; ``kind`` is int64, float64, decimal, string, bool or timestamp."""

    name: str
    kind: str
    precision: int
    scale: int

    @property
    def text(self) -> str:
        """``decimal(12,2)``."""
        return f"decimal({self.precision},{self.scale})" if self.kind == "decimal" else self.kind


@dataclass(frozen=True)
class Source:
    """A stream of events: its columns, and those that no event may lack (rule 8)."""

    name: str
    topic: str
    time: str
    event_id: str
    columns: tuple[Column, ...]
    required: tuple[str, ...]

    def column(self, name: str) -> Column:
        """The column called ``name``."""
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class Feature:
    """A function of a column over the rows of one key in (t - window_ms, t]."""

    name: str
    function: str
    """``quantile`` and ``last_n`` with their ``parameter``; the others by what users write."""
    parameter: tuple[int, int] | None
    """As a fraction: the n of the last n, the share of a quantile."""
    column: Column
    window_ms: int
    fill: Any
    """Of an empty window (rule 4), as the feature's own type; None: null."""
    bits: bool
    """Whether every engine gives the same bits (rule 7); else they differ by ``relative`` at most."""
    relative: float


@dataclass(frozen=True)
class Stage:
    """All windows over one source by one key."""

    source: str
    key: tuple[str, ...]
    features: tuple[Feature, ...]

    @property
    def longest_ms(self) -> int:
        """The longest window."""
        return max(feature.window_ms for feature in self.features)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are aggregated, each once."""
        return tuple(dict.fromkeys(feature.column.name for feature in self.features))


@dataclass(frozen=True)
class OnDemand:
    """A function of event columns and other features, in ``functions.py``."""

    view: str
    event_inputs: tuple[Column, ...]
    feature_inputs: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Tensor:
    """An input of the model: [1, columns], or [1] where it is no matrix."""

    name: str
    type: str
    columns: tuple[str, ...]
    matrix: bool


@dataclass(frozen=True)
class Output:
    """An output of the model."""

    name: str
    type: str
    classes: tuple[Any, ...]
    maps: bool


@dataclass(frozen=True)
class Model:
    """What the model takes and gives, and which of its numbers is the score."""

    name: str
    version: int
    sha256: str
    tensors: tuple[Tensor, ...]
    outputs: tuple[Output, ...]
    score: tuple[str, int]
    others: tuple[str, ...]
    tolerance: float
    """How far a score may be from the golden one, in relation to it."""
    smallest: float
    """The same near 0, in relation to the largest golden score."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all tensors, in order."""
        return tuple(column for tensor in self.tensors for column in tensor.columns)

    def output(self, name: str) -> Output:
        """The output called ``name``."""
        return next(output for output in self.outputs if output.name == name)


@dataclass(frozen=True)
class Plan:
    """Everything that the device computes."""

    service: str
    digest: str
    """Of the service's plan."""
    spine: str
    lateness_ms: int
    max_ahead_ms: int
    max_age_days: int
    sources: dict[str, Source]
    stages: tuple[Stage, ...]
    on_demand: tuple[OnDemand, ...]
    lists: dict[str, tuple[str, int]]
    """For each input that is a list's column: the feature, and the value's place from its end."""
    model: Model


def read(content: bytes) -> Plan:
    """The plan in a file. Raises `EdgeError` for another format."""
    found = json.loads(content)
    if found.get("format") != FORMAT:
        raise EdgeError(f"a plan has format {FORMAT}; got {found.get('format')}; export the model again")
    sources = {one["name"]: _source(one) for one in found["sources"]}
    return Plan(
        service=found["service"],
        digest=found["plan"],
        spine=found["spine"],
        lateness_ms=found["lateness_ms"],
        max_ahead_ms=found["max_ahead_ms"],
        max_age_days=found["max_age_days"],
        sources=sources,
        stages=tuple(_stage(one, sources[one["source"]]) for one in found["windows"]),
        on_demand=tuple(_on_demand(one, sources[found["spine"]]) for one in found["on_demand"]),
        lists={column: (feature, place) for column, (feature, place) in found["lists"].items()},
        model=_model(found["model"]),
    )


def _source(found: dict[str, Any]) -> Source:
    columns = tuple(Column(**one) for one in found["columns"])
    return Source(found["name"], found["topic"], found["time"], found["event_id"], columns, tuple(found["required"]))


def _stage(found: dict[str, Any], source: Source) -> Stage:
    return Stage(found["source"], tuple(found["key"]), tuple(_feature(one, source) for one in found["features"]))


def _feature(found: dict[str, Any], source: Source) -> Feature:
    column = source.column(found["column"])
    parameter = tuple(found["parameter"]) if found["parameter"] else None
    fill = None if found["fill"] is None else _typed(found["fill"], found["gives"], column.scale)
    known = {name: found[name] for name in ("name", "function", "window_ms", "bits", "relative")}
    return Feature(**known, parameter=parameter, column=column, fill=fill)


def _typed(fill: float, kind: str, scale: int) -> Any:
    if kind == "decimal":
        return Decimal(repr(fill)).quantize(Decimal((0, (1,), -scale)), context=DIGITS)
    return {"float64": float, "bool": bool}.get(kind, int)(fill)


def _on_demand(found: dict[str, Any], spine: Source) -> OnDemand:
    columns = tuple(spine.column(name) for name in found["event_inputs"])
    pairs = tuple((seen, full) for seen, full in found["feature_inputs"])
    return OnDemand(found["view"], columns, pairs, tuple(found["outputs"]))


def _model(found: dict[str, Any]) -> Model:
    tensors = tuple(Tensor(t["name"], t["type"], tuple(t["columns"]), t["matrix"]) for t in found["tensors"])
    outputs = tuple(Output(o["name"], o["type"], tuple(o["classes"]), o["maps"]) for o in found["outputs"])
    known = {name: found[name] for name in ("name", "version", "sha256", "tolerance", "smallest")}
    name, place = found["score"]
    return Model(**known, tensors=tensors, outputs=outputs, score=(name, place), others=tuple(found["others"]))
