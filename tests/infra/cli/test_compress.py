"""``headrace compress``: from a registered network to smaller versions, and what is refused before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from onnx import load_model_from_string

from features.definitions.load import load
from features.inputs.arrow import table_matrix
from features.inputs.columns import input_columns
from features.plan import Plan
from features.times import DAY_MS
from infra.cli import run
from jobs.history.compute import compute
from jobs.training.fitted import onnx_scores
from serving.models.admit import admit
from serving.models.manifest import Manifest, read_onnx, read_reference
from serving.models.registry import Registry
from serving.models.session import load_model
from tests.support.models import stumps
from tests.support.networks import mlp
from tests.support.num import T, num_project

pytestmark = pytest.mark.slow

DAYS = ("--delay", "1", "--test-days", "2")
FIRST = T // DAY_MS * DAY_MS
METHODS = (
    "quantize",
    "quantize:kind=dynamic,per_channel=false",
    "quantize:kind=static,rows=7+quantize",
    "quantize:kind=static",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project; beside its stumps of no known days, the models 'network' and 'trees' of its first day."""
    folder = num_project(tmp_path_factory.mktemp("a compress") / "num")
    width = len(input_columns(_plan(folder), _plan(folder).inputs))
    network = mlp((width, 64, 64, 1), nulls=True)
    _add(folder, "network", network)
    _add(folder, "trees", stumps([0.1] * width))
    _add(folder, "other_label", network, lineage={"label": "num.n"})
    _add(folder, "other_plan", network, plan="0" * 64)
    _add(folder, "a_regression", network, task="regression")
    _add(folder, "long_trained", network, trained_until=FIRST + 9 * DAY_MS)
    _add(folder, "of_parts", network, trained_from=FIRST + 1)
    _add(folder, "no_nulls", mlp((width, 64, 64, 1)))
    _add(folder, "earlier", network, trained_from=FIRST - 5 * DAY_MS)
    _add(folder, "unknown", network, trained_from=None, trained_until=None)
    return folder


@pytest.fixture(scope="module")
def found(project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command printed as JSON, in a project whose registry then has what it made."""
    with pytest.MonkeyPatch.context() as patched:
        written: list[str] = []
        patched.setattr("infra.cli.show.json", lambda value: written.append(msgspec.json.encode(value).decode()))
        out = tmp_path_factory.mktemp("a picture") / "network.html"
        methods = [part for method in METHODS for part in ("--method", method)]
        command = ["compress", "network@1", *methods, *DAYS, "--out", str(out), "--json", "--project", str(project)]
        assert run(command) == 0
    made: dict[str, Any] = json.loads(written[0])
    return {**made, "picture": out.read_text()}


def _plan(folder: Path) -> Plan:
    return load(folder).service("num").plan


def _add(folder: Path, name: str, onnx: bytes, **changed: Any) -> Manifest:
    """A version of ``name``, trained on the first day, with these of its manifest changed."""
    plan = _plan(folder)
    known: dict[str, Any] = {"trained_from": FIRST, "trained_until": FIRST + DAY_MS, "task": "classification"}
    known["lineage"] = {"trainer": "by_hand", "label": "outcomes.bad"}
    draft = admit(onnx, plan, name=name, created_at=2, inputs=input_columns(plan, plan.inputs), **known)
    return Registry(folder / "models").register(
        msgspec.structs.replace(draft, manifest=msgspec.structs.replace(draft.manifest, **changed))
    )


def test_candidates_are_measured_beside_the_original(found: dict[str, Any]) -> None:
    """Size, memory, time by batch, metrics, and of the candidates intervals and agreement; a refused method says why."""
    original, (static, dynamic) = found["original"], found["candidates"]
    assert [one["name"] for one in (original, static, dynamic)] == ["original", *METHODS[:2]]
    assert [(one["method"], one["parameters"]["kind"]) for one in static["steps"]] == [("quantize", "static")]
    assert dynamic["recipe"] == "quantize:kind=dynamic,per_channel=false,reduce_range=" + dynamic["recipe"].rpartition("=")[2]
    for one in (static, dynamic):
        assert one["size"] < 0.6 * original["size"]
        assert set(one["milliseconds"]) == {"1", "32", "256"}
        assert set(one["intervals"]) == set(one["metrics"]) == {"auc", "average_precision"}
        assert 0 < one["agreement"]["mean"] < one["agreement"]["largest"]
        assert one["spread"] <= 1e-5
    assert original["intervals"] == {}
    (chain, why), twin = [(one["recipe"], one["why"]) for one in found["refused"]]
    assert chain == METHODS[2]
    assert twin == (METHODS[3], "it makes the same model as quantize")
    assert "float32 weights of MatMul, Gemm and Conv; got a graph of" in why
    assert found["recommendation"]["sentence"].startswith(("take ", "keep the original: "))


def test_weights_that_are_0_are_not_in_the_file(project: Path) -> None:
    """The version's file has the others alone, is as small as the table says, and scores its golden batch as it did."""
    method = "prune:kind=unstructured,share=0.9,epochs=0"
    with pytest.MonkeyPatch.context() as patched:
        written: list[Any] = []
        patched.setattr("infra.cli.show.json", written.append)
        assert run(["compress", "earlier@1", "--method", method, *DAYS, "--json", "--project", str(project)]) == 0
    (made,) = written[0]["candidates"]
    version = Registry(project / "models").get("earlier", made["version"])
    content = read_onnx(version)
    assert [one.values.name for one in load_model_from_string(content).graph.sparse_initializer] == ["w0", "w1", "w2"]
    assert len(content) == made["size"] < 0.25 * int(version.manifest.lineage["prune.dense_bytes"])
    assert load_model(version).manifest == version.manifest


def test_those_on_the_front_are_versions_with_their_lineage(found: dict[str, Any], project: Path) -> None:
    """From, method and parameters, all as texts: enough to make the same bytes again; they are of the model's own days."""
    registry = Registry(project / "models")
    made = [one for one in found["candidates"] if one["version"]]
    assert [one["version"] for one in made] == list(range(2, 2 + len(made)))
    assert {one["version"] is not None for one in found["candidates"] if one["front"]} == {True}
    for one in made:
        version = registry.get("network", one["version"])
        manifest, first = version.manifest, registry.manifest("network", 1)
        assert (manifest.trained_from, manifest.trained_until) == (first.trained_from, first.trained_until)
        assert manifest.signature == first.signature
        assert manifest.metrics["average_precision"] == one["metrics"]["average_precision"]
        assert manifest.metrics["test_rows"] > 0
        noted = manifest.lineage.pop("quantize.cpu")
        assert noted
        assert manifest.lineage == {
            "from": "network@1",
            "from_sha256": first.sha256,
            "trainer": "by_hand",
            "label": "outcomes.bad",
            "method": "quantize",
            "parameters": one["recipe"],
        }
        assert len(read_onnx(version)) == one["size"]


def test_those_on_the_front_can_be_watched(found: dict[str, Any], project: Path) -> None:
    """Their references are of the model's inputs on the days of training, and of their own scores of later rows."""
    registry, plan = Registry(project / "models"), _plan(project)
    x = table_matrix(compute(load(project).service("num")), plan, registry.manifest("network", 1).signature.columns)
    versions = [one["version"] for one in found["candidates"] if one["version"]]
    assert versions
    for number in versions:
        version = registry.get("network", number)
        reference = read_reference(version)
        assert reference is not None
        *inputs, score = reference.histograms
        assert tuple(one.name for one in inputs) == version.manifest.signature.columns
        assert {sum(one.counts) for one in inputs} == {version.manifest.metrics["rows"]}
        assert FIRST <= reference.trained_from < reference.trained_until <= FIRST + DAY_MS <= reference.scored_from
        own = onnx_scores(read_onnx(version), x).tolist()
        assert score.bins.low in own
        assert score.bins.high in own


def test_versions_keep_the_days_of_the_original(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Methods learned from one of its six days: a test of any of them would be of rows that it learned. Unknown ones stay so."""
    registry = Registry(project / "models")
    for name, days in (("earlier", (FIRST - 5 * DAY_MS, FIRST + DAY_MS)), ("unknown", (None, None))):
        command = ["compress", name, "--method", "quantize", "--from", "2024-05-01", "--days", "1", *DAYS]
        assert run([*command, "--project", str(project)]) == 0
        said = f"nobody said on which days {name} 1 was trained" in " ".join(capsys.readouterr().err.split())
        assert said == (name == "unknown")
        manifest = registry.manifest(name, 2)
        assert (manifest.trained_from, manifest.trained_until) == days


def test_the_picture_has_what_was_measured(found: dict[str, Any]) -> None:
    """A page with the recommendation, the drawing and the table."""
    sentence = found["recommendation"]["sentence"]
    assert sentence[1:40] in found["picture"]
    assert "kB on disk" in found["picture"]
    assert "mathdefault" not in found["picture"]
    assert all(one["name"] in found["picture"] for one in found["candidates"])


def test_a_dry_run_prints_a_table_and_registers_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has a row for each; few rows of test are said to be few."""
    before = Registry(project / "models").versions("network")
    command = ["compress", "network@1", "--method", "quantize", "--dry-run", *DAYS, "--project", str(project)]
    assert run(command) == 0
    told = capsys.readouterr()
    assert "original" in told.out
    assert any(line.startswith("quantize ") for line in told.out.splitlines())
    assert told.out.splitlines()[-1].startswith(("take ", "keep the original: "))
    assert "independent groups of test rows, and too narrow; take more --test-days" in told.err
    assert Registry(project / "models").versions("network") == before


def test_pruning_by_rows_that_the_model_learnt_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trees of a model of the first day are judged by rows of it; those of one that learnt before are not judged by its own."""
    method = "prune_trees:trees=0.5,worth=scores"
    command = ["compress", "trees", "--method", method, *DAYS, "--dry-run", "--project", str(project)]
    assert run(command) == 0
    assert "prune_trees judged by rows that the model learnt" in " ".join(capsys.readouterr().err.split())
    trees = read_onnx(Registry(project / "models").get("trees", 1))
    _add(project, "trees_before", trees, trained_from=FIRST - DAY_MS, trained_until=FIRST)
    assert run([*command[:1], "trees_before", *command[2:], "--from", "2024-05-01", "--days", "1"]) == 0
    assert "prune_trees judged" not in capsys.readouterr().err


def test_trees_teach_a_network_that_convolves_the_services_lists(project: Path) -> None:
    """The lists of the plan are the channels, and the version says that it is a cnn."""
    with pytest.MonkeyPatch.context() as patched:
        written: list[Any] = []
        patched.setattr("infra.cli.show.json", written.append)
        command = ["compress", "trees@1", "--method", "distill:student=cnn,units=4", *DAYS, "--tolerance", "1"]
        assert run([*command, "--json", "--dry-run", "--project", str(project)]) == 0
    (made,) = written[0]["candidates"]
    assert made["steps"][0]["parameters"]["student"] == "cnn"
    assert made["intervals"]["average_precision"]


def test_a_further_teacher_is_heard_and_in_the_lineage(project: Path) -> None:
    """What a network and trees teach together is another student than what the network teaches alone."""
    registry, made = Registry(project / "models"), []
    for further in ([], ["--teacher", "trees@1"]):
        command = ["compress", "network@1", "--method", "distill:student=tree", *further, "--tolerance", "1"]
        before = registry.versions("network")
        assert run([*command, *DAYS, "--project", str(project)]) == 0
        (new,) = set(registry.versions("network")) - set(before)
        made.append(registry.manifest("network", new))
    alone, together = made
    assert alone.sha256 != together.sha256
    assert (alone.lineage["distill.teachers"], together.lineage["distill.teachers"]) == ("1", "2")
    assert together.lineage["distill.teachers_sha256"] == registry.manifest("trees", 1).sha256
    assert together.lineage["parameters"] == alone.lineage["parameters"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "a model is in the registry; got 'nothing'; it has "),
        (("network@77",), "model 'network' has no version 77; it has 1"),
        (("network@staging",), "model 'network' has no alias 'staging'; it has none yet"),
        (("network", "--method", "shrink"), "a method is one of "),
        (("network", "--out", "a.pdf"), "--out is a picture that is written; got a.pdf"),
        (("num",), "rows of training are those of the model's days; num 1 does not say which; give their first with --from"),
        (("of_parts",), "of_parts 1 does not say which; give their first with --from"),
        (("other_label",), "other_label 1 is a classification of num.n, [train.num] says classification of outcomes.bad"),
        (("a_regression",), "a_regression 1 is a regression of outcomes.bad, [train.num] says classification of outcomes.bad"),
        (
            ("other_plan",),
            "a model is tested on the features that it learned; other_plan 1 is of plan 000000000000, definitions.py",
        ),
        (
            ("long_trained", "--from", "2024-05-01", "--days", "1"),
            "learned until 2024-05-10 00:00:00, and the test begins 2024-05-03",
        ),
        (("network", "--teacher", "trees", "--method", "quantize"), "a --teacher teaches what distill makes; got no --method"),
        (("network", "--teacher", "nothing"), "a model is in the registry; got 'nothing'; it has "),
        (("network", "--teacher", "unknown@1"), "unknown 1 learned until nobody knows when, and they end 2024-05-02"),
        (("network", "--teacher", "long_trained"), "long_trained 1 learned until 2024-05-10 00:00:00, and they end 2024-05-02"),
        (("network", "--teacher", "other_plan"), "a teacher scores the model's own rows; other_plan 1 is of plan 000000000000"),
        (("network", "--teacher", "other_label"), "other_label 1 is a classification of num.n"),
        (("network", "--from", "May"), "a day is YYYY-MM-DD; got 'May'"),
        (("no_nulls",), "a model is compressed that scores every test row; got no finite score for "),
        (("trees", "--method", "quantize"), "got a graph of TreeEnsembleClassifier, which has none; trees have no such weights"),
    ],
)
def test_what_cannot_work_is_one_line(
    arguments: tuple[str, ...], said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and what to do."""
    assert run(["compress", *arguments, *DAYS, "--project", str(project)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("error: ") for line in lines].count(True) == 1
    assert said in lines[-1]


def test_several_inputs_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A method takes one matrix: of a model with other inputs, the error has their names and types."""
    plan = _plan(project)
    first = Registry(project / "models").manifest("network", 1)
    (matrix,) = first.signature.inputs
    parts = tuple(msgspec.structs.replace(matrix, name=name, columns=(name,), matrix=False) for name in plan.inputs[:2])
    _add(
        project,
        "columns",
        mlp((len(matrix.columns), 4, 1), nulls=True),
        signature=msgspec.structs.replace(first.signature, inputs=parts),
    )
    assert run(["compress", "columns", *DAYS, "--project", str(project)]) == 2
    assert f"has '{plan.inputs[0]}' of float, '{plan.inputs[1]}' of float; convert it" in capsys.readouterr().err


def test_a_service_without_a_label_is_refused(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without [train.SERVICE] nothing can be tested."""
    folder = num_project(tmp_path / "num")
    settings = folder / "headrace.toml"
    settings.write_text(settings.read_text().replace("[train.num]", "[train.other]"))
    assert run(["compress", "num", "--project", str(folder)]) == 2
    assert "headrace.toml has no [train.num]; add it, with a label" in capsys.readouterr().err
