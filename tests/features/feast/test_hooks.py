"""`feast apply` and other commands of Feast over a project of ours, as a user has them: in a process of their own."""

from __future__ import annotations

import json
import linecache
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support.children import child
from tests.support.shop import definitions, shop_project

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")
COMMANDS = """
import sys
from feast.cli.cli import cli

for command in sys.argv[1:]:
    print("=== " + command, flush=True)
    cli(command.split(), standalone_mode=False)
"""


def feast(folder: Path, *commands: str) -> dict[str, str]:
    """What each of the commands prints; Feast takes five seconds to start, so they share a process."""
    done = subprocess.run([sys.executable, "-c", COMMANDS, *commands], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    parts = [part.partition("\n") for part in done.stdout.split("=== ")[1:]]
    return {command: printed for command, _, printed in parts}


@pytest.mark.slow
def test_feast_apply_after_a_run_of_ours(small_copy: Path) -> None:
    """It runs no file but the definitions, says what it made, and finds no change when it is called again."""
    from features.definitions.load import load
    from features.feast.online import open_for_writing

    open_for_writing(load(small_copy).service("fraud"))  # what `headrace run` leaves
    (small_copy / "simulate.py").write_text("raise SystemExit('simulate.py was run')")
    (small_copy / "notes").mkdir()
    (small_copy / "notes" / "more.py").write_text("raise SystemExit('more.py was run')")
    applied = subprocess.run(
        [Path(sys.executable).with_name("feast"), "apply"], cwd=small_copy, capture_output=True, text=True, check=True
    )
    assert "customer_spend" in applied.stdout
    found = feast(small_copy, "apply", "feature-views list", "features list", "registry-dump")
    assert "No changes to registry" in found["apply"], found["apply"]
    assert "customer_profile" in found["feature-views list"]
    assert "count_30d             customer_spend" in found["features list"]
    dumped = json.loads(found["registry-dump"])
    spend = next(one["spec"] for one in dumped["streamFeatureViews"] if one["spec"]["name"] == "customer_spend")
    assert [feature["name"] for feature in spend["features"]] == [
        *(f"{f}_{d}d" for d in (1, 7, 30) for f in ("count", "mean")),
        "valid_until",
    ]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project that is not applied yet."""
    return shop_project(tmp_path / "the shop")


def test_a_changed_window_and_changed_sql_are_applied(shop: Path) -> None:
    """Feast finds such views equal, and would keep the old ones in its registry."""
    from feast import FeatureStore
    from feast.diff.property_diff import TransitionType
    from feast.repo_contents import RepoContents

    FeatureStore(repo_path=str(shop)).apply(definitions(shop))
    text = (shop / "definitions.py").read_text()
    (shop / "definitions.py").write_text(
        text.replace("HOUR = timedelta(hours=1)", "HOUR = timedelta(hours=2)").replace("avg", "max")
    )
    linecache.checkcache()  # Feast takes a function's text from there
    store, objects = FeatureStore(repo_path=str(shop)), definitions(shop)
    kinds = {kind: [one for one in objects if type(one).__name__ == kind] for kind in {type(one).__name__ for one in objects}}
    views = kinds["FeatureView"] + kinds["BatchFeatureView"]
    contents = RepoContents([], [], views, kinds["OnDemandFeatureView"], kinds["StreamFeatureView"], [], kinds["Entity"], [], [])
    diff, *_ = store.plan(contents)
    changed = {one.name for one in diff.feast_object_diffs if one.transition_type == TransitionType.UPDATE}
    assert changed == {"habits", "spend", "sales"}
    store.apply(objects)
    fresh = FeatureStore(repo_path=str(shop))
    assert fresh.get_stream_feature_view("sales").aggregations[0].time_window == timedelta(hours=2)
    assert "max(price)" in fresh.get_feature_view("habits").feature_transformation.udf()


def test_views_keep_their_features_in_the_registry(shop: Path) -> None:
    """In the order of the definitions, and without the keys."""
    from feast import FeatureStore

    FeatureStore(repo_path=str(shop)).apply(definitions(shop))
    view = FeatureStore(repo_path=str(shop)).get_stream_feature_view("spend")
    assert [field.name for field in view.features] == ["price", "count", "size", "mean_weight", "times", "valid_until"]
    assert [field.name for field in view.entity_columns] == ["buyer_id"]


@pytest.mark.slow
def test_get_online_features_of_a_service(shop: Path) -> None:
    """Keys without values have none, and functions are called for all of them, under full names too."""
    from feast import FeatureStore

    store = FeatureStore(repo_path=str(shop))
    store.apply(definitions(shop))
    rows = [{"giver_id": 1, "taker_id": 2, "price": 4.0, "at": 0}]
    features = ["doubled:twice", "trebled:thrice"]
    found = FeatureStore(repo_path=str(shop)).get_online_features(features, rows, full_feature_names=True).to_dict()
    assert (found["doubled__twice"], found["trebled__thrice"]) == ([8.0], [12.0])


def test_a_service_of_other_names_is_for_feast_alone(shop: Path) -> None:
    """It has no spine; the project's other services are ours as well."""
    from features.definitions.load import load

    assert list(load(shop).services) == ["everything"]


@pytest.mark.slow
def test_feast_ui_serves_the_registry(shop: Path) -> None:
    """It starts, and shows the views of a registry that was applied."""
    from feast import FeatureStore

    FeatureStore(repo_path=str(shop)).apply(definitions(shop))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("feast"), "-c", shop, "ui", "--host", "127.0.0.1", "--port", str(port)]
    with child(command, shop / "ui.log"):
        url, until = f"http://127.0.0.1:{port}/api/v1/feature_views?project=shop", time.monotonic() + 120
        while time.monotonic() < until:
            with suppress(OSError):
                assert '"name":"spend"' in urlopen(url).read().decode().replace(" ", "")
                return
            time.sleep(0.5)
    pytest.fail((shop / "ui.log").read_text())
