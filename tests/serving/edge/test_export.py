"""What is written for a device, and what a device cannot have."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from features.errors import SettingError
from features.inputs.signature import Signature, Tensor
from features.plan import BatchView, OnDemand, Plan
from infra.cli import run
from serving.edge.functions import text_of
from serving.edge.headrace_edge import on_demand
from serving.edge.headrace_edge.errors import EdgeError
from serving.edge.plan import narrowed, needs
from serving.models.manifest import Manifest
from tests.serving.edge.plans import SIGNATURE, manifest_of
from tests.support.strategies import PLAN

pytestmark = pytest.mark.core

LIMIT = 3.0
NAMES = ["a", "b"]


def test_a_bundle_has_what_its_manifest_says(bundle: Path) -> None:
    """Each file with its sha256; nothing beside; and a README that names what the device must see."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    there = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert there == {"manifest.json", *manifest["files"]}
    for name, known in manifest["files"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == known["sha256"]
    assert {"model.onnx", "plan.json", "golden.jsonl", "run.py", "README.md", "functions.py"} <= there
    assert manifest["needs"][0].startswith("every event of num with the k of an event that it predicts, of 1h before it")
    assert manifest["needs"][0] in (bundle / "README.md").read_text()


def test_golden_vectors_are_events_of_the_history(bundle: Path, lines: list[str]) -> None:
    """In the order of their times, as they are published."""
    events = [json.loads(line)["event"] for line in (bundle / "golden.jsonl").read_text().splitlines()]
    known = {json.loads(line)["id"]: json.loads(line) for line in lines}
    found = [json.loads(event) for event in events]
    assert found == [known[one["id"]] for one in found]
    assert [one["at"] for one in found] == sorted(one["at"] for one in found)


def test_what_an_export_says_as_json(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files with their sizes, the sha256 of the manifest, and what the device must see."""
    out = tmp_path / "new" / "bundle"
    assert run(["export-edge", "num@production", "--out", str(out), "--project", str(project), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["manifest_sha256"] == hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest()
    assert told["files"]["model.onnx"] == (out / "model.onnx").stat().st_size
    assert told["replayed"] * 5 == told["values"] > 100
    assert len(told["needs"]) == 1


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("nobody",), "a model is one of the registry; got 'nobody'; it has num"),
        (("num@7",), "model 'num' has no version 7"),
        (("num@canary",), "model 'num' has no alias 'canary'"),
        (("num", "--sees", "other"), "--sees names a source of service 'num', num"),
        (("num", "--history", "num=nowhere.parquet"), "nowhere.parquet"),
    ],
)
def test_a_wrong_word_is_one_line(
    words: tuple[str, ...], what: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is written."""
    assert run(["export-edge", *words, "--out", str(tmp_path / "bundle"), "--project", str(project)]) == 2
    err = capsys.readouterr().err
    assert what in err
    assert err.strip().count("\n") == 0
    assert not (tmp_path / "bundle").exists()


def test_a_folder_with_something_in_it_is_left_alone(project: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No bundle is written over."""
    assert run(["export-edge", "num", "--out", str(bundle), "--project", str(project)]) == 2
    assert "--out is a folder that is not there yet, or is empty" in capsys.readouterr().err


def manifest(plan: Plan, *inputs: str) -> Manifest:
    """Of a model with these inputs."""
    signature = Signature((Tensor("x", "float", inputs, matrix=True),), SIGNATURE.outputs, SIGNATURE.score)
    return msgspec.structs.replace(manifest_of(plan), signature=signature)


def test_windows_over_another_source_need_its_events() -> None:
    """Refused unless the device sees them; then it is said which."""
    of = manifest(PLAN, "reports_shop__mean_whole_2", "payments_card__count_whole_5")
    with pytest.raises(SettingError, match=r"windows over source 'reports' \(reports_shop\); write --sees reports"):
        narrowed(PLAN, of, frozenset())
    part = narrowed(PLAN, of, {"reports"})
    assert [feature.name for feature in part.window_features] == ["payments_card__count_whole_5", "reports_shop__mean_whole_2"]
    assert [one.partition(" with the")[0] for one in needs(part)] == ["every event of payments", "every event of reports"]
    alone = narrowed(PLAN, manifest(PLAN, "payments_card__count_whole_5"), frozenset())
    assert [source.name for source in alone.sources] == ["payments"]


def test_batch_views_and_event_time_are_refused() -> None:
    """An online store and a watermark are no device's. A batch view that the model does not take is no matter."""
    view = BatchView("daily", ("card",), ("mean",), "payments", "", "", "day")
    plan = msgspec.structs.replace(PLAN, batch=(view,))
    with pytest.raises(SettingError, match="takes batch view 'daily', which is computed daily"):
        narrowed(plan, manifest(plan, "daily__mean"), frozenset())
    assert narrowed(plan, manifest(plan, "payments_card__count_whole_5"), frozenset()).batch == ()
    with pytest.raises(SettingError, match="has mode event_time"):
        narrowed(msgspec.structs.replace(plan, mode="event_time"), manifest(plan, "payments_card__count_whole_5"), frozenset())


def simple(inputs: dict[str, list]) -> dict[str, list]:  # type: ignore[type-arg]
    """A number of its module, math, and lists."""
    return {"y": [None if x is None else math.sqrt(max(x, 0) * LIMIT) for x in inputs["x"]]}


def with_a_list_of_its_module(inputs: Any) -> Any:
    """NAMES may change."""
    return {"y": [NAMES.index(x) for x in inputs["x"]]}


def with_an_import(inputs: Any) -> Any:
    """Of what a device may not have."""
    import numpy as np

    return {"y": np.sqrt(inputs["x"]).tolist()}


def with_a_file(inputs: Any) -> Any:
    """Reads."""
    return {"y": [open(x).read() for x in inputs["x"]]}


def with_a_way_out(inputs: Any) -> Any:
    """Reaches for classes."""
    return {"y": [x.__class__ for x in inputs["x"]]}


def view_of(name: str) -> OnDemand:
    """A view with that function."""
    return OnDemand(name, ("x",), (), ("y",), "")


def test_a_simple_function_goes_along() -> None:
    """With the constants that it uses, and gives what it gave."""
    view = view_of("simple")
    text = text_of([view], {"simple": simple})
    functions = on_demand.load(text, (view,))
    assert b"LIMIT = 3.0" in text
    assert b"import math" in text
    given: dict[str, list[Any]] = {"x": [3.0, None, -1]}
    assert functions["simple"](given) == simple(given) == {"y": [3.0, None, 0.0]}
    with pytest.raises(EdgeError, match="got none for other"):
        on_demand.load(text, (view_of("other"),))


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (with_a_list_of_its_module, "'NAMES' of its module"),
        (with_an_import, "'import numpy as np'"),
        (with_a_file, "'open'"),
        (with_a_way_out, "'.__class__'"),
        (math.sqrt, "a function whose text is not to be had"),
    ],
)
def test_a_function_that_needs_more_is_refused(function: Any, what: str) -> None:
    """One line says what it uses, and what to do."""
    view = view_of(function.__name__)
    with pytest.raises(SettingError) as refused:
        text_of([view], {view.view: function})
    assert what in str(refused.value)
    assert "write it so, or train a model without it" in str(refused.value)
