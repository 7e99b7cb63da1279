"""`headrace plan`: what the model is given, in its order, and which of it is rounded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.cli import run

EXAMPLE = Path(__file__).parents[3] / "examples" / "fraud"
TERMINALS = (("max", ""), ("last_2", "_1"), ("last_2", "_2"), ("count", ""))
LISTS = """
FUNCTIONS = (("amount", "last_3"), ("terminal_id", "max"), ("terminal_id", "last_2"), ("terminal_id", "count"))
recent = StreamFeatureView(
    name="recent",
    entities=[customer],
    source=transactions,
    timestamp_field="event_time",
    aggregations=[
        Aggregation(column=column, function=function, time_window=timedelta(days=7), name=f"{function}_{column}")
        for column, function in FUNCTIONS
    ],
)
fraud = FeatureService(name="fraud", features=[transaction_amount, recent], tags={"spine": "transactions"})
"""


def test_plan_has_a_lists_inputs_and_says_what_is_rounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the model's order, counted as the model has them; whole numbers that may be beyond 2^24 are named, counts are not."""
    (tmp_path / "definitions.py").write_text((EXAMPLE / "definitions.py").read_text() + LISTS)
    assert run(["plan", "fraud", "--project", str(tmp_path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Inputs of the model, in its order: 8" in text
    assert "2 recent__last_3_amount_1 newest but 2 of last_3(amount), 7d of transactions by customer_id; else null" in text
    assert "4 recent__last_3_amount_3 newest of last_3(amount)" in text
    assert "beyond 2^24 = 16,777,216; these may have such: recent__max_terminal_id, recent__last_2_terminal_id Sources" in text
    assert run(["plan", "fraud", "--project", str(tmp_path), "--json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)
    assert plan["inputs"][:2] == ["transaction_amount__amount", "recent__last_3_amount_1"]
    assert plan["inputs"][4:] == [f"recent__{name}_terminal_id{place}" for name, place in TERMINALS]
    assert plan["rounded"] == ["recent__max_terminal_id", "recent__last_2_terminal_id"]
