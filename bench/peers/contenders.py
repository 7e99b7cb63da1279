"""Who runs the job: Headrace as a user would have it, and the peers as processes of ``.venv-bench``."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from bench.common import ROOT, peers_python, process
from bench.peers.job import Job
from bench.rates import FLAT_OUT_JVM
from features.definitions.load import load
from features.job import job_plan
from features.plan import Plan
from infra.config import stream_config
from infra.local import jars
from infra.local.broker import free_ports
from infra.settings import StreamSettings
from jobs.stream.job import run

PROJECT = Path(__file__).parent / "ours"
STOP_SECONDS = 15
FEATURES = "features."

Alive = Callable[[], bool]
Start = Callable[[Job], AbstractContextManager[Alive]]


@dataclass(frozen=True)
class Contender:
    """A way to run a `Job` until the end of a block; the block is given whether it still runs."""

    name: str
    start: Start
    topic: str
    """Of its records, with the phase behind it."""
    state_bytes: Callable[[Job], int]
    """What its state takes on disk, when it has ended."""
    records: int = 1
    """Written for an event."""
    warm_up: tuple[tuple[int, float], ...] = ((200_000, 10_000), (60_000, 2_000))
    """Events, and events a second, before a latency is measured; the second for what is done for a few events at a time."""
    starts_filled: bool = False
    """Whether it takes a job's history from `Job.rows`, and not from events."""


def ensure() -> None:
    """Fetch and build the jars; raise `RuntimeError` where the peers' environment is not there."""
    peers_python()
    jars.ensure()


def plan_for(source: str, target: str) -> Plan:
    """The plan of ``ours/definitions.py``, read from and written to these topics."""
    plan = load(PROJECT).service("peers").plan
    spine = msgspec.structs.replace(plan.spine_source, topic=source)
    return msgspec.structs.replace(plan, service=target.removeprefix(FEATURES), sources=(spine,))


@contextmanager
def headrace(job: Job) -> Iterator[Alive]:
    """The stream job in a process of its own, on an embedded Flink with its state on the heap.

    Set up for what is measured, as docs/settings.md says: batches and a better compiler flat out, neither for a latency.
    """
    flat_out = {"batch_ms": job.linger_ms, "jvm_options": FLAT_OUT_JVM} if job.linger_ms else {}
    folder, section = Path(job.folder), StreamSettings(**flat_out)
    config = stream_config(section, bootstrap=job.bootstrap, checkpoints=folder, logs=folder / "logs")
    with process(run, job_plan([plan_for(job.source, job.target)]), config) as made:
        yield made.is_alive


@contextmanager
def peer(job: Job, module: str, processes: int = 1) -> Iterator[Alive]:
    """The module's program in as many processes, each with a folder of its own."""
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(processes)) if processes > 1 else ()
    with ExitStack() as stack:
        made = [
            stack.enter_context(_program(module, replace(job, addresses=addresses, number=number))) for number in range(processes)
        ]
        yield lambda: all(one.poll() is None for one in made)


@contextmanager
def _program(module: str, job: Job) -> Iterator[subprocess.Popen[bytes]]:
    folder = Path(job.folder) / str(job.number)
    folder.mkdir(parents=True)
    command = [
        str(peers_python()),
        "-W",
        "ignore",
        "-m",
        f"bench.peers.{module}",
        str(replace(job, folder=str(folder / "state"))),
    ]
    with (folder / "log.txt").open("wb") as out:
        made = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield made
        finally:
            made.terminate()
            try:
                made.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(made.pid, signal.SIGKILL)
                made.wait()


def complaint(job: Job) -> str:
    """The last lines of what the contender's processes wrote."""
    logs = sorted(Path(job.folder).glob("*/log.txt")) + sorted(Path(job.folder).glob("logs/*.log"))
    return "\n".join(log.read_text(errors="replace").strip()[-600:] for log in logs)


def checkpoints(job: Job) -> list[Path]:
    """Headrace's finished checkpoints, the newest last."""
    done = sorted(Path(job.folder).rglob("chk-*/_metadata"), key=lambda file: file.stat().st_mtime)
    return [file.parent for file in done]


def checkpointed(job: Job) -> int:
    """The bytes of Headrace's last checkpoint."""
    return _size(checkpoints(job)[-1])


def stored(job: Job) -> int:
    """The bytes of a peer's RocksDB."""
    return _size(Path(job.folder) / "0" / "state")


def pickled(job: Job) -> int:
    """The bytes of the rows of `own_code` as Python's pickle has them, which is what Bytewax would write of them."""
    return sum(len(pickle.dumps(job.rows(customer))) for customer in range(job.keys))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


NAMES = {"quix": "Quix Streams", "bytewax": "Bytewax"}
STATES = {"quix": stored, "bytewax": pickled}


def ours() -> Contender:
    """Headrace as its settings are, with the peers' linger."""
    return Contender("Headrace", headrace, f"{FEATURES}headrace", checkpointed)


def own_code(engine: str, processes: int = 1) -> Contender:
    """A peer's engine around the list of rows in `own_code`."""
    plural = f", {processes} processes" if processes > 1 else ""
    start = partial(peer, module=f"{engine}_own", processes=processes)
    name, topic = f"{NAMES[engine]}, own code{plural}", f"{engine}-own-{processes}"
    return Contender(name, start, topic, STATES[engine], starts_filled=True)


def own_code_with_sums() -> Contender:
    """Bytewax around the running sums in `own_code`."""
    start = partial(peer, module="bytewax_running")
    return Contender("Bytewax, own code with running sums", start, "bytewax-running", pickled, starts_filled=True)


def quix_windows() -> Contender:
    """Quix Streams with its own windows: a record for each of the three."""
    start = partial(peer, module="quix_windows")
    return Contender("Quix Streams, sliding_window × 3", start, "quix-windows", stored, records=3, warm_up=((5_000, 500),))
