"""What differs between two plans, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.changes import changes
from features.definitions.load import Project, load
from tests.features.test_plan import CHANGES, FRAUD, changed

SAID = {
    "one more window": "added input customer_spend__count_60d",
    "the order of windows": "the inputs are in another order",
    "a function": "removed input customer_spend__mean_1d",
    "the aggregated column": "input customer_spend__count_1d: column amount → terminal_id",
    "a fill value": "input terminal_risk__mean_1d: fill 0 → 1",
    "the code of an on-demand function": "on-demand view transaction_flags: its code",
    "the SQL of a batch view": "batch view customer_profile: its SQL",
    "the type of a column": "column transactions.amount: type decimal(12,2) → decimal(12,3)",
    "a topic": "source labels: topic labels → labels.v2",
    "the delay of a source": "source transactions: delay 0d → 1s",
    "the mode": "service: mode arrival → event_time",
    "the lateness": "service: lateness 1d → 2d",
}


@pytest.fixture(scope="module")
def fraud() -> Project:
    """The example as it is."""
    return load(FRAUD)


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_the_digest_is_said(what: str, fraud: Project, tmp_path: Path) -> None:
    """A line names the thing and, where it is short, its value before and after."""
    lines = changes(fraud.service("fraud").plan, changed(tmp_path, *CHANGES[what]).service("fraud").plan)
    assert lines
    assert SAID.get(what, lines[0]) in lines


def test_equal_plans_differ_in_nothing(fraud: Project) -> None:
    """No line at all."""
    assert changes(fraud.service("fraud").plan, load(FRAUD).service("fraud").plan) == []
