"""The panel of odd values: nulls, values out of range and new ones, in training, in the newest window and over time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from features.times import DAY_MS
from serving.http.page.sources import Sources
from serving.http.page.values import odd_values
from serving.models.registry import Registry
from tests.serving.http.page.support import PHONE, Opened, fits, page_of
from tests.serving.http.page.watched import DAY, KIND, PRICE, count_day, drifted, monitor_of, saved, watched_model

pytestmark = pytest.mark.slow


@pytest.fixture
def state(registry: Registry, tmp_path: Path) -> Path:
    """The file of a monitor that has seen drift."""
    watched_model(registry)
    return saved(drifted(registry), tmp_path)


def test_shares_are_exact_and_what_changed_most_comes_first(state: Path, sources: Sources) -> None:
    """A third of the kinds is new, a quarter of the prices null, from the fourth day on."""
    found = odd_values(sources, "orders")
    (one,) = found.versions  # type: ignore[union-attr]
    assert [values.input for values in one.inputs] == [KIND, PRICE, "score"]
    kinds, prices, _ = one.inputs
    assert kinds.new == pytest.approx([0, 0, 0, 1 / 3, 1 / 3])
    assert prices.nulls == [0, 0, 0, 0.25, 0.25]
    assert (kinds.trained.new, prices.trained.null, prices.trained.out_of_range) == (0, 0, 0)
    assert (kinds.kind, prices.kind) == ("text", "number")


def test_what_changed_is_marked_and_the_rest_is_folded(state: Path, sources: Sources, open_page: Callable[..., Opened]) -> None:
    """With training's share, the newest window's, and a line over the windows that says both in words."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        rows = opened.panel("values").locator("tbody tr")
        new = rows.filter(has_text=KIND).filter(has_text="new")
        expect(new.locator("td")).to_have_text([KIND, "new", "0 %", "◆ 33.3 %", ""])
        expect(new.get_by_role("img")).to_have_attribute(
            "aria-label", f"new of {KIND}: 0 % in training, 33.3 % in the newest window"
        )
        null = rows.filter(has_text=PRICE).filter(has_text="null")
        expect(null.locator("td").nth(3)).to_have_text("◆ 25 %")


def test_nothing_odd_is_said_to_be_so(
    registry: Registry, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """What did not change is there, folded, and is opened by keyboard; a poll leaves it open."""
    watched_model(registry)
    monitor = monitor_of(registry)
    count_day(monitor, 0)
    monitor.advance(DAY + DAY_MS)
    saved(monitor, tmp_path)
    with page_of(sources) as running:
        opened = open_page(running.address, viewport=PHONE)
        panel = opened.panel("values")
        expect(panel).to_contain_text("as in training: no share moved by a hundredth")
        panel.locator("summary").focus()
        opened.tab.keyboard.press("Enter")
        expect(panel.locator("tbody tr").first).to_be_visible()
        count_day(monitor, 1)
        monitor.advance(DAY + 2 * DAY_MS)
        saved(monitor, tmp_path)
        opened.poll()
        expect(panel).to_contain_text("2024-10-04 to 2024-10-05")
        expect(panel.locator("tbody tr").first).to_be_visible()
        assert fits(opened.tab)


def test_without_a_monitor_and_with_a_broken_one(
    registry: Registry, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """The command; then which file, and since when."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        expect(opened.panel("values", "empty").locator("code")).to_have_text("headrace monitor orders")
        watched_model(registry)
        saved(drifted(registry), tmp_path).write_bytes(b"{")
        opened.poll()
        expect(opened.panel("values", "down")).to_contain_text("the monitor's state is down since 20")
