"""What is written for a device, and what a device cannot have."""

from __future__ import annotations

import hashlib
import json
import math
import math as m
import shlex
from enum import IntEnum
from pathlib import Path
from types import FunctionType
from typing import Any

import msgspec
import numpy as np
import pytest

from features.definitions.load import load
from features.errors import SettingError
from features.inputs.signature import Signature, Tensor
from features.plan import BatchView, OnDemand, Plan
from infra.cli import run
from jobs.history.golden_events import golden_events
from serving.edge.functions import text_of
from serving.edge.headrace_edge import on_demand
from serving.edge.headrace_edge.errors import EdgeError
from serving.edge.plan import narrowed, needs
from serving.models.manifest import Manifest
from tests.serving.edge.plans import SIGNATURE, manifest_of
from tests.support.strategies import PLAN

pytestmark = pytest.mark.slow


class Step(IntEnum):
    """Whole numbers with names."""

    SMALL = 1


LIMIT = 3.0
NAMES = ["a", "b"]
STEP = Step.SMALL
HALF = np.float64(0.5)


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


def test_a_history_may_be_a_url(project: Path) -> None:
    """It is found where every other command finds it, and not in the project's folder."""
    service = load(project).service("num")
    (source,) = service.plan.sources
    moved = msgspec.structs.replace(source, history=f"file://{project / source.history}")
    plan = msgspec.structs.replace(service.plan, sources=(moved,))
    rows, table = golden_events(msgspec.structs.replace(service, plan=plan), 20, ["totals__sum_v"], {})
    assert [row.row for row in rows] == list(range(table.num_rows))
    assert table.num_rows > 1


def test_what_an_export_says_as_json(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files with their sizes, the sha256 of the manifest, and what the device must see."""
    out = tmp_path / "new" / "bundle"
    assert run(["export-edge", "num@production", "--out", str(out), "--project", str(project), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["manifest_sha256"] == hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest()
    assert told["files"]["model.onnx"] == (out / "model.onnx").stat().st_size
    assert told["replayed"] * 5 == told["values"] > 100
    assert len(told["needs"]) == 1


def test_the_command_that_comes_next_can_be_copied(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a folder with a space in its name it is one word to a shell, and it runs."""
    out = tmp_path / "of a till" / "bundle"
    assert run(["export-edge", "num", "--out", str(out), "--project", str(project)]) == 0
    said = capsys.readouterr().out.replace("\n", " ").partition("copy the folder; ")[2].partition(";")[0]
    program, file, option = shlex.split(said)
    assert (program, option) == ("python", "--check")
    assert Path(file) == out / "run.py"


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


def with_a_name_of_a_comprehension(inputs: Any) -> Any:
    """What is its own in one scope is Python's in the next."""
    return {"y": [open + 1 for open in ()] or [open(x) for x in inputs["x"]]}  # noqa: A001


def with_a_name_of_a_lambda(inputs: Any) -> Any:
    """Nothing calls it."""
    _ = lambda eval: eval  # noqa: A006, E731
    return {"y": [eval(x) for x in inputs["x"]]}  # noqa: S307


def with_a_frame(inputs: Any) -> Any:
    """A generator knows where it runs."""
    return {"y": [(x for x in inputs["x"]).gi_frame.f_builtins["open"]]}


def with_a_format(inputs: Any) -> Any:
    """A text that reaches for classes."""
    return {"y": ["{0.__class__}".format(x) for x in inputs["x"]]}  # noqa: UP030, UP032


def with_a_pattern(inputs: Any) -> Any:
    """A pattern reaches for classes too."""
    match inputs["x"][0]:
        case float(__class__=found):
            return {"y": [found]}


def with_a_new_pi(inputs: Any) -> Any:
    """Of all functions there are."""
    math.pi = 3  # type: ignore[misc]
    return inputs


def with_an_enum(inputs: Any) -> Any:
    """It is a number, and its text is none."""
    return {"y": [STEP for x in inputs["x"]]}


def with_a_double_of_numpy(inputs: Any) -> Any:
    """The same."""
    return {"y": [HALF for x in inputs["x"]]}


def with_the_path_of_its_file(inputs: Any) -> Any:
    """It would be that of the machine where the bundle was made."""
    return {"y": [len(__file__) for x in inputs["x"]]}


def rich(inputs: Any) -> Any:
    """Scopes of its own, math by another name, a pattern."""

    def root(x: Any) -> Any:
        return m.sqrt(x)

    found = []
    for x in inputs["x"]:
        match x:
            case None:
                found.append(None)
            case y:
                found.append(max(root(z) for z in [y, 0]) + (lambda a: a * LIMIT)(1))
    return {"y": found}


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


def test_a_function_may_have_scopes_of_its_own() -> None:
    """Inner functions, lambdas, patterns and another name of math."""
    view = view_of("rich")
    functions = on_demand.load(text_of([view], {"rich": rich}), (view,))
    given: dict[str, list[Any]] = {"x": [4.0, None]}
    assert functions["rich"](given) == rich(given) == {"y": [5.0, None]}


def test_a_name_is_one_thing_in_all_functions() -> None:
    """Two modules may have a constant of one name; 1 and 1.0 are two."""
    modules: list[dict[str, Any]] = [{"UNIT": 1}, {"UNIT": 1.0}]
    views = [view_of("of_a_unit"), view_of("of_another")]
    functions = {view.view: FunctionType(of_a_unit.__code__, each) for view, each in zip(views, modules, strict=True)}
    assert b"UNIT = 1\n" in text_of(views[:1], functions)
    with pytest.raises(SettingError, match="'of_another' uses 'UNIT', which is something else in another function"):
        text_of(views, functions)


def of_a_unit(inputs: Any) -> Any:
    """A constant of its module."""
    return {"y": [UNIT // 2 for x in inputs["x"]]}  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (with_a_list_of_its_module, "'NAMES' of its module"),
        (with_an_import, "'import numpy as np'"),
        (with_a_file, "'open'"),
        (with_a_way_out, "'.__class__'"),
        (with_a_name_of_a_comprehension, "'open'"),
        (with_a_name_of_a_lambda, "'eval'"),
        (with_a_frame, "'.f_builtins'"),
        (with_a_format, "'.format'"),
        (with_a_pattern, "'.__class__'"),
        (with_a_new_pi, "a new value of '.pi'"),
        (with_an_enum, "'STEP' of its module"),
        (with_a_double_of_numpy, "'HALF' of its module"),
        (with_the_path_of_its_file, "'__file__' of its module"),
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
