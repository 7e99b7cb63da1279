"""A secured Kafka, with a principal and the least rights for each process: all of it works, and no secret is seen."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import msgspec
import psutil
import pyflink
import pytest
from kafka import KafkaConsumer, TopicPartition

from features.definitions.load import load
from features.errors import HeadraceError, SettingError, StackError
from features.job import job_plan
from features.plan import Plan
from infra.cli.app import run as headrace
from infra.config import GROUP
from infra.kafka import rights
from infra.kafka.rights import Right
from infra.local import jars, topics
from jobs.stream.submit import jvm_options
from schemas.topics import DEAD_LETTERS, DEPLOYMENTS, LATE_ROWS
from tests.support.children import child
from tests.support.models import register, stumps
from tests.support.secured import SecuredKafka

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[3]
SERVICE = 'cards = FeatureService(name="cards", features=[transaction_amount, customer_spend], tags={"spine": "transactions"})'
SPINE = "secured-transactions"
USERS = {
    "maker": "SCRAM-SHA-512",
    "stream": "SCRAM-SHA-512",
    "scorer": "PLAIN",
    "publisher": "SCRAM-SHA-256",
    "reader": "SSL",
    "bearer": "OAUTHBEARER",
    "nobody": "PLAIN",
}
EVENTS = 20
PAGES = (
    "config",
    "overview",
    "jobmanager/config",
    "jobmanager/environment",
    "jobmanager/logs",
    "jobmanager/log",
    "jobmanager/stdout",
    "jobmanager/thread-dump",
    "taskmanagers",
    "jars",
    "jobs/overview",
    *(f"jobs/{{job}}{page}" for page in ("", "/config", "/plan", "/exceptions", "/checkpoints", "/checkpoints/config")),
    *(f"jobs/{{job}}/{page}" for page in ("accumulators", "jobmanager/config", "jobmanager/environment", "metrics")),
)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """The broker, whose users may do nothing yet."""
    jars.ensure()
    with SecuredKafka(tmp_path_factory.mktemp("secured"), USERS).running() as made:
        yield made


@pytest.fixture
def project(small_copy: Path) -> Path:
    """A fraud project with a service without batch features, and its model."""
    definitions = small_copy / "definitions.py"
    definitions.write_text(definitions.read_text().replace('topic="transactions"', f'topic="{SPINE}"') + SERVICE)
    plan = load(small_copy).service("cards").plan
    register(small_copy / "models", plan, stumps([0.01 * i for i in range(len(plan.inputs))]))
    (small_copy / "plan.json").write_bytes(msgspec.json.encode(plan))
    return small_copy


@pytest.mark.timeout(600)  # on a busy machine
def test_each_process_works_with_the_rights_of_the_docs(
    kafka: SecuredKafka, project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """From `publish` to `tail`, with SCRAM, PLAIN and a certificate; no secret is in a file, a command line or a REST page."""
    plan = load(project).service("cards").plan
    granted = make(kafka, plan)
    monkeypatch.chdir(project)
    events = project / "events.jsonl"
    events.write_text("".join(f"{json.dumps(event(number))}\n" for number in range(EVENTS)))
    with (
        process(kafka, project, "stream", "stream", "cards", "--plan", "plan.json") as stream,
        process(kafka, project, "scorer", "scorer", "cards") as scorer,
    ):
        ready = project / ".headrace" / "ready"
        await_ready(project, {"stream": stream, "scorer": scorer})
        assert command(kafka, monkeypatch, "publisher", "publish", str(events), "--topic", SPINE) == 0
        arguments = ("--from-beginning", "--json", "--limit", str(EVENTS))
        assert command(kafka, monkeypatch, "reader", "tail", plan.predictions_topic, *arguments) == 0
        lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
        assert {json.loads(line)["value"]["event_id"] for line in lines} == set(range(EVENTS))
        places = {**files(project), **command_lines(), **pages(json.loads((ready / "stream-cards").read_text()))}
        assert [(user, place) for user in USERS for place, text in places.items() if kafka.secrets[user] in text] == []
        keys = [line for line in (kafka.folder / "reader.key").read_text().splitlines() if len(line) == 64]
        assert [place for key in keys for place, text in places.items() if key in text] == []
        kafka.revoke("stream", granted["stream"][0])
        kafka.revoke("scorer", granted["scorer"][0])
        assert (stream.wait(120), scorer.wait(120)) == (2, 2)
    assert "TopicAuthorizationFailedError" in last_line(project / "scorer.log")
    last = last_line(project / "stream.log")  # in which Kafka's client names the topic or does not
    assert re.search(r"cannot work with Kafka: .*TopicAuthorizationException: .*; see docs/secured-kafka\.md", last), last


def test_a_right_that_is_missing_is_named(
    kafka: SecuredKafka, project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the start, in one line: the topic or the group, and the operation."""
    plan = load(project).service("cards").plan
    make(kafka, plan)
    kafka.grant("nobody", ("DESCRIBE", "topic", SPINE))
    job = job_plan([plan])
    for needed in (rights.of_stream(job, f"{GROUP}.cards"), rights.of_scorer(plan, f"{GROUP}.scorer.cards")):
        with pytest.raises(SettingError, match="the user 'nobody' lacks rights on Kafka that this process needs: ") as caught:
            rights.require(kafka.client("nobody"), needed)
        assert all(str(right) in str(caught.value) for right in needed)
    kafka.grant("nobody", ("READ", "topic", plan.features_topic))
    with pytest.raises(
        SettingError,
        match=r"needs: READ on topic predictions\.cards, WRITE on topic predictions\.cards, READ on topic dead_letters, WRITE on",
    ):
        rights.require(kafka.client("nobody"), rights.of_scorer(plan, f"{GROUP}.scorer.cards"))
    (project / "one.jsonl").write_text(json.dumps(event(1)))
    monkeypatch.chdir(project)
    capfd.readouterr()
    for arguments, right in ((("publish", "one.jsonl", "--topic"), "WRITE"), (("tail",), "READ")):
        assert command(kafka, monkeypatch, "nobody", *arguments, SPINE) == 2
        assert f"{right} on topic {SPINE}; grant what docs/secured-kafka.md lists" in one_line(capfd)


def test_topics_are_made_by_who_may(kafka: SecuredKafka) -> None:
    """CREATE for those that are missing; without it, which are missing, and what to do."""
    kafka.grant("maker", ("CREATE", "topic", "made-here"), ("DESCRIBE", "topic", "made-here"))
    topics.create(kafka.client("maker"), {"made-here": 1}, replication=1)
    with pytest.raises(SettingError, match="the user 'nobody' sees none called made-here, and lacks CREATE"):
        topics.create(kafka.client("nobody"), {"made-here": 1}, replication=1)


def test_a_login_that_is_refused_is_one_line(kafka: SecuredKafka) -> None:
    """A wrong password, a mechanism that the broker does not have, a CA that did not sign, no client certificate."""
    client = kafka.client("scorer")
    assert "does not take the login of the user 'scorer' with PLAIN" in unreached({**client, "sasl_plain_password": "x"})
    no_ca = {name: value for name, value in client.items() if name != "ssl_cafile"}
    assert "Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED]" in unreached(no_ca)
    owner = kafka.client("reader")
    stranger = {name: value for name, value in owner.items() if not name.startswith(("ssl_cert", "ssl_key", "ssl_pass"))}
    assert "[SSL: SSLV3_ALERT_BAD_CERTIFICATE]" in unreached(stranger)


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of a program with the Java client of Flink's connector."""
    folder = tmp_path_factory.mktemp("echo")
    jars_of_flink = Path(pyflink.__file__).parent / "lib"
    path = os.pathsep.join([*map(str, jars.flink_jars()), f"{jars_of_flink}/*", str(folder)])
    source = ROOT / "tests" / "support" / "java" / "Echo.java"
    subprocess.run([str(Path(jars.java()).with_name("javac")), "-cp", path, "-d", str(folder), str(source)], check=True)
    return [jars.java(), "-XX:TieredStopAtLevel=1", "-cp", path]


@pytest.mark.parametrize("user", ["scorer", "publisher", "stream", "reader", "bearer"])
def test_both_clients_speak_each_mechanism(kafka: SecuredKafka, echo: list[str], user: str) -> None:
    """PLAIN, SCRAM, a certificate and OAUTHBEARER: what the Java client wrote, kafka-python reads, with the same settings."""
    settings, topic = kafka.settings(user), f"echo-{user}"
    kafka.grant("maker", ("CREATE", "topic", topic), ("DESCRIBE", "topic", topic))
    topics.create(kafka.client("maker"), {topic: 1}, replication=1)
    kafka.grant(user, ("READ", "topic", topic), ("WRITE", "topic", topic))
    properties = {"bootstrap.servers": str(settings.bootstrap), **settings.properties()}
    done = subprocess.run(
        [*echo, *jvm_options("", properties).split(), "Echo", topic, f"by {user}"],
        input="".join(f"{key}={value}\n" for key, value in properties.items()),
        env={**os.environ, **kafka.environment(user)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"by {user}\n", done.stderr
    assert kafka.secrets[user] not in done.stderr
    with closing(KafkaConsumer(**kafka.client(user), auto_offset_reset="earliest", consumer_timeout_ms=10_000)) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        assert next(consumer).value == f"by {user}".encode()


def make(kafka: SecuredKafka, plan: Plan) -> dict[str, list[Right]]:
    """The topics of ``plan``, made by who may, and what docs/secured-kafka.md lists for each process."""
    names = [SPINE, plan.features_topic, plan.predictions_topic, DEAD_LETTERS.name, LATE_ROWS.name, DEPLOYMENTS.name]
    kafka.grant("maker", *((operation, "topic", name) for name in names for operation in ("CREATE", "DESCRIBE")))
    topics.create(kafka.client("maker"), dict.fromkeys(names, 1), replication=1)
    granted = {
        "stream": rights.of_stream(job_plan([plan]), f"{GROUP}.cards"),
        "scorer": rights.of_scorer(plan, f"{GROUP}.scorer.cards"),
        "publisher": rights.of_publisher([SPINE]),
        "reader": rights.of_reader(plan.predictions_topic),
    }
    for user, several in granted.items():
        kafka.grant(user, *several)
    return granted


def event(number: int) -> dict[str, object]:
    """A transaction of now."""
    return {
        "transaction_id": number,
        "event_time": int(time.time() * 1000) + number,
        "customer_id": number % 3,
        "terminal_id": 2,
        "amount": 3,
    }


def process(kafka: SecuredKafka, project: Path, user: str, *arguments: str) -> child:
    """``headrace`` with these arguments as ``user``, its output in ``<user>.log``."""
    line = [sys.executable, "-P", "-m", "infra.cli", *arguments, "--project", str(project)]
    return child(line, project / f"{user}.log", kafka.environment(user))


def command(kafka: SecuredKafka, monkeypatch: pytest.MonkeyPatch, user: str, *arguments: str) -> int:
    """The same in this process; gives the exit code."""
    with monkeypatch.context() as patch:
        for name, value in kafka.environment(user).items():
            patch.setenv(name, value)
        return headrace(arguments)


def one_line(capfd: pytest.CaptureFixture[str]) -> str:
    """What was printed on stderr: one line."""
    (line,) = capfd.readouterr().err.strip().splitlines()
    return line


def unreached(client: dict[str, object]) -> str:
    """The one line that says why Kafka cannot be reached so."""
    with pytest.raises((SettingError, StackError)) as caught:
        topics.require(client, SPINE)
    assert isinstance(caught.value, HeadraceError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def await_ready(project: Path, processes: Mapping[str, subprocess.Popen[bytes]], seconds: float = 240) -> None:
    """Return when all do their work."""
    deadline = time.monotonic() + seconds
    for name, one in processes.items():
        while not (project / ".headrace" / "ready" / f"{name}-cards").is_file():
            said = last_line(project / f"{name}.log")
            assert one.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)


def last_line(log: Path) -> str:
    """Of a process's output."""
    return (log.read_text().splitlines() or [""])[-1]


def files(project: Path) -> dict[str, str]:
    """What lies in the project: logs, plans, checkpoints, settings."""
    return {
        str(file): file.read_text(errors="replace") for file in project.rglob("*") if file.is_file() and "data" not in file.parts
    }


def command_lines() -> dict[str, str]:
    """Of this process and all below it, as anyone on this machine sees them."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    assert any("java" in one.name() for one in family)
    return {f"process {one.pid}": Path(f"/proc/{one.pid}/cmdline").read_bytes().decode(errors="replace") for one in family}


def pages(ready: dict[str, str]) -> dict[str, str]:
    """Every page of Flink's REST API that tells of a job, its configuration or its processes."""
    job, get = ready["job"], lambda page: _get(f"{ready['rest']}/{page}")
    wanted = [page.format(job=job) for page in PAGES]
    wanted += [f"jobs/{job}/vertices/{vertex['id']}" for vertex in json.loads(get(f"jobs/{job}"))["vertices"]]
    for one in json.loads(get("taskmanagers"))["taskmanagers"]:
        wanted += [f"taskmanagers/{one['id']}{page}" for page in ("", "/logs", "/log", "/stdout", "/thread-dump")]
    read = {page: get(page) for page in wanted}
    assert len([page for page, text in read.items() if text]) > len(PAGES) // 2
    return read


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - http to the job's own address
            return response.read().decode(errors="replace")
    except urllib.error.HTTPError as error:  # an embedded Flink has no log of its own at some of them
        return error.read().decode(errors="replace")
