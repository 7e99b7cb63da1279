"""The panel of cost."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from playwright.sync_api import expect

from serving.http.page.cost import Cost, CostPanel
from serving.http.page.sources import Sources
from tests.serving.http.page.support import Opened, page_of
from tests.serving.http.page.told import score, telling

pytestmark = pytest.mark.slow


def test_cpu_and_predictions_are_counted_from_the_first_look(sources: Sources) -> None:
    """2000 predictions took 6 s of all processes: 3000 s a million, which at 1.2 an hour are 1. Fewer than 1000 say nothing."""
    times, used = iter([0.0, 60.0, 120.0, 180.0]), {"scorer-orders": 5.0, "kafka": 100.0}
    panel = CostPanel(lambda: next(times))
    with telling() as (address, told):
        of = msgspec.structs.replace(
            sources, metrics=lambda service: {"scorer-orders": address}, cpu=lambda: dict(used), core_hour=1.2, currency="EUR"
        )
        score(told, 5000, (1, 1, 1))
        first = panel(of, "orders")
        assert isinstance(first, Cost)
        assert (first.predictions, first.core_seconds_a_million, first.cost_a_million) == (0, None, None)
        score(told, 999, (1, 1, 1))
        few = panel(of, "orders")
        assert isinstance(few, Cost)
        assert (few.predictions, few.cost_a_million) == (999, None)
        score(told, 1001, (1, 1, 1))
        used.update({"scorer-orders": 7.0, "kafka": 104.0})
        found = panel(of, "orders")
        assert isinstance(found, Cost)
        assert (found.predictions, found.core_seconds_a_million, found.cost_a_million) == (2000, 3000.0, 1.0)
        assert [(part.name, part.cpu_seconds) for part in found.parts] == [("kafka", 4.0), ("scorer-orders", 2.0)]
        unpriced = panel(msgspec.structs.replace(of, core_hour=None), "orders")
        assert isinstance(unpriced, Cost)
        assert (unpriced.core_seconds_a_million, unpriced.cost_a_million) == (3000.0, None)


def test_a_scorer_that_was_started_again_begins_the_measurement_anew(sources: Sources) -> None:
    """What it counted before is gone, and with it what the CPU was for."""
    times = iter([0.0, 60.0])
    panel = CostPanel(lambda: next(times))
    for events in (5000, 10):
        with telling() as (address, told):
            score(told, events, (1, 1, 1))
            of = msgspec.structs.replace(sources, metrics=lambda service, at=address: {"scorer-orders": at})
            found = panel(of, "orders")
    assert isinstance(found, Cost)
    assert (found.over_seconds, found.predictions) == (0.0, 0)


def test_a_scorer_that_says_nothing_for_once_makes_nothing_cheaper(sources: Sources) -> None:
    """What it predicted before the first look is not counted when it is back."""
    times, places = iter([0.0, 60.0, 120.0]), dict[str, str | None]()
    panel = CostPanel(lambda: next(times))
    of = msgspec.structs.replace(sources, metrics=lambda service: places)
    with telling() as (first, told), telling() as (second, other):
        score(told, 5000, (1, 1, 1))
        score(other, 10, (1, 1, 1))
        found = []
        for address in (first, "http://127.0.0.1:9/metrics", first):
            places |= {"scorer-orders": address, "scorer-orders@1": second}
            score(told, 100, (1, 1, 1))
            found.append(panel(of, "orders"))
    assert [(one.over_seconds, one.predictions) for one in found if isinstance(one, Cost)] == [(0.0, 0), (60.0, 0), (120.0, 200)]


def test_it_is_drawn_and_says_what_is_down_and_what_to_run(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """Its three states in a browser; without a price it says where one is set."""
    places: dict[str, str | None] = {}
    used = {"scorer-orders": 5.0, "kafka": 100.0}
    of = msgspec.structs.replace(sources, metrics=lambda service: places, cpu=lambda: dict(used))
    with page_of(of) as running:
        opened = open_page(running.address)
        expect(opened.panel("cost", "empty").locator("code")).to_have_text("headrace up")
        with telling() as (address, told):
            places["scorer-orders"] = address
            opened.poll()
            expect(opened.panel("cost")).to_contain_text("from 1,000 predictions on; 0 were made")
            score(told, 2000, (1, 1, 1))
            used["kafka"] = 106.0
            opened.poll()
            panel = opened.tab.locator("section#cost")
            expect(panel.locator("dl")).to_contain_text("50 min")
            expect(panel).to_contain_text("[http] core_hour = PRICE")
            expect(panel.locator("tbody tr").first).to_contain_text("kafka6 s100 %")
        opened.poll()
        expect(opened.panel("cost", "down").locator("> .notice")).to_contain_text("is down since 20")
