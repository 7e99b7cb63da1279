"""A Flink session cluster on loopback, of the jars that apache-flink ships: one JobManager and two TaskManagers."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pyflink
from pyflink import java_gateway
from pyflink.pyflink_gateway_server import get_jvm_opts

from infra.local import jars
from infra.local.broker import free_ports
from jobs.stream.submit import WARM_UP
from tests.support.children import child

HOME = Path(pyflink.__file__).parent
JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
TASK_MANAGERS = 2
SLOTS = 2
"""Of each TaskManager: room for two jobs of a parallelism of 2."""
START_SECONDS = 90
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-D{WARM_UP}=0")
"""Jobs of a few seconds: compiling their code well takes longer than they run."""
CONFIG = """\
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: {rpc}
jobmanager.bind-host: 127.0.0.1
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {rest}
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.numberOfTaskSlots: {slots}
taskmanager.load-balance.mode: SLOTS
taskmanager.cpu.cores: 2
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.task.heap.size: 640m
taskmanager.memory.task.off-heap.size: 0m
taskmanager.memory.network.min: 64m
taskmanager.memory.network.max: 64m
taskmanager.memory.managed.size: 256m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 192m
taskmanager.memory.jvm-overhead.max: 192m
io.tmp.dirs: {folder}/tmp
classloader.check-leaked-classloader: false
"""


class Cluster(NamedTuple):
    """A running cluster."""

    rest: str
    """``host:port`` of its REST API."""

    def get(self, path: str) -> Any:
        """What the REST API gives at ``path``."""
        with urllib.request.urlopen(f"http://{self.rest}/{path}", timeout=10) as response:
            return json.load(response)

    def await_no_job(self, seconds: float = 60) -> None:
        """Return when no job runs: a cancellation is only requested."""
        deadline = time.monotonic() + seconds
        while {job["state"] for job in self.get("jobs/overview")["jobs"]} - {"FINISHED", "CANCELED", "FAILED"}:
            assert time.monotonic() < deadline, "a job of the Flink cluster did not end in time"
            time.sleep(0.1)

    def task_managers_of(self, job: str) -> set[str]:
        """On which TaskManagers the newest job whose name ends in ``job`` runs or has run."""
        jobs = [one for one in self.get("jobs/overview")["jobs"] if one["name"].endswith(job)]
        found = max(jobs, key=lambda one: one["start-time"])["jid"]
        vertices = [vertex["id"] for vertex in self.get(f"jobs/{found}")["vertices"]]
        tasks = [task for vertex in vertices for task in self.get(f"jobs/{found}/vertices/{vertex}")["subtasks"]]
        return {task["taskmanager-id"] for task in tasks}


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster whose files and logs are in ``folder``, and the JVM from which this process submits jobs to it."""
    rpc, rest = free_ports(2)
    (folder / "tmp").mkdir()
    (folder / "config.yaml").write_text(CONFIG.format(rpc=rpc, rest=rest, slots=SLOTS, folder=folder))
    cluster = Cluster(f"127.0.0.1:{rest}")
    mains = {"jobmanager": JOB_MANAGER, **{f"taskmanager{number}": TASK_MANAGER for number in range(TASK_MANAGERS)}}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(child(_command(folder, main, name), folder / f"{name}.out")) for name, main in mains.items()
        ]
        stack.enter_context(_gateway(folder))
        _await_task_managers(cluster, processes)
        yield cluster


def _await_task_managers(cluster: Cluster, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Return when all have registered."""
    deadline = time.monotonic() + START_SECONDS
    registered = 0
    while registered < TASK_MANAGERS:
        ended = [process.args for process in processes if process.poll() is not None]
        assert not ended, f"a process of the Flink cluster ended; its log is beside its configuration: {ended[0]}"
        assert time.monotonic() < deadline, f"{registered} of {TASK_MANAGERS} TaskManagers registered in {START_SECONDS} s"
        time.sleep(0.1)
        with suppress(OSError):  # the JobManager starts
            registered = len(cluster.get("taskmanagers")["taskmanagers"])


def _command(folder: Path, main: str, name: str) -> list[str]:
    # In these versions the scripts in HOME / "bin" start two more JVMs each, to work out what is fixed here.
    return [
        jars.java(),
        "-Xmx768m",
        *JVM,
        *get_jvm_opts({"FLINK_CONF_DIR": str(HOME / "conf")}),
        f"-Dlog.file={folder / name}.log",
        f"-Dlog4j.configurationFile={HOME / 'conf' / 'log4j.properties'}",
        f"-Djava.io.tmpdir={folder / 'tmp'}",
        "-cp",
        os.pathsep.join(map(str, sorted((HOME / "lib").glob("*.jar")))),
        main,
        "--configDir",
        str(folder),
    ]


@contextmanager
def _gateway(folder: Path) -> Iterator[None]:
    """PyFlink's own JVM, the one of this process, with settings that other processes do not inherit."""
    settings = {"JVM_ARGS": " ".join(JVM), "FLINK_LOG_DIR": str(folder)}
    before = {name: os.environ.get(name) for name in settings}
    others = psutil.Process().children()
    os.environ |= settings
    try:
        gateway = java_gateway.get_gateway()
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    started = [process for process in psutil.Process().children() if process not in others]
    try:
        yield
    finally:
        gateway.shutdown()
        java_gateway._gateway = None
        for process in started:
            process.terminate()
        psutil.wait_procs(started, 10)
