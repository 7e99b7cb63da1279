"""The browsers of `bench.page`: they ask for each panel as often as the page does, with its ETag."""

from __future__ import annotations

import threading

import pytest

from bench import page
from serving.http.page.sources import Sources
from tests.serving.http.page.conftest import registry, sources  # noqa: F401 - fixtures
from tests.serving.http.page.support import page_of
from tests.serving.kafka.support import wait_until

pytestmark = pytest.mark.slow


def test_a_browser_asks_for_every_panel_and_has_what_it_knows_confirmed(
    sources: Sources,  # noqa: F811 - the fixture
) -> None:
    """Those of two seconds are asked for again soon, and are 304 then."""
    known = page._panels()
    assert {name for name, seconds in known.items() if seconds == 2} == {"flow", "feed"}
    replies: list[tuple[int, int]] = []
    stop = threading.Event()
    with page_of(sources) as running:
        asks = (f"http://{running.address}/v1/page", "orders", stop, replies)
        browser = threading.Thread(target=page._browse, args=asks)
        browser.start()
        try:
            wait_until(lambda: any(status == 304 for status, _ in replies))
        finally:
            stop.set()
            browser.join()
    first, again = replies[: len(known)], replies[len(known) :]
    assert {status for status, _ in first} == {200}
    assert all(length for _, length in first)
    assert set(again) == {(304, 0)}
