"""What a user may have by mistake where a command wants a file: one that is broken, binary, empty or of another type."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import time, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.num import DEFINITIONS, T, numbers

Place = Callable[[Path], None]
"""Puts the thing at a path."""

BINARY = bytes(range(256)) * 8
LATIN_1 = "k\xe9y".encode("latin-1")


def content(written: bytes | str) -> Place:
    """A file that holds this."""
    given = written.encode() if isinstance(written, str) else written

    def place(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(given)

    return place


def folder(path: Path) -> None:
    """A folder."""
    path.mkdir(parents=True)


def missing(path: Path) -> None:
    """Nothing at all."""


def dangling(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to(path.with_name("nowhere"))


def loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path)


def parquet(**columns: pa.Array | None) -> Place:
    """A Parquet file of events with these columns in place of theirs; None: without it."""
    rows = numbers().slice(0, 3)
    kept = {**{name: rows[name] for name in rows.column_names}, **columns}
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: column for name, column in kept.items() if column is not None}), buffer)
    return content(buffer.getvalue())


def csv(row: str) -> Place:
    """A CSV of events with one row."""
    return content(f"id,at,k,v,c,n,d\n{row}\n")


def line(**values: object) -> Place:
    """A line of JSON with these values as they are written in Python."""
    fields = {"id": 1, "at": T, "k": '"a"', "v": 1.5, "c": '"x"', "n": 1, "d": 1.5} | values
    return content("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}\n")


REPLACED: Mapping[str, Place] = {
    "is binary": content(BINARY),
    "is empty": content(""),
    "is a folder": folder,
    "is missing": missing,
    "is a dangling link": dangling,
    "is a loop of links": loop,
    "is Latin-1": content(LATIN_1),
    "is nested too deep": content('{"more": ' + "[" * 100_000 + "]" * 100_000 + "}"),
}
"""For any file."""

_DEFINITIONS: Mapping[str, str | bytes] = {
    "has a syntax error": "def",
    "raises": "raise ValueError('two\\nlines')",
    "raises without a text": "raise KeyError",
    "raises in Feast": "import feast\nfeast.Entity(name=5, join_keys=7)",
    "ends the process": "import sys; sys.exit(0)",
    "imports what is missing": "import nowhere_to_be_found",
    "recurses for ever": "def f(): f()\nf()",
    "has a null byte": "x = 1\0",
    "is of Latin-1": b"# k\xe9y\nx = 1",
    "has no service": DEFINITIONS.replace("service =", "_service ="),
    "has a window of no time": DEFINITIONS.replace("timedelta(hours=1)", "timedelta(0)"),
    "has a function that is none": DEFINITIONS.replace('"sum"', '"sun"'),
    "has a schema of garbage": DEFINITIONS.replace("id long, at timestamp, k", "id lung, ,, k"),
    "has things of a wrong type": DEFINITIONS.replace("entities=[key]", "entities=5"),
    "has a service of nothing": DEFINITIONS.replace("features=[totals, doubled]", "features=[]"),
    "has no spine": DEFINITIONS.replace('tags={"spine": "num"}', "tags={}"),
    "has a path of another type": DEFINITIONS.replace('path=f"data/{name}.parquet"', "path=5"),
}
DEFINITIONS_FILES: Mapping[str, Place] = {**REPLACED, **{name: content(text) for name, text in _DEFINITIONS.items()}}

_FUNCTIONS: Mapping[str, str] = {
    "raises": "1 / 0",
    "gives a number": "5",
    "gives nothing": "None",
    "gives too few": '{"twice": [1.0]}',
    "gives a scalar": '{"twice": 5}',
    "gives a generator": '{"twice": (d for d in inputs["d"])}',
    "gives a set": '{"twice": set(inputs["d"])}',
    "gives texts and numbers": '{"twice": [(1, "a", 2.5, None)[i % 4] for i, d in enumerate(inputs["d"])]}',
    "gives lists": '{"twice": [[d] for d in inputs["d"]]}',
    "gives a number beyond doubles": '{"twice": [10**400 for d in inputs["d"]]}',
    "gives complex numbers": '{"twice": [1j for d in inputs["d"]]}',
}
FUNCTIONS: Mapping[str, Place] = {
    name: content(DEFINITIONS.replace('{"twice": [None if d is None else 2 * d for d in inputs["d"]]}', given))
    for name, given in _FUNCTIONS.items()
}
"""Definitions with an on-demand function that does not give what it should."""

_SETTINGS: Mapping[str, str | bytes] = {
    "is of Latin-1": b'services = ["' + LATIN_1 + b'"]',
    "has a key twice": "registry = 'a'\nregistry = 'b'",
    "has a number for a section": "kafka = 5",
    "has a list for a section": "[[stream]]\nx = 1",
    "has a number for services": "services = 5",
    "has an unknown key": "[scorer]\nalais = 'x'",
    "has an unknown key in [run]": "[run]\nservice = 'num'\ntrain_from = 2024-05-01\nstart = 2024-05-09\nfoo = 1",
    "has a number for a text": "registry = 5",
    "has a negative number": "[stream]\nparallelism = -1",
    "has a number that is none": "[scorer]\nbatch_cache_seconds = nan",
    "has a label of another type": "[train.num]\nlabel = 5",
    "has a date of another type": "[run]\nservice = 'num'\ntrain_from = 5\nstart = 'x'",
    "has days beyond the calendar": "[run]\nservice = 'num'\ntrain_from = 9999-12-01\nstart = 9999-12-31\ndays = 99999",
    "has lists without end": "x = " + "[" * 100_000 + "]" * 100_000,
    "holds a secret": "[kafka]\nsasl_password = 'x'",
}
SETTINGS_FILES: Mapping[str, Place] = {
    **{name: place for name, place in REPLACED.items() if name not in ("is empty", "is missing")},
    **{name: content(text) for name, text in _SETTINGS.items()},
}
"""A headrace.toml that is empty or missing has the defaults."""

_ROWS = numbers().slice(0, 3)
_WHOLE = io.BytesIO()
pq.write_table(_ROWS, _WHOLE)
WHOLE = _WHOLE.getvalue()
EVENT_FILES: Mapping[str, tuple[str, Place]] = {
    **{f"Parquet {name}": ("events.parquet", place) for name, place in REPLACED.items()},
    **{f"CSV {name}": ("events.csv", place) for name, place in REPLACED.items()},
    **{f"JSON lines {name}": ("events.jsonl", place) for name, place in REPLACED.items()},
    "another kind": ("events.xlsx", content(WHOLE)),
    "no kind": ("events", content(WHOLE)),
    "Parquet cut off": ("events.parquet", content(WHOLE[: len(WHOLE) // 2])),
    "Parquet with bytes changed": ("events.parquet", content(WHOLE[:40] + b"\xff" * 60 + WHOLE[100:])),
    "Parquet that is CSV": ("events.parquet", csv("1,2024-05-01T08:00:00Z,a,1.5,x,1,1.5")),
    "CSV that is Parquet": ("events.csv", content(WHOLE)),
    "JSON lines that are Parquet": ("events.jsonl", content(WHOLE)),
    "Parquet with another name": ("a[1]*?.parquet", content(WHOLE[:100])),
    "Parquet without a column": ("events.parquet", parquet(k=None, extra=pa.array([1, 2, 3]))),
    "Parquet with times of day": ("events.parquet", parquet(n=pa.array([time(1)] * 3, pa.time64("us")))),
    "Parquet with durations": ("events.parquet", parquet(n=pa.array([timedelta(1)] * 3, pa.duration("us")))),
    "Parquet with a duration for a time": ("events.parquet", parquet(at=pa.array([timedelta(1)] * 3, pa.duration("us")))),
    "Parquet with texts for numbers": ("events.parquet", parquet(n=pa.array(["a"] * 3))),
    "Parquet with bytes for a text": ("events.parquet", parquet(k=pa.array([b"\xff"] * 3))),
    "Parquet with structs": ("events.parquet", parquet(n=pa.array([{"a": 1}] * 3))),
    "Parquet with lists": ("events.parquet", parquet(c=pa.array([["a"]] * 3))),
    "Parquet with NaN": ("events.parquet", parquet(d=pa.array([float("nan")] * 3))),
    "Parquet with doubles for decimals": ("events.parquet", parquet(v=pa.array([12.345] * 3))),
    "CSV with a decimal of too many digits": ("events.csv", csv("1,2024-05-01T08:00:00Z,a,12.345,x,1,1.5")),
    "CSV with a text for a number": ("events.csv", csv("1,2024-05-01T08:00:00Z,a,1.5,x,many,1.5")),
    "CSV with a number of 30 digits": ("events.csv", csv("1,2024-05-01T08:00:00Z,a,1.5,x,123456789012345678901234567890,1.5")),
    "CSV with a time that is none": ("events.csv", csv("1,yesterday,a,1.5,x,1,1.5")),
    "CSV with too few fields": ("events.csv", csv("1,2024-05-01T08:00:00Z")),
    "CSV with too many fields": ("events.csv", csv("1,2024-05-01T08:00:00Z,a,1.5,x,1,1.5,9,9")),
    "CSV with an open quote": ("events.csv", csv('1,2024-05-01T08:00:00Z,"a,1.5,x,1,1.5')),
    "CSV with Latin-1": ("events.csv", content(b"id,at,k,v,c,n,d\n1,2024-05-01T08:00:00Z,k\xe9y,1.5,x,1,1.5\n")),
    "CSV with null bytes": ("events.csv", content(b"id,at,k,v,c,n,d\n1,2024-05-01T08:00:00Z,\0,1.5,x,1,1.5\n")),
    "CSV with a name twice": ("events.csv", content("id,id,at,k,v,c,n,d\n1,1,2024-05-01T08:00:00Z,a,1.5,x,1,1.5\n")),
    "JSON lines with Latin-1": ("events.jsonl", content(b'{"id": 1, "at": 1714550400000, "k": "k\xe9y"}\n')),
    "JSON lines cut off": ("events.jsonl", content('{"id": 1, "at": 17145504')),
    "JSON lines that are one list": ("events.jsonl", content('[{"id": 1}]')),
    "JSON lines of numbers": ("events.jsonl", content("1\n2\n")),
    "JSON lines 10,000 deep": ("events.jsonl", line(n="[" * 10_000 + "]" * 10_000)),
    "JSON lines with a number beyond doubles": ("events.jsonl", line(n="1e999")),
    "JSON lines with a text for a number": ("events.jsonl", line(n='"many"')),
    "JSON lines with an object for a text": ("events.jsonl", line(k='{"a": 1}')),
    "JSON lines with half a surrogate": ("events.jsonl", line(k='"\\ud800"')),
    "JSON lines with a field twice": ("events.jsonl", line(k='"a", "k": "b"')),
}
"""A file's name, and what is there."""
PERHAPS = frozenset(
    {
        "CSV is empty",
        "JSON lines is empty",
        "Parquet with durations",
        "Parquet with a duration for a time",
        "CSV with too few fields",
        "CSV with too many fields",
        "CSV with an open quote",
        "CSV with null bytes",
        "CSV with a name twice",
        "JSON lines 10,000 deep",
        "JSON lines with half a surrogate",
        "JSON lines with an object for a text",
        "JSON lines with a field twice",
    }
)
"""Those that the rules of files may take; all others are refused as rows of the source."""
NO_FILES = frozenset(name for name, (_, place) in EVENT_FILES.items() if place in (folder, missing, dangling, loop))
"""Those that are no file at all."""
