"""What the settings tell processes: who is started again where they are others, and on which ports each listens."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from features.errors import SettingError
from infra.cli import run
from infra.local.processes import Processes
from infra.local.stack.ports import check_ports
from infra.local.stack.record import Stack
from infra.local.stack.told import OTHERS, READ, told
from infra.settings import Settings, read_settings, without_secrets
from tests.infra.local.conftest import ALONE, Light

TWO = Stack("127.0.0.1:9092", ("a", "b"), (("a", "b"),))


def _settings(**given: Any) -> Settings:
    return Settings(**given)


def _set(light: Light, text: str) -> None:
    """Write headrace.toml."""
    (light.folder / "headrace.toml").write_text(text)


def test_a_process_reads_its_own_sections() -> None:
    """And not what is of its topics, of the broker, or of whether it runs."""
    settings = _settings(train={"a": {"label": "s.c"}, "b": {"label": "s.d"}})
    scorer = told("scorer-a@3", settings)
    assert scorer["scorer.dedupe_window"] == 500_000
    assert scorer.keys().isdisjoint({*OTHERS, "http.port", "stream.parallelism"})
    assert {"kafka.security_protocol", "registry"} <= scorer.keys()
    assert [key for key in told("outcomes-a", settings) if key.startswith("train")] == ["train.a.label", "train.a.horizon"]
    assert told("kafka", settings).keys() == {"kafka.jvm_options"}


def test_what_processes_read_are_settings() -> None:
    """A key that is renamed would never be seen to differ."""
    known = without_secrets(_settings(train={"a": {"label": "s.c"}}))
    for one in {*OTHERS, *(one.format(service="a") for wanted in READ.values() for one in wanted)}:
        found: Any = known
        for part in one.split("."):
            assert part in found, one
            found = found[part]


@pytest.mark.parametrize("section", ["scorer", "monitor", "outcomes"])
def test_two_services_cannot_have_one_port(section: str) -> None:
    """Which of the processes, by which key, and what to do."""
    labels = {"a": {"label": "s.c"}, "b": {"label": "s.d"}}
    runs = {} if section == "scorer" else {"run": True}
    with pytest.raises(SettingError) as refused:
        check_ports(TWO, _settings(train=labels, **{section: {**runs, "metrics_port": 9401}}))
    assert str(refused.value) == (
        f"a process has its metrics on a port of its own; {section}-a and {section}-b both have 9401, by "
        f"{section}.metrics_port; set {section}.metrics_port to 0: each has a free one, which 'headrace status' shows"
    )
    check_ports(TWO, _settings(train=labels, **{section: {**runs, "metrics_port": 0}}))


def test_ports_of_several_scorers_are_taken_too() -> None:
    """The second scorer's is the one after the first's, which may be another section's, or none at all."""
    one = Stack("127.0.0.1:9092", ("a",), (("a",),))
    scorer = {"metrics_port": 9401, "processes": 3, "instance": 5}
    check_ports(one, _settings(scorer=scorer, stream={"metrics_port": 9404}))
    with pytest.raises(
        SettingError, match=r"stream-a and scorer-a@7 both have 9403, by stream.metrics_port and scorer.metrics_p"
    ):
        check_ports(one, _settings(scorer=scorer, stream={"metrics_port": 9403}))
    with pytest.raises(SettingError, match="scorer-a@6 would have 65536"):
        check_ports(one, _settings(scorer={**scorer, "metrics_port": 65_535}))
    with pytest.raises(SettingError, match=r"scorer-a and http both have 8080, by scorer.metrics_port and http.port"):
        check_ports(one, _settings(scorer={"metrics_port": 8080}, http={}))


@pytest.mark.stack
def test_up_refuses_a_port_for_two_before_it_starts_anything(light: Light) -> None:
    """One service may have it."""
    _set(light, "[scorer]\nmetrics_port = 9401\n")
    with pytest.raises(SettingError, match="scorer-cards and scorer-terminals both have 9401"):
        light.up()
    assert light.rows() == {}
    light.up("cards")
    with pytest.raises(SettingError, match="scorer-cards and scorer-terminals both have 9401"):
        light.up("terminals")
    assert set(light.served()) == {"stream-cards", "scorer-cards"}


@pytest.mark.stack
def test_what_has_other_settings_is_started_again(light: Light, capsys: pytest.CaptureFixture[str]) -> None:
    """That, and nothing else; `up` says why, and `status` does before. A change of what nobody reads restarts nothing."""
    _set(light, "")
    light.up()
    before = light.pids()
    _set(light, "[scorer]\nmax_poll_records = 1000\n[gate]\nmin_events = 7\n")
    assert light.rows()["scorer-cards"].differs == ("scorer.max_poll_records: 2000 → 1000",)
    assert light.rows()["stream-cards"].differs == ()
    assert run(["up", "--dry-run", "--project", str(light.folder)]) == 0
    assert "starts again: scorer.max_poll_records: 2000 → 1000" in " ".join(capsys.readouterr().out.split())
    assert light.pids() == before
    light.up()
    after = light.pids()
    assert {name for name, pid in after.items() if pid != before[name]} == {"scorer-cards", "scorer-terminals"}
    assert "stopping scorer-cards: scorer.max_poll_records: 2000 → 1000" in light.steps
    assert read_settings(light.run / "settings.json").scorer.max_poll_records == 1000
    _set(light, "[scorer]\nmax_poll_records = 1000\n[gate]\nmin_events = 8\n")
    light.up()
    assert light.pids() == after
    assert read_settings(light.run / "settings.json").gate.min_events == 8


@pytest.mark.stack
def test_a_stream_job_is_not_started_again_for_its_settings(light: Light, capsys: pytest.CaptureFixture[str]) -> None:
    """It would predict nothing for seconds: `up` and `status` say what has changed, and what to do."""
    _set(light, "")
    light.up()
    before = light.pids()
    _set(light, "[stream]\nbatch_ms = 5\n")
    light.up()
    assert light.pids() == before
    assert run(["status", "--project", str(light.folder)]) == 0
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert (
        "stream-cards runs with other settings; 'headrace down', then 'headrace up' would change: stream.batch_ms: 0 → 5" in shown
    )


@pytest.mark.stack
def test_what_an_older_version_started_is_left_alone(light: Light) -> None:
    """It is not known what it was told."""
    light.up("cards")
    processes, before = Processes(light.run), light.pids()
    for name in processes.names():
        file = processes.records / f"{name}.json"
        record = msgspec.json.decode(file.read_bytes())
        del record["told"]
        file.write_bytes(msgspec.json.encode(record))
    _set(light, "[scorer]\nmax_poll_records = 1000\n")
    light.up("cards")
    assert light.pids() == before


@pytest.mark.stack
def test_the_http_service_is_started_again_for_its_own_settings_alone(light: Light) -> None:
    """No scorer is, nor is it for a scorer's."""
    light.program = ALONE
    _set(light, "[http]\nport = 0\n")
    light.up()
    first = light.pids()
    _set(light, "[http]\nport = 0\nmax_rows = 10\n")
    light.up()
    second = light.pids()
    assert {name for name, pid in second.items() if pid != first[name]} == {"http"}
    assert "stopping http: http.max_rows: 1000 → 10" in light.steps
    _set(light, "[http]\nport = 0\nmax_rows = 10\n[scorer]\nmax_poll_records = 7\n")
    light.up("cards")
    assert {name for name, pid in light.pids().items() if pid != second[name]} == {"scorer-cards"}
