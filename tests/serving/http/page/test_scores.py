"""The panel of scores: a window's beside training's, any window that is kept, and the one that is open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from features.inputs.drift import psi
from serving.http.page.scores import scores
from serving.http.page.sources import Sources
from serving.models.registry import Registry
from tests.serving.http.page.support import PHONE, Opened, fits, page_of
from tests.serving.http.page.watched import ROWS, drifted, saved, watched_model

pytestmark = pytest.mark.slow


@pytest.fixture
def state(registry: Registry, tmp_path: Path) -> Path:
    """The file of a monitor that has seen drift."""
    watched_model(registry)
    return saved(drifted(registry), tmp_path)


def test_counts_are_the_monitors(state: Path, sources: Sources) -> None:
    """Five windows that were judged and the open one; the index is that of the counts which are shown."""
    found = scores(sources, "orders")
    (one,) = found.versions  # type: ignore[union-attr]
    assert [(window.is_open, window.drifted) for window in one.windows] == [
        *[(False, False)] * 3,
        *[(False, True)] * 2,
        (True, False),
    ]
    assert [sum(window.counts) for window in one.windows] == [ROWS] * 6
    assert all(window.psi == pytest.approx(psi(one.trained, window.counts)) for window in one.windows[:-1])
    assert len(one.cells) == len(one.trained)


def test_the_newest_window_is_shown_and_another_is_chosen(
    state: Path, sources: Sources, open_page: Callable[..., Opened]
) -> None:
    """The choice stays when the panel is drawn anew; of an open window nothing is said."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        panel = opened.panel("scores")
        expect(panel).to_contain_text("drifted: PSI")
        expect(panel).to_contain_text(f"{ROWS} predictions, 2024-10-08 to 2024-10-09")
        expect(panel).to_contain_text("training: 5,000 rows, 2024-09-27 to 2024-10-04")
        windows = panel.get_by_label("Window")
        expect(windows.locator("option")).to_have_text(
            ["2024-10-04", "2024-10-05", "2024-10-06", "2024-10-07", "2024-10-08", "2024-10-09, open"]
        )
        windows.select_option("2024-10-04")
        expect(panel).to_contain_text("as in training: PSI")
        opened.poll()
        expect(panel).to_contain_text(f"{ROWS} predictions, 2024-10-04 to 2024-10-05")
        expect(panel.get_by_label("Window")).to_be_focused()
        panel.get_by_label("Window").select_option("2024-10-09, open")
        expect(panel).to_contain_text("nothing is said of it yet")
        panel.locator("summary").click()
        expect(panel.locator("tbody tr")).to_have_count(len(scores(sources, "orders").versions[0].cells))  # type: ignore[union-attr]


def test_the_picture_says_what_it_shows_and_fits_a_phone(state: Path, sources: Sources, open_page: Callable[..., Opened]) -> None:
    """Each bar has its words, and the picture a name."""
    with page_of(sources) as running:
        opened = open_page(running.address, viewport=PHONE)
        picture = opened.panel("scores").get_by_role("img", name="Scores of orders v1")
        expect(picture.locator("title").first).to_have_text("training, null: 0 % (0)")
        assert fits(opened.tab)


def test_without_a_monitor_and_with_a_broken_one(
    registry: Registry, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """The command; then which file, and since when."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        expect(opened.panel("scores", "empty").locator("code")).to_have_text("headrace monitor orders")
        watched_model(registry)
        saved(drifted(registry), tmp_path).write_bytes(b"{")
        opened.poll()
        expect(opened.panel("scores", "down")).to_contain_text("the monitor's state is down since 20")


def test_counters_of_another_reference_are_not_drawn(
    state: Path, sources: Sources, registry: Registry, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """A registry that was made anew has other cells: the panel is down, and says what to do."""
    state.write_bytes(state.read_bytes().replace(b'"reference":"', b'"reference":"0'))
    with page_of(sources) as running:
        panel = open_page(running.address).panel("scores", "down")
        expect(panel).to_contain_text("remove the monitor's state in the run folder")
