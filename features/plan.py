"""The plan: a service's definitions as one small immutable value, which every engine turns into work."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Literal, get_args

import msgspec

from features.definitions.aggregations import Aggregation, find
from features.errors import DefinitionError
from schemas import topics

Mode = Literal["arrival", "event_time"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""The default first."""
VALID_UNTIL = "valid_until"
"""What every stream view has in a Feast registry beside its aggregations: when the next row leaves one of its windows, in UTC
milliseconds. It is no input of a model."""


class ColumnType(msgspec.Struct, frozen=True):
    """One of int64, float64, decimal(precision, scale), string, bool, timestamp (UTC milliseconds), or a list of one.

    >>> str(ColumnType("decimal", 12, 2, length=10))
    'decimal(12,2)[10]'
    """

    kind: Literal["int64", "float64", "decimal", "string", "bool", "timestamp"]
    precision: int = 0
    scale: int = 0
    length: int = 0
    """Of a list, the most values that it has; 0: no list."""

    def __str__(self) -> str:
        one = f"decimal({self.precision},{self.scale})" if self.kind == "decimal" else self.kind
        return f"{one}[{self.length}]" if self.length else one


class Column(msgspec.Struct, frozen=True):
    """A column of a source."""

    name: str
    type: ColumnType


class Source(msgspec.Struct, frozen=True):
    """A Kafka topic and the history of the same rows in Parquet."""

    name: str
    topic: str
    columns: tuple[Column, ...]
    time: str
    """The column with the event time."""
    event_id: str
    """The column that identifies an event; the scorer gives one prediction for each id."""
    history: str
    """Path of the Parquet file or glob, relative to the project."""
    delay_ms: int
    """How far the watermark stays behind the newest event, in event-time mode."""
    arrival: str | None = None
    """The column of the history that orders rows of equal key and time; None: the row order (rule 3)."""

    def column(self, name: str) -> Column:
        """The column called ``name``."""
        for column in self.columns:
            if column.name == name:
                return column
        known = ", ".join(c.name for c in self.columns)
        raise DefinitionError(f"source '{self.name}' has no column '{name}'; it has {known}")


class WindowFeature(msgspec.Struct, frozen=True, dict=True):
    """``function`` of ``column`` over the rows of one key in (t - window_ms, t] (the window contract, rules 1 to 5)."""

    name: str
    """``<view>__<feature>``."""
    function: str
    """As the user wrote it: ``count``, ``last_10``, ``p99``."""
    column: str
    window_ms: int
    fill: float | None = None
    """The value of an empty window, where the function has none (rule 4)."""

    @cached_property
    def aggregation(self) -> Aggregation:
        """``function``, parsed."""
        return find(self.function)

    @property
    def view(self) -> str:
        """The view that it is of."""
        return self.name.rpartition("__")[0]  # a view's name may end in an underscore, a feature's begins with a letter


class Stage(msgspec.Struct, frozen=True):
    """A keyed step: all windows over one source by one key, with one state, whichever views they are of."""

    source: str
    key: tuple[str, ...]
    """Columns of the source, and of the spine, with the entity's key."""
    features: tuple[WindowFeature, ...]

    @property
    def name(self) -> str:
        """A stable name: the operator's uid."""
        return f"{self.source}_by_{'_'.join(self.key)}"

    @property
    def longest_ms(self) -> int:
        """The longest window."""
        return max(f.window_ms for f in self.features)

    @property
    def views(self) -> tuple[str, ...]:
        """The views whose features these are, each once."""
        return tuple(dict.fromkeys(f.view for f in self.features))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are aggregated, each once, in the order of first use."""
        return tuple(dict.fromkeys(f.column for f in self.features))


class OnDemand(msgspec.Struct, frozen=True):
    """A Python function of event columns and other features, for whole columns at once: dict of lists → dict of lists."""

    view: str
    event_inputs: tuple[str, ...]
    """Columns of the spine, given to the function under their own names."""
    feature_inputs: tuple[tuple[str, str], ...]
    """(name that the function sees, ``<view>__<feature>``)."""
    outputs: tuple[str, ...]
    """The function's own names of its outputs; the feature is ``<view>__<output>``."""
    source_sha256: str
    """Of the function's text and of what it reads (`features.definitions.functions`), so that the digest moves when they do."""


class BatchView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A view computed daily from history and read from Feast's online store.

    Without a ttl it has the digest that it had before there was one.
    """

    view: str
    key: tuple[str, ...]
    features: tuple[str, ...]
    """Bare names; the feature is ``<view>__<name>``."""
    source: str
    """The source whose history is read, under this name, by ``sql``."""
    sql: str
    """DuckDB SQL over the rows of ``source`` before ``$day`` (a TIMESTAMPTZ); gives the key and the features."""
    path: str
    """Parquet file of the daily rows, relative to the project: key, ``timestamp``, features."""
    timestamp: str
    ttl_ms: int = 0
    """How old a row may be at the event, at most; 0: as old as it likes."""


class Plan(msgspec.Struct, frozen=True, dict=True):
    """Everything that a service computes."""

    service: str
    spine: str
    """The source whose every event is a query."""
    sources: tuple[Source, ...]
    windows: tuple[Stage, ...]
    on_demand: tuple[OnDemand, ...]
    batch: tuple[BatchView, ...]
    inputs: tuple[str, ...]
    """The model's inputs, ``<view>__<feature>``, in the order of the service."""
    mode: Mode
    lateness_ms: int
    """How long beyond the longest window rows are kept (rule 6)."""

    @cached_property
    def digest(self) -> str:
        """sha256 of the plan: equal digests mean equal values."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    @property
    def short_digest(self) -> str:
        """What the messages carry."""
        return self.digest[:12]

    def source(self, name: str) -> Source:
        """The source called ``name``."""
        return next(s for s in self.sources if s.name == name)

    @property
    def spine_source(self) -> Source:
        """The spine as a source."""
        return self.source(self.spine)

    def required(self, source: Source) -> tuple[str, ...]:
        """The columns in which no event of ``source`` may have null: its time, its id and the keys (rule 8)."""
        is_spine = source.name == self.spine
        keys = [stage.key for stage in self.windows if is_spine or stage.source == source.name]
        keys += [view.key for view in self.batch if is_spine]
        return tuple(dict.fromkeys((source.time, source.event_id, *(name for key in keys for name in key))))

    @property
    def entity(self) -> tuple[Column, ...]:
        """The columns by which its features are looked up, each once: the key of a prediction that is stored for an entity."""
        keys = [*(stage.key for stage in self.windows), *(view.key for view in self.batch)]
        return tuple(self.spine_source.column(name) for name in dict.fromkeys(name for key in keys for name in key))

    @property
    def longest_ms(self) -> int:
        """The longest window of all stages; 0 without one."""
        return max((stage.longest_ms for stage in self.windows), default=0)

    @property
    def window_features(self) -> tuple[WindowFeature, ...]:
        """All windows' features, in the order of the stages."""
        return tuple(f for w in self.windows for f in w.features)

    @property
    def views_of_windows(self) -> tuple[str, ...]:
        """The views of all windows, in the order of the stages."""
        return tuple(view for stage in self.windows for view in stage.views)

    @property
    def delay_ms(self) -> int:
        """How long the newest events wait for others once their sources are silent (rule 6): never in arrival mode."""
        return max(source.delay_ms for source in self.sources) if self.mode == "event_time" else 0

    @property
    def features_topic(self) -> str:
        """The topic of feature vectors."""
        return topics.features(self.service).name

    @property
    def predictions_topic(self) -> str:
        """The topic of predictions."""
        return topics.predictions(self.service).name
