"""The panel of predictions, a receipt, and an event that is explained."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from playwright.sync_api import Route, expect

from features.errors import SettingError
from serving.http.page.feed import FeedPanel, Seen
from serving.http.page.panel import Empty
from serving.http.page.sources import Explained, ExplainedValue, Sources
from tests.serving.http.page.kafka import NOON, plan_of, prediction, write
from tests.serving.http.page.support import PHONE, Opened, fits, page_of

pytestmark = pytest.mark.slow

PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="90"><rect width="300" height="90" fill="#26c"/></svg>'


def explained(service: str, event: str) -> Explained:
    """Two values, one of which differs."""
    if event == "gone":
        raise SettingError("history has no event 'gone'; name it with --history")
    same = ExplainedValue("recent__count", "orders_by_shop", "count of id in 1 h", "4", "4", None)
    late = ExplainedValue("recent__sum_price", "orders_by_shop", "sum of price in 1 h", "1.5", "2.5", "late_row")
    return Explained([same, late], PICTURE, "")


@pytest.mark.stack
def test_the_newest_come_first_and_a_click_gives_the_receipt_and_the_picture(
    on_kafka: Sources, open_page: Callable[..., Opened]
) -> None:
    """Live without a reload; by keyboard: Enter opens a receipt, Escape closes it, and the focus is where it was."""
    of, plan = msgspec.structs.replace(on_kafka, explain=explained), plan_of(on_kafka)
    with page_of(of) as running:
        opened = open_page(running.address, viewport=PHONE)
        tab = opened.tab
        expect(opened.panel("feed", "empty").locator("code")).to_contain_text(
            f"headrace publish FILE --topic {plan.spine_source.topic}"
        )
        write(of, plan.predictions_topic, [b"none", *(prediction(f"e{i}", scored_at=NOON + 1040 + i) for i in range(25))])
        panel = opened.panel("feed")
        expect(panel.locator("tbody tr")).to_have_count(20)
        expect(panel.locator("tbody tr").first).to_contain_text("e24")
        write(of, plan.predictions_topic, [prediction("<i>last</i>", 0.875, scored_at=NOON + 5000, complete=False)])
        expect(panel.locator("tbody tr").first).to_contain_text("<i>last</i>0.875orders v3◆ incomplete")
        panel.locator("tbody button").nth(1).focus()
        tab.keyboard.press("Enter")
        dialog = tab.locator("dialog.detail")
        for text in ("Event e24 of", "orders v3, sha256 aaaaaaaaaaaa", "recent__sum_price", "null", "30 ms later"):
            expect(dialog).to_contain_text(text)
        assert fits(tab)
        tab.get_by_role("button", name="Explain").press("Enter")
        expect(dialog.locator("img")).to_have_js_property("naturalWidth", 300)
        expect(dialog).to_contain_text("▲ late row")
        tab.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(panel.locator("tbody button").nth(1)).to_be_focused()


@pytest.mark.stack
def test_an_event_that_cannot_be_explained_says_why(on_kafka: Sources, open_page: Callable[..., Opened]) -> None:
    """In the command's own line."""
    of = msgspec.structs.replace(on_kafka, explain=explained)
    write(of, plan_of(of).predictions_topic, [prediction("gone")])
    with page_of(of) as running:
        opened = open_page(running.address)
        opened.panel("feed").locator("tbody button").click()
        opened.tab.get_by_role("button", name="Explain").click()
        expect(opened.tab.locator("dialog.detail")).to_contain_text("history has no event 'gone'; name it with --history")


@pytest.mark.stack
def test_a_receipt_of_an_offset_that_is_not_there_is_said(on_kafka: Sources) -> None:
    """And what is no offset is refused."""
    service = on_kafka.services[0]
    with page_of(on_kafka) as running:
        path = f"/v1/page/feed/receipt?service={service}"
        assert "does not have that prediction" in running.request("GET", f"{path}&partition=0&offset=99").json["empty"]["say"]
        assert running.request("GET", f"{path}&partition=0&offset=x").status == 400
        assert running.request("GET", f"/v1/page/feed/explain?service={service}").status == 400


def test_a_receipt_stays_open_while_another_panel_has_nothing_to_show(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """A monitor that waits for its first window says so with a number that grows: that is no reason to close a dialog."""
    one = msgspec.to_builtins(Seen(0, 1, "e1", NOON, 0.5, "orders", 3, True, NOON, 40))
    counted = iter(range(1, 1000))

    def waiting(route: Route) -> None:
        route.fulfill(json={"empty": {"say": f"no window yet: {next(counted)}"}})

    with page_of(sources) as running:
        opened = open_page(running.address, "/nowhere")
        tab = opened.tab
        tab.route("**/v1/page/feed?**", lambda route: route.fulfill(json={"data": {"predictions": [one]}}))
        tab.route("**/v1/page/feed/receipt?**", lambda route: route.fulfill(json={"empty": {"say": "gone"}}))
        for name in ("drift", "alarms"):
            tab.route(f"**/v1/page/{name}?**", waiting)
        tab.goto(f"http://{running.address}/")
        opened.panel("feed").locator("tbody button").click()
        dialog = tab.locator("dialog.detail")
        expect(dialog).to_contain_text("gone")
        before = [opened.panel(name, "empty").locator("> .notice").inner_text() for name in ("drift", "alarms")]
        opened.poll()
        for name, text in zip(("drift", "alarms"), before, strict=True):
            expect(opened.panel(name, "empty").locator("> .notice")).not_to_have_text(text)
        expect(dialog).to_contain_text("gone")


def test_it_says_when_kafka_is_away_and_when_it_is_not_known(
    sources: Sources, away: Sources, open_page: Callable[..., Opened]
) -> None:
    """Which source, and since when."""
    assert isinstance(FeedPanel()(sources, "orders"), Empty)
    with page_of(away) as running:
        expect(open_page(running.address).panel("feed", "down").locator("> .notice")).to_contain_text("Kafka is down since 20")
