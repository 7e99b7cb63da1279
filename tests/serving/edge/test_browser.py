"""A bundle's page in Chromium: what it predicts, keeps over reloads and kills, refuses, and hands on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from onnx import load_model_from_string
from playwright.sync_api import Browser, Error, Page, expect

from features.definitions.load import load
from features.errors import SettingError
from features.inputs.columns import input_columns
from infra.cli import run
from infra.local import onnxruntime_web
from jobs.training.networks.sparse import stored_sparsely
from serving.edge.plan import check_browser
from serving.models.admit import admit
from serving.models.registry import Registry
from tests.serving.edge import bundles
from tests.serving.edge.bundles import EVENTS, same
from tests.serving.edge.pages import npm, open_runner, opened, take
from tests.serving.edge.plans import manifest_of
from tests.serving.edge.test_runner import another_maximum, another_score, another_sum, none, with_golden
from tests.support.chromium import BLANK, ISOLATED, served
from tests.support.networks import mlp as network
from tests.support.strategies import PLAN

pytestmark = pytest.mark.slow

PAGE = "index.html"
TIMES = {"arrived_at", "featured_at", "scored_at"}
EVAL = """() => new Promise((said) => setTimeout(() => {
  try {
    said((0, eval)("1"));
  } catch (error) {
    said(error.message);
  }
}))"""
"""Behind a timer: what a test calls at once may do more than the page."""


@pytest.fixture(scope="module", params=[{}, ISOLATED], ids=["as it is", "isolated"])
def headers(request: pytest.FixtureRequest) -> dict[str, str]:
    """Without and with cross-origin isolation."""
    found: dict[str, str] = request.param
    return found


def test_predictions_are_those_of_the_python_runner(
    chromium: Browser, both: Path, headers: dict[str, str], lines: list[str], expected: list[dict[str, Any]]
) -> None:
    """Of a whole stream, every input to the bit and of its type, once all golden vectors were replayed."""
    with served(both, headers) as there, opened(chromium, f"{there}/{BLANK}") as page:
        assert page.evaluate("crossOriginIsolated") == bool(headers)
        replayed = open_runner(page, wholeFrom="ever")
        vectors = sum("features" in json.loads(line) for line in (both / "golden.jsonl").read_text().splitlines())
        assert replayed == {"vectors": vectors, "values": 5 * vectors}
        found = take(page, lines)
    assert len(found) == EVENTS
    for one, other in zip(found, expected, strict=True):
        assert one is not None
        assert same(one, other)
        assert {name for name in one["receipt"] if name.endswith("ed_at")} == TIMES


def test_a_prediction_is_a_message_like_those_of_the_topic(page: Page, lines: list[str]) -> None:
    """Before a whole window was seen it is not complete."""
    from schemas.codec import decode_prediction

    open_runner(page)
    found = [decode_prediction(json.dumps(one).encode()) for one in take(page, lines)]
    hour = 3_600_000
    assert [one.receipt.complete for one in found] == [one.event_time - hour >= found[0].event_time for one in found]
    assert found[-1].receipt.arrived_at <= found[-1].receipt.featured_at <= found[-1].receipt.scored_at


def test_the_example_page_predicts(
    chromium: Browser, both: Path, headers: dict[str, str], lines: list[str], tmp_path: Path
) -> None:
    """A person pastes an event, takes a file, and downloads the outbox; its strict policy refuses nothing of it."""
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(["no event", *lines]))
    with served(both, headers) as there, opened(chromium, f"{there}/{PAGE}?wholeFrom=ever&state=person") as page:
        expect(page.locator("#status")).to_contain_text("all as they should be")
        page.locator("#event").fill(lines[0])
        page.get_by_role("button", name="Take it").click()
        expect(page.locator("#lines")).to_contain_text('"event_id":0')
        page.locator("#file").set_input_files(file)
        page.get_by_role("button", name="Take them").click()
        expect(page.locator("#status")).to_contain_text(f"{EVENTS + 1} events of events.jsonl were taken")
        expect(page.locator("#files")).to_contain_text(f"{EVENTS} events")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert download.value.suggested_filename == "num-00000001.jsonl"
        assert len(Path(download.value.path()).read_text().splitlines()) == EVENTS
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Remove").click()
        expect(page.locator("#files tr")).to_have_count(0)


def test_weights_that_are_stored_sparsely_are_read_by_a_page_too(chromium: Browser, tmp_path: Path) -> None:
    """A network that was pruned to sparse initializers: golden vectors, scores of the registry's model, hold."""
    npm()
    project = bundles.project(tmp_path / "num")
    plan = load(project).service("num").plan
    inputs = input_columns(plan, plan.inputs)
    sparse = stored_sparsely(network((len(inputs), 64, 64, 1), nulls=True, zeros=0.9))
    assert load_model_from_string(sparse).graph.sparse_initializer
    Registry(project / "models").register(admit(sparse, plan, name="num", created_at=2, inputs=inputs, task="classification"))
    bundle = bundles.export(project, tmp_path / "bundle", "--runner", "browser")
    with served(bundle) as there, opened(chromium, f"{there}/{BLANK}") as page:
        assert open_runner(page)["vectors"] > 20


def test_the_policy_of_the_page_lets_no_text_run(chromium: Browser, both: Path) -> None:
    """WebAssembly is compiled, text is not; nothing is loaded from elsewhere."""
    with served(both) as there, served(both) as elsewhere:
        page = chromium.new_page()
        page.goto(f"{there}/{PAGE}")
        expect(page.locator("#status")).to_contain_text("all as they should be")
        assert "Content Security Policy" in page.evaluate(EVAL)
        with pytest.raises(Error, match="Failed to fetch"):
            page.evaluate("(address) => fetch(address)", elsewhere)
        page.goto(f"{there}/{PAGE}?folder={elsewhere}")
        expect(page.locator("#status")).to_have_text(
            "error: the page's options are state, rows, keys, ids, saveEvery, wholeFrom, sync; got folder"
        )
        page.close()


def test_a_bundle_may_be_in_another_folder_than_the_page(chromium: Browser, both: Path) -> None:
    """Its address is with or without a slash in the end."""
    with served(both.parent) as there, opened(chromium, f"{there}/{BLANK}") as page:
        for folder in (both.name, f"/{both.name}/"):
            script = "async ([from, folder]) => (await (await import(from)).open({ folder })).replayed"
            assert page.evaluate(script, [f"/{both.name}/browser/runner.js", folder])["vectors"] > 20


@pytest.mark.parametrize(
    ("change", "what"),
    [(another_score, "the score"), (another_sum, "totals__sum_v"), (another_maximum, "totals__max_d"), (none, "got none")],
)
def test_a_page_that_computes_anything_else_does_not_run(
    change: Callable[[list[dict[str, Any]]], None], what: str, chromium: Browser, both: Path, tmp_path: Path
) -> None:
    """One line says what differs, and no event has a prediction."""
    changed = shutil.copytree(both, tmp_path / "bundle")
    with_golden(changed, change)
    with served(changed) as there, opened(chromium, f"{there}/{PAGE}") as page:
        expect(page.locator("#status")).to_contain_text(f"error: windows and scores are those of the golden vectors; {what}")
        expect(page.locator("form")).to_have_count(2)
        expect(page.locator("form").first).to_be_hidden()


@pytest.mark.parametrize(
    "name", ["model.onnx", "plan.json", "functions.js", "browser/windows.js", "onnxruntime/ort-wasm-simd-threaded.wasm"]
)
def test_a_changed_file_is_refused(name: str, chromium: Browser, both: Path, tmp_path: Path) -> None:
    """Every file is held against its sha256."""
    changed = shutil.copytree(both, tmp_path / "bundle")
    with (changed / name).open("ab") as file:
        file.write(b"\n")
    with served(changed) as there, opened(chromium, f"{there}/{BLANK}") as page:
        assert f"a bundle's files never change; {name} has sha256" in open_runner(page)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda manifest: manifest.update(format=9), "a bundle has format 1; got 9"),
        (lambda manifest: manifest.pop("files"), "a manifest.json has the sha256 of each file"),
        (lambda manifest: manifest["files"].pop("golden.jsonl"), "it lacks golden.jsonl"),
        (lambda manifest: manifest["files"].update({"../x": {"sha256": ""}}), "its manifest.json names '../x'"),
        (lambda manifest: manifest["files"].update({"x": {"sha256": ""}}), "/x: 404"),
        (
            lambda manifest: manifest["files"].pop("onnxruntime/ort-wasm-simd-threaded.wasm"),
            "a page scores with onnxruntime-web; this bundle has none",
        ),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    change: Callable[[dict[str, Any]], Any], what: str, both: Path, tmp_path: Path, chromium: Browser
) -> None:
    """One line says what it lacks."""
    changed = shutil.copytree(both, tmp_path / "bundle")
    manifest = json.loads((changed / "manifest.json").read_text())
    change(manifest)
    (changed / "manifest.json").write_text(json.dumps(manifest))
    with served(changed) as there:
        page = chromium.new_page()  # a 404 is an error of its console
        page.goto(f"{there}/{BLANK}")
        assert what in open_runner(page)
        page.close()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"rows": 0}, "rows is a number of 1 or more; got 0"),
        ({"ids": "7"}, "ids is a number of 1 or more; got 7"),
        ({"wholeFrom": "never"}, "wholeFrom is 'first', 'ever' or UTC milliseconds; got never"),
        ({"state": ""}, "state is a name, or null where nothing is kept; got ''"),
        ({"colour": 1}, "a runner's options are folder, state, rows, keys, ids, wholeFrom, saveEvery, sync; got colour"),
    ],
)
def test_a_wrong_option_is_one_line(options: dict[str, Any], what: str, page: Page) -> None:
    """Before anything is fetched."""
    assert open_runner(page, **options) == what


def test_a_bundle_for_a_browser_alone_has_no_runner_for_python(
    both: Path, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says how it is opened."""
    out = tmp_path / "bundle"
    assert run(["export-edge", "num", "--out", str(out), "--project", str(project), "--runner", "browser"]) == 0
    assert "open its index.html" in capsys.readouterr().out.replace("\n", " ")
    assert not (out / "run.py").exists()
    assert not (out / "headrace_edge").exists()
    assert {path.name for path in (out / "onnxruntime").iterdir()} == {*onnxruntime_web.FILES}
    assert "## In a browser" in (out / "README.md").read_text()
    assert "## With Python" not in (out / "README.md").read_text()
    assert (both / "README.md").read_text().count("## With Python") == 1


def test_a_model_that_gives_maps_is_not_for_a_browser() -> None:
    """Its ONNX Runtime reads tensors alone."""
    manifest = manifest_of(PLAN)
    maps = msgspec.structs.replace(manifest.signature.outputs[0], maps=True)
    signature = msgspec.structs.replace(manifest.signature, outputs=(maps,))
    check_browser(manifest)
    with pytest.raises(SettingError, match="gives 'score' as a map of classes; convert it without ZipMap"):
        check_browser(msgspec.structs.replace(manifest, signature=signature))
