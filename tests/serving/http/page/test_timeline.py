"""The panel of deployments and alarms on one time line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import expect

from schemas.alarm import Alarm
from schemas.topics import ALARMS
from serving.http.page.sources import Sources
from serving.http.page.timeline import Timeline, TimelinePanel
from serving.models.lifecycle import Change
from serving.models.registry import Registry
from tests.serving.http.page.kafka import NOON, write
from tests.serving.http.page.support import PHONE, Opened, fits, made_model, page_of

pytestmark = pytest.mark.slow

HOUR = 3_600_000


def alarm(service: str, state: Any = "open", at: int = 0, name: str = "recent__count") -> Alarm:
    """One of an input, by the monitor's clock."""
    return Alarm(
        id=f"{service}/orders/1/{name}/{NOON}",
        state=state,
        service=service,
        model="orders",
        version=1,
        input=name,
        what="nulls",
        text=f"{name} has <b>more</b> nulls",
        since=NOON,
        window_start=NOON,
        window_end=NOON + HOUR,
        rows=600,
        psi=0.5,
        js=0.1,
        p_value=0.001,
        limit=0.1,
        trained_from=0,
        trained_until=NOON,
        cells=["null", "rest"],
        trained=[0, 100],
        found=[50, 50],
        raised_at=NOON + at,
    )


@pytest.mark.stack
def test_alarms_open_and_close_beside_what_was_put_in_service(
    on_kafka: Sources, registry: Registry, open_page: Callable[..., Opened]
) -> None:
    """One that is closed has both times; one that is open has none; those of others and what is no alarm are left out."""
    service = on_kafka.services[0]
    values = [
        alarm(service),
        b"none",
        alarm("another"),
        alarm(service, "closed", 2 * HOUR),
        msgspec.structs.replace(alarm(service, at=HOUR, name="score"), segment="recent__last_kind is game"),
    ]
    write(on_kafka, ALARMS.name, values)
    found = TimelinePanel()(on_kafka, service)
    assert isinstance(found, Timeline)
    assert [(one.input, one.opened_at, one.closed_at) for one in found.alarms] == [
        ("recent__count", NOON, NOON + 2 * HOUR),
        ("score", NOON + HOUR, None),
    ]
    with page_of(on_kafka) as running:
        opened = open_page(running.address, viewport=PHONE)
        panel = opened.panel("timeline")
        expect(panel.locator("tbody tr")).to_have_count(2)
        expect(panel.locator("tbody tr").first).to_contain_text(
            "2018-08-08 13:00:00▲ alarmorders v1: score has <b>more</b> nullsmonitoropen"
        )
        expect(panel.locator("tbody tr").last).to_contain_text("closed 2018-08-08 14:00:00, after 2 h")
        expect(panel.locator("svg rect")).to_have_count(2)
        expect(panel.locator("svg text").filter(has_text="score where")).to_have_text("score where recent__last_kind is game")
        expect(panel.locator("svg[role=img]")).to_have_attribute(
            "aria-label", re.compile("^0 changes and 2 alarms from 2018-08-08 12:00:00 to ")
        )
        assert fits(opened.tab)


def test_changes_are_said_in_words_and_kafka_away_leaves_them(
    away: Sources, registry: Registry, open_page: Callable[..., Opened]
) -> None:
    """Each action as a sentence; that the alarms are not known is one too."""
    for _ in range(3):
        made_model(registry)
    for change in (
        Change(action="promote", model="orders", version=1, who="ann", why="the first"),
        Change(action="canary", model="orders", version=2, share=0.05),
        Change(action="alias", model="orders", version=3, alias="staging"),
        Change(action="promote", model="orders", version=2, forced=True),
        Change(action="rollback", model="orders"),
        *(Change(action=one, model="orders", version=1) for one in ("decline", "postpone", "fail")),
    ):
        registry.change("orders", change)
    with page_of(away) as running:
        panel = open_page(running.address).panel("timeline")
        rows = panel.locator("tbody tr")
        expect(rows).to_have_count(8)
        for number, said in enumerate(
            (
                "▲ faila retrain failed; orders v1 stays",
                "○ postponea retrain was not begun; orders v1 stays",
                "○ declinea newer model was not taken; orders v1 stays",
                "● rollback",
                "promote, forced",
                "staging is orders v3",
                "orders v2 is the canary, for 5.0 % of the keys",
                "production is orders v1annthe first",
            )
        ):
            expect(rows.nth(number)).to_contain_text(said)
        assert "null" not in panel.inner_text()
        expect(panel.locator(".stone.good")).to_have_count(3)
        expect(panel.locator(".stone.quiet")).to_have_count(2)
        expect(panel).to_contain_text("alarms are not known: Kafka does not reply")


def test_nothing_yet_and_a_broken_log(
    sources: Sources, registry: Registry, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """The one says what to run, the other which entry is broken."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        panel = opened.panel("timeline", "empty")
        expect(panel.locator("code")).to_have_text("headrace train orders --promote production")
        made_model(registry)
        registry.set_alias("orders", "production", 1)
        opened.poll()
        opened.panel("timeline")
    entry = next((tmp_path / "models" / "deployments" / "orders").glob("*.json"))
    entry.write_bytes(b"{")
    with page_of(msgspec.structs.replace(sources, registry=Registry(tmp_path / "models"))) as running:
        down = open_page(running.address).panel("timeline", "down")
        expect(down.locator("> .notice")).to_contain_text("the deployment log is down since 20")
