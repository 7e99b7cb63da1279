"""Settings: every key with its type, default, bounds and meaning, and nowhere else; docs/settings.md is made of them.

Long sections, ``[http]``, ``[kafka]``, ``[monitor]``, ``[outcomes]`` and ``[train.<service>]``, are files of their own:
`infra.http_settings`, `infra.kafka.settings`, `infra.monitor_settings`, `infra.outcomes_settings`, `infra.train_settings`.

The command line overrides the environment (``HEADRACE_…``), which overrides the project's ``headrace.toml``, key by key. A key of
the file is a path of the model; its environment variable is that path in capitals, joined by two underscores: ``kafka.bootstrap``
is ``HEADRACE_KAFKA__BOOTSTRAP``. A secret comes from the environment alone and is never written.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

import msgspec
from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    SettingsConfigDict,
    SettingsError,
)

from features.errors import SettingError
from features.times import EVENT_TIMES, EventTimes
from infra.http_settings import TOKENS, HttpSettings
from infra.kafka.settings import SECRETS, KafkaSettings, variable
from infra.monitor_settings import MonitorSettings
from infra.outcomes_settings import OutcomesSettings
from infra.section import PREFIX as PREFIX
from infra.section import Section as Section
from infra.train_settings import TrainSettings
from schemas.codec import UNREADABLE

if TYPE_CHECKING:
    from jobs.training.split import Split

FILE = "headrace.toml"


def _names(value: object) -> object:
    """``a, b`` of the environment as names."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class StreamSettings(Section):
    """The stream jobs."""

    parallelism: int = Field(default=1, ge=1, le=128)
    """The number of parallel tasks of each stage. A job goes on from its checkpoints with another number too."""
    checkpoint_interval_ms: int = Field(default=10_000, ge=100)
    """The time between two checkpoints: what Flink repeats at most after a restart."""
    state_backend: Literal["heap", "rocksdb"] = "heap"
    """Where the rows of the windows are kept: `heap`, in the JVM's memory, or `rocksdb`, on disk, for more than memory holds."""
    rocksdb_memory_mb: int = Field(default=256, ge=64)
    """What RocksDB may hold in memory where Flink runs in the job's own process; a cluster has a setting of its own."""
    jvm_options: str = "-XX:+UseParallelGC -XX:TieredStopAtLevel=1"
    """The options of the JVM where Flink runs in the job's own process. The default compiles quickly, and is calm from the first
    event; without `-XX:TieredStopAtLevel=1` it compiles longer, to faster code, for a backlog or thousands of events/s a core."""
    warm_up_ms: int = Field(default=3000, ge=0)
    """How long at most a job that starts afresh runs on made-up rows, until its JVM has compiled its code; 0: not at all. A
    cluster is told by its JVMs' options: `-Dheadrace.warm-up-ms=3000`, which is the default there too."""
    cluster: str | None = None
    """The `host:port` of a running Flink cluster; none: Flink runs in the job's own process."""
    max_ahead_ms: int = Field(default=EVENT_TIMES.max_ahead_ms, ge=0)
    """How far ahead of the clock an event may be, on the stream and in files (rule 8 of docs/windows.md)."""
    max_age_days: int = Field(default=EVENT_TIMES.max_age_days, ge=1)
    """How old an event may be, on the stream and in files (rule 8 of docs/windows.md)."""
    vectors_from_ms: int | None = None
    """Events before this time fill the windows and get no feature vector; none: every event gets one."""
    batch_ms: int = Field(default=0, ge=0)
    """How long a record may wait for others before it goes on, to the job's next task or to Kafka; 5 is good for a backlog."""
    idle_timeout_ms: int = Field(default=10_000, ge=0)
    """A partition that is silent this long no longer holds the watermark back; once all are, the newest events wait no longer."""
    drift_ms: int = Field(default=86_400_000, ge=1)
    """How far one source may read ahead of another, in event time; used in event-time mode."""
    whole_from_ms: int | None = None
    """Events from this time on are all in the topics: after a backfill, if Kafka had deleted some; none: as Kafka's log says."""
    discovery_ms: int = Field(default=10_000, ge=100)
    """How often the job looks for new partitions of its sources: those that are added later are read after so long at most."""
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """The port of this machine's loopback on which a job's metrics are, for Prometheus; 0: a free one, which `headrace status`
    shows, and which several jobs need; none: there are no metrics."""

    @property
    def event_times(self) -> EventTimes:
        """The two bounds of event times as the readers of files take them."""
        return EventTimes(self.max_ahead_ms, self.max_age_days)


class HistorySettings(Section):
    """Features over history: `headrace features`, `score`, `train` and what else reads it (docs/files.md)."""

    memory_mb: int | None = Field(default=None, ge=64)
    """What DuckDB may hold in memory; what does not fit goes to disk, and takes longer; none: half of the machine's memory."""
    spill_folder: str | None = None
    """The folder on disk for what does not fit, relative to the project; none: the system's for temporary files (`TMPDIR`)."""


class ScorerSettings(Section):
    """The scorers."""

    processes: int = Field(default=1, ge=1, le=1024)
    """How many scorers of each service `headrace up` runs: they share the partitions of its feature vectors."""
    instance: int = Field(default=0, ge=0)
    """The number of this machine's first scorer of a service; all scorers of a service have different ones. One that starts
    with the number of a scorer that died takes over its partitions at once."""
    dedupe_window: int = Field(default=500_000, ge=1)
    """How many of the last event ids a scorer remembers, of its partitions together, so that each event gets one prediction.
    Half a million take 50 MB, and reach back 500 s at 1,000 events/s; Flink repeats what it wrote since its last checkpoint."""
    batch_cache_seconds: float = Field(default=10, ge=0)
    """How long a row of batch features is used before it is read from the online store again."""
    batch_cache_rows: int = Field(default=500_000, ge=1)
    """How many rows of batch features are kept in memory."""
    max_poll_records: int = Field(default=2000, ge=1)
    """How many feature vectors are scored at once, at most."""
    discovery_ms: int = Field(default=10_000, ge=100)
    """How often the scorer looks for new partitions of the feature vectors' topic."""
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """The port of this machine's loopback on which a scorer's metrics are, for Prometheus; of several scorers of a service the
    first's, the others have the next ones; 0: a free one, which `headrace status` shows, and which several services need; none:
    there are no metrics."""


class OnlineSettings(Section):
    """Window values in Feast's online store (docs/online-store.md)."""

    write: bool = False
    """Whether `headrace up` keeps the newest values of each service's stream views in the online store, for Feast's clients."""
    max_poll_records: int = Field(default=5000, ge=1)
    """How many feature vectors are written at once, at most; of each key the newest is."""
    discovery_ms: int = Field(default=10_000, ge=100)
    """How often the writer looks for new partitions of the feature vectors' topic."""


class GateSettings(Section):
    """What live traffic must say of a version before it goes to production (docs/deployments.md)."""

    window_minutes: int = Field(default=60, ge=1)
    """The predictions of so many minutes are looked at, up to the newest 200,000 of each version."""
    min_events: int = Field(default=1000, ge=1)
    """How many events both versions must have scored."""
    min_agreement: float = Field(default=0.8, ge=-1, le=1)
    """The rank correlation (Spearman's) of the two versions' scores, at least."""
    max_psi: float = Field(default=0.25, ge=0)
    """The population stability index of the scores against production's, at most; above 0.25 is read as another distribution."""
    max_latency_ms: float = Field(default=50, ge=0)
    """How much longer the 99th percentile from feature vector to score may be than production's."""
    max_error_share: float = Field(default=0.001, ge=0, le=1)
    """The share of events that the version gave no score for since it is in its shadow, at most."""


class RunSettings(Section):
    """The end-to-end run, `headrace run`: the days that a model is trained on, and those that are published and scored."""

    service: str
    """The feature service that is run."""
    prepare: str | None = None
    """A Python file of the project that makes its history in the folder that it is given; none: the history is there."""
    train_from: date
    """The first day of training."""
    train_days: int = Field(default=7, ge=1)
    """The number of days of training."""
    start: date
    """The first day that is published and scored; the days between training and this one are the delay of the labels."""
    days: int = Field(default=7, ge=1)
    """The number of days that are published and scored."""
    rate: float = Field(default=4000, gt=0)
    """Events a second, of all sources together."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        try:
            trained, _ = self.train_from + timedelta(days=self.train_days), self.end
        except OverflowError:
            raise ValueError("its days lie before the year 10000") from None
        if self.start < trained:
            raise ValueError("start comes after the days of training")
        return self

    @property
    def end(self) -> date:
        """The day after the last."""
        return self.start + timedelta(days=self.days)

    @property
    def split(self) -> Split:
        """The same days as training takes them."""
        from jobs.training.split import Split

        delay = (self.start - self.train_from).days - self.train_days
        return Split(self.train_from, self.train_days, delay, self.days)


class Settings(BaseSettings):
    """The settings of a project."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    services: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()
    """The services that `headrace up` starts, in the environment with commas; none named: all of definitions.py."""
    kafka: KafkaSettings = KafkaSettings()
    stream: StreamSettings = StreamSettings()
    history: HistorySettings = HistorySettings()
    scorer: ScorerSettings = ScorerSettings()
    http: HttpSettings = HttpSettings()
    online: OnlineSettings = OnlineSettings()
    gate: GateSettings = GateSettings()
    monitor: MonitorSettings = MonitorSettings()
    outcomes: OutcomesSettings = OutcomesSettings()
    train: dict[str, TrainSettings] = {}
    run: RunSettings | None = None
    registry: str = "models"
    """The folder of the model registry, relative to the project, or a URL that scorers on several machines share, such as
    `s3://bucket/models` (docs/deployments.md); credentials come from the environment alone, as the store's tools read them."""
    run_dir: str = ".headrace"
    """The folder of logs, processes, checkpoints and the local Kafka's data, relative to the project."""


def load_settings(project: Path, **overrides: Any) -> Settings:
    """The settings of ``project``. ``overrides`` are nested as the model is: ``stream={"parallelism": 2}``.

    Raises `SettingError` for the first key that is unknown or has a value that doesn't fit, and says where it came from.
    """
    file = project / FILE
    written, environment = _of_file(file), _of_environment()
    try:
        settings = Settings(**_merged(written, environment, overrides))
    except ValidationError as error:
        raise _first(error, {"command line": overrides, "environment": environment, str(file): written}) from None
    return settings.model_copy(update={"kafka": settings.kafka.within(project)})


def write_settings(settings: Settings, file: Path) -> None:
    """``settings`` as they are, all sources taken together, for a process to read with `read_settings`; without secrets."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(without_secrets(settings)), indent=2))


def without_secrets(settings: Settings) -> dict[str, Any]:
    """``settings`` as JSON has them, without secrets."""
    return settings.model_dump(mode="json", exclude={"kafka": set(SECRETS), "http": {"tokens"}})


def read_settings(file: Path) -> Settings:
    """What `write_settings` wrote; secrets are of this process's own environment. Raises `SettingError` for another file."""
    try:
        return Settings(**msgspec.json.decode(file.read_bytes(), type=dict[str, Any]))
    except ValidationError as error:
        raise _first(error, {str(file): {}}) from None
    except (OSError, *UNREADABLE) as error:
        raise SettingError(
            f"--settings is a file as 'headrace up' writes it; {file} gave: {error}; start with 'headrace up'"
        ) from None


def secrets(settings: Settings) -> dict[str, str]:
    """The secrets, as a process that reads these settings has them in its environment."""
    found = {variable(name): getattr(settings.kafka, name) for name in SECRETS}
    return {name: secret.get_secret_value() for name, secret in found.items() if secret}


def run_folder(project: Path, settings: Settings) -> Path:
    """The folder of logs, processes and data."""
    return (project / settings.run_dir).absolute()


def _of_file(file: Path) -> dict[str, Any]:
    if not os.path.lexists(file):
        return {}
    try:
        written = tomllib.loads(file.read_bytes().decode())
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{file} is not TOML; {error}; fix that line") from None
    except (UnicodeDecodeError, OSError) as error:
        raise SettingError(f"{file} is a text in UTF-8; got {error}; write it as one") from None
    except RecursionError as error:
        raise SettingError(f"{file} has sections and keys, nested in each other a few times; got {error}; write it so") from None
    kafka = written.get("kafka")
    for name in SECRETS:
        if isinstance(kafka, Mapping) and name in kafka:
            raise SettingError(f"{file}: kafka.{name} is a secret; set {variable(name)} in the environment instead")
    http = written.get("http")
    if isinstance(http, Mapping) and "tokens" in http:
        raise SettingError(f"{file}: http.tokens is a secret; set {TOKENS} in the environment, or use http.tokens_file")
    return written


def _of_environment() -> dict[str, Any]:
    """The settings of the environment; a variable that is none is refused: a misspelt one would be lost without a word."""
    for name in os.environ:
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).partition("__")[0].lower() not in Settings.model_fields:
            known = ", ".join(Settings.model_fields)
            raise SettingError(f"environment: {name} is no setting; the settings are {known}; unset it")
    try:
        return EnvSettingsSource(Settings)()
    except (SettingsError, RecursionError) as error:  # a nested variable that isn't JSON, or is too deep
        raise SettingError(f"environment: {error}; write JSON, or one variable per key ({PREFIX}KAFKA__BOOTSTRAP)") from None


def _merged(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """The sources as one, key by key; the later ones override the earlier."""
    merged: dict[str, Any] = {}
    for key, value in (item for source in sources for item in source.items()):
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return merged


def _first(error: ValidationError, sources: Mapping[str, Mapping[str, Any]]) -> SettingError:
    """The first of the errors as one line; ``sources`` by name, those that override first."""
    detail = error.errors(include_url=False)[0]
    path = [str(part) for part in detail["loc"]]
    where, key = _origin(path, sources), ".".join(path)
    if detail["type"] == "extra_forbidden":
        return SettingError(f"{where}: '{key}' is no setting; {_known(path)}; remove it or fix its name")
    if detail["type"] == "missing":
        return SettingError(f"{where}: {key} is required; add it")
    if detail["type"] == "value_error":  # a rule of a whole section, whose input may hold a secret
        return SettingError(f"{where}: [{key}] {detail['ctx']['error']}")
    came = "" if path[-1] in (*SECRETS, "tokens") else f"; got {detail['input']!r}"
    return SettingError(f"{where}: {key}: {detail['msg'][0].lower()}{detail['msg'][1:]}{came}; fix its value")


def _origin(path: list[str], sources: Mapping[str, Mapping[str, Any]]) -> str:
    """Where the value came from: the first of the sources that has it, else the last, the file."""
    for name, source in sources.items():
        value: Any = source
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            return f"environment ({PREFIX}{'__'.join(path).upper()})" if name == "environment" else name
    return list(sources)[-1]


def _known(path: list[str]) -> str:
    model: Any = Settings
    for part in path[:-1]:
        model = TrainSettings if model is Settings and part == "train" else model
        field = model.model_fields.get(part)
        model = next(_sections(field.annotation), model) if field else model
    where = f"[{'.'.join(path[:-1])}] has" if path[:-1] else "the settings are"
    return f"{where} {', '.join(model.model_fields)}"


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """The sections that a field may hold: one, or none where it is a key."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            yield kind
