"""The panel of drift: the heat map of a version, what a click shows, and what it says before there is anything."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest
from playwright.sync_api import Locator, expect

from features.inputs.drift import psi
from features.times import DAY_MS
from serving.http.page.sources import Sources
from serving.http.tokens import parse
from serving.models.registry import Registry
from tests.serving.http.page.support import PHONE, Opened, fits, page_of
from tests.serving.http.page.watched import DAY, KIND, PRICE, ROWS, count_day, drifted, monitor_of, saved, watched_model
from tests.serving.http.support import Running
from tests.serving.monitor.support import rules

pytestmark = pytest.mark.slow


@pytest.fixture
def state(registry: Registry, tmp_path: Path) -> Path:
    """The file of a monitor that has seen drift."""
    watched_model(registry)
    return saved(drifted(registry), tmp_path)


def row(panel: Locator, name: str) -> Locator:
    """An input's."""
    return panel.locator("tbody tr").filter(has=panel.page.locator("th", has_text=name))


def asked(running: Running, **query: object) -> dict[str, object]:
    """A histogram."""
    found: dict[str, object] = running.request("GET", f"/v1/page/drift/histogram?{urlencode(query)}").json
    return found


def test_each_input_in_each_window(state: Path, sources: Sources, open_page: Callable[..., Opened]) -> None:
    """A field for each, with its words; a dot and a word where it drifted, and the alarm beside the input."""
    with page_of(sources) as running:
        panel = open_page(running.address).panel("drift")
        expect(panel.locator("thead th")).to_have_text(["10-04", "10-05", "10-06", "10-07", "10-08"])
        fields = row(panel, PRICE).locator("button")
        expect(fields).to_have_count(5)
        expect(fields.nth(0)).not_to_contain_text("●")
        expect(fields.nth(4)).to_have_text("●")
        expect(fields.nth(4)).to_have_attribute("aria-label", says(f"{PRICE}, 2024-10-08: PSI "))
        for name in (PRICE, KIND, "score"):
            expect(row(panel, name).locator("th")).to_contain_text("alarm")
        expect(panel).to_contain_text("3,600 predictions are counted, 0 came after their window was closed")


def says(begins: str) -> re.Pattern[str]:
    """A text that begins so."""
    return re.compile(f"^{re.escape(begins)}[0-9.]+, limit [0-9.]+, drifted$")


def test_a_click_shows_the_values_with_n_statistic_and_threshold(
    state: Path, sources: Sources, open_page: Callable[..., Opened]
) -> None:
    """As the monitor counted them: the dialog's numbers are the state's, and Escape gives the focus back."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        field = row(opened.panel("drift"), KIND).locator("button").nth(4)
        field.click()
        dialog = opened.tab.get_by_role("dialog")
        for text in (
            "n = 5,000, 2024-09-20 to 2024-09-27",
            f"n = {ROWS}, 2024-10-08 to 2024-10-09",
            "limit 0.0",
            "values that training did not have",
        ):
            expect(dialog).to_contain_text(text)
        new = dialog.locator("tbody tr").nth(1)
        expect(new.locator("td")).to_have_text(["new", "0 % (0)", "33.3 % (200)", new.locator("td").nth(3).inner_text()])
        opened.tab.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(field).to_be_focused()


def test_the_histogram_is_exact(state: Path, sources: Sources) -> None:
    """Counts of training and of the window, and the index that they make, cell by cell."""
    with page_of(sources) as running:
        data = asked(running, service="orders", model="orders", version=1, input=PRICE, start=DAY + 4 * DAY_MS)["data"]
    assert isinstance(data, dict)
    cells = data["cells"]
    assert data["psi"] == pytest.approx(psi([one["trained"] for one in cells], [one["found"] for one in cells]))
    assert sum(one["psi"] for one in cells) == pytest.approx(data["psi"])
    assert cells[0] | {"psi": 0} == {"label": "null", "trained": 0, "found": ROWS // 4, "psi": 0}
    assert (data["trained"], data["found"], data["drifted"]) == (5000, ROWS, True)
    assert data["limit"] >= 0.02
    assert data["end"] - data["start"] == DAY_MS


def test_the_heat_map_is_worked_by_keyboard(state: Path, sources: Sources, open_page: Callable[..., Opened]) -> None:
    """One field is a stop of the tab key; arrows move from there, Enter opens, and a poll leaves the focus where it is."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        panel = opened.panel("drift")
        panel.locator("select").focus()
        opened.tab.keyboard.press("Tab")
        expect(row(panel, PRICE).locator("button").nth(4)).to_be_focused()
        for key in ("ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowUp", "ArrowUp"):
            opened.tab.keyboard.press(key)
        field = row(panel, PRICE).locator("button").nth(2)
        expect(field).to_be_focused()
        os.utime(state)
        content = msgspec.json.decode(state.read_bytes())
        state.write_bytes(msgspec.json.encode(content | {"late": 1234}))
        opened.poll()
        expect(panel).to_contain_text("1,234 came after")
        expect(field).to_be_focused()
        opened.tab.keyboard.press("Enter")
        expect(opened.tab.get_by_role("dialog")).to_contain_text(f"{PRICE} of orders v1, from 2024-10-06")


def test_arrows_pass_over_windows_in_which_an_input_had_no_values(
    registry: Registry, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """Nothing was said there: the field has a dash, and no click."""
    watched_model(registry)
    monitor = monitor_of(registry)
    for day in range(3):
        count_day(monitor, day)
    del monitor.state.versions["orders/1"].windows[DAY + DAY_MS].counts[PRICE]
    monitor.advance(DAY + 3 * DAY_MS)
    saved(monitor, tmp_path)
    with page_of(sources) as running:
        opened = open_page(running.address)
        fields = row(opened.panel("drift"), PRICE).locator("button")
        expect(fields.nth(1)).to_have_text("–")
        expect(fields.nth(1)).to_be_disabled()
        fields.nth(2).focus()
        opened.tab.keyboard.press("ArrowLeft")
        expect(fields.nth(0)).to_be_focused()


def test_another_version_is_chosen_and_stays_so(
    registry: Registry, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """The one that predicted last comes first."""
    watched_model(registry)
    watched_model(registry)
    monitor = drifted(registry)
    count_day(monitor, 5, version=2)
    monitor.advance(DAY + 7 * DAY_MS)
    saved(monitor, tmp_path)
    with page_of(sources) as running:
        opened = open_page(running.address)
        panel = opened.panel("drift")
        expect(panel.locator("option")).to_have_text(["orders v2", "orders v1"])
        expect(panel.locator("thead th")).to_have_count(1)
        panel.locator("select").select_option("orders v1")
        expect(panel.locator("thead th")).to_have_count(6)
        opened.poll()
        expect(panel.locator("thead th")).to_have_count(6)


def test_without_a_monitor_it_says_how_to_run_one(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """The empty state has the command."""
    with page_of(sources) as running:
        panel = open_page(running.address).panel("drift", "empty")
        expect(panel.locator("code")).to_have_text("headrace monitor orders")


def test_before_a_window_is_over_it_says_what_is_waited_for(
    registry: Registry, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """And how many predictions are counted by now; how many windows had too few, as else somebody waits for good."""
    watched_model(registry)
    monitor = monitor_of(registry)
    count_day(monitor, 0)
    saved(monitor, tmp_path)
    with page_of(sources) as running:
        opened = open_page(running.address)
        panel = opened.panel("drift", "empty")
        expect(panel).to_contain_text("No window of a day has been judged yet: 600 predictions are in windows that are open")
        expect(panel).not_to_contain_text("had fewer")
        monitor.rules = rules(min_events=601)
        monitor.advance(DAY + DAY_MS)
        saved(monitor, tmp_path)
        opened.poll()
        expect(panel).to_contain_text("Windows that are over and had fewer: 1.")


def test_a_state_that_is_broken_is_down_and_what_was_shown_stays(
    state: Path, sources: Sources, open_page: Callable[..., Opened]
) -> None:
    """With what to do; once it is whole again, so is the panel."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        opened.panel("drift")
        content = state.read_bytes()
        state.write_bytes(b"{")
        opened.poll()
        panel = opened.panel("drift", "down")
        expect(panel.locator("> .notice")).to_contain_text("the monitor's state is down since 20")
        expect(panel.locator("> .notice")).to_contain_text("restore it, or remove it")
        expect(panel.locator("tbody tr")).to_have_count(3)
        state.write_bytes(content)
        opened.poll()
        opened.panel("drift")


def test_a_monitor_that_does_not_run_any_more_is_named(state: Path, sources: Sources, open_page: Callable[..., Opened]) -> None:
    """One that runs saves every few seconds; what it saved last is shown all the same."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        panel = opened.panel("drift")
        expect(panel).not_to_contain_text("has saved nothing since")
        os.utime(state, (1_700_000_000, 1_700_000_000))
        opened.poll()
        expect(panel).to_contain_text("the monitor has saved nothing since 2023-11-14 22:13:20 UTC")
        expect(panel.locator("tbody tr")).to_have_count(3)


def test_a_detail_that_is_gone_and_one_that_there_is_not(state: Path, sources: Sources) -> None:
    """A window that is no longer kept is said to be, what is asked wrongly is refused, each in one line."""
    of = {"service": "orders", "model": "orders", "version": 1, "input": PRICE}
    with page_of(sources) as running:
        gone = asked(running, **of, start=DAY - DAY_MS)
        assert "it keeps the newest" in str(gone["empty"])
        assert asked(running, **of, start="soon")["detail"] == "'start' is a whole number; got 'soon'"
        assert asked(running, **{**of, "service": "other"}, start=DAY)["status"] == 404
        assert running.request("GET", "/v1/page/drift/nothing?service=orders").status == 404


def test_a_detail_needs_the_scope_read(state: Path, sources: Sources) -> None:
    """Where tokens are configured, as a panel's data do."""
    tokens = parse("a-token-that-reads-0 read;a-token-that-predicts predict", "tests")
    query = urlencode({"service": "orders", "model": "orders", "version": 1, "input": PRICE, "start": DAY})
    with page_of(sources, tokens) as running:
        for token, status in (("a-token-that-reads-0", 200), ("a-token-that-predicts", 403), ("none-that-is-known", 401)):
            found = running.request("GET", f"/v1/page/drift/histogram?{query}", headers={"authorization": f"Bearer {token}"})
            assert found.status == status


def test_it_fits_a_phone_and_the_dark(state: Path, sources: Sources, open_page: Callable[..., Opened]) -> None:
    """The map scrolls by itself, the page does not; the dialog fits as well."""
    with page_of(sources) as running:
        opened = open_page(running.address, viewport=PHONE, color_scheme="dark")
        panel = opened.panel("drift")
        assert fits(opened.tab)
        row(panel, PRICE).locator("button").nth(4).click()
        expect(opened.tab.get_by_role("dialog").locator("svg.plot")).to_be_visible()
        assert fits(opened.tab)
        ground = opened.tab.get_by_role("dialog").evaluate("element => getComputedStyle(element).backgroundColor")
        assert ground == "rgb(22, 27, 34)"
