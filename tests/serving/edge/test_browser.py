"""A bundle's page in Chromium: what it predicts, keeps over reloads and kills, refuses, and hands on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Error, Page, expect

from features.definitions.load import load
from features.errors import SettingError
from infra.cli import run
from infra.local import onnxruntime_web
from jobs.ingest.event_files import checked, read
from jobs.ingest.publish import feed
from serving.edge.compare import compare
from serving.edge.plan import check_browser
from tests.serving.edge.bundles import EVENTS, bare, content, said
from tests.serving.edge.pages import npm, open_runner, opened, take
from tests.serving.edge.plans import manifest_of
from tests.serving.edge.test_runner import another_maximum, another_score, another_sum, none, with_golden
from tests.support.chromium import BLANK, ISOLATED, keeping, served
from tests.support.strategies import PLAN

pytestmark = [pytest.mark.core, pytest.mark.slow]

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


@pytest.fixture(scope="module")
def address(both: Path) -> Iterator[str]:
    """Where the bundle is served."""
    with served(both) as found:
        yield found


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """Its page, in a context of its own, where nothing is kept; a runner is opened by the test."""
    context = chromium.new_context()
    with opened(context, f"{address}/{BLANK}") as found:
        yield found
    context.close()


@pytest.fixture(scope="module")
def expected(both: Path, lines: list[str]) -> list[dict[str, Any]]:
    """What the Python runner says of the same events."""
    return said(bare(both, "--whole-from", "ever", stdin="\n".join(lines)))


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether two predictions are one: to the bit but for the score, which is as near as the manifest's tolerance."""
    near = found["score"] == pytest.approx(expected["score"], rel=1e-5, abs=1e-7)
    one, other = ({**content(each), "score": None} for each in (found, expected))
    return bool(near) and repr(one) == repr(other)


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


def test_a_reload_keeps_the_state(page: Page, lines: list[str], expected: list[dict[str, Any]]) -> None:
    """Windows, known ids and outbox: reloads between and after saved states, and every event sent again, change nothing."""
    first: dict[int, Any] = {}
    for until in (1, 37, 38, 150, EVENTS):
        open_runner(page, state="kept", wholeFrom="ever", saveEvery=40)
        for one in take(page, lines[:until]):
            assert one is not None
            assert first.setdefault(one["event_id"], one) == one  # the very prediction, with its times
            assert same(one, expected[one["event_id"]])
        page.reload()
    open_runner(page, state="kept", saveEvery=40)
    files = page.evaluate("async () => { await runner.save(); return runner.outbox(); }")
    assert sum(one["events"] for one in files) == EVENTS
    assert len(files) > 5
    assert [one["closed"] for one in files] == [True] * len(files)
    texts = [page.evaluate("async (name) => (await runner.file(name)).text()", one["name"]) for one in files]
    kept = [json.loads(line) for text in texts for line in text.splitlines()]
    assert [one["_edge"]["n"] for one in kept] == list(range(1, EVENTS + 1))
    assert [one["_edge"]["prediction"] for one in kept] == list(first.values())


def test_a_kill_of_the_browser_loses_no_prediction(
    chromium: Browser, address: str, lines: list[str], expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    """It ends while it takes events, without a word to its pages; what was given out before is there."""
    with keeping(chromium, tmp_path) as browser:
        page = browser.new_page()
        page.goto(f"{address}/{BLANK}")
        open_runner(page, state="killed", wholeFrom="ever", saveEvery=20)
        given = take(page, lines[:50])
        page.evaluate("(texts) => { for (const text of texts) runner.take(text); }", lines[50:])
        protocol = browser.new_cdp_session(page)
        with pytest.raises(Error, match="closed"):
            protocol.send("Browser.crash")
    with keeping(chromium, tmp_path) as browser, opened(browser, f"{address}/{BLANK}") as page:
        open_runner(page, state="killed", wholeFrom="ever", saveEvery=20)
        again = take(page, lines)
    assert again[:50] == given
    assert all(same(one, other) for one, other in zip(again, expected, strict=True) if one)


def test_windows_can_be_filled_before(page: Page, lines: list[str], expected: list[dict[str, Any]]) -> None:
    """Earlier events without a word; what follows is as if the runner had predicted them."""
    open_runner(page, state="filled", wholeFrom="ever")
    assert take(page, [*lines[:200], lines[3], "no event"], fill=True)[:-1] == [None] * 201
    found = take(page, lines[199:])
    assert found[0] == {"event_id": 199, "event_time": expected[199]["event_time"], "repeated": True}
    assert all(same(one, other) for one, other in zip(found[1:], expected[200:], strict=True) if one)
    assert [one["events"] for one in page.evaluate("runner.outbox()")] == [EVENTS - 200]


def test_filling_between_predictions_loses_none(page: Page, lines: list[str]) -> None:
    """What fills windows and was not saved is gone after a reload; no event after it takes the place of one before."""
    open_runner(page, state="between")
    take(page, lines[:2])
    take(page, lines[2:4], fill=True)
    take(page, lines[4:5])
    page.reload()
    open_runner(page, state="between")
    found = take(page, [*lines[:2], *lines[4:7]])
    assert [one["event_id"] for one in found if one] == [0, 1, 4, 5, 6]
    assert page.evaluate("async () => (await runner.store.since(1)).map((one) => one.n)") == [1, 2, 5, 6, 7]


def test_bounds_hold_for_what_was_saved(page: Page, lines: list[str]) -> None:
    """Rows, keys and ids beyond them leave when the state is opened, and the receipt says so."""
    open_runner(page, state="bounds", wholeFrom="ever")
    take(page, lines[:60])
    page.evaluate("runner.close()")
    open_runner(page, state="bounds", rows=5, keys=2, ids=7)
    assert page.evaluate("[...runner.device.windows[0].keys.values()].map((rows) => rows.times.length)") == [5, 5]
    assert page.evaluate("runner.device.ids.size") == 7
    (one,) = take(page, lines[60:61])
    assert one is not None
    assert not one["receipt"]["complete"]


def test_an_outbox_is_published_as_it_is(project: Path, page: Page, lines: list[str], tmp_path: Path) -> None:
    """``headrace publish`` and ``edge-audit`` take the file; an event is as it came, with its prediction beside it."""
    open_runner(page, state="published", wholeFrom="ever")
    odd = [" \t" + lines[0].replace(',"k"', ',\r"k"') + " ", f"\n{lines[1][:-1]}\n}}".replace(',"k"', ',\r\n"k"'), *lines[2:]]
    predictions = take(page, odd)
    page.evaluate("runner.save()")
    (name,) = [one["name"] for one in page.evaluate("runner.outbox()")]
    assert name == "num-00000001.jsonl"
    path = tmp_path / name
    path.write_bytes(page.evaluate("async (name) => (await runner.file(name)).text()", name).encode())
    outbox = feed(path, "num", load(project).plans)
    assert checked(outbox) == EVENTS
    for line, prediction, (_, when, key, value) in zip(lines, predictions, read(outbox), strict=True):
        event = json.loads(value)
        assert (when, key) == (event["at"], event["k"].encode())
        assert event.pop("_edge")["prediction"] == prediction
        assert event == json.loads(line)
    compared = compare([path], [json.dumps(one).encode() for one in predictions])
    assert (compared.compared, compared.equal, compared.largest) == (EVENTS, EVENTS, 0.0)
    assert page.evaluate("(name) => runner.remove(name).then(() => runner.outbox())", name) == []


def test_pages_that_end_soon_save_their_state_too(page: Page, lines: list[str]) -> None:
    """`saveEvery` counts the events of all pages since the last saved state: else the open files would grow without an end."""
    for first in (0, 4, 8):
        open_runner(page, state="short", saveEvery=10)
        take(page, lines[first : first + 4])
        page.reload()
    open_runner(page, state="short", saveEvery=10)
    files = [[one["events"], one["closed"]] for one in page.evaluate("runner.outbox()")]
    assert files == [[10, True], [2, False]]


def test_a_bundle_may_be_in_another_folder_than_the_page(chromium: Browser, both: Path) -> None:
    """Its address is with or without a slash in the end."""
    with served(both.parent) as there, opened(chromium, f"{there}/{BLANK}") as page:
        for folder in (both.name, f"/{both.name}/"):
            script = "async ([from, folder]) => (await (await import(from)).open({ folder })).replayed"
            assert page.evaluate(script, [f"/{both.name}/browser/runner.js", folder])["vectors"] > 20


def test_only_a_closed_file_is_removed(page: Page, lines: list[str]) -> None:
    """The open one is still written; without a state nothing is kept."""
    open_runner(page, state="open")
    take(page, lines[:1])
    assert "is SOURCE-NUMBER.jsonl; got x" in page.evaluate("runner.remove('x').catch((error) => error.message)")
    assert "got object, string; write JSON.stringify" in page.evaluate("runner.take({}).catch((error) => error.message)")
    assert "is removed once a saved state has closed it" in page.evaluate(
        "runner.remove('num-00000001.jsonl').catch((error) => error.message)"
    )
    page.evaluate("runner.close()")
    assert "a runner that was closed takes nothing" in page.evaluate("runner.take('{}').catch((error) => error.message)")
    open_runner(page)
    assert "what a runner keeps has a name; got no state" in page.evaluate("runner.save().catch((error) => error.message)")
    assert "what a runner keeps has a name; got no state" in page.evaluate("runner.outbox().catch((error) => error.message)")


def test_a_state_has_one_runner(page: Page, lines: list[str]) -> None:
    """A second page is refused while the first lives."""
    address = page.url
    open_runner(page, state="one")
    with opened(page.context, address) as second:
        assert (
            open_runner(second, state="one") == "a state has one runner; another page has 'one'; close it, or name another state"
        )
        page.evaluate("runner.close()")
        assert open_runner(second, state="one")["vectors"] > 20


def test_a_state_without_a_lock_is_refused(page: Page) -> None:
    """A frame without an origin has none."""
    page.evaluate("() => { navigator.locks.request = async () => { throw new DOMException('none here', 'SecurityError'); }; }")
    assert "it says SecurityError: none here; open without a state" in open_runner(page, state="one")


def test_a_state_of_another_bundle_is_refused(page: Page) -> None:
    """One line says so, and what to do."""
    open_runner(page, state="another")
    page.evaluate("async () => { runner.store.bundle = 'x'; await runner.close(); }")
    found = open_runner(page, state="another")
    assert found.startswith("a state is of the bundle that wrote it; 'another' is of x, this is ")
    assert found.endswith("name another state, and fill its windows")


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


CLOSE = "runner.store.database.close()"
ABORT = """() => {
  const add = IDBObjectStore.prototype.add;
  IDBObjectStore.prototype.add = function (one) {
    add.call(this, one);
    this.transaction.abort();
  };
}"""
"""As a browser does that has no more room."""


@pytest.mark.parametrize(("stop", "what"), [(CLOSE, "InvalidStateError"), (ABORT, "it was ended")])
def test_a_database_that_is_closed_or_full_stops_the_runner(stop: str, what: str, page: Page, lines: list[str]) -> None:
    """No prediction is given out that is not kept, and after that none at all: windows and outbox would differ."""
    open_runner(page, state="full")
    take(page, lines[:3])
    page.evaluate(stop)
    for _ in range(2):
        found = page.evaluate("(text) => runner.take(text).catch((error) => error.message)", lines[3])
        assert found.startswith(f"the runner keeps its events in the browser's database, which says {what}")
    page.reload()
    open_runner(page, state="full")
    assert [one["event_id"] for one in take(page, lines[:5]) if one] == [0, 1, 2, 3, 4]


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


def script(folder: Path, text: str) -> None:
    """An npm of the test's."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "npm").chmod(0o755)


@pytest.mark.parametrize(
    ("npm", "what"),
    [
        (None, "found no npm on PATH; install it (Debian: apt install npm)"),
        ("echo 'npm error code ENOTFOUND' >&2; exit 1", "it says: npm error code ENOTFOUND; see 'npm config get registry'"),
        ('echo other > "$5/x.tgz"', "is the package with sha512-q0y+JrrtukXSzsBWE…; npm fetched one with sha512-"),
    ],
)
def test_onnxruntime_web_is_the_package_that_is_pinned(
    npm: str | None, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without npm, without the registry, and with another package: one line, and nothing is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin" if npm else str(tmp_path / "bin"))
    if npm:
        script(tmp_path / "bin", npm)
    with pytest.raises(SettingError) as refused:
        onnxruntime_web.files()
    assert what in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [path.name for path in (tmp_path / "cache" / "headrace").iterdir() if path.is_file()] in (
        [],
        [f".onnxruntime-web-{onnxruntime_web.VERSION}.lock"],
    )
    assert list((tmp_path / "cache" / "headrace" / f"onnxruntime-web-{onnxruntime_web.VERSION}").iterdir()) == []


def test_what_npm_says_is_in_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one, whose registry is not there."""
    npm()
    given = {"registry": "http://127.0.0.1:9", "fetch_retries": "0", "cache": str(tmp_path / "npm")}
    for name, value in {
        "XDG_CACHE_HOME": str(tmp_path),
        **{f"npm_config_{name}": value for name, value in given.items()},
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=r"it says: npm .* ECONNREFUSED"):
        onnxruntime_web.files()


def test_a_damaged_cache_is_fetched_again(both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there is held against its sha256 before it is used."""
    kept = onnxruntime_web.files()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "headrace" / f"onnxruntime-web-{onnxruntime_web.VERSION}"
    folder.mkdir(parents=True)
    for name, whole in kept.items():
        (folder / name).write_bytes(whole)
    assert onnxruntime_web.files() == kept
    (folder / "ort.wasm.bundle.min.mjs").write_bytes(b"other")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingError, match="found no npm"):
        onnxruntime_web.files()
