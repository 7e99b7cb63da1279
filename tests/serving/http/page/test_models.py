"""The panel of models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from serving.http.page.sources import Sources
from serving.models.lifecycle import Change
from serving.models.registry import Registry
from serving.models.reports import Report, Serving
from tests.serving.http.page.support import Opened, made_model, page_of
from tests.serving.http.support import Running

pytestmark = pytest.mark.slow


def asked(running: Running) -> dict[str, object]:
    """The panel's data."""
    found: dict[str, object] = running.request("GET", "/v1/page/models?service=orders").json
    return found


def test_versions_environments_and_shares(registry: Registry, sources: Sources, open_page: Callable[..., Opened]) -> None:
    """Production and its canary come first, each with its share and what its scorers report; a failure says why, in words."""
    for _ in range(3):
        made_model(registry)
    registry.set_alias("orders", "production", 1)
    registry.change("orders", Change(action="canary", model="orders", version=3, share=0.05))
    at = registry.entries("orders")[-1].at
    serving = [
        Serving("production", "orders", 1, None, "serving", None, at, 1, p99_ms=1.25, events_per_second=120.5),
        Serving("canary", "orders", 3, 0.05, "failed", "it takes <b>another</b> plan", at, 2),
    ]
    registry.report("orders", "0", Report("0", at, serving))
    with page_of(sources) as running:
        panel = open_page(running.address).panel("models")
        rows = panel.locator("tbody tr")
        expect(rows).to_have_count(3)
        expect(rows.nth(0)).to_contain_text("orders v1")
        for text in ("production", "serving", "121", "1.25 ms"):
            expect(rows.nth(0)).to_contain_text(text)
        for text in ("orders v3", "canary", "5 %", "failed"):
            expect(rows.nth(1)).to_contain_text(text)
        expect(panel).to_contain_text("orders v3 is not in service in canary on scorer 0: it takes <b>another</b> plan")


def test_a_version_in_two_places_is_whole_in_both_rows(
    registry: Registry, sources: Sources, open_page: Callable[..., Opened]
) -> None:
    """What it was trained on is in the canary's row and in staging's."""
    for _ in range(2):
        made_model(registry)
    registry.set_alias("orders", "production", 1)
    registry.set_alias("orders", "staging", 2)
    registry.change("orders", Change(action="canary", model="orders", version=2, share=0.1))
    with page_of(sources) as running:
        rows = open_page(running.address).panel("models").locator("tbody tr")
        expect(rows).to_have_count(3)
        for place in range(3):
            expect(rows.nth(place).locator("td").last).to_have_text("1970-01-01 to before 1970-01-02")


def test_no_model_says_what_to_run(sources: Sources, open_page: Callable[..., Opened]) -> None:
    """The empty state has the command."""
    with page_of(sources) as running:
        panel = open_page(running.address).panel("models", "empty")
        expect(panel.locator("code")).to_have_text("headrace train orders --promote production")
        assert asked(running)["empty"]


def test_a_registry_that_is_broken_is_named_and_since_when(
    registry: Registry, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """What was shown stays, dimmed; once the registry is whole again, so is the panel, without a reload."""
    made_model(registry)
    manifest = tmp_path / "models" / "orders" / "1" / "manifest.json"
    whole = manifest.read_bytes()
    with page_of(sources) as running:
        opened = open_page(running.address)
        opened.panel("models")
        manifest.write_bytes(b"{")
        opened.poll()
        panel = opened.panel("models", "down")
        expect(panel.locator(".notice").first).to_contain_text("the model registry is down since 20")
        expect(panel.locator("tbody tr")).to_have_count(1)
        manifest.write_bytes(whole)
        opened.poll()
        expect(opened.panel("models").locator("> .notice")).not_to_be_visible()
