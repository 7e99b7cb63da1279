"""What a stream job and a scorer are started with: frozen values of the settings, and of what is known at the start alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from features.inputs.reference import LENGTHS, Length
from features.service import Resources
from infra.http_settings import HttpSettings
from infra.monitor_settings import MonitorSettings
from infra.section import Section
from infra.settings import HistorySettings, OnlineSettings, ScorerSettings, Settings, StreamSettings, run_folder
from schemas.topics import DEAD_LETTERS, LATE_ROWS

if TYPE_CHECKING:
    from features.plan import Plan
    from features.service import Service
    from features.sql.flink import JobOptions
    from infra.kafka.settings import KafkaSettings
    from jobs.cluster.config import ClusterConfig
    from jobs.online.writer import WriterConfig
    from jobs.stream.config import StreamConfig
    from serving.http.config import HttpConfig, KafkaConfig
    from serving.kafka.config import ScorerConfig
    from serving.monitor.config import MonitorConfig, Rules

T = TypeVar("T")

READ_COMMITTED = "read_committed"
"""The default of ``kafka.isolation_level``."""
GROUP = "headrace"
"""Begins the names of consumer groups."""
CACHE_BYTES = 64 * 1024 * 1024
"""What a stage on RocksDB keeps of its state decoded, in memory; state on the heap is there as it is."""
DISCOVERY_MS = 10_000
"""Until it knows of partitions that were added."""
KEPT_BYTES = 64 * 1024 * 1024
"""What a stage keeps in memory of the values of its windows, for functions that have no small partial."""


def stream_config(
    section: StreamSettings,
    *,
    bootstrap: str,
    kafka: dict[str, Any] | None = None,
    client: Mapping[str, str] | None = None,
    isolation_level: str = READ_COMMITTED,
    checkpoints: Path,
    longest: Mapping[str, int] | None = None,
    bounded: bool = False,
    ready_file: Path | None = None,
    logs: Path | None = None,
) -> StreamConfig:
    """The configuration of a stream job.

    ``kafka`` is what a kafka-python client is given, by default the address alone; ``client`` is what Kafka's Java client is
    given beside the address, by default nothing: it speaks PLAINTEXT; ``longest`` is the longest record that a topic takes, by
    name; ``bounded``: it ends where its topics end when it starts.
    """
    from infra.local import jars
    from jobs.stream.config import StreamConfig

    return _filled(
        StreamConfig,
        section,
        sql=sql_options(
            section, bootstrap=bootstrap, client=client, isolation_level=isolation_level, longest=longest, bounded=bounded
        ),
        kafka=kafka or {"bootstrap_servers": bootstrap.split(",")},
        jars=jars.flink_jars(),
        checkpoints=checkpoints,
        ready_file=ready_file,
        logs=logs,
    )


def sql_options(
    section: StreamSettings,
    *,
    bootstrap: str,
    client: Mapping[str, str] | None = None,
    isolation_level: str = READ_COMMITTED,
    longest: Mapping[str, int] | None = None,
    bounded: bool = False,
) -> JobOptions:
    """What the SQL of a stream job says beside its plan."""
    from features.sql.flink import JobOptions

    return _filled(
        JobOptions,
        section,
        bootstrap=bootstrap,
        longest=dict(longest or {}),
        isolation_level=isolation_level,
        client=client or {},
        group=GROUP,
        dead_letters=DEAD_LETTERS.name,
        late_rows=LATE_ROWS.name,
        bounded=bounded,
        cache_bytes=CACHE_BYTES if section.state_backend == "rocksdb" else 0,
        kept_bytes=KEPT_BYTES,
        whole_after_ms={},
        newest_ms={},
        history=None,
        queries=None,
        vectors_from=None,
    )


def outcomes_section(settings: Settings) -> StreamSettings:
    """``[stream]`` as the job of outcomes has it: what ``[outcomes]`` says counts."""
    own = settings.outcomes
    backend = own.state_backend or settings.stream.state_backend
    return settings.stream.model_copy(update={"state_backend": backend, "metrics_port": own.metrics_port})


def cluster_config(settings: Settings, project: Path, cluster: str) -> ClusterConfig:
    """The configuration of a job over histories on the Flink cluster at ``cluster``, ``host:port``."""
    from infra.local import jars
    from jobs.cluster.config import ClusterConfig

    folder = run_folder(project, settings)
    return _filled(
        ClusterConfig,
        settings.stream,
        cluster=cluster,
        sql=sql_options(settings.stream, bootstrap=""),  # it reads no topic
        jars=jars.flink_jars(),
        folder=folder / "features",
        logs=folder / "logs",
    )


def with_settings(service: Service, settings: Settings) -> Service:
    """``service`` with what the settings say of the files that it reads, and of what reading them may take."""
    resources = resources_of(settings.history, service.folder)
    return msgspec.structs.replace(service, event_times=settings.stream.event_times, resources=resources)


def resources_of(section: HistorySettings, project: Path) -> Resources:
    """What reading the histories of ``project`` may take."""
    return Resources(section.memory_mb, project / section.spill_folder if section.spill_folder else None)


def scorer_config(
    section: ScorerSettings,
    service: str,
    *,
    client: dict[str, Any],
    isolation_level: str = READ_COMMITTED,
    instance: int | None = None,
    longest: Mapping[str, int] | None = None,
    group: str | None = None,
    turns: Path | None = None,
    ready_file: Path | None = None,
) -> ScorerConfig:
    """The configuration of the scorer of ``service``, by default in the group of all scorers of the service.

    ``client`` is what a kafka-python client is given; ``instance`` is which scorer of the service it is, by default the
    section's; ``longest`` is the longest record that a topic takes, by name.
    """
    from serving.kafka.config import SESSION_MS, ScorerConfig

    number = section.instance if instance is None else instance
    return _filled(
        ScorerConfig,
        section,
        client=client,
        isolation_level=isolation_level,
        instance=number,
        metrics_port=section.metrics_port and section.metrics_port + number - section.instance,
        longest=dict(longest or {}),
        group=group or scorer_group(service),
        turns=turns,
        session_ms=SESSION_MS,
        ready_file=ready_file,
    )


def with_free_port(port: int | None, ready: str | None) -> int | None:
    """The port of a process's metrics: a free one where it is called ``ready``, so beside another, which has ``port``."""
    return 0 if port and ready else port


def scorer_group(service: str) -> str:
    """The consumer group of a service's scorers, until another plan takes over."""
    return f"{GROUP}.scorer.{service}"


def http_config(section: HttpSettings, project: Path) -> HttpConfig:
    """The configuration of the HTTP service of ``project``."""
    from serving.http.config import HttpConfig

    names = ("tls_certificate_file", "tls_key_file")
    files = {name: (project / getattr(section, name)).absolute() if getattr(section, name) else None for name in names}
    allowed = tuple(host.lower() for host in section.allowed_hosts)
    return _filled(HttpConfig, section, allowed_hosts=allowed, **files)


def kafka_config(section: KafkaSettings, bootstrap: str, plans: Sequence[Plan], others: Sequence[Plan] = ()) -> KafkaConfig:
    """Where the HTTP service publishes events and reads predictions: those of ``plans``; ``others`` read the same topics."""
    from serving.http.config import READER, KafkaConfig

    own = {"isolation_level": section.isolation_level, "metadata_max_age_ms": DISCOVERY_MS}
    client = section.client(bootstrap)
    return KafkaConfig(client, {**READER, **own, **client}, tuple(plans), tuple(others))


def online_config(
    section: OnlineSettings,
    service: str,
    *,
    client: dict[str, Any],
    isolation_level: str = READ_COMMITTED,
    ready_file: Path | None = None,
) -> WriterConfig:
    """The configuration of the writer of ``service``'s online rows; ``client`` is what a kafka-python client is given."""
    from jobs.online.writer import WriterConfig

    return _filled(
        WriterConfig,
        section,
        client=client,
        isolation_level=isolation_level,
        group=f"{GROUP}.online.{service}",
        ready_file=ready_file,
    )


def monitor_rules(section: MonitorSettings) -> Rules:
    """When a window has drifted, and when that is an alarm."""
    from serving.monitor.config import Rules

    return _filled(Rules, section)


def monitor_config(
    section: MonitorSettings,
    service: str,
    *,
    client: dict[str, Any],
    state: Path,
    isolation_level: str = READ_COMMITTED,
    ready_file: Path | None = None,
) -> MonitorConfig:
    """The configuration of the monitor of ``service``; its state is in the folder ``state``, a file for each kind of window."""
    from serving.monitor.config import MonitorConfig

    return _filled(
        MonitorConfig,
        section,
        rules=monitor_rules(section),
        client=client,
        isolation_level=isolation_level,
        group=f"{GROUP}.monitor.{service}",
        state=monitor_state(state, service, section.window),
        others={length: monitor_state(state, service, length) for length in LENGTHS if length != section.window},
        ready_file=ready_file,
    )


def monitor_state(folder: Path, service: str, window: Length) -> Path:
    """The file of what a monitor has counted by windows of this length."""
    return folder / f"{service}.{window}.json"


def _filled(kind: type[T], section: Section, **known: Any) -> T:
    """A ``kind``, a msgspec struct: the fields that ``known`` does not have are the section's keys of the same names."""
    names = kind.__struct_fields__  # type: ignore[attr-defined]
    return kind(**known, **{name: getattr(section, name) for name in names if name not in known})
