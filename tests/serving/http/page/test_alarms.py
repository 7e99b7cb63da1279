"""The panel of open alarms: what has changed, with its windows, and the events behind one, found in the topic by their time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import msgspec
import numpy as np
import pytest
from playwright.sync_api import expect

from features.times import DAY_MS
from schemas import Prediction
from schemas.alarm import Alarm
from serving.http.page import alarm_events
from serving.http.page.alarm_events import moved_cells
from serving.http.page.alarms import alarms
from serving.http.page.sources import Sources
from serving.models.registry import Registry
from serving.monitor.monitor import Monitor
from serving.monitor.state import Track
from tests.serving.http.page.kafka import plan_of, prediction, write
from tests.serving.http.page.support import PHONE, Opened, fits, page_of
from tests.serving.http.page.watched import DAY, KIND, PRICE, count_day, drifted, monitor_of, saved, watched_model

pytestmark = pytest.mark.slow


@pytest.fixture
def monitor(registry: Registry, tmp_path: Path) -> Monitor:
    """One that has seen drift, as it was saved."""
    watched_model(registry)
    made = drifted(registry)
    saved(made, tmp_path)
    return made


def alarm_of(monitor: Monitor, name: str) -> Alarm:
    """The open one of an input."""
    return next(alarm for alarm in monitor.state.alarms if alarm.input == name)


def test_what_has_changed_and_its_windows(monitor: Monitor, sources: Sources, open_page: Callable[..., Opened]) -> None:
    """The furthest beyond its limit is open to be read, the others are opened by keyboard, and stay open."""
    with page_of(sources) as running:
        opened = open_page(running.address, viewport=PHONE)
        panel = opened.panel("alarms")
        summaries = panel.locator("summary")
        expect(summaries).to_have_count(3)
        found = alarms(sources, "orders").alarms  # type: ignore[union-attr]
        ratios = [one.alarm.psi / one.alarm.limit for one in found]
        assert ratios == sorted(ratios, reverse=True)
        expect(summaries.first).to_contain_text(f"▲ {found[0].alarm.input} of orders v1 has drifted since 2024-10-07: PSI")
        details = panel.locator("details")
        expect(details.first).to_contain_text(found[0].alarm.text)
        expect(details.first.get_by_role("img", name="in 5 windows")).to_be_visible()
        expect(details.first.locator(".drifted")).to_have_count(3)  # two windows, and the legend
        summaries.nth(1).focus()
        opened.tab.keyboard.press("Enter")
        expect(details.nth(1)).to_contain_text(found[1].alarm.text)
        assert fits(opened.tab)
        summaries.first.click()
        monitor.state.late += 1
        count_day(monitor, 6, moved=1.0)
        monitor.advance(DAY + 6 * DAY_MS)
        saved(monitor, Path(sources.registry._store.root).parent)  # type: ignore[attr-defined]
        opened.poll()
        expect(details.nth(1).get_by_role("img", name="in 6 windows")).to_be_visible()
        expect(details.first).not_to_have_attribute("open", "")


def test_the_windows_of_a_segment_are_those_in_which_it_drifted(
    monitor: Monitor, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """No others are kept, and the picture says so; each picture says of which days it is."""
    version = monitor.state.versions["orders/1"]
    segment, alarm = f"{KIND} is game", alarm_of(monitor, PRICE)
    key = f"{PRICE} where {segment}"
    version.tracks = {key: Track([], msgspec.structs.replace(alarm, id=key, segment=segment))}
    for verdict in version.closed[-2:]:
        of_segment = [msgspec.structs.replace(one, segment=segment) for one in verdict.findings if one.input == PRICE]
        verdict.segments.extend(of_segment)
    saved(monitor, tmp_path)
    with page_of(sources) as running:
        details = open_page(running.address).panel("alarms").locator("details")
        expect(details).to_contain_text("Its index in each window in which it drifted")
        expect(details).to_contain_text("of segments no others are kept")
        expect(details.get_by_role("img", name="in 2 windows in which it drifted")).to_contain_text("2024-10-072024-10-08")
        expect(details.locator(".keys").first).to_have_text("driftedthe line is the limit")


def test_no_alarm_is_good_news(registry: Registry, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]) -> None:
    """It says how much was looked at."""
    watched_model(registry)
    quiet = monitor_of(registry)
    for day in range(3):
        count_day(quiet, day)
    quiet.advance(DAY + 3 * DAY_MS)
    saved(quiet, tmp_path)
    with page_of(sources) as running:
        expect(open_page(running.address).panel("alarms")).to_contain_text("no alarm is open: 3 windows of 3 inputs were judged")


def test_without_a_monitor_and_with_a_broken_one(
    registry: Registry, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """The command; then which file, and since when."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        expect(opened.panel("alarms", "empty").locator("code")).to_have_text("headrace monitor orders")
        watched_model(registry)
        saved(drifted(registry), tmp_path).write_bytes(b"{")
        opened.poll()
        expect(opened.panel("alarms", "down")).to_contain_text("the monitor's state is down since 20")


def test_the_cells_that_moved_most_are_those_that_gained(monitor: Monitor) -> None:
    """New kinds and nulls; a cell that has fewer values than training had is behind nothing."""
    kinds, prices = alarm_of(monitor, KIND), alarm_of(monitor, PRICE)
    assert [kinds.cells[place] for place in moved_cells(kinds)] == ["new"]
    moved = moved_cells(prices)
    assert prices.cells[moved[0]] == "null"
    trained, found = (np.array(counts) / sum(counts) for counts in (prices.trained, prices.found))
    assert all(found[place] > trained[place] for place in moved)
    same = msgspec.structs.replace(prices, found=prices.trained)
    assert moved_cells(same) == []


def test_events_without_kafka_and_of_an_alarm_that_is_over(
    monitor: Monitor, away: Sources, sources: Sources, open_page: Callable[..., Opened]
) -> None:
    """Each in one line, in the dialog; the panel goes on."""
    known = {"service": "orders", "id": alarm_of(monitor, KIND).id}
    with page_of(sources) as running:
        asked = lambda query: running.request("GET", f"/v1/page/alarms/events?{urlencode(query)}").json  # noqa: E731
        assert "not open any more" in asked({**known, "id": "gone"})["empty"]["say"]
        assert "t was not known where Kafka is" in asked(known)["down"]["why"]
    with page_of(away) as running:
        opened = open_page(running.address)
        opened.panel("alarms").get_by_role("button", name="Events behind it").first.click()
        dialog = opened.tab.get_by_role("dialog")
        expect(dialog).to_contain_text("Kafka is down since 20", timeout=15_000)
        expect(dialog).to_contain_text("'headrace status' says what runs")
        opened.panel("alarms")


@pytest.mark.parametrize(
    ("value", "counted"),
    [(None, 1), (10, 1), ("10.5", 0), (10**400, 0), (msgspec.UNSET, 0)],
    ids=("null", "number", "text", "beyond doubles", "absent"),
)
def test_what_the_monitor_does_not_count_is_behind_no_alarm(monitor: Monitor, value: Any, counted: int) -> None:
    """A text where the model has a number, a number beyond doubles, a receipt without the value."""
    alarm, reference = alarm_of(monitor, PRICE), monitor.reference("orders", 1)
    assert reference is not None
    one = msgspec.to_builtins(_predicted(1, 4, "book"))
    one["receipt"]["inputs"] = {KIND: "book"} if value is msgspec.UNSET else {PRICE: value, KIND: "book"}
    found = alarm_events._Found(alarm, reference)
    found.take(SimpleNamespace(value=json.dumps(one).encode(), partition=0, offset=0))
    assert found.told().in_window == counted


def _predicted(number: int, day: int, kind: str | None, **changes: Any) -> Prediction:
    """An event of a day, with that kind."""
    made = prediction(f"e{number}", 0.5, version=1, inputs={PRICE: 10.0, KIND: kind}, **changes)
    return msgspec.structs.replace(made, event_time=DAY + day * DAY_MS + number)


@pytest.mark.stack
def test_the_events_behind_an_alarm_and_their_receipts(
    on_kafka: Sources, registry: Registry, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """Of its window, its version and the cells that moved, and no other; a click on one gives its receipt from the topic."""
    watched_model(registry)
    plan = plan_of(on_kafka)
    made = drifted(registry, plan.service)
    saved(made, tmp_path)
    days = [_predicted(number, number // 1000, "drone" if number % 1000 < 5 else "book") for number in range(6000)]
    late = _predicted(4_999, 4, "drone")
    others = [_predicted(7, 4, "drone", model="other"), _predicted(8, 4, None)]
    write(on_kafka, plan.predictions_topic, [*days, b"none", *others, late])
    alarm = alarm_of(made, KIND)
    assert (alarm.window_start, alarm.window_end) == (DAY + 4 * DAY_MS, DAY + 5 * DAY_MS)
    with page_of(on_kafka) as running:
        opened = open_page(running.address)
        details = opened.panel("alarms").locator("details", has=opened.tab.locator("summary", has_text=KIND))
        if details.get_attribute("open") is None:
            details.locator("summary").click()
        details.get_by_role("button", name="Events behind it").click()
        dialog = opened.tab.get_by_role("dialog")
        expect(dialog.locator("tbody tr")).to_have_count(5)
        expect(dialog.locator("strong")).to_have_text("new")
        expect(dialog).to_contain_text("1,000 are of this version and window, and 5 of them")
        expect(dialog.locator("tbody tr").first.locator("td")).to_have_text(
            ["e4000", "2024-10-08 00:00:04", '"drone"', "new", "0.5"]
        )
        dialog.get_by_role("button", name="e4002").click()
        expect(opened.tab.get_by_role("dialog")).to_contain_text("Event e4002 of")
        expect(opened.tab.get_by_role("dialog")).to_contain_text('"drone"')


@pytest.mark.stack
def test_what_is_read_of_a_large_window_is_bounded_and_said(
    on_kafka: Sources, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an empty topic has no events, which is no error."""
    monkeypatch.setattr(alarm_events, "MOST_READ", 300)
    watched_model(registry)
    plan = plan_of(on_kafka)
    made = drifted(registry, plan.service)
    saved(made, tmp_path)
    query = urlencode({"service": plan.service, "id": alarm_of(made, KIND).id})
    with page_of(on_kafka) as running:
        found = running.request("GET", f"/v1/page/alarms/events?{query}").json["data"]
        assert (found["events"], found["read"], found["is_all"]) == ([], 0, True)
        write(on_kafka, plan.predictions_topic, [_predicted(number, 4, "drone") for number in range(1000)])
        found = running.request("GET", f"/v1/page/alarms/events?{query}").json["data"]
    assert (len(found["events"]), found["is_all"]) == (alarm_events.MOST_SHOWN, False)
    assert 0 < found["in_cells"] <= found["read"] <= 300
