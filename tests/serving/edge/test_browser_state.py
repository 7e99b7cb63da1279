"""State and outbox of a bundle's page: what is kept over reloads, kills and full databases, and handed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page

from features.definitions.load import load
from jobs.ingest.event_files import checked, read
from jobs.ingest.publish import feed
from serving.edge.compare import compare
from tests.serving.edge.bundles import EVENTS, same
from tests.serving.edge.pages import open_runner, opened, take
from tests.support.chromium import BLANK, keeping

pytestmark = pytest.mark.slow


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


def test_whole_from_outlives_a_kill(page: Page, lines: list[str]) -> None:
    """What a page says is in the state with the first event, also where there is a state of an earlier page."""
    open_runner(page, state="whole")
    take(page, lines[:2])
    page.evaluate("runner.save()")
    page.reload()
    open_runner(page, state="whole", wholeFrom="ever")
    take(page, lines[2:3])
    page.reload()
    open_runner(page, state="whole")
    (said,) = take(page, lines[3:4])
    assert said is not None
    assert said["receipt"]["complete"]


def test_whole_from_is_of_windows_that_are_filled(page: Page, lines: list[str]) -> None:
    """A page that ends while it fills windows leaves a state that promises nothing; one that predicts after it keeps both."""
    for until in ("ends", "predicts"):
        open_runner(page, state="half", wholeFrom="ever")
        take(page, lines[:4], fill=True)
        if until == "predicts":
            take(page, lines[4:5])
        page.reload()
        open_runner(page, state="half")
        saved = page.evaluate("runner.device.save()")
        assert (saved["taken"], len(saved["wholeFrom"])) == ((0, 0) if until == "ends" else (5, 1))
        page.evaluate("runner.close()")


def test_more_ids_after_a_kill_change_nothing_that_was_taken(page: Page, lines: list[str]) -> None:
    """An event that had been forgotten when it came again is in the windows twice; so it is for a page with more ids."""
    rows = "[...runner.device.windows[0].keys.values()].map((rows) => rows.times)"
    open_runner(page, state="more", ids=1)
    take(page, [lines[0], lines[1], lines[0]])
    taken = page.evaluate(rows)
    page.reload()
    open_runner(page, state="more")
    assert page.evaluate(rows) == taken
    assert page.evaluate("[...runner.device.ids.values()]") == [2, 3]


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
