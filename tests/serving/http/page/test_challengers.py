"""The panel of challengers: what the deployment log says of newer versions beside production, read back from its words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from playwright.sync_api import expect

from infra.cli import run
from infra.models import registry_of
from infra.settings import load_settings
from jobs.training.metrics import main_metric
from serving.http.page import challengers as panel_of
from serving.http.page.challengers import challengers, compared
from serving.http.page.sources import Sources
from serving.models.gate import judge
from serving.models.lifecycle import Change
from serving.models.registry import Registry
from tests.serving.http.page.support import PHONE, Opened, fits, made_model, page_of
from tests.serving.models.test_gate import CONFIG, METRIC, traffic
from tests.support.num import num_project

pytestmark = pytest.mark.slow
FIGURES = (
    "retrain: trained on 2024-05-02 to 2024-05-08, tested on 2024-05-16 to 2024-05-22; average precision {}, orders v1 0.6000, "
    "difference {} [{}, {}] on 12,345 rows"
)


@pytest.fixture
def log(registry: Registry) -> Registry:
    """Of three retrains: one was declined, one is in a shadow, and one passed the gate."""
    for _ in range(3):
        made_model(registry)
    registry.set_alias("orders", "production", 1)

    def change(action: str, version: int, why: str, **more: object) -> None:
        registry.change("orders", Change(action=action, model="orders", version=version, why=why, **more))  # type: ignore[arg-type]

    change("decline", 1, FIGURES.format("0.5000", "-0.1000", "-0.1500", "-0.0500") + "; needs not-worse")
    change("alias", 2, FIGURES.format("0.6500", "+0.0500", "+0.0100", "+0.0900"), alias="staging")
    gate = "gate: events scored by both 1,234, average precision +0.0100 [-0.0200, +0.0400] on 567 labels"
    change("promote", 2, f"{FIGURES.format('0.6500', '+0.0500', '+0.0100', '+0.0900')}; {gate}")
    change("alias", 3, "to try it", alias="staging")
    return registry


def test_each_comparison_of_the_log(log: Registry, sources: Sources) -> None:
    """The newest first; an entry without figures is none, and a shadow's figures are its own."""
    found = challengers(sources, "orders")
    pairs = found.pairs  # type: ignore[union-attr]
    assert [(one.decision, one.on, one.challenger, one.beside, one.difference, one.low, one.high, one.rows) for one in pairs] == [
        ("in production", "live events", "orders v2", "orders v1", 0.01, -0.02, 0.04, 567),
        ("in a shadow", "test days", "orders v2", "orders v1", 0.05, 0.01, 0.09, 12_345),
        ("declined", "test days", None, "orders v1", -0.1, -0.15, -0.05, 12_345),
    ]
    assert [(one.candidate, one.production) for one in pairs] == [(None, None), (0.65, 0.6), (0.5, 0.6)]
    assert [one.alias for one in pairs] == [None, "staging", None]
    assert {one.metric for one in pairs} == {"average precision"}


def test_they_are_drawn_beside_nought(log: Registry, sources: Sources, open_page: Callable[..., Opened]) -> None:
    """A line each, with what it says in words and what was decided; on a phone too."""
    with page_of(sources) as running:
        opened = open_page(running.address, viewport=PHONE)
        panel = opened.panel("challengers")
        picture = panel.get_by_role("img", name="average precision: orders v2 beside orders v1, on 567 rows of live events")
        expect(picture.locator("circle")).to_have_count(3)
        expect(picture.locator(".interval")).to_have_count(3)
        rows = panel.locator("tbody tr")
        for place, said in enumerate(
            (
                ("+0.0100 [−0.0200, +0.0400]", "○ not clearly either", "in production"),
                ("+0.0500 [+0.0100, +0.0900]", "● better", "tried in staging"),
                ("−0.1000 [−0.1500, −0.0500]", "▲ worse", "declined"),
            )
        ):
            for text in said:
                expect(rows.nth(place)).to_contain_text(text)
        assert fits(opened.tab)


def test_without_a_comparison_and_with_a_log_that_is_broken(
    registry: Registry, sources: Sources, tmp_path: Path, open_page: Callable[..., Opened]
) -> None:
    """The command; then what is down, and since when."""
    with page_of(sources) as running:
        opened = open_page(running.address)
        expect(opened.panel("challengers", "empty").locator("code")).to_have_text("headrace retrain orders")
        entry = tmp_path / "models" / "deployments" / "orders" / "00000001.json"
        entry.parent.mkdir(parents=True)
        entry.write_bytes(b"{")
        opened.poll()
        expect(opened.panel("challengers", "down")).to_contain_text("the deployment log is down since 20")


def test_what_is_shown_is_bounded(log: Registry, sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it says how many there were before."""
    monkeypatch.setattr(panel_of, "MOST", 2)
    found = challengers(sources, "orders")
    assert (len(found.pairs), found.left_out) == (2, 1)  # type: ignore[union-attr]


@pytest.mark.parametrize("needs", ["not-worse", "better"])
def test_the_words_of_a_retrain_are_read_back(needs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `headrace retrain` finds is what the panel shows, of a version that is tried and of one that is declined."""
    project = num_project(tmp_path / "num")
    days = ("--days", "1", "--delay", "1", "--test-days", "1")
    run(["retrain", "num", *days, "--needs", needs, "--json", "--project", str(project)])
    told = json.loads(capsys.readouterr().out)["compared"]
    (pair,) = compared("num", registry_of(project, load_settings(project)).entries("num"))
    assert pair.decision == ("declined" if needs == "better" else "in a shadow")
    assert (pair.metric, pair.higher_is_better, pair.rows) == (told["metric"], told["higher_is_better"], told["rows"])
    for shown, name in ((pair.candidate, "candidate"), (pair.production, "production"), (pair.difference, "difference")):
        assert shown == pytest.approx(told[name]["value"], abs=5e-5)
    assert pair.beside == "num v1"
    bounds = [told["difference"]["low"], told["difference"]["high"]]
    assert [pair.low, pair.high] == (bounds if bounds[0] is None else pytest.approx(bounds, abs=5e-5))


def test_the_words_of_the_gate_are_read_back(registry: Registry) -> None:
    """As `headrace retrain --wait` writes them into the log."""
    made_model(registry)
    made_model(registry)
    registry.set_alias("orders", "production", 1)
    metric = main_metric("classification")
    given = traffic()
    checks = judge(given, CONFIG, METRIC)
    why = f"retrain: as it is; gate: {', '.join(f'{check.name} {check.found}' for check in checks)}"
    registry.change("orders", Change(action="promote", model="orders", version=2, why=why))
    (pair,) = compared("orders", registry.entries("orders"))
    labels = int((~np.isnan(given.labels)).sum())
    assert (pair.on, pair.rows, pair.metric, pair.beside) == ("live events", labels, metric.name, "orders v1")
    assert f"{pair.difference:+.4f} [{pair.low:+.4f}, {pair.high:+.4f}]" in checks[-1].found


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_which_way_is_better_is_the_metrics_own(task: str) -> None:
    """By its name in the log."""
    metric = main_metric(task)  # type: ignore[arg-type]
    assert (metric.name not in panel_of.LOWER_IS_BETTER) == metric.higher_is_better


def test_a_metric_that_has_no_interval(log: Registry) -> None:
    """Too few rows for one: it is null, and nothing is clear."""
    why = FIGURES.format("0.6000", "+0.0000", "+nan", "+nan")
    log.change("orders", Change(action="decline", model="orders", version=2, why=why))
    newest = compared("orders", log.entries("orders"))[0]
    assert (newest.low, newest.high, newest.difference) == (None, None, 0.0)
    assert b"NaN" not in msgspec.json.encode(newest)
