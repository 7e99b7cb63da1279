"""The page as a whole: it loads nothing from elsewhere, fits a phone, works by keyboard and in the dark, and asks for a token."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Route, expect

from features.errors import StackError
from serving.http.page import page as whole
from serving.http.page.feed import Seen
from serving.http.page.panel import Panel
from serving.http.page.sources import Sources
from serving.http.tokens import parse
from tests.serving.http.page.support import PHONE, Opened, fits, page_of

pytestmark = pytest.mark.slow
TOKENS = parse("a-token-that-reads-0 read;a-token-that-predicts predict", "tests")


class Shown(msgspec.Struct, frozen=True):
    """Some data."""

    value: float


def panel(read: Callable[[Sources, str], msgspec.Struct], seconds: float = 0.0) -> Panel:
    """One that reads so."""
    return Panel("models", "the source", read, seconds)


def test_it_loads_nothing_from_elsewhere_and_lets_nothing_in(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """Every request is of this service; the policy has neither inline scripts nor another host."""
    with page_of(sources) as running:
        opened = open_page(running.address, "/nowhere")
        asked: list[str] = []
        opened.tab.on("request", lambda request: asked.append(request.url))
        opened.tab.goto(f"http://{running.address}/")
        opened.panel("models", "empty")
        assert {"/page/page.js", "/page/page.css", "/page/panels/models.js"} <= {url.split(running.address)[1] for url in asked}
        assert all(url.startswith(f"http://{running.address}/") for url in asked)
        policy = running.request("GET", "/").headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert "http" not in policy


def test_what_is_no_file_of_the_page_is_not_found(sources: Sources) -> None:
    """A path out of the folder is none of its names; an unknown panel and an unknown service are named."""
    with page_of(sources) as running:
        for path in ("/page/../page.py", "/page/%2e%2e/page.py", "/page/panels", "/page/x.js"):
            assert running.request("GET", path).status == 404
        assert "it has models" in running.request("GET", "/v1/page/nothing?service=orders").json["detail"]
        assert "there is orders" in running.request("GET", "/v1/page/models?service=sales").json["detail"]
        assert running.request("GET", "/v1/page").json == {"services": ["orders"], "tokens": False}


def test_what_is_the_same_is_not_sent_again(sources: Sources) -> None:
    """A reply has its tag; with it, the next has no body."""
    with page_of(sources) as running:
        for path in ("/", "/page/page.js", "/v1/page/models?service=orders"):
            first = running.request("GET", path)
            assert (first.status, first.headers["cache-control"]) == (200, "no-cache")
            again = running.request("GET", path, headers={"if-none-match": first.headers["etag"]})
            assert (again.status, again.body) == (304, b"")


def test_a_slow_source_is_down_and_holds_up_nothing(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has one thread, however many ask; the rest replies meanwhile, and what it gives in the end is shown."""
    go, calls = threading.Event(), list[str]()

    def slow(sources: Sources, service: str) -> Shown:
        calls.append(service)
        go.wait(30)
        return Shown(0.5)

    other = panel(lambda sources, service: Shown(float("nan")))._replace(name="other")
    monkeypatch.setattr(whole, "panels", lambda: (panel(slow), other))
    monkeypatch.setattr("serving.http.page.reading.DEADLINE_SECONDS", 0.1)
    with page_of(sources) as running:
        replies = [running.request("GET", "/v1/page/models?service=orders").json["down"] for _ in range(3)]
        assert [one["why"] for one in replies] == ["it did not reply within 0.1 s"] * 3
        assert len({one["since"] for one in replies}) == 1
        assert running.request("GET", "/v1/page/other?service=orders").body == b'{"data":{"value":null}}'
        assert calls == ["orders"]
        go.set()
        reply = running.request("GET", "/v1/page/models?service=orders").json
        assert reply == {"data": {"value": 0.5}}


def test_what_came_long_ago_is_not_shown_as_news(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source replied after the deadline, and nobody looked any more: who looks next is shown what is now."""
    go, gone, values = threading.Event(), threading.Event(), iter([0.5, 0.75])

    def slow(sources: Sources, service: str) -> Shown:
        go.wait(30)
        value = next(values)
        gone.set()
        return Shown(value)

    monkeypatch.setattr(whole, "panels", lambda: (panel(slow),))
    monkeypatch.setattr("serving.http.page.reading.DEADLINE_SECONDS", 0.1)
    monkeypatch.setattr("serving.http.page.reading.OLD_SECONDS", -1.0)
    with page_of(sources) as running:
        assert "down" in running.request("GET", "/v1/page/models?service=orders").json
        go.set()
        assert gone.wait(30)
        time.sleep(1)  # until the event loop has heard of it: who looks before is shown it
        deadline = time.monotonic() + 30
        while (reply := running.request("GET", "/v1/page/models?service=orders").json) != {"data": {"value": 0.75}}:
            assert "down" in reply
            assert time.monotonic() < deadline


def test_a_source_that_hangs_does_not_keep_the_service_from_ending() -> None:
    """Nobody waits for the thread that reads it, at the end of the process neither."""
    code = """
import asyncio, threading
from serving.http.page import reading
from serving.http.page.details import Detail, Details
from serving.http.page.panel import Panel
def hang(*given):
    threading.Event().wait()
async def both():
    of_panel, of_click = reading.Reading(Panel("a", "a", hang, 1), None), Details((Detail("a", "b", "a", hang, 0.1),), None)
    print((await of_panel.body("s")).content, await of_click.reply("a", "b", "s", {}))
    of_panel.close(), of_click.close()
reading.DEADLINE_SECONDS = 0.1
asyncio.run(both())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("it did not reply within 0.1 s") == 2


def test_a_fault_of_a_panel_is_its_own(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person can fix is said; any other error is in the log, and nothing of it on the page."""

    def stack(sources: Sources, service: str) -> Shown:
        raise StackError("Kafka is away; start it")

    def fault(sources: Sources, service: str) -> Shown:
        raise RuntimeError("a secret")

    monkeypatch.setattr(whole, "panels", lambda: (panel(stack), panel(fault)._replace(name="other")))
    with page_of(sources) as running:
        assert running.request("GET", "/v1/page/models?service=orders").json["down"]["why"] == "Kafka is away; start it"
        reply = running.request("GET", "/v1/page/other?service=orders")
        assert reply.json["down"]["why"] == "it failed; the log of `headrace serve` says why"
        assert b"secret" not in reply.body


def test_it_asks_for_a_token_keeps_it_in_the_tab_and_says_what_is_wrong_with_it(
    sources: Sources, open_page: Callable[..., Opened]
) -> None:
    """By keyboard alone: an unknown token and one of another scope are refused in the service's own words."""
    with page_of(sources, TOKENS) as running:
        assert running.request("GET", "/v1/page/models?service=orders").status == 401
        opened = open_page(running.address)
        tab, dialog = opened.tab, opened.tab.locator("#token")
        for token, said in (("unknown", "a token with the scope 'read'"), ("a-token-that-predicts", "got one with predict")):
            expect(dialog).to_be_visible()
            expect(tab.locator("#token-text")).to_be_focused()
            tab.keyboard.type(token)
            tab.keyboard.press("Enter")
            expect(tab.locator("#token-why")).to_contain_text(said)
        tab.keyboard.type("a-token-that-reads-0")
        tab.keyboard.press("Enter")
        opened.panel("models", "empty")
        expect(dialog).not_to_be_visible()
        tab.reload()
        opened.panel("models", "empty")
        assert tab.evaluate("localStorage.length") == 0
        assert "a-token" not in tab.content()


def test_who_gives_no_token_is_told_and_asked_no_more(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """Escape closes the dialog; the page says what it needs."""
    with page_of(sources, TOKENS) as running:
        tab = open_page(running.address).tab
        expect(tab.locator("#token")).to_be_visible()
        tab.keyboard.press("Escape")
        expect(tab.locator("#link")).to_contain_text("this needs a token with the scope 'read'")
        expect(tab.locator("#token")).not_to_be_visible()


def test_it_fits_a_phone_and_follows_the_dark(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """At 360 pixels nothing lies beside the screen; a dark system has a dark page."""
    with page_of(sources) as running:
        light = open_page(running.address, viewport=PHONE)
        light.panel("models", "empty")
        assert fits(light.tab)
        dark = open_page(running.address, color_scheme="dark")
        dark.panel("models", "empty")
        ground = "getComputedStyle(document.body).backgroundColor"
        assert (light.tab.evaluate(ground), dark.tab.evaluate(ground)) == ("rgb(246, 248, 250)", "rgb(13, 17, 23)")


def test_another_service_is_chosen_by_keyboard_and_kept_in_the_address(
    sources: Sources, open_page: Callable[..., Opened]
) -> None:
    """The first Tab skips to the panels, the next is the choice of services."""
    both = msgspec.structs.replace(sources, services=("orders", "sales"))
    with page_of(both) as running:
        opened = open_page(running.address)
        tab = opened.tab
        opened.panel("models", "empty")
        tab.keyboard.press("Tab")
        expect(tab.locator(".skip")).to_be_focused()
        tab.keyboard.press("Tab")
        expect(tab.locator("#service")).to_be_focused()
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        tab.keyboard.press("ArrowDown")
        expect(opened.panel("models", "empty").locator("code")).to_have_text("headrace train sales --promote production")
        assert tab.url.endswith("#sales")
        tab.reload()
        expect(opened.panel("models", "empty").locator("code")).to_have_text("headrace train sales --promote production")


def test_an_address_of_no_service_shows_the_first(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """Also one that is no text at all."""
    with page_of(sources) as running:
        for mark in ("#nobody", "#%"):
            expect(open_page(running.address, f"/{mark}").panel("models", "empty")).to_contain_text("headrace train orders")


def test_a_service_that_ends_is_said_and_one_that_comes_back_goes_on(
    sources: Sources, open_page: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says since when nothing replies; what it shows stays."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        opened.panel("models", "empty")
        opened.tab.route("**/v1/page/**", lambda route: route.abort())
        opened.tab.select_option("#service", "orders")
        opened.tab.evaluate("document.getElementById('service').dispatchEvent(new Event('change'))")
        expect(opened.tab.locator("#link")).to_contain_text("headrace serve does not reply since")
        opened.tab.unroute("**/v1/page/**")
        expect(opened.tab.locator("#link")).to_have_text("", timeout=20_000)
        opened.panel("models", "empty")


def test_a_tab_that_is_hidden_asks_nothing(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """Until it is looked at again: then every panel asks at once."""
    hide = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}) }"
    with page_of(sources) as running:
        opened = open_page(running.address)
        opened.panel("flow", "empty")
        opened.tab.evaluate(hide, True)
        opened.poll()
        opened.tab.wait_for_load_state("networkidle")
        asked: list[str] = []
        opened.tab.on("request", lambda request: asked.append(request.url))
        opened.tab.wait_for_timeout(3000)
        assert asked == []
        opened.tab.evaluate(hide, False)
        with opened.tab.expect_response("**/v1/page/flow?service=orders"):
            opened.poll()


def test_a_panel_that_cannot_be_drawn_or_loaded_takes_no_other_with_it(
    sources: Sources, open_page: Callable[..., Opened]
) -> None:
    """Each says so in its own place."""
    with page_of(sources) as running:
        opened = open_page(running.address, "/nowhere")
        opened.tab.route("**/v1/page/models?**", lambda route: route.fulfill(json={"data": {}}))
        opened.tab.route("**/panels/cost.js", lambda route: route.abort())
        opened.tab.goto(f"http://{running.address}/")
        expect(opened.panel("models", "refused")).to_contain_text("this panel cannot be drawn")
        expect(opened.panel("cost", "refused")).to_contain_text("this panel cannot be loaded")
        opened.panel("flow", "empty")


def test_what_is_drawn_anew_keeps_the_focus(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """Also on what has no name of its own: a table that is scrolled by arrow keys."""
    count = iter(range(10_000))

    def feed(route: Route) -> None:
        number = next(count)
        shown = [msgspec.to_builtins(Seen(0, place, f"e{place}", 0, 0.5, "orders", number, True, 0, 40)) for place in (2, 1)]
        route.fulfill(json={"data": {"predictions": shown}})

    with page_of(sources) as running:
        opened = open_page(running.address, "/nowhere")
        opened.tab.route("**/v1/page/feed?**", feed)
        opened.tab.goto(f"http://{running.address}/")
        panel = opened.panel("feed")
        for place in (panel.locator(".scroll"), panel.locator("tbody button").last):
            place.focus()
            before = panel.locator("tbody").inner_text()
            expect(panel.locator("tbody")).not_to_have_text(before, use_inner_text=True)
            expect(place).to_be_focused()


def test_a_dialog_gives_the_focus_back_also_where_its_panel_was_drawn_anew(
    sources: Sources, open_page: Callable[..., Opened]
) -> None:
    """To what opened it; to its panel, where that is gone."""
    first, count = [1], iter(range(10_000))

    def feed(route: Route) -> None:
        shown = [msgspec.to_builtins(Seen(0, first[0] + one, "e", 0, 0.5, "orders", next(count), True, 0, 40)) for one in (1, 0)]
        route.fulfill(json={"data": {"predictions": shown}})

    with page_of(sources) as running:
        opened = open_page(running.address, "/nowhere")
        tab = opened.tab
        tab.route("**/v1/page/feed?**", feed)
        tab.route("**/v1/page/feed/receipt?**", lambda route: route.fulfill(json={"empty": {"say": "gone"}}))
        tab.goto(f"http://{running.address}/")
        panel = opened.panel("feed")
        buttons = panel.locator("tbody button")
        for newest, expected in ((1, buttons.last), (8, panel.locator(".scroll"))):
            buttons.last.focus()
            tab.keyboard.press("Enter")
            expect(tab.get_by_role("dialog")).to_contain_text("gone")
            first[0] = newest
            with tab.expect_response("**/v1/page/feed?**"):
                opened.poll()
            expect(buttons.last).to_have_attribute("data-key", f"0:{newest}")
            tab.keyboard.press("Escape")
            expect(tab.get_by_role("dialog")).to_have_count(0)
            expect(expected).to_be_focused()


def test_text_of_pictures_is_as_large_on_a_phone(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """A picture is drawn as wide as it is shown: 11 pixels are 11 pixels."""

    def replied(data: Any, route: Route) -> None:
        route.fulfill(json={"data": data})

    hops = [{"name": "arrived_to_featured", "events": 1, "p50_ms": 1.0, "p99_ms": 2.0, "most_ms": 5.0}]
    flow = {"over_seconds": 2.0, "events_per_second": 1.0, "scored": 1, "lag": 0, "stream_lag": {}, "monitor_lag": 0}
    points = [{"at": 1000 * at, "events_per_second": 1.0, "p99_ms": 2.0} for at in range(3)]
    change = {"at": 1000, "seq": 1, "action": "promote", "environment": "production", "model": "orders", "version": 1}
    change |= {"share": None, "before": None, "who": "ann", "why": "it is better", "forced": False}
    replies = {
        "flow": flow | {"hops": hops, "points": points, "silent": []},
        "timeline": {"changes": [change], "alarms": [], "alarms_down": ""},
    }
    with page_of(sources) as running:
        opened = open_page(running.address, "/nowhere", viewport=PHONE)
        for name, data in replies.items():
            opened.tab.route(f"**/v1/page/{name}?**", partial(replied, data))
        opened.tab.goto(f"http://{running.address}/")
        for name in replies:
            of_text = opened.panel(name).locator("svg text").first
            assert of_text.evaluate("one => one.getScreenCTM().a") == pytest.approx(1, abs=0.05)
