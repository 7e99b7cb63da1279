"""The browser runner in a page: its modules beside a harness, or a whole bundle, in a real Chromium."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from features.errors import SettingError
from features.plan import Plan
from infra.local import onnxruntime_web
from serving.edge import plan as edge
from serving.edge.export import PAGES
from tests.serving.edge.plans import TIMES, manifest_of

HARNESS = Path(__file__).with_name("harness.js")


def harness(folder: Path) -> Path:
    """A folder with the runner's modules, and the harness beside them."""
    shutil.copytree(PAGES, folder / PAGES.name)
    shutil.copy(HARNESS, folder)
    return folder


class Harness:
    """Calls of the harness in a page."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.folder = page, folder

    def call(self, name: str, *given: Any) -> Any:
        """What a function of the harness says."""
        text = self.page.evaluate(f"async (given) => (await import('/{HARNESS.name}')).{name}(...given)", list(given))
        return json.loads(text)

    def windows(
        self, plan: str, written: Sequence[tuple[str, str]], restart: int = -1, **options: Any
    ) -> tuple[list[Any], list[list[int]]]:
        """What a device says of rows, and how many keys and rows each stage has in the end."""
        chosen = {"rows": 100_000, "keys": 100_000, "ids": 1, "wholeFrom": "ever", **options}
        said, kept = self.call("windows", plan, written, chosen, restart)
        return [[typed(one[0]), *one[1:]] if one and isinstance(one[0], dict) else one for one in said], kept


def typed(features: dict[str, Any]) -> dict[str, Any]:
    """Features with their decimals."""

    def value(one: Any) -> Any:
        if isinstance(one, list):
            return [value(each) for each in one]
        return Decimal(one) if isinstance(one, str) else one

    return {name: value(one) for name, one in features.items()}


def plan_text(plan: Plan) -> str:
    """A whole plan as ``plan.json`` has it."""
    return edge.edge_plan(plan, plan, manifest_of(plan), TIMES).decode()


@contextmanager
def opened(browser: Browser | BrowserContext, address: str) -> Iterator[Page]:
    """A page whose console has no error in the end: a fault of a script, or what a Content-Security-Policy refused."""
    errors: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(address)
    yield page
    page.close()
    assert not errors


OPEN = """async (options) => {
  const { open } = await import("/browser/runner.js");
  try {
    window.runner = await open(options);
  } catch (error) {
    return error.message;
  }
  return window.runner.replayed;
}"""
TAKE = """async ([texts, fill]) => {
  const said = [];
  for (const text of texts) said.push(fill ? await window.runner.fill(text) : await window.runner.take(text));
  return said;
}"""


def open_runner(page: Page, **options: Any) -> Any:
    """Open a runner in a page: how many golden vectors and values it compared, or the line with which it ended."""
    return page.evaluate(OPEN, options)


def take(page: Page, texts: Sequence[str], fill: bool = False) -> list[dict[str, Any] | None]:
    """What the runner says of events."""
    said = page.evaluate(TAKE, [list(texts), fill])
    return [None if line is None else msgspec.json.decode(line) for line in said]


def npm() -> None:
    """Skips the test where nothing fetches ONNX Runtime for browsers: no npm, or none that reaches its registry."""
    if shutil.which("npm") is None:
        pytest.skip("no npm: apt install npm; without it no page has scored with onnxruntime-web")
    try:
        onnxruntime_web.files()
    except SettingError as error:
        if not str(error).startswith("npm fetches"):
            raise
        pytest.skip(str(error))
