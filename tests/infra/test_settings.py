"""Settings: what overrides what, and what is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec
import pytest

from features.errors import SettingError
from infra.config import scorer_config, stream_config
from infra.run.end_to_end import settings_of_run
from infra.settings import (
    RunSettings,
    ScorerSettings,
    Settings,
    StreamSettings,
    load_settings,
    read_settings,
    secrets,
    write_settings,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "fraud"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two settings of its own."""
    (tmp_path / "headrace.toml").write_text('services = ["fraud"]\n[stream]\nparallelism = 2\n')
    return tmp_path


def refused(project: Path, text: str) -> str:
    """The message that refuses a headrace.toml of ``text``; it is one line."""
    (project / "headrace.toml").write_text(text)
    with pytest.raises(SettingError) as caught:
        load_settings(project)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_need_no_file(tmp_path: Path) -> None:
    """A project without a headrace.toml has every default."""
    assert load_settings(tmp_path).model_dump() == Settings().model_dump()


def test_file_environment_and_flags_override_in_that_order(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag beats the environment, which beats the file, key by key within a section."""
    assert load_settings(project).stream.parallelism == 2
    monkeypatch.setenv("HEADRACE_STREAM__PARALLELISM", "3")
    monkeypatch.setenv("HEADRACE_STREAM__CHECKPOINT_INTERVAL_MS", "900")
    assert load_settings(project).stream.parallelism == 3
    stream = load_settings(project, stream={"parallelism": 4}).stream
    assert (stream.parallelism, stream.checkpoint_interval_ms) == (4, 900)


def test_services_of_the_environment_are_names_with_commas(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``HEADRACE_SERVICES=a,b`` needs no JSON."""
    monkeypatch.setenv("HEADRACE_SERVICES", "a, b")
    assert load_settings(project).services == ("a", "b")


def test_an_unknown_key_is_refused_with_file_and_choices(project: Path) -> None:
    """A misspelt key does not pass in silence."""
    message = refused(project, "[stream]\nparalelism = 2\n")
    assert "headrace.toml: 'stream.paralelism' is no setting; [stream] has parallelism," in message


def test_an_unknown_key_at_the_top_is_refused(project: Path) -> None:
    """Nor does a section that doesn't exist."""
    assert "'flink' is no setting; the settings are services, kafka," in refused(project, "[flink]\nx = 1\n")


def test_an_unknown_key_of_training_is_refused(project: Path) -> None:
    """Sections named by the user are checked within."""
    message = refused(project, '[train.fraud]\nlabel = "labels.is_fraud"\ngroup = "x"\ntop = 1\n')
    assert "'train.fraud.top' is no setting; [train.fraud] has label, task, group, group_top" in message


def test_a_label_is_a_column_of_any_source(project: Path) -> None:
    """Sources' names may have hyphens, columns' names points, and letters of any language."""
    (project / "headrace.toml").write_text('[train.fraud]\nlabel = "charge-backs.betrug.ja-oder-nön"\n')
    assert load_settings(project).train["fraud"].label == "charge-backs.betrug.ja-oder-nön"


def test_a_value_that_does_not_fit_says_what_came(project: Path) -> None:
    """The rule, what came, and where."""
    message = refused(project, "[kafka]\npartitions = 0\n")
    assert "headrace.toml: kafka.partitions: input should be greater than or equal to 1; got 0" in message


def test_a_key_without_a_default_is_required(project: Path) -> None:
    """What is missing, and where it is to be added."""
    assert refused(project, '[run]\nservice = "orders"\n').endswith("headrace.toml: run.train_from is required; add it")


def test_a_section_is_a_table(project: Path) -> None:
    """A value in its place is refused like any other."""
    assert "headrace.toml: kafka: input should be a valid dictionary" in refused(project, "kafka = 3\n")


def test_a_bad_variable_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came from the environment is not blamed on the file."""
    monkeypatch.setenv("HEADRACE_KAFKA__PARTITIONS", "many")
    with pytest.raises(SettingError, match=r"^environment \(HEADRACE_KAFKA__PARTITIONS\): kafka\.partitions: .*got 'many'"):
        load_settings(project)


def test_an_unknown_variable_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable does not pass in silence either."""
    monkeypatch.setenv("HEADRACE_KAFKAA__PARTITIONS", "1")
    with pytest.raises(SettingError, match="HEADRACE_KAFKAA__PARTITIONS is no setting"):
        load_settings(project)


def test_a_broken_file_is_named(project: Path) -> None:
    """A file that is not TOML is one line of advice."""
    assert "headrace.toml is not TOML" in refused(project, "services = [\n")


def test_a_secret_is_not_read_from_the_file_nor_shown(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords come from the environment, and no repr or error holds them."""
    assert "HEADRACE_KAFKA__SASL_PASSWORD" in refused(project, '[kafka]\nsasl_password = "hunter2"\n')
    (project / "headrace.toml").unlink()
    monkeypatch.setenv("HEADRACE_KAFKA__SASL_PASSWORD", "hunter2")
    kafka = {"bootstrap": "a:1", "security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "me"}
    settings = load_settings(project, kafka=kafka)
    assert "hunter2" not in repr(settings) + settings.model_dump_json()
    assert settings.kafka.client("a:1,b:2")["sasl_plain_password"] == "hunter2"  # noqa: S105 - a test's password


def test_every_key_of_the_stream_is_in_one_struct_of_the_job(tmp_path: Path) -> None:
    """A key of [stream] reaches the job's own configuration or its SQL, with its value."""
    section = StreamSettings(parallelism=3, max_ahead_ms=7, state_backend="rocksdb")
    job = stream_config(section, bootstrap="a:1", checkpoints=tmp_path)
    fields = [*msgspec.structs.asdict(job).items(), *msgspec.structs.asdict(job.sql).items()]
    assert section.model_dump() == {name: value for name, value in fields if name in StreamSettings.model_fields}
    assert len({name for name, _ in fields}) == len(fields)


def test_every_key_of_the_scorer_is_a_field_of_its_configuration() -> None:
    """A key of [scorer] reaches the scorer, with its value; how many there are is for who starts them."""
    section = ScorerSettings(instance=2, dedupe_window=5)
    scorer = msgspec.structs.asdict(scorer_config(section, "orders", client={}))
    assert section.model_dump(exclude={"processes"}) == {
        name: scorer[name] for name in ScorerSettings.model_fields if name != "processes"
    }
    assert scorer["group"] == "headrace.scorer.orders"


def test_settings_are_handed_to_a_process_as_they_are(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process reads is what was written, whatever its environment says since; a secret is in none but the environment."""
    secret = {"HEADRACE_KAFKA__SASL_PASSWORD": "hunter2"}
    for name, value in secret.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HEADRACE_STREAM__PARALLELISM", "3")
    settings = load_settings(project, run={"service": "orders", "train_from": "2026-01-01", "start": "2026-01-15"})
    write_settings(settings, tmp_path / "settings.json")
    monkeypatch.setenv("HEADRACE_STREAM__PARALLELISM", "5")
    monkeypatch.setenv("HEADRACE_SERVICES", "others")
    assert read_settings(tmp_path / "settings.json") == settings
    assert "hunter2" not in (tmp_path / "settings.json").read_text()
    assert secrets(settings) == secret


def test_a_run_has_settings_of_its_own(project: Path) -> None:
    """Its folder, its service, and short waits unless the user has set others."""
    days = RunSettings(service="orders", train_from=date(2026, 1, 1), start=date(2026, 1, 15))
    (project / "headrace.toml").write_text('services = ["others"]\n[stream]\nparallelism = 2\ncheckpoint_interval_ms = 700\n')
    own = settings_of_run(load_settings(project), days)
    assert (own.services, own.run_dir, own.registry) == (("orders",), ".headrace/run", "models")
    assert (own.stream.parallelism, own.stream.checkpoint_interval_ms) == (2, 700)
    assert own.scorer.batch_cache_seconds == 1
    (project / "headrace.toml").unlink()
    assert settings_of_run(load_settings(project), days).stream.checkpoint_interval_ms == 1000


def test_a_state_backend_is_one_of_two(project: Path) -> None:
    """State is on the heap or in RocksDB, which wants some memory."""
    assert "stream.state_backend: input should be 'heap' or 'rocksdb'; got 'disk'" in refused(
        project, '[stream]\nstate_backend = "disk"\n'
    )
    assert "stream.rocksdb_memory_mb" in refused(project, '[stream]\nstate_backend = "rocksdb"\nrocksdb_memory_mb = 8\n')


def test_the_example_loads() -> None:
    """The fraud example's file fits the model."""
    settings = load_settings(EXAMPLE)
    assert settings.services == ("fraud",)
    assert settings.train["fraud"].label == "labels.is_fraud"
