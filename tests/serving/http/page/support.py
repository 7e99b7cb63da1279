"""The page in tests: opened in a Chromium, its panels by their states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Locator, Page, expect

from features.times import DAY_MS
from serving.http.page.sources import Sources
from serving.http.tokens import Tokens
from serving.models.admit import admit
from serving.models.manifest import Manifest
from serving.models.registry import Registry
from tests.serving.http.support import NOBODY, Running, serving
from tests.support.models import stumps
from tests.support.orders import PLAN

SECONDS = 15
PHONE = {"width": 360, "height": 740}
PICTURES = Path(__file__).parents[4] / "docs" / "page"
"""Where pictures for docs go, with PAGE_PICTURES set."""


class Opened(NamedTuple):
    """The page in a tab."""

    tab: Page

    def poll(self) -> None:
        """Have every panel ask now, as when the tab is looked at again."""
        self.tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    def panel(self, name: str, state: str = "data") -> Locator:
        """A panel, once it is in that state."""
        found = self.tab.locator(f"section#{name}")
        expect(found).to_have_attribute("data-state", state, timeout=SECONDS * 1000)
        return found


UNFIT = """(width) => [
  ...(document.documentElement.scrollWidth > width ? ["the page is wider than the screen"] : []),
  ...[...document.querySelectorAll(".scroll")].filter((one) => one.checkVisibility()).flatMap((one) => {
    const name = `${one.closest("section, dialog").id}, ${one.getAttribute("aria-label")}`;
    const room = one.closest("section, dialog").getBoundingClientRect(), own = one.getBoundingClientRect();
    const beside = own.left < room.left || own.right > room.right ? [`${name} lies beside its panel`] : [];
    const hidden = one.scrollWidth - one.clientWidth;
    const may = width < 1280 || one.querySelector(".heat") || hidden <= 0;
    return may ? beside : [...beside, `${name} is cut off by ${hidden} pixels`];
  })]"""
"""What `_unfit` finds. A heat map has as many columns as there are windows, and may scroll anywhere."""


@contextmanager
def opening(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Gives what opens the page in a tab of its own.

    What a tab logged as an error fails the test: a fault of the page's script, or what its Content-Security-Policy refused.
    Statuses of requests, which Chromium logs, too, are the tests' own business.
    """
    contexts, errors = [], list[str]()

    def opened(address: str, path: str = "/", **options: Any) -> Opened:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "timezone_id": "UTC", **options})
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda said: errors.append(said.text) if _is_fault(said) else None)
        tab.goto(f"http://{address}{path}")
        return Opened(tab)

    yield opened
    unfit = [said for context in contexts for tab in context.pages for said in _unfit(tab)]
    for context in contexts:
        context.close()
    assert not errors
    assert not unfit, "; ".join(unfit)


def _unfit(tab: Page) -> list[str]:
    """The tables that are cut off on a laptop, and what lies beside its panel, or the screen, on that and on a phone."""
    found = []
    for width in (1280, 390):
        tab.set_viewport_size({"width": width, "height": 900})
        found += [f"at {width}: {said}" for said in tab.evaluate(UNFIT, width)]
    return found


def _is_fault(said: Any) -> bool:
    return said.type == "error" and not said.text.startswith("Failed to load resource")


@contextmanager
def page_of(sources: Sources, tokens: Tokens = NOBODY) -> Iterator[Running]:
    """The HTTP service with the page alone: no service is loaded."""
    with serving([], Path(), tokens, ready=False, sources=sources) as running:
        yield running


def fits(tab: Page) -> bool:
    """Whether nothing of the page lies beside the screen."""
    return bool(tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def made_model(registry: Registry) -> Manifest:
    """One more version of `orders`; it serves nowhere."""
    onnx = stumps([0.1, 0.2])
    return registry.register(
        admit(onnx, PLAN, name="orders", created_at=2, inputs=PLAN.inputs[:2], trained_from=0, trained_until=DAY_MS)
    )
