"""`headrace retrain`: what is not worse is tried in staging, what is worse changes nothing, and the log has both with figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.definitions.load import load
from features.errors import StackError
from features.inputs.arrow import floats
from features.inputs.columns import input_columns
from infra import gate
from infra.cli import run
from infra.models import registry_of
from infra.retraining import promotion
from infra.settings import Settings, load_settings
from jobs.history.compute import compute
from schemas import Prediction, Receipt
from schemas.codec import encode
from schemas.deployment import Placed
from serving.kafka.traffic import Pair
from serving.models.registry import Registry
from tests.support.models import register, stumps
from tests.support.num import num_project

pytestmark = pytest.mark.slow

DAYS = ("--days", "1", "--delay", "1", "--test-days", "1")
Retrain = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project, with a version in production that knows nothing."""
    return num_project(tmp_path / "num")


@pytest.fixture
def retrain(project: Path, capsys: pytest.CaptureFixture[str]) -> Retrain:
    """`headrace retrain num`; gives what it said, once its exit code is as expected."""

    def called(*options: str, code: int = 0) -> str:
        found = run(["retrain", "num", *DAYS, *options, "--project", str(project)])
        said = capsys.readouterr()
        assert found == code, said
        return said.out + said.err if code == 2 else said.out

    return called


def registry_at(project: Path) -> Registry:
    """The project's."""
    return registry_of(project, load_settings(project))


def put_in_production(project: Path, weights: float, **known: Any) -> None:
    """Another version, that the tests of this file hold a newer one against."""
    plan = load(project).service("num").plan
    inputs = input_columns(plan, plan.inputs)
    register(project / "models", plan, stumps([weights] * len(inputs)), inputs=inputs, **known)


def test_what_is_not_worse_is_tried_in_staging(project: Path, retrain: Retrain) -> None:
    """It learns from the newest days whose labels are due; production stays, and the log has the figures."""
    told = json.loads(retrain("--json"))
    assert told["split"] == {"train_from": "2024-05-02", "days": 1, "delay_days": 1, "test_days": 1}
    compared = told["compared"]
    assert compared["rows"] == 12
    assert compared["difference"]["value"] == pytest.approx(compared["candidate"]["value"] - compared["production"]["value"])
    assert (told["taken"], told["version"], told["promoted"]) == (True, 2, False)
    registry = registry_at(project)
    assert {alias: placed.version for alias, placed in registry.deployed("num").aliases.items()} == {
        "production": 1,
        "staging": 2,
    }
    entry = registry.entries("num")[-1]
    assert entry.why.startswith(
        "retrain: trained on 2024-05-02 to 2024-05-02, tested on 2024-05-04 to 2024-05-04; average precision"
    )
    assert f"difference {compared['difference']['value']:+.4f}" in entry.why


def test_what_is_not_clearly_better_is_declined_where_it_needs_to_be(project: Path, retrain: Retrain) -> None:
    """Nothing is registered, staging stays empty, the exit code is 1, and the log says why; who serves goes on."""
    before = registry_at(project).deployed("num")
    said = retrain("--needs", "better", code=1)
    assert "It is not taken: nothing is changed, and num v1 stays" in said
    registry = registry_at(project)
    assert registry.versions("num") == (1,)
    after = registry.deployed("num")
    assert (after.aliases, after.previous, after.removed) == (before.aliases, before.previous, before.removed)
    (entry,) = registry.entries("num", after=before.seq)
    assert entry.action == "decline"
    assert entry.why.endswith("needs better")


def test_the_log_shows_what_was_declined(project: Path, retrain: Retrain, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that names what stays."""
    retrain("--needs", "better", code=1)
    assert run(["models", "log", "num", "--project", str(project)]) == 0
    assert "production: num v1 stays" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("options", [(), ("--needs", "better")])
def test_a_dry_run_changes_nothing(project: Path, retrain: Retrain, options: tuple[str, ...]) -> None:
    """Neither the registry nor the log, whatever it finds."""
    before = sorted(path for path in (project / "models").rglob("*") if path.is_file())
    assert "nothing is changed (--dry-run)" in retrain("--dry-run", *options, code=1 if options else 0)
    assert sorted(path for path in (project / "models").rglob("*") if path.is_file()) == before


def test_a_first_version_goes_to_production_at_once(project: Path, retrain: Retrain) -> None:
    """There is nothing to be worse than, as for the gate."""
    shutil.rmtree(project / "models")
    assert "num v1 is in production" in retrain()
    assert registry_at(project).aliases("num") == {"production": 1}


def test_nothing_newer_is_refused(project: Path, retrain: Retrain) -> None:
    """A version that learnt from these days already is not trained again: the second time has nothing to add."""
    retrain()
    assert run(["models", "promote", "num", "2", "--force", "--why", "a test", "--project", str(project)]) == 0
    assert "a retrained model learns from newer days than num v2" in retrain(code=2)
    assert registry_at(project).versions("num") == (1, 2)


def test_days_that_are_not_due_are_refused(retrain: Retrain) -> None:
    """With the newest matured day in the message; the other refusals are of settings and options."""
    assert "the newest matured day of history is 2024-05-04; got --until 2024-05-06" in retrain("--until", "2024-05-06", code=2)
    assert "a day is YYYY-MM-DD; got 'May'" in retrain("--until", "May", code=2)
    assert "tried in a shadow first; got --alias production" in retrain("--alias", "production", code=2)
    assert "go back to the year 1; got 3 of them" in retrain("--until", "0001-01-02", code=2)
    assert "Invalid value for '--wait'" in retrain("--wait", "inf", code=2)
    assert "of another plan" not in retrain("--until", "2024-05-05")


def test_another_plan_is_refused(project: Path, retrain: Retrain) -> None:
    """What production was fitted to are other features."""
    put_in_production(project, 0.2, digest="1" * 64)
    assert "num v2 is of another plan" in retrain(code=2)


def test_another_task_is_refused(project: Path, retrain: Retrain) -> None:
    """A chance and a number are not compared by one metric."""
    settings = project / "headrace.toml"
    settings.write_text(settings.read_text().replace('label = "outcomes.bad"', 'label = "outcomes.bad"\ntask = "regression"'))
    assert "num v1 is of a classification, and the settings are of a regression" in " ".join(retrain(code=2).split())


def test_another_label_is_refused(project: Path, retrain: Retrain, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that learnt something else is worse at this, which says nothing of either."""
    retrain()
    assert run(["models", "promote", "num", "2", "--force", "--why", "a test", "--project", str(project)]) == 0
    monkeypatch.setenv("HEADRACE_TRAIN__NUM__LABEL", "num.n")
    monkeypatch.setenv("HEADRACE_TRAIN__NUM__TASK", "classification")
    said = " ".join(retrain(code=2).split())
    assert "num v2 learnt outcomes.bad, and the settings say num.n; train with 'headrace train'" in said


def test_an_interval_of_few_keys_is_said_to_be_too_narrow(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of one key are no independent evidence, and the project has three."""
    outcomes = pq.read_table(project / "data" / "outcomes.parquet")
    of_all_keys = pa.array([i // 3 % 2 for i in range(len(outcomes))])
    pq.write_table(outcomes.set_column(2, "bad", of_all_keys), project / "data" / "outcomes.parquet")
    run(["retrain", "num", *DAYS, "--dry-run", "--project", str(project)])
    told = capsys.readouterr()
    assert "95 % interval" in told.out
    assert "the interval is of 3 independent keys or days of the test, and too narrow" in " ".join(told.err.split())


def test_it_says_where_production_may_know_the_test(project: Path, retrain: Retrain, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a version that was trained elsewhere nobody said on which days: it may have learnt from the test's."""
    run(["retrain", "num", *DAYS, "--dry-run", "--project", str(project)])
    assert "nobody said" not in capsys.readouterr().err
    manifest = project / "models" / "num" / "1" / "manifest.json"
    found = msgspec.json.decode(manifest.read_bytes())
    manifest.write_bytes(msgspec.json.encode(found | {"trained_from": None, "trained_until": None}))
    run(["retrain", "num", *DAYS, "--dry-run", "--project", str(project)])
    assert "nobody said on which days num v1 was trained; a test that has some of them flatters it" in " ".join(
        capsys.readouterr().err.split()
    )


def test_waiting_for_the_gate_needs_a_kafka(project: Path, retrain: Retrain) -> None:
    """It is said before anything is trained; nothing listens in this project."""
    assert "Kafka" in retrain("--wait", "1", code=2)
    assert registry_at(project).versions("num") == (1,)


def test_it_learns_from_what_was_served(project: Path, retrain: Retrain, tmp_path: Path) -> None:
    """By the receipts: equal values give an equal model; a row without a receipt, or of another plan, is left out."""
    file = tmp_path / "receipts.jsonl"
    (project / "definitions.py").write_text((project / "definitions.py").read_text().replace(', ("last_2", "d"))', ")"))
    plan = load(project).service("num").plan
    shutil.rmtree(project / "models")
    put_in_production(project, 0.1)
    table = floats(compute(load(project).service("num"))).to_pylist()
    lines = []
    for row in table[1:]:
        inputs = {name: row[name] for name in plan.inputs}
        receipt = Receipt(None, plan.short_digest, "num", 1, "0", inputs, {}, True, row["at"], row["at"], row["at"])
        lines.append(encode(Prediction(row["id"], row["at"], 0.5, receipt)).decode())
    file.write_text("\n".join(lines))
    known = json.loads(retrain("--dry-run", "--json"))
    served = json.loads(retrain("--dry-run", "--json", "--from-served", "--receipts", str(file)))
    assert served["metrics"] == known["metrics"]
    file.write_text("\n".join(lines[:-10]))
    fewer = json.loads(retrain("--dry-run", "--json", "--from-served", "--receipts", str(file)))
    assert fewer["metrics"]["test_rows"] < known["metrics"]["test_rows"] == 12
    file.write_text("\n".join(line.replace(plan.short_digest, "0" * 12) for line in lines))
    assert "got receipts of it for 0 of 36 rows" in retrain("--from-served", "--receipts", str(file), code=2)
    assert "add --from-served" in retrain("--receipts", str(file), code=2)


def test_lists_are_not_learnt_from_as_served(retrain: Retrain, tmp_path: Path) -> None:
    """It is refused, and says what to leave out."""
    (tmp_path / "none.jsonl").write_text("")
    assert "leave out --from-served" in retrain("--from-served", "--receipts", str(tmp_path / "none.jsonl"), code=2)


def test_what_came_to_production_while_it_waited_for_the_gate_stays(
    project: Path, retrain: Retrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was held against another version. With one of another plan it is not compared at all, and the gate would let it pass."""

    def overtaken(where: Path, settings: Settings, registry: Registry, candidate: Placed) -> gate.Judged:
        if registry.deployed("num").production == Placed("num", 1):
            put_in_production(project, 0.3, digest="1" * 64)
        return judged(where, settings, registry, candidate)

    judged = gate.judged
    monkeypatch.setattr(promotion, "judged", overtaken)
    monkeypatch.setattr("infra.cli.retrain._require_kafka", lambda *given: None)
    said = retrain("--wait", "1", code=2)
    assert "num v2 was held against num v1, and num v3 came to production since" in said
    assert registry_at(project).deployed("num").production == Placed("num", 3)
    assert registry_at(project).aliases("num")["staging"] == 2


def test_a_kafka_that_is_away_for_a_while_does_not_end_the_wait_for_the_gate(
    project: Path, retrain: Retrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brokers are restarted within hours of waiting. One that is away as the time ends is said."""
    away = [StackError("Kafka does not reply")] * 2

    def judged(*given: object) -> gate.Judged:
        if away:
            raise away.pop()
        return gate.Judged((), "nothing to compare")

    monkeypatch.setattr(promotion, "judged", judged)
    monkeypatch.setattr(promotion, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr("infra.cli.retrain._require_kafka", lambda *given: None)
    assert "num v2 is in production" in retrain("--wait", "1")
    put_in_production(project, 0.3)
    away = [StackError("Kafka does not reply")] * 1000
    assert "Kafka does not reply" in retrain("--wait", "0.01", code=2)


def test_the_gate_has_the_labels_of_the_events_that_both_scored(project: Path) -> None:
    """Of others it needs none; one without a label is NaN."""
    ids = [1, 0, 10**6]
    labels, metric = gate._labels(project, load_settings(project), "num", [Pair(one, b"k", (0.5, 0.5), (1, 1)) for one in ids])
    source = pq.read_table(project / "data" / "outcomes.parquet")
    bad = dict(zip(source["id"].to_pylist(), source["bad"].to_pylist(), strict=True))
    assert labels.tolist()[:2] == [bad[1], bad[0]]
    assert np.isnan(labels[2])
    assert metric is not None
    assert metric.name == "average precision"
