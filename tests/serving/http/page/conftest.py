"""A Chromium, and the page in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser

from infra.config import monitor_state
from infra.local.broker import Broker
from infra.models import references
from schemas.topics import ALARMS
from serving.http.config import READER
from serving.http.page import page
from serving.http.page.monitored import Monitored
from serving.http.page.outcomes import Outcomes
from serving.http.page.sources import Sources
from serving.models.registry import Registry
from tests.serving.http.page.support import Opened, opening
from tests.support.chromium import launched
from tests.support.orders import PLAN
from tests.support.streams import own_topics


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A Chromium of this machine, without a window."""
    with launched() as browser:
        yield browser


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Opened]]:
    """Opens the page of an address; whatever it logged as an error is raised after the test."""
    with opening(chromium) as opened:
        yield opened


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request is read anew, so that a test need not wait until what was read before is old."""
    made = page.panels
    monkeypatch.setattr(page, "panels", lambda: tuple(panel._replace(seconds=0.0) for panel in made()))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty one."""
    return Registry(tmp_path / "models")


@pytest.fixture
def sources(registry: Registry, tmp_path: Path) -> Sources:
    """Of one service, `orders`, of which nothing is there."""
    return Sources(
        services=("orders",),
        registry=registry,
        monitored=Monitored(lambda service: monitor_state(tmp_path / "monitor", service, "day"), "day", references(registry)),
        outcomes=Outcomes(lambda service: tmp_path / "outcomes" / f"{service}.json"),
    )


@pytest.fixture
def away(sources: Sources) -> Sources:
    """The same, with a Kafka that does not reply."""
    client = {"bootstrap_servers": "127.0.0.1:9"}
    return msgspec.structs.replace(sources, reader={**client, **READER}, client=client, plans={"orders": PLAN})


@pytest.fixture
def on_kafka(broker: Broker, sources: Sources) -> Sources:
    """The same, with topics of its own on the tests' broker; its service is no longer `orders`."""
    plan, client = own_topics(broker, PLAN), {"bootstrap_servers": broker.bootstrap}
    broker.create_topics({ALARMS.name: 1})
    return msgspec.structs.replace(
        sources, services=(plan.service,), reader={**client, **READER}, client=client, plans={plan.service: plan}
    )
