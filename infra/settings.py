"""Settings: flags, then the environment (``HEADRACE_…``), then the project's ``headrace.toml``, then the defaults here.

A key of the file is a path of the model; its environment variable is that path in capitals, joined by two underscores:
``kafka.bootstrap`` is ``HEADRACE_KAFKA__BOOTSTRAP``. Secrets are read from the environment alone, and never written.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError
from pydantic_settings.sources import InitSettingsSource

from features.errors import SettingError

if TYPE_CHECKING:
    from jobs.training.config import TrainConfig
    from jobs.training.split import Split

PREFIX = "HEADRACE_"
FILE = "headrace.toml"


def _names(value: object) -> object:
    """``a, b`` of the environment as names."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class Section(BaseModel):
    """Part of the settings: fixed once read, and no key that it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    """Where Kafka is, and the topics that we create."""

    bootstrap: str | None = None
    """``host:port``, several with commas; None: the local stack's broker."""
    partitions: int = Field(default=2, ge=1)
    """Of a topic that we create."""
    replication: int = Field(default=-1, ge=-1)
    """Of a topic that we create; -1: the cluster's default."""
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None

    def client(self, bootstrap: str) -> dict[str, Any]:
        """What a kafka-python client is given."""
        client: dict[str, Any] = {"bootstrap_servers": bootstrap.split(","), "security_protocol": self.security_protocol}
        if self.sasl_mechanism:
            password = self.sasl_password.get_secret_value() if self.sasl_password else None
            client |= {"sasl_mechanism": self.sasl_mechanism, "sasl_plain_username": self.sasl_username}
            client |= {"sasl_plain_password": password}
        return client


class StreamSettings(Section):
    """The stream job."""

    parallelism: int = Field(default=1, ge=1)
    checkpoint_interval_ms: int = Field(default=10_000, ge=100)
    state_backend: Literal["heap", "rocksdb"] = "heap"
    """Where the windows' rows are kept: ``heap``, in the JVM's memory, or ``rocksdb``, on disk, for more than memory holds."""
    rocksdb_memory_mb: int = Field(default=256, ge=64)
    """What RocksDB may hold in memory, where Flink is in the job's own process; a cluster has a setting of its own."""
    cluster: str | None = None
    """``host:port`` of a running Flink cluster; None: Flink in the job's own process."""
    max_ahead_ms: int = Field(default=3_600_000, ge=0)
    """How far ahead of the clock an event may be (rule 8)."""
    answer_from_ms: int | None = None
    """Events before this time fill the windows and are not answered; None: each is answered."""
    batch_ms: int = Field(default=0, ge=0)
    """How long a record may wait for others before it goes on, to the job's next task or to Kafka; 5 is good for a backlog."""
    idle_timeout_ms: int = Field(default=10_000, ge=0)
    """A partition that is silent this long no longer holds the watermark back."""
    drift_ms: int = Field(default=86_400_000, ge=1)
    """Event-time mode: how far one source may read ahead of another, in event time."""


class ScorerSettings(Section):
    """The scorer."""

    alias: str = "production"
    """The registry's alias whose model answers."""
    dedupe_window: int = Field(default=500_000, ge=1)
    """How many of the last event ids of a partition are remembered, to answer each once."""
    batch_cache_seconds: float = Field(default=10, ge=0)
    max_poll_records: int = Field(default=2000, ge=1)


class TrainSettings(Section):
    """``[train.<service>]``: what a service's model learns, how, and how it is tested (docs/training.md)."""

    label: str = Field(pattern=r"^\w+\.\w+$")
    """``<source>.<column>``: the column of a source's history that says 0 or 1, joined on the event id."""
    group: str | None = None
    """The column of the spine whose values precision at ``group_top`` ranks each day; None: that metric is left out."""
    group_top: int = Field(default=100, ge=1)
    """How many groups a day precision is measured at."""
    leave_out_known_positives: bool = False
    """Whether the test leaves out rows of a group with a positive that is known on the row's day; needs ``group``."""
    trees: int = Field(default=100, ge=1)
    """How many trees the model has."""
    depth: int = Field(default=6, ge=1)
    """How many branches a tree has at most, from its root to a leaf."""
    learning_rate: float = Field(default=0.3, gt=0, le=1)
    """How much of each new tree is added to those before it."""
    seed: int = Field(default=0, ge=0)
    """What random choices start from: equal seeds and equal data give equal models."""

    @model_validator(mode="after")
    def _group_is_named(self) -> Self:
        if self.leave_out_known_positives and self.group is None:
            raise ValueError("leave_out_known_positives leaves out rows of groups; name the group's column in group")
        return self

    @property
    def config(self) -> TrainConfig:
        """The same as training takes it."""
        from jobs.training.config import TrainConfig

        return msgspec.convert(self, TrainConfig, from_attributes=True)


class RunSettings(Section):
    """The main job, ``headrace run``: which days are trained on, and which are published and scored."""

    service: str
    prepare: str | None = None
    """A Python file of the project that makes its history in the folder that it is given; None: the history is there."""
    train_from: date
    train_days: int = Field(default=7, ge=1)
    start: date
    """The first day that is published and scored; those between training and it are the delay of the labels."""
    days: int = Field(default=7, ge=1)
    rate: float = Field(default=4000, gt=0)
    """Events a second, of all sources together."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start < self.train_from + timedelta(days=self.train_days):
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
    """All settings of a project."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    services: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()
    """The services that ``headrace up`` runs; none named: all of definitions.py."""
    kafka: KafkaSettings = KafkaSettings()
    stream: StreamSettings = StreamSettings()
    scorer: ScorerSettings = ScorerSettings()
    train: dict[str, TrainSettings] = {}
    run: RunSettings | None = None
    registry: str = "models"
    """The models' folder, relative to the project."""
    run_dir: str = ".headrace"
    """Logs, processes, checkpoints and the local Kafka's data, relative to the project."""


def load_settings(project: Path, **overrides: Any) -> Settings:
    """The settings of ``project``. ``overrides`` are nested as the model is: ``stream={"parallelism": 2}``.

    Raises `SettingError` for the first key that is unknown or has a value that doesn't fit, and says where it stands.
    """
    file = project / FILE
    written = _read(file)

    class FromProject(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, written)

    _check_environment()
    try:
        return FromProject(**overrides)
    except ValidationError as error:
        raise _first(error, overrides, file) from None
    except SettingsError as error:  # a nested variable that isn't JSON
        raise SettingError(f"environment: {error}; write JSON, or one variable per key ({PREFIX}KAFKA__BOOTSTRAP)") from None


def run_folder(project: Path, settings: Settings) -> Path:
    """The folder of logs, processes and data."""
    return (project / settings.run_dir).absolute()


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        written = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{file} is not TOML; {error}; mend that line") from None
    if "sasl_password" in written.get("kafka", {}):
        raise SettingError(
            f"{file}: kafka.sasl_password is a secret; set {PREFIX}KAFKA__SASL_PASSWORD in the environment instead"
        )
    return written


def _check_environment() -> None:
    """Refuse a variable that is no setting: pydantic-settings would ignore it, and a misspelt one would be lost."""
    for name in os.environ:
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).partition("__")[0].lower() not in Settings.model_fields:
            known = ", ".join(Settings.model_fields)
            raise SettingError(f"environment: {name} is no setting; the settings are {known}; unset it")


def _first(error: ValidationError, overrides: Mapping[str, Any], file: Path) -> SettingError:
    detail = error.errors(include_url=False, include_input=False)[0]
    path = [str(part) for part in detail["loc"]]
    where, key = _origin(path, overrides, file), ".".join(path)
    if detail["type"] == "extra_forbidden":
        return SettingError(f"{where}: '{key}' is no setting; {_known(path)}; remove it or mend its name")
    came = "" if "password" in key else f"; got {error.errors(include_url=False)[0]['input']!r}"
    return SettingError(f"{where}: {key}: {detail['msg'][0].lower()}{detail['msg'][1:]}{came}; mend its value")


def _origin(path: list[str], overrides: Mapping[str, Any], file: Path) -> str:
    """Where the value came from: the nearest of the sources that has it."""
    value: Any = overrides
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    variable = PREFIX + "__".join(path).upper()
    if value is not None:
        return "command line"
    given = any(variable == name or variable.startswith(f"{name}__") for name in os.environ)
    return f"environment ({variable})" if given else str(file)


def _known(path: list[str]) -> str:
    model: Any = Settings
    for part in path[:-1]:
        model = TrainSettings if model is Settings and part == "train" else model
        field = model.model_fields.get(part)
        model = field.annotation if field else model
    where = f"[{'.'.join(path[:-1])}] has" if path[:-1] else "the settings are"
    return f"{where} {', '.join(model.model_fields)}"
