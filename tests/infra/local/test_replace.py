"""What runs, held against the definitions and models as they are now: it is said, and what `up` does about it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from features.errors import DefinitionError, SettingError, StackError
from features.plan import Plan
from infra.cli import run
from infra.local import stack, topics
from infra.local.broker import Broker
from tests.infra.local.conftest import Light

pytestmark = pytest.mark.stack

WINDOW = (
    'Aggregation(column="amount", function=function, time_window=timedelta(days=days),',
    'Aggregation(column="amount", function=function, time_window=timedelta(days=days + 1),',
)
"""Of the service `cards` alone."""


def running(light: Light) -> dict[str, Plan]:
    """The plans in use."""
    return {plan.service: plan for plan in stack.plans_in_use(light.folder, light.settings)}


def said(capsys: pytest.CaptureFixture[str], light: Light, *command: str) -> str:
    """What a command prints, its line breaks aside."""
    assert run([*command, "--project", str(light.folder)]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_a_changed_window_is_refused_and_what_runs_goes_on(light: Light, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the plan that runs, what differs, and what to write; `status` and `plan` say it too."""
    light.up("cards")
    before, plan = light.pids(), running(light)["cards"]
    light.define(*WINDOW)
    with pytest.raises(StackError) as caught:
        light.up("cards")
    assert str(caught.value) == (
        f"what runs differs from definitions.py: cards runs plan {plan.short_digest}: input customer_spend__count_1d: "
        "window 1d → 2d; input customer_spend__mean_1d: window 1d → 2d; input customer_spend__count_7d: window 7d → 8d "
        "and 3 more; 'headrace up --replace' stops that job and scorer and starts the new plan, from the beginning of its "
        "topics; or restore definitions.py"
    )
    assert light.pids() == before
    assert light.rows()["scorer-cards"].differs[0] == "input customer_spend__count_1d: window 1d → 2d"
    assert len(light.rows()["scorer-cards"].differs) == 6
    text = said(capsys, light, "status")
    assert "cards runs, and 'headrace up' would change: input customer_spend__count_1d: window 1d → 2d" in text
    assert f"plan {plan.short_digest} runs with model v1; with 'headrace up' this one takes over" in said(
        capsys, light, "plan", "cards"
    )
    (as_json,) = json.loads(said(capsys, light, "plan", "cards", "--json"))
    assert as_json["running"]["digest"] == plan.digest != as_json["digest"]


def test_with_replace_job_and_scorer_start_with_the_new_plan(light: Light) -> None:
    """The job's other service is in the new job too, and its scorer, whose plan is the same, is left alone."""
    light.up()
    before, plans = light.pids(), running(light)
    light.define(*WINDOW)
    light.train("cards")
    with pytest.raises(StackError, match="starts the new plan, and terminals, of the same job, from the beginning"):
        light.up("cards")
    light.up("cards", replace=True)
    assert {name for name, pid in light.pids().items() if pid != before[name]} == {"stream-cards", "scorer-cards"}
    assert light.served()["stream-cards"] == ("cards", "terminals")
    assert running(light)["cards"] != plans["cards"]
    assert running(light)["terminals"] == plans["terminals"]
    assert all(row.differs == () for row in light.rows().values())


def test_a_model_that_does_not_fit_the_new_plan_stops_nothing(light: Light) -> None:
    """Before anything is stopped, with --replace too."""
    light.up()
    before = light.pids()
    light.define(*WINDOW)
    with pytest.raises(SettingError, match="a model scores what it was trained on"):
        light.up(replace=True)
    assert light.pids() == before


def test_another_version_in_production_restarts_nothing(light: Light, capsys: pytest.CaptureFixture[str]) -> None:
    """The scorer takes it by itself; `status` shows what the scorer said last."""
    light.up()
    before = light.pids()
    light.train("cards")
    light.up()
    assert light.pids() == before
    assert all(row.differs == () for row in light.rows().values())
    assert "production cards v1" in said(capsys, light, "status")


def test_a_shadow_gets_its_topic(light: Light, broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    """From `promote`, with the partitions of production's, and from `up` where no stack was there at the time."""
    light.train("cards")
    said(capsys, light, "models", "promote", "cards", "1", "early")
    light.up("cards")
    said(capsys, light, "models", "promote", "cards", "1", "staging")
    client = {"bootstrap_servers": [broker.bootstrap]}
    names = ("predictions.cards", "predictions.cards.early", "predictions.cards.staging")
    assert len({topics.partitions(client, name) for name in names} - {0}) == 1


def test_more_scorers_and_fewer(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """`scorer.processes` is how many share a service's partitions: those that are missing start, those too many stop."""
    light.up("cards")
    first = light.pids()
    monkeypatch.setenv("HEADRACE_SCORER__PROCESSES", "3")
    light.up("cards")
    assert light.served().keys() == {"stream-cards", "scorer-cards", "scorer-cards@1", "scorer-cards@2"}
    assert light.pids().items() >= first.items()
    said = {name: [one.instance for one in row.environments] for name, row in light.rows().items() if "scorer" in name}
    assert said == {"scorer-cards": ["0"], "scorer-cards@1": ["1"], "scorer-cards@2": ["2"]}
    monkeypatch.setenv("HEADRACE_SCORER__PROCESSES", "2")
    light.up("cards")
    assert light.served().keys() == {"stream-cards", "scorer-cards", "scorer-cards@1"}
    assert "stopping scorer-cards@2: fewer scorers are wanted" in light.steps


def test_code_that_functions_may_call_restarts_their_scorer(light: Light) -> None:
    """A plan knows a function's own text alone: the scorer of one is started again when definitions.py has changed."""
    light.up()
    before = light.pids()
    light.define("DAYS = (1, 7, 30)", "DAYS = (1, 7, 30)  # in days")
    assert light.rows()["scorer-cards"].differs == ("definitions.py has changed, and with it perhaps what its functions call",)
    assert light.rows()["scorer-terminals"].differs == ()
    light.up()
    assert {name for name, pid in light.pids().items() if pid != before[name]} == {"scorer-cards"}
    assert all(row.differs == () for row in light.rows().values())


def test_a_service_that_left_the_definitions_is_stopped_by_replace(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then it runs on, and `status` says so; its job goes on with the others' services alone."""
    light.up()
    monkeypatch.setenv("HEADRACE_SERVICES", "cards")
    light.define("terminals = FeatureService", "_terminals = FeatureService")
    light.up()
    assert light.rows()["scorer-terminals"].differs == ("it is no longer in definitions.py",)
    light.kill("stream-cards")
    with pytest.raises(StackError, match=r"terminals runs plan .*: it is no longer in definitions\.py"):
        light.up()
    light.up(replace=True)
    assert light.served() == {"stream-cards": ("cards",), "scorer-cards": ("cards",)}


def test_definitions_that_do_not_compile_leave_the_stack_alone(light: Light) -> None:
    """`up` says the line, and `status` says it beside what runs."""
    light.up()
    before = light.pids()
    light.define("DAYS = (1, 7, 30)", "DAYS = (1, 7, 30")
    with pytest.raises(DefinitionError, match="SyntaxError on line"):
        light.up()
    assert light.pids() == before
    assert "SyntaxError on line" in light.rows()["stream-cards"].differs[0]


def test_a_plan_that_changed_while_nothing_ran_is_said(light: Light) -> None:
    """Its windows do not come back: the state is of the plan before."""
    light.up()
    light.down()
    light.define(*WINDOW)
    light.train("cards")
    light.up("cards")
    assert any(
        step.startswith("cards has another plan than when it ran last (input customer_spend__count_1d: window")
        for step in light.steps
    )


def test_up_says_what_comes_next(light: Light, capsys: pytest.CaptureFixture[str]) -> None:
    """Where Kafka is, each service with its plan and model, the topics to write and to read, and the logs' folder."""
    light.up()
    text = said(capsys, light, "up")
    plan = running(light)["cards"]
    assert f"Kafka on {light.settings.kafka.bootstrap} " in text
    assert f"cards {plan.short_digest} v1 stack-transactions predictions.cards" in text
    assert f"logs are in {light.run / 'logs'}" in text


def test_status_as_json_has_numbers_and_whole_hashes(light: Light, capsys: pytest.CaptureFixture[str]) -> None:
    """All fields of each process."""
    light.up()
    rows = {row["name"]: row for row in json.loads(said(capsys, light, "status", "--json"))}
    scorer = rows["scorer-cards"]
    assert scorer["plans"] == {"cards": running(light)["cards"].digest}
    (environment,) = scorer["environments"]
    assert (environment["alias"], environment["model"], environment["version"]) == ("production", "cards", 1)
    assert (environment["events_per_second"], environment["p99_ms"]) == (1.5, 2.25)
    assert isinstance(scorer["uptime"], float)
    assert rows["stream-cards"]["services"] == ["cards", "terminals"]


def test_status_does_not_import_feast_where_nothing_changed(light: Light) -> None:
    """It costs five seconds."""
    light.up()
    program = "import sys; from infra.cli import run; run(sys.argv[1:]); print('feast' in sys.modules)"
    command = [sys.executable, "-c", program, "status", "--project", str(light.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
