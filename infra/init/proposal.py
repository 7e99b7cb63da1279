"""Which column is what: the event time, the id, the key, said by the user or guessed from names and values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta

import msgspec

from features.errors import SettingError
from infra.init.columns import Column
from infra.init.look import Look

PLAIN = re.compile(r"(?!.*__)[A-Za-z][A-Za-z0-9_-]*(?<!_)")
"""A name that a key may have (`features.definitions.rules.check_name`), and a feature with more behind it."""
TIMES = ("event_time", "event_timestamp", "timestamp", "time", "ts", "occurred_at", "created_at")
IDS = ("event_id", "id", "uuid")
OF_IDS = re.compile(r"(^|_)(id|ID|uuid|guid|key|no|nr|number|ref)$|[a-z](Id|ID|Uuid|Key|No|Number|Ref)$")
LABEL_TYPES = ("long", "boolean", "double")
OF_NUMBERS, OF_TEXTS = 4, 2
"""How many columns of each kind are aggregated in what is proposed."""


class Wanted(msgspec.Struct, frozen=True):
    """The columns that the user names; None: guess it, and for the label: there is none."""

    time: str | None = None
    id: str | None = None
    key: str | None = None
    label: str | None = None


class Label(msgspec.Struct, frozen=True):
    """What a model learns: a column of 0 and 1 in a history of its own, joined on the event's id."""

    column: str
    type: str
    history: str
    """Its file, relative to the project."""


class Days(msgspec.Struct, frozen=True):
    """The days of history that a model is trained on and tested on, for ``[run]`` and ``headrace train``."""

    train_from: date
    train_days: int
    delay: int
    test_days: int

    @property
    def start(self) -> date:
        """The first day of the test, which ``headrace run`` publishes."""
        return self.train_from + timedelta(days=self.train_days + self.delay)


class Proposal(msgspec.Struct, frozen=True):
    """All that the files of a project are written from."""

    topic: str
    columns: tuple[Column, ...]
    """Of the schema, in its order."""
    time: str
    id: str
    key: str
    history: str
    """Its file, relative to the project."""
    guessed: frozenset[str] = frozenset()
    """Which of time, id and key nobody has said."""
    left_out: tuple[Column, ...] = ()
    looked_at: str | None = None
    label: Label | None = None
    days: Days | None = None
    bootstrap: str | None = None

    @property
    def name(self) -> str:
        """The topic's name as a source and a service may have it."""
        return name_of(self.topic)

    @property
    def numbers(self) -> tuple[Column, ...]:
        """The columns that a model may have as they are."""
        numbers = self._features(lambda column: column.type not in ("string", "timestamp"))
        return tuple(column for column in numbers if not OF_IDS.search(column.name))[:OF_NUMBERS]

    @property
    def texts(self) -> tuple[Column, ...]:
        """The columns of which the distinct values are counted."""
        return self._features(lambda column: column.type == "string")[:OF_TEXTS]

    def column(self, name: str) -> Column:
        """The column called ``name``."""
        return next(column for column in self.columns if column.name == name)

    def _features(self, fits: Callable[[Column], bool]) -> tuple[Column, ...]:
        roles = (self.time, self.id, self.key)
        return tuple(c for c in self.columns if fits(c) and c.name not in roles and PLAIN.fullmatch(c.name))


def propose(look: Look, topic: str, history: str, wanted: Wanted) -> Proposal:
    """The proposal for what was found; raises `SettingError` where a column is not there, or none can be guessed."""
    label = _label(look, history, wanted.label)
    columns, left_out = _usable(column for column in look.columns if column.name != wanted.label)
    time = _time(look, columns, wanted.time)
    rest = [column for column in columns if column.type in ("long", "string") and column is not time]
    event_id = _id(look, rest, wanted.id)
    key = _key(look, [column for column in rest if column is not event_id or column.name == wanted.key], wanted.key)
    said = {"time": wanted.time, "id": wanted.id, "key": wanted.key}
    return Proposal(
        topic=topic,
        columns=_ordered(columns, event_id, time, key),
        time=time.name,
        id=event_id.name,
        key=key.name,
        history=history,
        guessed=frozenset(role for role, name in said.items() if name is None),
        left_out=left_out,
        looked_at=f"{look.events:,} events of {look.at}",
        label=label,
    )


def days_of(first: date, whole: int) -> Days | None:
    """How ``whole`` days from ``first`` are split: with a week each for training, labels and test where there are three."""
    if whole >= 21:
        return Days(first + timedelta(days=whole - 21), 7, 7, 7)
    if whole < 2:
        return None
    test = max(1, whole // 4)
    train = min(7, whole - test)
    return Days(first + timedelta(days=whole - test - train), train, 0, test)


def name_of(topic: str) -> str:
    """A name that a source, a service and a section of headrace.toml may have.

    >>> name_of("shop.page-views.v1"), name_of("2024")
    ('shop_page_views_v1', 'events_2024')
    """
    name = re.sub(r"[^A-Za-z0-9]+", "_", topic).strip("_") or "events"
    return name if name[0].isalpha() else f"events_{name}"


def _usable(found: Iterable[Column]) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """The columns that a schema can have, and those that are left out."""
    columns: dict[str, Column] = {}
    left_out = []
    for column in found:
        if not column.type:
            left_out.append(column)
        elif column.name.lower() in columns:
            left_out.append(msgspec.structs.replace(column, remark="another differs from it in case alone"))
        else:
            columns[column.name.lower()] = column
    return tuple(columns.values()), tuple(left_out)


def _ordered(columns: Iterable[Column], *first: Column) -> tuple[Column, ...]:
    rest = [column for column in columns if all(column is not one for one in first)]
    return tuple(dict.fromkeys((*first, *rest)))


def _time(look: Look, columns: Sequence[Column], name: str | None) -> Column:
    times = [column for column in columns if column.type == "timestamp" and len(column.values) == look.events]
    if name is not None:
        return _named(look, "the event time is a column of UTC milliseconds or of times with an offset", times, name, "--time")
    if not times:
        hints = [f"'{column.name}': {column.remark}" for column in columns if "time" in column.remark]
        came = "; ".join(hints) or _listed(columns)
        raise SettingError(
            f"every event has a time, in UTC milliseconds or with an offset; {look.at} has no such column ({came}); "
            "write the time so, or name its column with --time"
        )
    return min(times, key=lambda column: TIMES.index(column.name.lower()) if column.name.lower() in TIMES else len(TIMES))


def _id(look: Look, columns: Sequence[Column], name: str | None) -> Column:
    unique = [column for column in columns if column.distinct == look.events]
    if name is not None:
        return _named(look, "an id is a long or a string that differs in all events", unique, name, "--id")
    named = [column for column in unique if OF_IDS.search(column.name)]
    if not named:
        advice = "name it with --id" if unique else "add one: each id gets one prediction"
        raise SettingError(
            f"every event has an id of its own, a long or a string; {look.at} has none that is named so and differs in all "
            f"{look.events:,} events (those that differ: {_listed(unique)}); {advice}"
        )
    return min(named, key=lambda column: column.name.lower() not in IDS)


def _key(look: Look, columns: Sequence[Column], name: str | None) -> Column:
    keys = [column for column in columns if PLAIN.fullmatch(column.name) and len(column.values) == look.events]
    if name is not None:
        return _named(look, "a key is a long or a string that every event has", keys, name, "--key")
    of_records = [column for column in keys if column.name == look.key]
    repeated = [column for column in keys if 1 < column.distinct < look.events] or keys
    if not keys:
        raise SettingError(
            f"windows are of a key, a long or a string that every event has; {look.at} has none beside the id; "
            "name one with --key"
        )
    by_name = sorted(repeated, key=lambda column: (OF_IDS.search(column.name) is None, -column.distinct))
    return (*of_records, *by_name)[0]


def _label(look: Look, history: str, name: str | None) -> Label | None:
    if name is None:
        return None
    rule = "a label is a column of 0 and 1, or true and false"
    typed = [column for column in look.columns if column.type in LABEL_TYPES and column.name.isidentifier()]
    columns = [column for column in typed if set(column.values) <= {0, 1}]
    other = next((value for column in typed if column.name == name for value in column.values if value not in (0, 1)), None)
    column = _named(look, rule, columns, name, "--label", f"has {other}" if other is not None else "is none")
    return Label(name, column.type, history)


def _named(look: Look, rule: str, columns: Sequence[Column], name: str, option: str, fault: str = "is none") -> Column:
    """The column that the user has named; ``fault`` says why a column that is there is not among ``columns``."""
    for column in columns:
        if column.name == name:
            return column
    came = fault if name in {column.name for column in look.columns} else "is not there"
    raise SettingError(f"{rule}; '{name}' {came} in {look.at}; name one of {_listed(columns)} with {option}")


def _listed(columns: Iterable[Column]) -> str:
    return ", ".join(column.name for column in columns) or "(none)"
