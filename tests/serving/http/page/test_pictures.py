"""Pictures of the page: of the fraud example as `headrace up` runs it, with a week that is replayed.

They are made anew by `make pictures`, and by nothing else: they take minutes, and change with every run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kafka import KafkaProducer
from playwright.sync_api import Locator, expect

from infra.cli import run
from infra.local import stack
from infra.models import registry_of
from infra.settings import load_settings
from tests.serving.http.page.support import PHONE, PICTURES, Opened
from tests.support.data import fraud_project

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not os.environ.get("PAGE_PICTURES"), reason="'make pictures' makes pictures of the page"),
]
SETTINGS = """
[http]
port = 0
core_hour = 0.04

[scorer]
metrics_port = 0

[stream]
metrics_port = 0

[monitor]
run = true
metrics_port = 0
"""
"""An hour of a core costs what a person says; this is about what a shared one costs at a cloud."""
WEEK = ["--from", "2018-08-08", "--to", "2018-08-15"]
BAD = (b"not json", b'{"transaction_id": 1}', b'{"transaction_id": "x", "event_time": 0, "customer_id": 1}')


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """The example with a model in production, up, its windows full up to 8 August."""
    made = fraud_project(tmp_path / "fraud", customers=1000, terminals=2000, days=183)
    with (made / "headrace.toml").open("a") as file:
        file.write(SETTINGS)
    of = ["--project", str(made)]
    assert run(["batch-views", "fraud", *of, "--from", "2018-07-18", "--to", "2018-08-08", "--push"]) == 0
    assert run(["batch-views", "fraud", *of, "--from", "2018-08-08", "--to", "2018-08-15"]) == 0
    assert run(["train", "fraud", *of, "--from", "2018-07-25", "--promote", "production"]) == 0
    try:
        assert run(["backfill", "fraud", *of, "--until", "2018-08-08"]) == 0
        yield made
    finally:
        run(["down", *of])


def test_pictures(project: Path, open_page: Callable[..., Opened]) -> None:
    """A week is replayed, audited and met with its labels, a model is retrained; then every panel is taken as it is."""
    of, settings = ["--project", str(project)], load_settings(project)
    address = stack.http_address(project, settings)
    assert address is not None
    opened = open_page(urlsplit(address).netloc)
    opened.panel("models")
    assert run(["replay", "fraud", *of, *WEEK, "--rate", "900"]) == 0
    assert run(["audit", "fraud", *of]) == 0
    assert run(["outcomes", "fraud", *of]) == 0
    assert run(["retrain", "fraud", *of]) == 0
    if registry_of(project, settings).newest("fraud") == 2:  # it was not worse
        assert run(["models", "canary", "fraud", "2", *of, "--share", "0.1", "--why", "trained on newer days"]) == 0
    with closing(KafkaProducer(bootstrap_servers=stack.bootstrap(project, settings))) as producer:
        for value in BAD:
            producer.send("transactions", value)
    after = ["--topic", "transactions", "--from", "2018-08-15", "--limit", "6000", "--rate", "200"]
    assert run(["publish", str(project / "data" / "transactions.parquet"), *of, *after]) == 0
    PICTURES.mkdir(exist_ok=True)
    opened.poll()
    opened.panel("flow")
    opened.tab.screenshot(path=PICTURES / "page.png")
    for name in opened.tab.locator("section").evaluate_all("all => all.map(one => one.id)"):
        panel = opened.tab.locator(f"section#{name}")
        expect(panel).to_have_attribute("data-state", re.compile("data|empty"), timeout=60_000)
        take(panel, name)
    opened.panel("feed").locator("tbody button").first.click()
    opened.tab.get_by_role("button", name="Explain").click()
    expect(opened.tab.locator("dialog.detail img")).to_be_visible(timeout=90_000)
    take(opened.tab.locator("dialog.detail"), "explain")
    for name, options in (("phone", {"viewport": PHONE}), ("dark", {"color_scheme": "dark"})):
        other = open_page(urlsplit(address).netloc, **options)
        other.panel("flow")
        other.panel("timeline")
        other.tab.screenshot(path=PICTURES / f"{name}.png")


def take(what: Locator, name: str) -> None:
    """A picture of an element."""
    what.scroll_into_view_if_needed()
    what.screenshot(path=PICTURES / f"{name}.png")
