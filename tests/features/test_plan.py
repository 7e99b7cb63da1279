"""The plan of the example: its digest, what one more window changes, and that Feast takes the same objects."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from feast import FeatureStore

from features.definitions.load import Project, load
from features.job import job_plan
from features.sql.duckdb import features_sql
from features.sql.flink import job_sql
from tests.support.options import options

FRAUD = Path(__file__).parents[2] / "examples" / "fraud"
CHANGES = {
    "a window": ("DAYS = (1, 7, 30)", "DAYS = (1, 7, 31)"),
    "one more window": ("DAYS = (1, 7, 30)", "DAYS = (1, 7, 30, 60)"),
    "the order of windows": ("DAYS = (1, 7, 30)", "DAYS = (7, 1, 30)"),
    "a function": ('for function in ("count", "mean")', 'for function in ("count", "max")'),
    "the aggregated column": ('column="amount"', 'column="terminal_id"'),
    "a name": ('name=f"{function}_{days}d"', 'name=f"{function}_{days}_days"'),
    "a fill value": ('tags={"fill": "0"},  # the risk', 'tags={"fill": "1"},  # the risk'),
    "no fill value": ('tags={"fill": "0"},  # the risk', "tags={},  # the risk"),
    "the code of an on-demand function": (">= 5) for time", ">= 6) for time"),
    "the SQL of a batch view": ("avg(amount)", "max(amount)"),
    "the ttl of a batch view": ('tags={"history": "transactions"},', 'tags={"history": "transactions"}, ttl=timedelta(days=2),'),
    "the type of a column": ("amount decimal(12,2)", "amount decimal(12,3)"),
    "a topic": ('topic="labels"', 'topic="labels.v2"'),
    "the event id": ('"event_id": "transaction_id"', '"event_id": "customer_id"'),
    "the order of arrival in history": (
        'tags={"event_id": "transaction_id"}',
        'tags={"event_id": "transaction_id", "arrival": "transaction_id"}',
    ),
    "the delay of a source": ("watermark_delay_threshold=timedelta(0)", "watermark_delay_threshold=timedelta(seconds=1)"),
    "the order of inputs": (
        "features=[transaction_amount, transaction_flags,",
        "features=[transaction_flags, transaction_amount,",
    ),
    "the mode": ('tags={"spine": "transactions"}', 'tags={"spine": "transactions", "mode": "event_time"}'),
    "the lateness": ('tags={"spine": "transactions"}', 'tags={"spine": "transactions", "allowed_lateness": "2d"}'),
}
NO_CHANGES = {
    "a comment": ("DAYS = (1, 7, 30)", "DAYS = (1, 7, 30)  # in days"),
    "the way a window is written": ("time_window=timedelta(days=days)", "time_window=timedelta(hours=24 * days)"),
    "a description": ('Entity(name="customer",', 'Entity(name="customer", description="who pays",'),
    "an object that no service uses": ("fraud = FeatureService(", 'shop = Entity(name="shop")\n\nfraud = FeatureService('),
    "another service": ('    name="handbook",', '    name="manual",'),
    "a ttl of 0, which is none": ('tags={"history": "transactions"},', 'tags={"history": "transactions"}, ttl=timedelta(0),'),
}


def changed(folder: Path, old: str, new: str) -> Project:
    """The example in a folder of its own, with one text replaced wherever it stands."""
    shutil.copytree(FRAUD, folder, ignore=shutil.ignore_patterns("data", "__pycache__"), dirs_exist_ok=True)
    definitions = folder / "definitions.py"
    text = definitions.read_text()
    assert old in text, f"{old} is not in the example: fix this test"
    definitions.write_text(text.replace(old, new))
    return load(folder)


@pytest.fixture(scope="module")
def fraud() -> Project:
    """The example as it is."""
    return load(FRAUD)


@pytest.mark.parametrize("what", CHANGES)
def test_what_matters_changes_the_digest(what: str, fraud: Project, tmp_path: Path) -> None:
    """Equal digests mean equal values: whatever may change a value changes the digest."""
    assert changed(tmp_path, *CHANGES[what]).service("fraud").plan.digest != fraud.service("fraud").plan.digest


@pytest.mark.parametrize("what", NO_CHANGES)
def test_what_does_not_matter_leaves_the_digest(what: str, fraud: Project, tmp_path: Path) -> None:
    """A new digest starts a new state, so nothing gives one without need."""
    assert changed(tmp_path, *NO_CHANGES[what]).service("fraud").plan.digest == fraud.service("fraud").plan.digest


@pytest.mark.slow
def test_the_digest_is_the_same_in_another_process(fraud: Project) -> None:
    """No order of a set and no address comes into the digest."""
    imports = "from pathlib import Path; from features.definitions.load import load"
    code = f"{imports}; print(load(Path({str(FRAUD)!r})).service('fraud').plan.digest)"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == fraud.service("fraud").plan.digest


def test_a_service_has_a_digest_of_its_own(fraud: Project) -> None:
    """Services differ in what they compute, and so in their digests; messages carry the first twelve digits."""
    fraud_plan, handbook = fraud.service("fraud").plan, fraud.service("handbook").plan
    assert fraud_plan.digest != handbook.digest
    assert fraud_plan.digest.startswith(fraud_plan.short_digest)
    assert len(fraud_plan.short_digest) == 12


def test_the_handbook_service_has_the_published_inputs(fraud: Project) -> None:
    """Fifteen inputs: the amount, two flags, and count and mean over 1, 7 and 30 days by customer and by terminal."""
    inputs = fraud.service("handbook").plan.inputs
    windows = [f"{function}_{days}d" for days in (1, 7, 30) for function in ("count", "mean")]
    assert inputs == (
        "transaction_amount__amount",
        "transaction_flags__weekend",
        "transaction_flags__night",
        *(f"customer_spend__{name}" for name in windows),
        *(f"terminal_risk__{name}" for name in windows),
    )


def test_adding_a_window_is_one_line(fraud: Project, tmp_path: Path) -> None:
    """One line gives the plan, both engines' SQL and Feast's own schema the new windows, and nothing else changes."""
    more = changed(tmp_path, *CHANGES["one more window"])
    before, after = fraud.service("fraud").plan, more.service("fraud").plan
    added = [f"{view}__{function}_60d" for view in ("customer_spend", "terminal_risk") for function in ("count", "mean")]
    assert [name for name in after.inputs if name not in before.inputs] == added
    assert [name for name in after.inputs if name not in added] == list(before.inputs)
    assert {f.window_ms for f in after.window_features if f.name in added} == {60 * 86_400_000}
    for text in (job_sql(job_plan([after]), options()).text, features_sql(after)):
        assert all(name in text for name in added)
    view = next(o for o in more.service("fraud").objects if o.name == "customer_spend")
    assert [f.name for f in view.features][-3:] == ["count_60d", "mean_60d", "valid_until"]


def test_feast_takes_the_objects_of_the_example(tmp_path: Path) -> None:
    """Feast registers what was loaded, and its service has the plan's inputs under the plan's names."""
    project = changed(tmp_path, "DAYS", "DAYS")
    (tmp_path / "data").mkdir()  # where the example's registry is; its own files make it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = FeatureStore(repo_path=str(tmp_path))
        store.apply(list(project.service("fraud").objects))
        service = store.get_feature_service("fraud")
    names = [f"{p.name}__{f.name}" for p in service.feature_view_projections for f in p.features]
    assert sorted(names) == sorted(project.service("fraud").plan.inputs)
    views = {"customer_amounts", "customer_spend", "terminal_labels", "terminal_risk"}
    assert {view.name for view in store.list_stream_feature_views()} == views
    assert store.get_stream_feature_view("customer_spend").aggregations[0].time_window.days == 1
