"""What Feast accepts and nobody here would act on: refused, so that no definition says what is not done.

An argument of Feast 0.67's objects is compiled, for people alone (description, owner, org), or here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from posixpath import normpath
from typing import Any

import msgspec

from features.errors import DefinitionError
from features.plan import VALID_UNTIL
from schemas import topics

TAGS = {
    "service": ("spine", "mode", "allowed_lateness"),
    "source": ("event_id", "arrival"),
    "stream view": ("fill",),
    "batch view": ("history",),
}
"""The tags that mean something, by the kind of object that has them."""
NUMBERS = ("Int32", "Int64", "Float32", "Float64", "Bool")
"""Feast's types that a function's values may be declared as; what it gives are numbers and booleans."""
GIVEN = (*NUMBERS, "String")
"""Those of a batch view's features."""
OURS = tuple(topic.name for topic in (topics.DEAD_LETTERS, topics.LATE_ROWS, topics.DEPLOYMENTS, topics.ALARMS))
"""Topics that no source can be."""
CLOSE = 0.8
"""How alike two names are where one is taken for the other, misspelt."""


class Unused(msgspec.Struct, frozen=True):
    """An argument of an object of Feast's that may have these values alone."""

    argument: str
    rule: str
    advice: str
    values: tuple[Any, ...] = (None, "", False, [], {})
    of: str = ""
    """The attribute that holds the object, where it is within another."""


LATEST = Unused("version", "definitions.py has one version of a view, the latest", "leave version out", ("latest", "", None))
VALIDATION = Unused("enable_validation", "rows are held against their schema as they come in", "leave enable_validation out")
ENABLED = Unused("enabled", "every view of definitions.py is in use", "delete the view, or leave it enabled", (True,))
OFFLINE = Unused("offline", "history is the source's, and nothing is written beside it", "leave offline out")
NO_UDF = "rows are aggregated as they are"
STREAM = (
    Unused(
        "ttl",
        "a stream view's values are as of the very event, from rows that are kept for its longest window",
        "leave ttl out; how far back a window reaches is its time_window",
        (None, timedelta(0)),
    ),
    Unused("enable_tiling", "windows are exact to the millisecond, and have no tiles", "leave enable_tiling out"),
    Unused("tiling_hop_size", "windows are exact to the millisecond, and have no tiles", "leave tiling_hop_size out"),
    Unused("udf_string", NO_UDF, "leave udf_string out, and transform on demand or before Kafka"),
    Unused("feature_transformation", NO_UDF, "leave feature_transformation out, and transform on demand or before Kafka"),
    Unused("mode", NO_UDF + ", in no mode", "leave mode out", ("python",)),
    Unused("stream_engine", "stream views run in Headrace's own Flink job", "set [stream] in headrace.toml"),
    OFFLINE,
    VALIDATION,
    LATEST,
    ENABLED,
)
FILE = (
    Unused(
        "field_mapping", "columns have one name everywhere", "rename the column in the file, or in the schema", of="batch_source"
    ),
    Unused(
        "s3_endpoint_override",
        "how an object store is reached is the environment's affair",
        "set AWS_ENDPOINT_URL, and leave s3_endpoint_override out",
        of="batch_source",
    ),
    Unused("connection_ref", "how a file is reached is the environment's affair", "leave connection_ref out", of="batch_source"),
    Unused("date_partition_column", "a file is read whole", "leave date_partition_column out", of="batch_source"),
)
BATCH = (
    Unused("aggregations", "a batch view is what its SQL says", "write the aggregation in the SQL"),
    Unused("batch_engine", "batch views run in DuckDB", "leave batch_engine out"),
    Unused(
        "created_timestamp_column",
        "a day has one row of a key",
        "leave created_timestamp_column out; a day that is computed again takes the place of the old one",
        of="batch_source",
    ),
    *FILE,
    VALIDATION,
    LATEST,
    ENABLED,
)
ON_DEMAND = (
    Unused("entities", "an on-demand view has the keys of what it reads", "leave entities out", ([], ["__dummy"])),
    Unused("write_to_online_store", "on-demand functions run when they are wanted", "leave write_to_online_store out"),
    Unused("track_metrics", "times are the scorer's to report", "leave track_metrics out; see headrace status"),
    Unused("aggregations", "windows are those of stream views", "write a stream view, and read its features"),
    Unused("input_schema", "what a function is given of an event is a request source", "write sources=[RequestSource(…)]"),
    LATEST,
    ENABLED,
)
SERVICE = (
    Unused(
        "logging_config", "each prediction has a receipt with its inputs", "leave logging_config out; read predictions.<service>"
    ),
    Unused("precompute_online", "feature vectors are computed for each event", "leave precompute_online out"),
)
SOURCE = (
    Unused(
        "created_timestamp_column",
        "rows of one time are in the order of their arrival",
        "write tags={'arrival': '<column>'} for the history's, and leave created_timestamp_column out",
    ),
    Unused("created_timestamp_column", "rows of one time are in the order of their arrival", "leave it out", of="batch_source"),
    Unused("field_mapping", "columns have one name everywhere", "name the column in the schema as the feature needs it"),
    Unused("date_partition_column", "a topic has no partitions by date", "leave date_partition_column out"),
    Unused(
        "kafka_bootstrap_servers",
        "where Kafka is belongs to the deployment",
        "write kafka_bootstrap_servers='' and set kafka.bootstrap in headrace.toml",
        of="kafka_options",
    ),
    *FILE,
)
REQUEST = (Unused("timestamp_field", "an event's time is its source's", "leave timestamp_field out of a RequestSource"),)
UNUSED = {
    "service": SERVICE,
    "source": SOURCE,
    "request source": REQUEST,
    "stream view": STREAM,
    "batch view": BATCH,
    "on-demand view": ON_DEMAND,
}
"""By the kind of object, as `TAGS` are."""


def check(objects: Iterable[Any], kinds: Mapping[str, type]) -> None:
    """Raises `DefinitionError` for the first object that says what is not done; ``kinds`` are classes, by what we call them."""
    for one in objects:
        kind = next(kind for kind, of in kinds.items() if isinstance(one, of))
        where = f"{kind} '{one.name}'"
        for rule in UNUSED.get(kind, ()):
            _check(where, one, rule)
        _check_tags(where, kind, getattr(one, "tags", None) or {})
        for field in getattr(one, "schema", None) or ():
            if getattr(field, "vector_index", False):
                raise DefinitionError(
                    f"{where}: features are not searched by their distance; got vector_index=True on '{field.name}'; "
                    "leave vector_index out"
                )
        if kind == "source":
            _check_source(where, one)
        if kind == "batch view":
            _check_batch(where, one)
        if kind == "on-demand view":
            if not one.features:
                raise DefinitionError(f"{where}: it names its function's outputs; got no schema; write schema=[Field(…)]")
            _check_types(where, one.features, NUMBERS, "a function gives numbers and booleans")


def _check(where: str, one: Any, rule: Unused) -> None:
    of = getattr(one, rule.of, None) if rule.of else one
    value = getattr(of, rule.argument, None)
    value = getattr(value, "value", value)  # of an enumeration
    if any(value == good and isinstance(value, bool) == isinstance(good, bool) for good in rule.values):
        return
    within = "in its FileSource, " if rule.of == "batch_source" else ""
    raise DefinitionError(f"{where}: {rule.rule}; got {within}{rule.argument}={value!r}; {rule.advice}".replace("\n", " "))


def _check_tags(where: str, kind: str, tags: Mapping[str, str]) -> None:
    """Refuse a tag of ours that is misspelt, or on an object that has none of that name. Others are the user's."""
    known, all_of_ours = TAGS.get(kind, ()), {tag: of for of, names in TAGS.items() for tag in names}
    for tag in tags:
        if tag in known:
            continue
        if tag in all_of_ours:
            raise DefinitionError(f"{where}: the tag '{tag}' is of a {all_of_ours[tag]}; got it here; write it there")
        close = difflib.get_close_matches(tag.lower().replace("-", "_"), known, 1, CLOSE)
        if close:
            raise DefinitionError(
                f"{where}: its tags are {', '.join(known)}, and others that are not nearly one of them; "
                f"got '{tag}'; write '{close[0]}'"
            )


def _check_source(where: str, source: Any) -> None:
    delay, history = source.kafka_options.watermark_delay_threshold or timedelta(0), source.batch_source.timestamp_field
    topic = source.kafka_options.topic
    if not topic:
        raise DefinitionError(f"{where}: a KafkaSource names its topic; got none; write topic='…'")
    if not re.fullmatch(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}", topic):
        raise DefinitionError(
            f"{where}: a topic of Kafka's has a name of ASCII letters, digits, '.', '_' and '-', at most 249; "
            f"got topic='{topic}'; write the topic's own name"
        )
    if topic in OURS:
        raise DefinitionError(
            f"{where}: what is written to {', '.join(OURS)} is Headrace's own; got topic='{topic}'; read another topic"
        )
    if delay < timedelta(0) or delay % timedelta(milliseconds=1):
        raise DefinitionError(
            f"{where}: watermark_delay_threshold is how late its events may be, in whole milliseconds; got {delay!r}; "
            "write timedelta(seconds=2), say"
        )
    if history not in {"", None, source.timestamp_field}:
        raise DefinitionError(
            f"{where}: its topic and its history have the event time in one column; got timestamp_field='{history}' in its "
            f"FileSource and '{source.timestamp_field}' in the KafkaSource; name the column alike in both"
        )


def _check_batch(where: str, view: Any) -> None:
    features = [field for field in view.features if field.name not in view.join_keys]
    if not features:
        raise DefinitionError(
            f"{where}: a batch view names the features that its SQL gives; got no schema; write schema=[Field(…)]"
        )
    day = view.batch_source.timestamp_field
    if not day:
        raise DefinitionError(
            f"{where}: its file has the day of each row in a column; got no timestamp_field in its FileSource; "
            "write timestamp_field='day', say"
        )
    _check_types(where, features, GIVEN, "a feature of its SQL is a number, a boolean or a text")
    if "://" in view.batch_source.path:
        raise DefinitionError(
            f"{where}: its rows are kept in a file of this machine; got path='{view.batch_source.path}'; "
            f"write path='data/{view.name}.parquet', say"
        )


def _check_types(where: str, fields: Iterable[Any], known: Collection[str], rule: str) -> None:
    for field in fields:
        if str(field.dtype) not in known:
            raise DefinitionError(
                f"{where}: {rule}; got '{field.name}' of type {field.dtype}; write one of {', '.join(known)}, and a time as Int64"
            )


def check_files(histories: Mapping[str, str], batch: Mapping[str, str]) -> None:
    """Refuse a batch view whose file is part of a history, or another view's: its days would be written into that.

    ``histories`` are the paths of the sources' histories, which may be globs, and ``batch`` those of the views' files, by name.
    """
    for view, path in batch.items():
        taken = [f"the history of source '{source}'" for source, glob in histories.items() if _holds(glob, path)]
        taken += [f"the file of batch view '{other}'" for other, its in batch.items() if other < view and _holds(its, path)]
        if taken:
            raise DefinitionError(
                f"batch view '{view}': the days that its SQL gives are kept in a file of its own; got path='{path}', which is of "
                f"{taken[0]}; name another file"
            )


def _holds(written: str, path: str) -> bool:
    """Whether a path, or a glob, names the file at ``path``."""
    return _match(normpath(written).split("/"), normpath(path).split("/"))


def _match(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    if not pattern or not parts:
        return not pattern and not parts
    if pattern[0] == "**":
        return _match(pattern[1:], parts) or _match(pattern, parts[1:])
    return (pattern[0] == parts[0] or fnmatchcase(parts[0], pattern[0])) and _match(pattern[1:], parts[1:])


def check_request(where: str, name: str, given: str, wanted: str) -> None:
    """Refuse a request source's field of another type than its column's: Feast's client would give the function other values."""
    if given != wanted:
        raise DefinitionError(
            f"{where}: a request source's field has the type of the event's column; got '{name}' of type {given}; "
            f"write dtype={wanted}"
        )


def check_schema(where: str, given: Mapping[str, str], derived: Mapping[str, str]) -> None:
    """Refuse a schema of a stream view, its keys aside, that is not what follows from its aggregations."""
    for name, dtype in given.items():
        if name != VALID_UNTIL and derived.get(name) != dtype:
            has = ", ".join(f"{name} {of}" for name, of in derived.items() if name != VALID_UNTIL)
            raise DefinitionError(
                f"{where}: its schema follows from its aggregations: {has}; got '{name}' of type {dtype}; leave schema out"
            )
