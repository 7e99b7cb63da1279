"""Whole texts, as files. When one changes on purpose: ``python -m tests.golden``, and read the difference."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec

from features.load import load
from features.plan import Mode, Plan
from features.sql.duckdb import features_sql
from features.sql.flink import JobOptions, job_sql

FOLDER = Path(__file__).parent


@cache
def fraud(mode: Mode = "arrival") -> Plan:
    """The plan of the example's service, in either mode."""
    plan = load(FOLDER.parents[1] / "examples" / "fraud").plan("fraud")
    return msgspec.structs.replace(plan, mode=mode)


TEXTS: dict[str, Callable[[], str]] = {
    "flink_fraud_arrival.sql": lambda: job_sql(fraud(), JobOptions()).text,
    "flink_fraud_event_time.sql": lambda: job_sql(fraud("event_time"), JobOptions()).text,
    "duckdb_fraud.sql": lambda: features_sql(fraud()),
}


def write() -> None:
    """Rewrite every file."""
    for name, text in TEXTS.items():
        (FOLDER / name).write_text(text())
