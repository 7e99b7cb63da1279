"""The cases of the window contract, as they lie in ``windows/``: read, and held against what an engine gave.

A case is a text file: what it shows and a picture, then its windows, then its events in order of arrival.

.. code-block:: text

    --- windows
    payments by card over 1h: n = count(amount), total = sum(amount)
    --- events
    source    at            card  amount | n  total
    payments  12:00:00.000  1      10.00 | 1  10.00
    payments  12:30:00.000  1       null | 1  10.00

- **windows**: ``<source> by <key>, <key> over <length>[, fill <number>]: <name> = <function>(<column>), …``, a line for each;
  and, where rows are to be forgotten, ``lateness <length>``. Lengths are ``1500ms``, ``30s``, ``15m``, ``36h``, ``90d``.
- **sources** are ``payments``, the spine, and ``reports``; both have the columns of `SCHEMA`. The id is given by the runner, and
  so are keys that a table leaves out. ``3×payments  12:00+10s`` is three rows, ten seconds apart; what is expected is the last's.
- **cells** are JSON, bare: ``null``, ``-`` for a field that is not there, ``"…"`` for text as it is. A time alone is of `DAY`;
  others are ``2024-02-29`` or ``2024-02-29T12:00``. ``1;2`` is a field that is there twice, as 1 and then as 2.
- **expected**, behind a bar: a number, also as ``10/3`` or ``sqrt(2/3)``; ``null``, ``true``, a time, ``[1,2]``; ``~`` is not
  looked at. ``complete`` is true unless it has a column. ``refused <reason>`` is a dead letter.
- Where engines differ by right, each has columns of its own, ``| history, event_time: n | arrival: n``; columns without a label
  are everyone's.
- ``watermark  13:00`` is no event: all sources have come so far. Without such lines no row is late in event-time mode.
- ``silence`` is none either: no source has sent anything for the idle timeout.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from features.definitions.aggregations import find
from features.definitions.rules import columns
from features.plan import Column, ColumnType, Mode, Plan, Source, Stage, WindowFeature

ENGINES = ("history", "event_time", "arrival")
SCHEMA = (
    "id long, at timestamp, card long, shop string, amount decimal(12,2), grains decimal(18,9), "
    "items long, tip double, note string, web boolean, due timestamp"
)
COLUMNS = columns("payments", SCHEMA)
TYPES = {column.name: column.type for column in COLUMNS}
DAY = "2026-03-02"
EPOCH = datetime.fromtimestamp(0, UTC)
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

CASE = re.compile(r"(?P<shows>.+?)\n--- windows\n(?P<windows>.*?)--- events\n(?P<header>[^\n]+)\n(?P<rows>.*)", re.DOTALL)
WINDOWS = re.compile(r"(?P<source>\w+) by (?P<key>[\w, ]+?) over (?P<length>\w+)(?:, fill (?P<fill>\S+))?: (?P<features>.+)")
FEATURE = re.compile(r"(\w+) = (\w+)\((\w+)\)")
BAR = re.compile(r"\s\|(?!\S)")
COPIES = re.compile(r"(?:(?P<copies>\d+)×)?(?P<source>\w+)")
ROOT = re.compile(r"sqrt\((.+)\)")


class Feature(NamedTuple):
    """``name = function(column)`` of a line of windows."""

    name: str
    source: str
    key: tuple[str, ...]
    function: str
    column: str
    window_ms: int
    fill: float | None


class Row(NamedTuple):
    """An event, or a line ``watermark``, and what is expected of it."""

    line: str
    source: str
    at: int | None
    cells: Mapping[str, str]
    expected: Mapping[str, Mapping[str, str]]
    """By engine, then by name; empty where nothing is."""
    refused: str | None

    @property
    def is_event(self) -> bool:
        """Whether it is one, and no line ``watermark`` or ``silence``."""
        return self.source not in {"watermark", "silence"}


class Case(NamedTuple):
    """What a file says."""

    path: Path
    lateness_ms: int | None
    features: tuple[Feature, ...]
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """The file's name, bare."""
        return self.path.stem

    @property
    def has_watermarks(self) -> bool:
        """Whether it says where the watermark is."""
        return any(row.source == "watermark" for row in self.rows)

    @property
    def has_silence(self) -> bool:
        """Whether it says where nothing comes."""
        return any(row.source == "silence" for row in self.rows)

    @property
    def longest_ms(self) -> int:
        """The longest window."""
        return max(feature.window_ms for feature in self.features)


def read(path: Path) -> Case:
    """The case in a file; fails with what is wrong in it."""
    match = CASE.fullmatch(path.read_text())
    assert match, f"{path}: what it shows, '--- windows', '--- events', a line with the columns' names, and the events"
    lines = match["windows"].splitlines()
    lateness = [_length(line.removeprefix("lateness ")) for line in lines if line.startswith("lateness ")]
    features = tuple(f for line in lines if not line.startswith("lateness ") for f in _features(path, line))
    table = _Table(path, match["header"], {feature.name for feature in features})
    rows = tuple(row for line in match["rows"].splitlines() if line.strip() for row in table.rows(line))
    return Case(path, lateness[0] if lateness else None, features, rows)


def _features(path: Path, line: str) -> Iterator[Feature]:
    match = WINDOWS.fullmatch(line)
    assert match, f"{path}: '<source> by <key> over <length>: <name> = <function>(<column>), …'; got '{line}'"
    fill = None if match["fill"] is None else float(match["fill"])
    for text in match["features"].split(", "):
        feature = FEATURE.fullmatch(text)
        assert feature, f"{path}: '<name> = <function>(<column>)'; got '{text}'"
        name, function, column = feature.groups()
        yield Feature(name, match["source"], tuple(match["key"].split(", ")), function, column, _length(match["length"]), fill)


class _Table:
    """The events' table, once its header is read."""

    def __init__(self, path: Path, header: str, names: set[str]) -> None:
        self._path = path
        events, *groups = BAR.split(header)
        self._columns = events.split()
        self._groups = [self._group(group, names | {"complete"}) for group in groups]
        assert self._columns[:2] == ["source", "at"], f"{path}: the first columns are 'source' and 'at'; got '{header}'"

    def _group(self, text: str, names: set[str]) -> tuple[list[str], list[str]]:
        """Whose columns they are, and their names."""
        labels, _, columns = text.rpartition(":")
        engines = labels.replace(",", " ").split() or list(ENGINES)
        unknown = [*({*engines} - {*ENGINES}), *({*columns.split()} - names)]
        assert not unknown, f"{self._path}: expected columns are features', 'complete', or labelled {ENGINES}; got {unknown}"
        return engines, columns.split()

    def rows(self, line: str) -> Iterator[Row]:
        """The rows of a line: one, or as many as its copies."""
        event, *groups = BAR.split(line)
        source, at, *cells = f"{event} - -".split() if event.strip() == "silence" else event.split()
        if source == "silence":
            yield Row(line, source, None, {}, {}, None)
            return
        if source == "watermark":
            yield Row(line, source, milliseconds(at), {}, {}, None)
            return
        copies = COPIES.fullmatch(source)
        assert copies, f"{self._path}: an event begins with its source; got '{line}'"
        assert len(cells) + 2 == len(self._columns), f"{self._path}: a cell for each of {self._columns}; got '{line}'"
        start, _, step = (at, "", "") if at.startswith('"') else at.partition("+")
        count = int(copies["copies"] or 1)
        for place in range(count):
            time = None if start in {"-", "null"} else milliseconds(start) + (place * _length(step) if step else 0)
            row = Row(line, copies["source"], time, dict(zip(self._columns[1:], [start, *cells], strict=True)), {}, None)
            yield self._with_expected(row, groups) if place == count - 1 else row

    def _with_expected(self, row: Row, groups: list[str]) -> Row:
        expected: dict[str, dict[str, str]] = {}
        if groups and groups[0].split()[:1] == ["refused"]:
            return row._replace(refused=groups[0].split()[1])
        for (engines, names), cells in zip(self._groups, map(str.split, groups), strict=bool(groups)):
            assert len(cells) in {0, len(names)}, f"{self._path}: a value for each of {names}; got '{row.line}'"
            for engine in engines:
                expected.setdefault(engine, {}).update(zip(names, cells, strict=False))
        return row._replace(expected=expected)


def _length(text: str) -> int:
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text)
    assert match, f"a length is a whole number and a unit ({', '.join(UNITS)}); got '{text}'"
    return int(match[1]) * UNITS[match[2]]


def milliseconds(text: str) -> int:
    """``12:00`` of `DAY`, ``2024-02-29``, ``2024-02-29T12:00`` or ISO 8601 in quotes, as UTC milliseconds."""
    moment = datetime.fromisoformat(text.strip('"') if "-" in text else f"{DAY}T{text}")
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(milliseconds=1)


def repeated(row: Row) -> Iterator[tuple[str, str]]:
    """The fields that are there more than once, as JSON, without their last values, which `field` gives."""
    for column in COLUMNS:
        for cell in row.cells.get(column.name, "-").split(";")[:-1]:
            yield column.name, field(column, cell) or "null"


def field(column: Column, cell: str) -> str | None:
    """A cell as JSON; None is a field that is not there."""
    cell = cell.rpartition(";")[2]
    if cell == "-":
        return None
    if cell == "null" or cell.startswith('"'):
        return cell
    if column.type.kind == "timestamp":
        return str(milliseconds(cell))
    return json.dumps(cell) if column.type.kind == "string" else cell


def plan_of(cases: Sequence[Case], mode: Mode = "arrival", lateness_ms: int = 0, delay_ms: int = 0) -> Plan:
    """The windows of all the cases in one plan: a stage for each source and key, each feature once."""
    stages: dict[tuple[str, tuple[str, ...]], dict[str, WindowFeature]] = defaultdict(dict)
    for feature in (feature for case in cases for feature in case.features):
        name = name_of(feature)
        fill = feature.fill if find(feature.function).row.empty is None else None
        stages[feature.source, feature.key][name] = WindowFeature(name, feature.function, feature.column, feature.window_ms, fill)
    sources = [source for source in ("payments", "reports") if source == "payments" or any(source == s for s, _ in stages)]
    return Plan(
        service="cases",
        spine="payments",
        sources=tuple(Source(name, name, COLUMNS, "at", "id", f"{name}.parquet", delay_ms) for name in sources),
        windows=tuple(Stage(source, key, tuple(features.values())) for (source, key), features in stages.items()),
        on_demand=(),
        batch=(),
        inputs=(),
        mode=mode,
        lateness_ms=lateness_ms,
    )


def name_of(feature: Feature) -> str:
    """A feature's name in a plan that has those of other cases too."""
    fill = "" if feature.fill is None else re.sub(r"\W", "_", f"_or_{feature.fill:g}")
    view = f"{feature.source}_{'_'.join(feature.key)}{fill}"
    return f"{view}__{feature.function}_{feature.column}_{feature.window_ms}"


def mismatches(case: Case, engine: str, vectors: Mapping[int, Mapping[str, Any] | str]) -> str:
    """What differs, for a person; empty where nothing does.

    ``vectors`` are by place in ``case.rows``: the features by name, with ``complete`` where the engine says it, or the reason of
    a dead letter.
    """
    found = []
    for place, row in enumerate(case.rows):
        if row.refused and engine == "history":  # what is refused is not in history
            continue
        for name, expected, got in _differing(case, row, engine, vectors.get(place)):
            found.append(
                f"tests/contract/windows/{case.path.name}, {engine}:\n    {row.line}\n    {name}: expected {expected}, got {got}"
            )
    return "\n".join(found)


def _differing(case: Case, row: Row, engine: str, got: Mapping[str, Any] | str | None) -> Iterator[tuple[str, str, Any]]:
    expected = row.expected.get(engine, {})
    if row.refused or isinstance(got, str) or (expected and got is None):
        if row.refused != got:
            yield "vector", f"refused {row.refused}" if row.refused else "one", got if got is None else f"refused {got}"
        return
    if got is None:
        return
    complete = expected.get("complete", "true")
    if "complete" in got and complete not in {"~", str(got["complete"]).lower()}:
        yield "complete", complete, got["complete"]
    if complete == "~" and not got.get("complete", True):  # rows may have been forgotten, and were
        return
    for feature in case.features:
        value = Expected(expected.get(feature.name, "~"), feature.function, TYPES[feature.column])
        if not value.holds(got[feature.name]):
            yield feature.name, value.text, got[feature.name]


class Expected(NamedTuple):
    """What a file says of a feature's value."""

    text: str
    function: str
    column: ColumnType
    """What is aggregated."""

    def holds(self, got: Any) -> bool:
        """Whether ``got`` is this: to the bit, or as near as rule 7 says."""
        if self.text == "~":
            return True
        if self.text in {"null", "true", "false"}:
            return got is {"null": None, "true": True, "false": False}[self.text]
        if self.text.startswith("["):
            items = [text for text in self.text[1:-1].split(",") if text]
            same_length = isinstance(got, list) and len(got) == len(items)
            return same_length and all(self._replace(text=text).holds(item) for text, item in zip(items, got, strict=True))
        if got is None or isinstance(got, bool | list):
            return False
        aggregation = find(self.function)
        near = aggregation.relative(self.column)
        if near:
            return math.isclose(float(got), float(self._number), rel_tol=near)
        is_float = aggregation.gives(self.column).kind == "float64"
        return float(got) == float(self._number) if is_float else Fraction(got) == self._number

    @property
    def _number(self) -> Fraction | float:
        root = ROOT.fullmatch(self.text)
        if root:
            return math.sqrt(Fraction(root[1]))
        return Fraction(milliseconds(self.text) if ":" in self.text else self.text)
