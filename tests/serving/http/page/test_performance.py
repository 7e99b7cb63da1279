"""The panels of performance and calibration: cohorts with intervals, coverage and days that are not due, as reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import expect

from features.times import DAY_MS
from jobs.outcomes.performance import performances
from jobs.outcomes.report import report
from schemas.outcomes_report import Measure, OutcomesReport
from serving.http.page import performance as panels
from serving.http.page.performance import performance
from serving.http.page.sources import Sources
from tests.jobs.outcomes.test_performance import outcomes
from tests.serving.http.page.support import PHONE, Opened, fits, page_of

pytestmark = pytest.mark.slow


def made(due: int = 4, **changes: Any) -> OutcomesReport:
    """What `headrace outcomes` finds of six days, of which the first ``due`` are due."""
    frame, until = outcomes(), due * DAY_MS
    found = performances(frame[frame["event_time"] < until], "classification", "k", ["colour"]) if due else []
    known: dict[str, Any] = {"service": "orders", "source": "predictions.orders", "label": "l.bad", "task": "classification"}
    now = round(time.time() * 1000)
    told = report(frame, found, **known, key="k", segments=["colour"], delay_days=2, matured_until=until, now_ms=now)
    return msgspec.structs.replace(told, **changes)


def left(folder: Path, told: OutcomesReport) -> Path:
    """Its file, where the page's `sources` look for it."""
    file = folder / "outcomes" / "orders.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(msgspec.json.encode(told))
    return file


@pytest.fixture(scope="module")
def told() -> OutcomesReport:
    """One that is made once: its intervals take a second."""
    return made()


def test_days_with_intervals_and_days_that_are_not_due(
    told: OutcomesReport, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """A dot and a line for each day that is due, shade over the others, a bar for the labels of each; in words as well."""
    left(tmp_path, told)
    with page_of(sources) as running:
        panel = open_page(running.address).panel("performance")
        picture = panel.get_by_role("img", name="average precision by event day, 4 days, and 2 days whose labels are not due")
        expect(picture.locator("circle")).to_have_count(4)
        expect(picture.locator(".interval")).to_have_count(4)
        expect(picture.locator(".waiting")).to_have_count(1)
        expect(picture.locator("rect.bar")).to_have_count(6)
        expect(picture.locator("rect.bar.early")).to_have_count(2)
        day = next(one for one in told.cohorts if one.name == "1970-01-02")
        measure = day.metrics["average_precision"]
        expect(picture.locator("g title").nth(2)).to_contain_text(f"1970-01-02: {measure.value:.4f} (".rstrip("0 ("))
        overall = told.cohorts[0]
        row = panel.locator("tbody tr").filter(has_text="all that are due")
        expect(row).to_contain_text(f"{overall.rows}")
        expect(panel).to_contain_text(f"{100 * overall.labelled / overall.rows:.3g} % of the labels that are due are known")


def test_by_version_and_by_each_column_of_segments(
    told: OutcomesReport, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """A line for each with its interval, beside all; the numbers, with the coverage; it stays chosen. Without segments, how."""
    left(tmp_path, told)
    with page_of(sources) as running:
        opened = open_page(running.address, viewport=PHONE)
        panel = opened.panel("performance")
        for way, kind in (("model version", "version"), ("colour", "segment")):
            panel.locator("[data-key=performance-by]").select_option(way)
            expect(panel.locator("[data-key=performance-by]")).to_be_focused()
            said = f"average precision by {way}, 2 of 2 measured; the dashed line is all that are due: "
            picture = panel.get_by_role("img", name=said)
            expect(picture.locator("circle")).to_have_count(2)
            expect(picture.locator(".interval")).to_have_count(2)
            rows = panel.get_by_role("region", name=f"By {way}").locator("tbody tr")
            expect(rows).to_have_count(3)
            for place, one in enumerate(cohort for cohort in told.cohorts if cohort.kind == kind):
                value = f"{one.metrics['average_precision'].value:.3g}"[:4]
                coverage = f"{100 * one.labelled / one.rows:.3g} %"
                expect(rows.nth(place + 1).locator("td")).to_contain_text([one.name, str(one.rows), coverage, value, " to "])
        assert fits(opened.tab)
        without = [one for one in told.cohorts if one.kind != "segment"]
        left(tmp_path, msgspec.structs.replace(told, segments=[], cohorts=without))
        opened.poll()
        expect(panel.locator(".hint code")).to_have_text("headrace outcomes orders --by COLUMN")
        expect(panel.locator("[data-key=performance-by]").locator("option")).to_have_text(["event day", "model version"])


def test_another_metric_is_chosen_and_stays(
    told: OutcomesReport, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """By keyboard; days as numbers are folded below, with those that wait."""
    left(tmp_path, told)
    with page_of(sources) as running:
        opened = open_page(running.address, viewport=PHONE, color_scheme="dark")
        panel = opened.panel("performance")
        panel.get_by_label("Metric").select_option("log loss")
        expect(panel.locator("th", has_text="log loss").first).to_be_visible()
        expect(panel.get_by_label("Metric")).to_be_focused()
        panel.locator("summary").click()
        expect(panel.get_by_role("region", name="Days whose labels are not due").locator("tbody tr").first).to_contain_text(
            "1970-01-08"
        )
        left(tmp_path, msgspec.structs.replace(told, delay_days=3))
        opened.poll()
        expect(panel).to_contain_text("(3 days after)")
        expect(panel.get_by_role("img", name="log loss by event day")).to_be_visible()
        expect(panel.get_by_role("region", name="Days whose labels are not due")).to_be_visible()
        assert fits(opened.tab)


def test_before_a_label_is_due_nothing_is_measured(sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]) -> None:
    """The days are there, each with what it waits for; calibration says so too."""
    left(tmp_path, made(due=0))
    with page_of(sources) as running:
        opened = open_page(running.address)
        panel = opened.panel("performance")
        expect(panel).to_contain_text("nothing is measured yet: the first day whose labels will be due is 1970-01-01")
        expect(panel.locator("tbody tr")).to_have_count(6)
        expect(opened.panel("calibration", "empty")).to_contain_text("No label of these predictions is due yet")


def test_an_old_report_says_so(told: OutcomesReport, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]) -> None:
    """With the command that makes another."""
    left(tmp_path, msgspec.structs.replace(told, made_at=1_700_000_000_000))
    with page_of(sources) as running:
        panel = open_page(running.address).panel("performance")
        expect(panel).to_contain_text("found 2023-11-14 22:13:20 UTC")
        expect(panel.locator(".notice code")).to_have_text("headrace outcomes orders")


def test_calibration_over_bins_of_scores(
    told: OutcomesReport, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """A dot and a line for each bin, the even line, the numbers below; a version is chosen."""
    left(tmp_path, told)
    bins = told.calibration[0].bins
    with page_of(sources) as running:
        opened = open_page(running.address, viewport=PHONE)
        panel = opened.panel("calibration")
        picture = panel.get_by_role("img", name=f"Calibration of all versions: {len(bins)} bins of scores")
        expect(picture.locator("circle")).to_have_count(len(bins))
        expect(picture.locator(".interval")).to_have_count(sum(one.mean_label.low is not None for one in bins))
        expect(picture.locator(".level")).to_have_count(1)
        expect(panel).to_contain_text(f"In all {len(bins)} bins the mean score lies in the 95 % interval")
        place = next(place for place, one in enumerate(bins) if one.mean_label.low is not None)
        sure = [*bins]
        sure[place] = msgspec.structs.replace(bins[place], mean_label=Measure(0.9, 0.85, 0.95))
        calibration = [msgspec.structs.replace(told.calibration[0], bins=sure), *told.calibration[1:]]
        left(tmp_path, msgspec.structs.replace(told, calibration=calibration))
        opened.poll()
        expect(panel).to_contain_text(f"In 1 of {len(bins)} bins the mean score lies outside")
        panel.get_by_role("combobox", name="Version").select_option("m v2")
        expect(panel.get_by_role("img", name="Calibration of m v2")).to_be_visible()
        opened.poll()
        expect(panel.get_by_role("img", name="Calibration of m v2")).to_be_visible()
        assert fits(opened.tab)


@pytest.mark.parametrize("name", ["performance", "calibration"])
def test_without_a_report_and_with_a_broken_one(
    name: str, told: OutcomesReport, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """The command; then which file and since when, with what was shown before."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        expect(opened.panel(name, "empty").locator("code")).to_have_text("headrace outcomes orders")
        file = left(tmp_path, told)
        opened.poll()
        opened.panel(name)
        file.write_bytes(b"{}")
        opened.poll()
        panel = opened.panel(name, "down")
        expect(panel.locator("> .notice")).to_contain_text("the report of 'headrace outcomes' is down since 20")
        expect(panel.get_by_role("img").first).to_be_visible()


def test_what_is_shown_is_bounded(
    told: OutcomesReport, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest days, and it says how many cohorts it leaves out."""
    monkeypatch.setattr(panels, "MOST_DAYS", 3)
    left(tmp_path, told)
    found = performance(sources, "orders")
    assert [one.name for one in found.days] == ["1970-01-02", "1970-01-03", "1970-01-04"]  # type: ignore[union-attr]
    assert found.left_out == 1  # type: ignore[union-attr]
