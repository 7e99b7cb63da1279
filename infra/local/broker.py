"""A real Kafka broker in KRaft mode, as a child process on loopback, its data in a folder."""

from __future__ import annotations

import base64
import re
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from features.errors import SettingError, StackError
from infra.kafka.settings import LOCAL_JVM
from infra.local import jars, topics

START_SECONDS = 30.0
STOP_SECONDS = 15.0


PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{ports.controller}
listeners=PLAINTEXT://127.0.0.1:{ports.broker},CONTROLLER://127.0.0.1:{ports.controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{ports.broker}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
num.partitions=1
num.recovery.threads.per.data.dir=2
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
"""

LOG4J = """\
status=error
appender.file.type=File
appender.file.name=file
appender.file.fileName={log}
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{{ISO8601}} %p %c{{1}} %m%n
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
"""

ODD = (",", "${")
"""A list of folders is written with commas (`log.dirs`), and a lookup of Log4j's with a dollar sign and a brace."""


class Ports(NamedTuple):
    """Where a broker listens on 127.0.0.1."""

    broker: int
    controller: int


class Broker:
    """One local broker. Starting again on the same folder finds the same topics, records and ports.

    ``folder`` gets ``data/``, ``server.properties``, ``broker.log`` and ``console.log``. ``ports`` are chosen free on the first
    start and kept in ``server.properties``; ``jvm`` are the options of its JVM. Raises `SettingError` where Kafka could not have
    its data in the folder.
    """

    def __init__(self, folder: Path, ports: Ports | None = None, jvm: str = LOCAL_JVM) -> None:
        self.folder = folder.absolute()
        if found := [mark for mark in ODD if mark in str(self.folder)]:
            raise SettingError(
                f"the local Kafka has its data in the run folder, whose path has no {found[0]!r}; got {self.folder}; "
                "set run_dir to another folder, or kafka.bootstrap to a Kafka of your own"
            )
        self.jvm = jvm
        self.ports = ports or _kept_ports(self.folder) or Ports(*free_ports(2))
        self._process: subprocess.Popen[bytes] | None = None

    def on_free_ports(self) -> Broker:
        """This broker, on other ports where something else listens on its own by now."""
        return self if all(map(_is_free, self.ports)) else Broker(self.folder, Ports(*free_ports(2)), self.jvm)

    @property
    def bootstrap(self) -> str:
        """The address that clients give as ``bootstrap_servers``."""
        return f"127.0.0.1:{self.ports.broker}"

    @property
    def pid(self) -> int:
        """The process's id. Raises `StackError` where this object started none."""
        if self._process is None:
            raise StackError(f"the broker in {self.folder} is not started; call start()")
        return self._process.pid

    @property
    def log(self) -> Path:
        """The broker's own log."""
        return self.folder / "broker.log"

    def prepare(self) -> list[str]:
        """Write the broker's files, format its storage the first time, and give the command that runs it in the foreground."""
        classpath, java = jars.broker_classpath(), jars.java()
        self.folder.mkdir(parents=True, exist_ok=True)
        properties, log4j = self.folder / "server.properties", self.folder / "log4j2.properties"
        properties.write_text(PROPERTIES.format(ports=self.ports, data=_value(self.folder / "data")))
        log4j.write_text(LOG4J.format(log=_value(self.log)))
        command = [java, *self.jvm.split(), "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={log4j}", "-cp", classpath]
        if not (self.folder / "data" / "meta.properties").is_file():
            self._format(command, properties)
        return [*command, "kafka.Kafka", str(properties)]

    def start(self) -> None:
        """Start, and wait until the broker replies. Raises `StackError`, with the end of its log, if it does not in 30 s."""
        if self._process is not None and self._process.poll() is None:
            return
        command = self.prepare()
        with (self.folder / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True
            )
        process = self._process
        try:
            self.wait(lambda: process.poll() is None)
        except BaseException:
            self.stop()
            raise

    def wait(self, alive: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until the broker replies. Raises `StackError` where it does not in time, or is not ``alive``."""
        deadline = time.monotonic() + seconds
        while not replies(self.bootstrap):
            ended = not alive()
            if ended or time.monotonic() > deadline:
                what = "ended" if ended else f"did not reply on {self.bootstrap} within {seconds:.0f} s"
                raise StackError(f"the Kafka broker {what}; {self.log} says: {self._complaint()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop, cleanly if it can be done in 15 s; data stay."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def create_topics(self, partitions: Mapping[str, int], config: Mapping[str, str] | None = None) -> None:
        """Create the topics that are missing; see `infra.local.topics.create`."""
        topics.create({"bootstrap_servers": self.bootstrap}, partitions, config)

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _format(self, command: list[str], properties: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        identity = f"--cluster-id={cluster}"  # one word: it may begin with a dash
        tool = [*command, "kafka.tools.StorageTool", "format", identity, "-c", str(properties)]
        done = subprocess.run(tool, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(
                f"Kafka could not format {self.folder / 'data'}; it said: {(done.stdout + done.stderr).strip()[-300:]}"
            )

    def _complaint(self) -> str:
        """The last error in the logs, else their last line."""
        files = [file for file in (self.folder / "console.log", self.log) if file.is_file()]
        lines = [line for file in files for line in file.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if " ERROR " in line or "Exception" in line]
        return ([*lines, *errors] or ["(nothing)"])[-1].strip()


def replies(bootstrap: str) -> bool:
    """Whether a broker at ``bootstrap`` replies to a request."""
    host, _, port = bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=0.5).close()  # an admin client waits 30 s for a closed port
        with closing(KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=2000)) as admin:
            return bool(admin.describe_cluster()["brokers"])
    except (OSError, KafkaError):
        return False


def _value(path: Path) -> str:
    """A path as it stands in a file of Java's properties, which is read as Latin-1, with backslashes as escapes."""
    units = str(path).replace("\\", "\\\\").encode("utf-16-be")
    letters = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(letter) if 32 <= letter < 127 else f"\\u{letter:04x}" for letter in letters)


def _kept_ports(folder: Path) -> Ports | None:
    file = folder / "server.properties"
    if not file.is_file():
        return None
    listeners = re.search(r"^listeners=\S+:(\d+),\S+:(\d+)$", file.read_text(), re.MULTILINE)
    return Ports(int(listeners[1]), int(listeners[2])) if listeners else None


def _is_free(port: int, seconds: float = 2.0) -> bool:
    """Whether a server can have the port; what ends just now is waited for."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return True
        except OSError:
            if time.monotonic() > deadline:
                return False
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on just now, all of them held until the last is found."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports
