"""The panel of batch views."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from playwright.sync_api import expect

from features.times import DAY_MS
from serving.http.page.batch import Batch, BatchPanel
from serving.http.page.panel import Empty
from serving.http.page.sources import Sources
from tests.serving.http.page.kafka import NOON, plan_of, prediction, write
from tests.serving.http.page.support import PHONE, Opened, fits, page_of

pytestmark = pytest.mark.slow


@pytest.mark.stack
def test_ages_are_those_at_the_events_and_what_has_no_row_says_why(on_kafka: Sources, open_page: Callable[..., Opened]) -> None:
    """A row that was too old to use is no age of a used one."""
    of = msgspec.structs.replace(on_kafka, batch_days=lambda service: {"profile": "2018-08-07"})
    service, topic = of.services[0], plan_of(of).predictions_topic
    with page_of(of) as running:
        opened = open_page(running.address, viewport=PHONE)
        expect(opened.panel("batch", "empty")).to_contain_text("has no prediction yet")
        ages = [DAY_MS // 2, DAY_MS, 3 * DAY_MS]
        good = [prediction(f"e{age}", batch_as_of={"profile": NOON - age}) for age in ages]
        bad = [
            prediction("old", batch_as_of={"profile": NOON - 90 * DAY_MS}, incomplete={"profile": "too_old"}, complete=False),
            prediction("none", incomplete={"profile": "missing"}, complete=False),
        ]
        write(of, topic, [*good, b"none", *bad])
        found = BatchPanel()(of, service)
        assert isinstance(found, Batch)
        [view] = found.views
        assert (found.predictions, found.newest_event, view.used) == (5, NOON, 3)
        assert (view.median_age_ms, view.oldest_ms, view.newest_as_of) == (DAY_MS, 3 * DAY_MS, NOON - DAY_MS // 2)
        assert view.without == {"too_old": 1, "missing": 1}
        opened.poll()
        row = opened.panel("batch").locator("tbody tr")
        for text in ("profile", "◆ some have no row", "2018-08-08 00:00:00", "1 d", "3 d", "1 too old, 1 missing", "2018-08-07"):
            expect(row).to_contain_text(text)
        expect(opened.panel("batch").locator("code")).to_have_text(f"headrace batch-views {service} --from DAY --to DAY --push")
        assert fits(opened.tab)


def test_it_says_when_kafka_is_away_and_when_there_is_no_batch_view(away: Sources, open_page: Callable[..., Opened]) -> None:
    """Which source, and since when."""
    without = msgspec.structs.replace(away, plans={"orders": msgspec.structs.replace(away.plans["orders"], batch=())})
    assert isinstance(BatchPanel()(without, "orders"), Empty)
    with page_of(away) as running:
        expect(open_page(running.address).panel("batch", "down").locator("> .notice")).to_contain_text("Kafka is down since 20")
