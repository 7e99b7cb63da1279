"""What a definition's names, schemas, keys, windows and tags must be: each rule once, with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta

from features.errors import DefinitionError
from features.plan import VALID_UNTIL, Column, ColumnType, Source, Stage, WindowFeature

TYPES = {
    "long": "int64",
    "int": "int64",
    "double": "float64",
    "float": "float64",
    "string": "string",
    "boolean": "bool",
    "timestamp": "timestamp",
}
LONGEST_NAME = 128
"""Kafka's topics have 249, files 255 with what is around a name."""
LONGEST_WINDOW = timedelta(days=90)


def check_name(kind: str, name: str) -> None:
    """Refuse a name that a topic or Flink's uid could not have, or that could not be read back from ``<view>__<feature>``."""
    if not re.fullmatch(r"(?!.*__)[A-Za-z][A-Za-z0-9_-]*", name):
        raise DefinitionError(
            f"{kind} '{name}': a name is ASCII letters, digits, '_' and '-', a letter first and no '__'; got '{name}'; rename it"
        )
    if len(name) > LONGEST_NAME:
        raise DefinitionError(
            f"{kind} '{name[:20]}…': a name has at most {LONGEST_NAME} letters, as topics and files are named after it; "
            f"got {len(name)}; shorten it"
        )


def check_not_ours(view: str, name: str) -> None:
    """Refuse a feature, of any view, of the name by which Feast's clients know until when a value is valid."""
    if name.lower() == VALID_UNTIL:
        raise DefinitionError(
            f"feature '{view}__{name}': every stream view has a feature '{VALID_UNTIL}', which says until when the others are "
            f"valid, and no other is called so; got '{name}'; rename it"
        )


def columns(source: str, schema: str) -> tuple[Column, ...]:
    """``a long, b decimal(12,2)`` as columns. Names that begin with an underscore are the engines' own; two make a feature's."""
    found: dict[str, Column] = {}
    for part in re.split(r",(?![^(]*\))", schema):
        name, _, written = part.strip().partition(" ")
        if not re.fullmatch(r"(?!.*__)[^\W\d_][\w.-]*", name):
            raise DefinitionError(
                f"source '{source}': a column's name is letters, digits, '_', '-' and '.', a letter first and no '__'; "
                f"got '{part.strip()}'; rename it, or leave it out of the schema"
            )
        if name.lower() in found:
            raise DefinitionError(f"source '{source}': columns differ in more than case; got '{name}' twice; leave one out")
        found[name.lower()] = Column(name, _column_type(source, part.strip(), written.strip().lower()))
    return tuple(found.values())


def _column_type(source: str, part: str, written: str) -> ColumnType:
    decimal = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", written)
    if decimal:
        precision, scale = int(decimal[1]), int(decimal[2])
        if not 1 <= precision <= 18 or scale > precision:
            raise DefinitionError(
                f"source '{source}': a decimal(p,s) has p of 1 to 18 digits, s of them behind the point; got '{part}'; "
                "write decimal(18,2), say, or double"
            )
        return ColumnType("decimal", precision, scale)
    if written not in TYPES:
        known = ", ".join([*TYPES, "decimal(p,s)"])
        raise DefinitionError(f"source '{source}': column types are {known}; got '{part}'; use one of them")
    return ColumnType(TYPES[written])  # type: ignore[arg-type]


def column(source: Source, name: str, rule: str) -> Column:
    """The column called ``name``; a `DefinitionError` begins with ``rule``, which says where it is used and why."""
    if name not in {c.name for c in source.columns}:
        known = ", ".join(c.name for c in source.columns)
        raise DefinitionError(f"{rule}; got '{name}'; use a column of source '{source.name}': {known}")
    return source.column(name)


def check_key(what: str, key: Column) -> None:
    """Refuse a key or an id of a type on which two systems may disagree whether two are equal."""
    if key.type.kind not in {"int64", "string"}:
        raise DefinitionError(f"{what} is a long or a string; got {key.name} {key.type}; use another column, or type")


def check_spine_key(where: str, spine: Source, key: tuple[str, ...], source: Source) -> None:
    """Refuse a key of ``source`` that the spine lacks, or has with another type."""
    for name in key:
        if name not in {c.name for c in spine.columns}:
            raise DefinitionError(
                f"{where}: the key of each of its views is a column of its spine; got '{name}', which '{spine.name}' lacks; "
                "add it to the spine's schema, or leave the view out"
            )
        theirs = spine.column(name)
        check_key(f"{where}: a key", theirs)
        if theirs.type != source.column(name).type:
            raise DefinitionError(
                f"{where}: a key has one type in all sources; got {name} {theirs.type} in '{spine.name}' and "
                f"{source.column(name).type} in '{source.name}'; fix one of the schemas"
            )


def check_entity(where: str, entity: str, value_type: str, key: Column) -> None:
    """Refuse an entity of another type than its key's column: an online store has the bytes of the entity's type as the key.

    ``value_type`` is the name of Feast's; one that is left out is taken as the column's.
    """
    wanted = {"int64": "INT64", "string": "STRING"}[key.type.kind]
    if value_type not in {wanted, "UNKNOWN"}:
        raise DefinitionError(
            f"{where}: an entity has the type of its key's column, and a long or an int has 64 bits; got entity '{entity}' of "
            f"value_type={value_type} over {key.name} {key.type}; write value_type=ValueType.{wanted}"
        )


def check_typed(where: str, entity: str, value_type: str, key: Column) -> None:
    """Refuse an entity without a type as the key of a batch view, whose rows Feast's clients find by it."""
    if value_type == "UNKNOWN":
        wanted = {"int64": "INT64", "string": "STRING"}[key.type.kind]
        raise DefinitionError(
            f"{where}: the entity of a batch view has the type of its key; got entity '{entity}' without a value_type; "
            f"write value_type=ValueType.{wanted}"
        )


def check_file_columns(where: str, columns: Sequence[str]) -> None:
    """Refuse a batch view two of whose file's columns, its keys, its time and its features, have one name to DuckDB."""
    twice = [name for place, name in enumerate(columns) if name.lower() in map(str.lower, columns[:place])]
    if twice:
        raise DefinitionError(
            f"{where}: the columns of its file, its keys, the day and its features, differ in more than case; "
            f"got '{twice[0]}' twice; rename one"
        )


def window(feature: str, length: timedelta | None, slide: timedelta | None) -> int:
    """The length of a window in milliseconds."""
    if length is None or not timedelta(seconds=1) <= length <= LONGEST_WINDOW or length % timedelta(milliseconds=1):
        raise DefinitionError(
            f"feature '{feature}': a window is between 1 second and 90 days, in whole milliseconds; got time_window={length}; "
            "write timedelta(…) within that"
        )
    if slide != length:  # Feast 0.67 sets an interval that is left out to the window
        raise DefinitionError(
            f"feature '{feature}': windows slide with every event; got slide_interval={slide}; leave slide_interval out"
        )
    return length // timedelta(milliseconds=1)


def check_stages(sources: Iterable[str], stages: Iterable[Stage]) -> None:
    """Refuse two sources or stages of one name: the engines have tables of them, and of a stage's name with more behind it."""
    taken = {name.lower(): f"source '{name}'" for name in sources}
    for stage in stages:
        windows = f"the windows over '{stage.source}' by {', '.join(stage.key)}"
        for name in (stage.name, f"{stage.name}_rows", f"{stage.name}_frames"):
            before = taken.setdefault(name.lower(), windows)
            if before != windows:
                raise DefinitionError(
                    f"{windows}: sources and windows are tables of one name each, '<source>_by_<key>' and with '_rows' behind "
                    f"it; got '{name}' for {before}, too; rename a source or a key's column"
                )


def ttl(where: str, longest: timedelta | None) -> int:
    """The greatest age of a batch view's rows in milliseconds; 0 where there is none, as in Feast."""
    longest = longest or timedelta(0)
    if longest < timedelta(0) or longest % timedelta(milliseconds=1):
        raise DefinitionError(
            f"{where}: its ttl is how old a row may be, in whole milliseconds; got ttl={longest!r}; "
            "write ttl=timedelta(days=2), say"
        )
    return longest // timedelta(milliseconds=1)


def fill(feature: WindowFeature, of: Column, text: str) -> float:
    """``text``, which stands for an empty window (rule 4), as a number: one that the feature, of that column, could be."""
    kind = feature.aggregation.gives(of.type).kind
    if kind == "bool":
        raise DefinitionError(
            f"feature '{feature.name}': a fill value is a number, and {feature.function} of {of.name} is a boolean; "
            f"got fill='{text}'; put the feature in a view of its own, without fill"
        )
    whole = (15, 0)
    before, behind = {"int64": whole, "timestamp": whole, "decimal": (of.type.precision - of.type.scale, of.type.scale)}.get(
        kind, (15, 15)
    )
    match = re.fullmatch(r"-?0*([0-9]{0,15})(?:\.([0-9]{0,15}?)0*)?", text)
    if not match or not text.strip("-.") or len(match[1]) > before or len(match[2] or "") > behind:
        raise DefinitionError(
            f"feature '{feature.name}': a fill value is a number that {feature.function} of {of.name} {of.type} could be; "
            f"got fill='{text}'; write tags={{'fill': '0'}}, say"
        )
    return float(text)


def check_list_inputs(where: str, columns: Iterable[str], features: Collection[str]) -> None:
    """Refuse a list whose values would be inputs of the name of a feature."""
    taken = [column for column in columns if column in features]
    if taken:
        raise DefinitionError(
            f"{where}: the values of a list are its model's inputs <feature>_1, <feature>_2, …; got a feature '{taken[0]}' too; "
            "write Aggregation(name=…) with another name"
        )


def check_time_inputs(where: str, inputs: Iterable[str], types: Mapping[str, ColumnType]) -> None:
    """Refuse a time as a model's input: in milliseconds, today's times are 131,072 apart as float32."""
    times = [name for name in inputs if name in types and types[name].kind == "timestamp"]
    if times:
        raise DefinitionError(
            f"{where}: no input of a model is a time, of which a float32 keeps steps of 131 s; got '{times[0]}'; leave it out of "
            "the service, and give an on-demand view, with it among its sources, that returns a difference of times"
        )


def rounded_inputs(inputs: Iterable[str], features: Sequence[WindowFeature], types: Mapping[str, ColumnType]) -> tuple[str, ...]:
    """The inputs that may be whole numbers beyond 2^24, which a float32 rounds: all of columns of longs, and no counts."""
    counts = {feature.name for feature in features if feature.function.startswith("count")}
    return tuple(name for name in inputs if name in types and name not in counts and types[name].kind == "int64")
