"""Whole texts, as files. When one changes on purpose: ``python -m tests.features.sql.golden``, and read the difference."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec

from features.definitions.load import load
from features.job import job_plan
from features.outcomes import OutcomesPlan, outcomes_plan
from features.plan import Mode, Plan
from features.sql.duckdb import features_sql
from features.sql.flink import job_sql
from features.sql.flink.outcomes import outcomes_sql
from features.times import DAY_MS
from tests.support.options import options

FOLDER = Path(__file__).parent
EXAMPLE = FOLDER.parents[3] / "examples" / "fraud"


@cache
def fraud(mode: Mode = "arrival") -> Plan:
    """The plan of the example's service, in either mode."""
    plan = load(EXAMPLE).service("fraud").plan
    return msgspec.structs.replace(plan, mode=mode)


def limits() -> Plan:
    """A service beside the example's, in the same job: some of its windows over the spine, kept for longer."""
    customers = msgspec.structs.replace(fraud().windows[0], features=fraud().windows[0].features[:2])
    return msgspec.structs.replace(
        fraud(),
        service="limits",
        sources=fraud().sources[:1],
        windows=(customers,),
        batch=(),
        lateness_ms=2 * fraud().lateness_ms,
    )


def labelled() -> OutcomesPlan:
    """The job that joins the example's predictions with their labels."""
    labels = load(EXAMPLE).service("fraud").sources["labels"]
    return outcomes_plan(fraud(), labels, labels.column("is_fraud"), 30 * DAY_MS)


TEXTS: dict[str, Callable[[], str]] = {
    "flink_fraud_arrival.sql": lambda: job_sql(job_plan([fraud()]), options()).text,
    "flink_fraud_event_time.sql": lambda: job_sql(job_plan([fraud("event_time")]), options()).text,
    "flink_two_services.sql": lambda: job_sql(job_plan([fraud(), limits()]), options()).text,
    "flink_outcomes.sql": lambda: outcomes_sql(labelled(), options()).text,
    "duckdb_fraud.sql": lambda: features_sql(fraud()),
}


def write() -> None:
    """Rewrite every file."""
    for name, text in TEXTS.items():
        (FOLDER / name).write_text(text())
