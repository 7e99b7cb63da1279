"""The window operator without Flink: a Java process that takes a stream a line and gives what came out (see Harness.java).

And its decoder of events, in one that takes them a line (see Decodings.java).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyflink

from features.job import job_plan
from features.plan import Plan, Stage
from features.sql.flink.stages import Step, spec
from features.sql.flink.types import HEADERS, sql_type
from infra.local import jars
from tests.contract.reference import Event
from tests.support.options import options

PACKAGES = jars.OPERATOR / "src" / "test" / "java" / "headrace"
SOURCES = [PACKAGES / name for name in ("windows/Harness.java", "windows/Values.java", "formats/Decodings.java")]
CLASSES = jars.OPERATOR / "target" / "harness"
OWN = {
    "_time": "BIGINT",
    "_contributes": "BOOLEAN",
    "_is_query": "BOOLEAN",
    "_partition": "INT",
    "_offset": "BIGINT",
    "_arrived": "BIGINT",
}


class Options(msgspec.Struct, frozen=True):
    """How the state is kept: in blocks of what size, as copies or not, dropped from memory after how many rows (0: never).

    ``cache`` and ``kept`` are in bytes.
    """

    leaf: int = 32
    fanout: int = 16
    copies: bool = True
    restart: int = 0
    cache: int = 0
    kept: int = 1_000_000


class Stream(msgspec.Struct, frozen=True):
    """One stage over rows and watermarks."""

    plan: Plan
    stage: Stage
    items: list[Event | int]
    """Events of the spine and of the stage's source in the order in which they come, and watermarks."""
    options: Options = Options()

    @property
    def spec(self) -> str:
        """The argument of the operator, as the stream job has it."""
        job = job_plan([msgspec.structs.replace(self.plan, windows=(self.stage,))])
        return json.dumps(spec(Step(job, 0), options(cache_bytes=self.options.cache, kept_bytes=self.options.kept)))

    @property
    def line(self) -> bytes:
        """What the process reads."""
        values = {f"_value_{name}": name for name in self.stage.columns}
        spine, source = self.plan.spine_source, self.plan.source(self.stage.source)
        parts = [sql_type(spine.column(name).type) for name in self.stage.key]
        types = {
            "_key": parts[0] if len(parts) == 1 else f"ROW<{','.join(parts)}>",
            **OWN,
            **{value: sql_type(source.column(name).type) for value, name in values.items()},
            **{column.name: sql_type(column.type) for column in spine.columns},
            "_trace": HEADERS,
        }
        rows: list[Any] = []
        for place, item in enumerate(self.items):
            if isinstance(item, int):
                rows.append(item)
                continue
            contributes, is_query = item.source == source.name, item.source == spine.name
            key = [item.columns[name] for name in self.stage.key]
            aggregated = [item.columns[name] if contributes else None for name in values.values()]
            carried = [item.columns[column.name] if is_query else None for column in spine.columns]
            own = [key[0] if len(key) == 1 else key, item.time, contributes, is_query, 0, place, place]
            rows.append([key, *own, *aggregated, *carried, None])  # no headers: the stream job's tests have them
        options = {name: getattr(self.options, name) for name in self.options.__struct_fields__}
        return msgspec.json.encode({"spec": self.spec, "columns": list(types.items()), "rows": rows, **options}) + b"\n"


class Late(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the ledger."""

    view: str
    time: int
    late_ms: int
    vectors: int
    changed: int
    counted: bool


class Output(msgspec.Struct, frozen=True):
    """What came out of a stream."""

    vectors: dict[int, dict[str, Any]]
    """By the place of the query, features, ``_complete`` and what was carried."""
    order: list[int]
    """The places in the order of the vectors."""
    late: list[tuple[int, Late]]
    """The ledger: places of late rows."""
    left: int
    """How many blocks of state, and timers, are left."""


class Process:
    """The running operator."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def run(self, stream: Stream) -> Output:
        """What comes out of ``stream``, from a state that is empty."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(stream.line)
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the operator failed; what it says is above"
        found = msgspec.json.decode(line)
        names = [*msgspec.json.decode(stream.spec)["carry"], *(f.name for f in stream.stage.features), "_complete"]
        names += [*(f"_valid_until_{view}" for view in stream.stage.views), "_late"]
        rows = [dict(zip(names, row, strict=True)) for row in found["rows"]]
        vectors = [row for row in rows if row["_late"] is None]
        return Output(
            {row["_offset"]: row for row in vectors},
            [row["_offset"] for row in vectors],
            [(row["_offset"], msgspec.convert(row["_late"], Late)) for row in rows if row["_late"] is not None],
            found["left"] + found["timers"],
        )


@contextmanager
def running() -> Iterator[Process]:
    """A process, started once for many streams."""
    with _started("headrace.windows.Harness") as process:
        yield Process(process)


def decoded(events: Iterable[bytes]) -> list[list[Any] | str]:
    """What the stream makes of each event: its columns, or the reason why it is bad."""
    with _started("headrace.formats.Decodings") as process:
        said, _ = process.communicate(b"".join(base64.b64encode(event) + b"\n" for event in events))
    return [msgspec.json.decode(line) for line in said.split(b"\n")[:-1]]


@contextmanager
def _started(main: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of a class; what it is made of is built first, where it is not."""
    jars.ensure()
    flink_jars = sorted((Path(pyflink.__file__).parent / "lib").glob("*.jar"))
    classpath = [jars.operator_jar(), *flink_jars]
    _compile(classpath)
    # Short-lived, and little of its code is hot.
    command = [
        jars.java(),
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        _joined([CLASSES, *classpath]),
        main,
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _compile(classpath: Iterable[Path]) -> None:
    stamp = CLASSES / ".stamp"
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in (*SOURCES, jars.operator_jar()))).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    shutil.rmtree(CLASSES, ignore_errors=True)
    javac = Path(jars.java()).resolve().with_name("javac")
    subprocess.run([javac, "-proc:none", "-cp", _joined(classpath), "-d", CLASSES, *SOURCES], check=True)
    stamp.write_text(wanted)


def _joined(paths: Iterable[Path]) -> str:
    return os.pathsep.join(map(str, paths))
