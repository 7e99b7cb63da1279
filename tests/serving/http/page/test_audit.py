"""The panel of the audit and of late rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from playwright.sync_api import expect

from jobs.audit.audit import Audit
from jobs.audit.comparison import CAUSES, Compared, Comparison
from jobs.audit.report import report
from schemas import LateRow, Origin
from schemas.topics import LATE_ROWS
from serving.http.page.audit import LOOKED_AT, AuditPanel, Differences
from serving.http.page.sources import Sources
from tests.serving.http.page.kafka import NOON, plan_of, write
from tests.serving.http.page.support import PHONE, Opened, fits, page_of

pytestmark = pytest.mark.slow


def found(unexplained: int) -> Audit:
    """An audit of two features, one of which differs."""
    causes = dict.fromkeys(CAUSES, 0) | {"late_row": 3, "unexplained": unexplained}
    features = [
        Compared("recent__count", "orders_by_shop", 1000),
        Compared("recent__sum_price", "orders_by_shop", 1000, 3 + unexplained, causes, ["event <7>: 1 is 2"] * unexplained),
    ]
    return Audit("orders", "0" * 64, NOON, NOON + 1000, 1000, 2, 0, 0, 4, 0, Comparison(998, 2, [1, 2], features))


def test_what_the_audit_left_is_shown_by_cause(away: Sources, tmp_path: Path, open_page: Callable[..., Opened]) -> None:
    """A difference without a cause is a defect, with its example; a newer report replaces the older one; a broken one is said."""
    file = tmp_path / "audits" / "orders.json"
    file.parent.mkdir()
    file.write_bytes(msgspec.json.encode(report(found(0), NOON)))
    of = msgspec.structs.replace(away, audit_file=lambda service: file)
    with page_of(of) as running:
        opened = open_page(running.address, viewport=PHONE)
        panel = opened.panel("audit")
        expect(panel).to_contain_text("● every difference has its cause")
        expect(panel.locator("tbody tr").first).to_have_text("orders_by_shop2,000330")
        expect(panel).to_contain_text("2 events are not in history")
        expect(panel).to_contain_text("late rows are not known: Kafka does not reply")
        assert fits(opened.tab)
        file.write_bytes(msgspec.json.encode(report(found(2), NOON)))
        opened.poll()
        expect(panel).to_contain_text("▲ some differences have no cause: a defect")
        expect(panel).to_contain_text("event <7>: 1 is 2")
        file.write_bytes(b"[")
        opened.poll()
        down = opened.panel("audit", "down").locator("> .notice")
        expect(down).to_contain_text("what the audit found is down since 20")
        expect(down).to_contain_text("run it again")


@pytest.mark.stack
def test_late_rows_are_counted_by_view(on_kafka: Sources, open_page: Callable[..., Opened]) -> None:
    """Of the service's own sources; without one and without a report it says what to run."""
    plan = plan_of(on_kafka)
    source = f"orders-{plan.service}"
    stages = tuple(msgspec.structs.replace(stage, source=source) for stage in plan.windows)
    of = msgspec.structs.replace(on_kafka, plans={plan.service: msgspec.structs.replace(plan, windows=stages)})
    with page_of(of) as running:
        opened = open_page(running.address)
        expect(opened.panel("audit", "empty").locator("code")).to_have_text(f"headrace audit {plan.service}")
        origin = Origin(plan.spine_source.topic, 0, 1)
        rows = [LateRow("recent", source, origin, NOON, late, 2, 3, True) for late in (1000, 2000, 60_000)]
        write(of, LATE_ROWS.name, [*rows, b"none", LateRow("recent", "another", origin, NOON, 9, 9, 9, True)])
        opened.poll()
        panel = opened.panel("audit")
        for text in ("recent", "3", "6", "9", "2 s", "1 min"):
            expect(panel.locator("tbody tr")).to_contain_text(text)
        expect(panel.locator(".notice code")).to_have_text(f"headrace audit {plan.service}")


def test_nothing_is_called_good_that_was_not_looked_at(
    sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """An audit that compared no event; late rows of which only the newest of all services were read."""
    nothing = msgspec.structs.replace(report(found(0), NOON), compared=0, stages=[])
    data = {"report": msgspec.to_builtins(nothing), "late": [], "late_down": "", "is_all": False}
    with page_of(sources) as running:
        opened = open_page(running.address, "/nowhere")
        opened.tab.route("**/v1/page/audit?**", lambda route: route.fulfill(json={"data": data}))
        opened.tab.goto(f"http://{running.address}/")
        panel = opened.panel("audit")
        expect(panel).to_contain_text("no event was compared")
        expect(panel).to_contain_text("none among the newest late rows of all services")
        expect(panel.locator(".mark.good")).to_have_count(0)


def test_none_of_the_newest_late_rows_is_no_reason_to_say_that_none_was_late(away: Sources) -> None:
    """Others of the service may be older."""
    of = [SimpleNamespace(value=b"none", timestamp=NOON)] * LOOKED_AT
    shown = AuditPanel()
    shown._tail = SimpleNamespace(newest=lambda topic, most: iter(of), is_whole=True)  # type: ignore[assignment]
    assert shown(away, "orders") == Differences(None, [], "", is_all=False)
