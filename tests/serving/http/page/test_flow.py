"""The panel of throughput, lag and latency, over the metrics of a scorer."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from playwright.sync_api import expect

from features.errors import StackError
from serving.http.page.flow import Flow, FlowPanel, quantile
from serving.http.page.sources import Sources
from tests.serving.http.page.support import PHONE, Opened, fits, page_of
from tests.serving.http.page.told import score, telling

pytestmark = pytest.mark.slow


def test_it_is_the_difference_between_two_looks(sources: Sources) -> None:
    """120 events in 2 s are 60 a second; what was scored before the first look is no part of it, but of all that was scored."""
    times = iter([10.0, 12.0, 14.0])
    flow = FlowPanel(lambda: next(times))
    with telling(lag=7) as (address, told):
        of = msgspec.structs.replace(sources, metrics=lambda service: {"scorer-orders": address, "stream-orders": None})
        score(told, 1000, (3, 3, 3))
        first = flow(of, "orders")
        assert isinstance(first, Flow)
        assert (first.events_per_second, first.points, first.scored, first.lag) == (None, [], 1000, 7)
        score(told, 120, (40, 8, 4))
        second = flow(of, "orders")
        assert isinstance(second, Flow)
        assert (second.events_per_second, second.over_seconds, second.scored) == (60.0, 2.0, 1120)
        assert [(hop.name, hop.events) for hop in second.hops] == [
            ("event_time_to_arrived", 120),
            ("arrived_to_featured", 120),
            ("featured_to_scored", 120),
        ]
        arrived, featured, scored = second.hops
        assert arrived.p99_ms is not None
        assert 25 < arrived.p99_ms <= 50
        assert featured.p99_ms is not None
        assert 7.5 < featured.p99_ms <= 10
        assert scored.p50_ms is not None
        assert 3 < scored.p50_ms <= 5
        third = flow(of, "orders")
        assert isinstance(third, Flow)
        assert [point.events_per_second for point in third.points] == [60.0, 0.0]
        assert third.points[-1].p99_ms is None


def test_a_scorer_that_was_started_again_counts_from_nothing(sources: Sources) -> None:
    """Its counters are less than before: all of them is what it has done since."""
    times = iter([0.0, 2.0])
    flow = FlowPanel(lambda: next(times))
    for events in (500, 100):
        with telling() as (address, told):
            score(told, events, (1, 1, 1))
            found = flow(msgspec.structs.replace(sources, metrics=lambda service, at=address: {"scorer-orders": at}), "orders")
    assert isinstance(found, Flow)
    assert (found.events_per_second, found.hops[0].events) == (50.0, 100)


def test_a_scorer_that_says_nothing_for_once_has_not_predicted_all_of_it_anew(sources: Sources) -> None:
    """What two scorers did is the sum of what each did, also where one of them is away for a look, or is started again."""
    times = iter([0.0, 2.0, 4.0, 6.0])
    flow = FlowPanel(lambda: next(times))
    places: dict[str, str | None] = {}
    of = msgspec.structs.replace(sources, metrics=lambda service: places)

    def look() -> Flow:
        found = flow(of, "orders")
        assert isinstance(found, Flow)
        return found

    with telling() as (first, told), telling() as (second, other):
        score(told, 5000, (1, 1, 1))
        score(other, 700, (1, 1, 1))
        places |= {"scorer-orders": first, "scorer-orders@1": second}
        look()
        places["scorer-orders"] = "http://127.0.0.1:9/metrics"
        score(told, 40, (1, 1, 1))
        score(other, 10, (1, 1, 1))
        assert [point.events_per_second for point in look().points] == [5.0]
        places["scorer-orders"] = first
        found = look()
        assert [point.events_per_second for point in found.points] == [5.0, 20.0]
        assert [hop.events for hop in found.hops] == [50, 50, 50]
    with telling() as (second, other), telling() as (first, told):
        score(told, 5040, (1, 1, 1))
        score(other, 6, (1, 1, 1))
        places |= {"scorer-orders": first, "scorer-orders@1": second}
        found = look()
        assert found.points[-1].events_per_second == 3.0
        assert [hop.events for hop in found.hops] == [56, 56, 56]


def test_quantiles_of_nothing_and_beyond_the_last_edge() -> None:
    """As Prometheus has them."""
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0.0, float("inf"): 0.0}, 0.5) is None
    assert quantile({1.0: 1.0, float("inf"): 100.0}, 0.5) == 1.0


def test_one_scorer_that_is_away_is_named_and_all_of_them_are_a_source_that_is_down(sources: Sources) -> None:
    """The rest is shown; where none replies there is nothing to show."""
    with telling() as (address, _):
        places = {"scorer-orders": address, "scorer-orders@1": "http://127.0.0.1:9/metrics"}
        found = FlowPanel()(msgspec.structs.replace(sources, metrics=lambda service: places), "orders")
    assert isinstance(found, Flow)
    assert len(found.silent) == 1
    assert found.silent[0].startswith("scorer-orders@1: metrics are at http://127.0.0.1:9/metrics, which gave: ")
    with pytest.raises(StackError, match="Connection refused"):
        FlowPanel()(msgspec.structs.replace(sources, metrics=lambda service: places), "orders")


def test_it_is_drawn_and_says_what_is_down_and_what_to_run(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """Its three states in a browser: nothing runs, figures with their charts, and the scorer that went away."""
    places: dict[str, str | None] = {}
    with page_of(msgspec.structs.replace(sources, metrics=lambda service: places)) as running:
        opened = open_page(running.address, viewport=PHONE)
        expect(opened.panel("flow", "empty").locator("code")).to_have_text("headrace up")
        places["scorer-orders"] = None
        opened.poll()
        expect(opened.tab.locator("section#flow")).to_contain_text("[scorer] metrics_port = 0")
        with telling(lag=3) as (address, told):
            score(told, 10, (40, 8, 4))
            places["scorer-orders"] = address
            opened.poll()
            opened.panel("flow")
            score(told, 10, (10**9, 8, 4))
            opened.poll()
            panel = opened.panel("flow")
            expect(panel.locator("tbody tr").first).to_have_text("event → on Kafka10> 1 h> 1 h")  # twelve days, of a replay
            expect(panel.locator("tbody tr").nth(1)).to_contain_text("on Kafka → feature vector")
            expect(panel.locator("tbody tr").nth(1)).to_contain_text("10")
            expect(panel.locator("dl")).to_contain_text("20")
            assert fits(opened.tab)
        opened.poll()
        down = opened.panel("flow", "down")
        expect(down.locator("> .notice")).to_contain_text("what the scorers tell Prometheus is down since 20")
        expect(down.locator("tbody tr")).to_have_count(3)
