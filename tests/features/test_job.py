"""Services that share a stream job: which do, what is one for all of them, and what they cost each other."""

from __future__ import annotations

import msgspec
import pytest

from features.errors import DefinitionError
from features.job import job_plan, job_plans
from features.plan import Column, ColumnType, Mode, Plan, Source, Stage, WindowFeature

MINUTE = 60_000
COLUMNS = tuple(Column(name, ColumnType("int64")) for name in ("id", "at", "card", "shop", "amount"))


def source(name: str) -> Source:
    """A source of that name."""
    return Source(name, name, COLUMNS, "at", "id", f"{name}.parquet", 0)


def feature(name: str, minutes: int = 1) -> WindowFeature:
    """A sum of amounts."""
    return WindowFeature(name, "sum", "amount", minutes * MINUTE)


def plan(service: str, *windows: Stage, spine: str = "payments", mode: Mode = "arrival", lateness_ms: int = 0) -> Plan:
    """A plan of the sources that it uses."""
    names = dict.fromkeys([spine, *(w.source for w in windows)])
    return Plan(service, spine, tuple(map(source, names)), windows, (), (), (), mode, lateness_ms)


def test_services_of_one_spine_and_mode_share_a_job() -> None:
    """Another spine or another mode is another job; a job is called by the first of its services."""
    plans = [plan("d"), plan("b", spine="orders"), plan("a", mode="event_time"), plan("c")]
    jobs = job_plans(plans)
    assert [(job.name, job.services, job.spine, job.mode) for job in jobs] == [
        ("a", ("a",), "payments", "event_time"),
        ("b", ("b",), "orders", "arrival"),
        ("c", ("c", "d"), "payments", "arrival"),
    ]


def test_other_spines_and_modes_are_refused_in_one_job() -> None:
    """The message says what came."""
    with pytest.raises(DefinitionError, match=r"\(a, b\).*got orders in mode arrival and payments in mode event_time; run a job"):
        job_plan([plan("a", mode="event_time"), plan("b", spine="orders")])
    with pytest.raises(DefinitionError, match="got no service"):
        job_plan([])


def test_a_stage_that_two_services_use_is_one_with_the_features_of_both() -> None:
    """Features are shared by name, each once; the longest window of all and the greatest lateness say what is kept."""
    first = plan("a", Stage("payments", ("card",), (feature("v__x"), feature("v__y", 5))), lateness_ms=3)
    second = plan("b", Stage("payments", ("card",), (feature("w__z", 9), feature("v__x"))), lateness_ms=2)
    job = job_plan([second, first])
    (stage,) = job.windows
    assert [f.name for f in stage.features] == ["v__x", "v__y", "w__z"]
    assert (stage.longest_ms, job.lateness_ms) == (9 * MINUTE, 3)
    assert [s.name for s in job.sources] == ["payments"]


def test_a_stage_that_more_services_use_comes_first() -> None:
    """And those over the spine before others: a service waits for as little as it can of what it does not use."""
    shared = Stage("reports", ("shop",), (feature("v__x"),))
    own = Stage("payments", ("card",), (feature("w__x"),))
    other = Stage("refunds", ("card",), (feature("u__x"),))
    both, one = plan("a", other, own, shared), plan("b", shared)
    job = job_plan([both, one])
    assert [stage.name for stage in job.windows] == ["reports_by_shop", "payments_by_card", "refunds_by_card"]
    assert (job.stages_of(both), job.stages_of(one)) == ((0, 1, 2), (0,))


def test_the_digest_is_of_all_that_is_computed() -> None:
    """The order in which services are named is nothing; a service more, or another window of one, is another state."""
    a, b = plan("a", Stage("payments", ("card",), (feature("v__x"),))), plan("b")
    changed = plan("b", Stage("payments", ("card",), (feature("v__y"),)))
    assert job_plan([a, b]).digest == job_plan([b, a]).digest
    assert len({job_plan(plans).digest for plans in ([a], [b], [a, b], [a, changed])}) == 4


def test_definitions_that_differ_are_refused() -> None:
    """One source or one feature in two forms comes of plans that were compiled at two times."""
    a = plan("a", Stage("payments", ("card",), (feature("v__x"),)))
    longer = plan("b", Stage("payments", ("card",), (feature("v__x", 2),)))
    with pytest.raises(DefinitionError, match="feature 'v__x' is one in all services of a job; got two"):
        job_plan([a, longer])
    moved = msgspec.structs.replace(a, service="b", sources=(msgspec.structs.replace(a.sources[0], topic="elsewhere"),))
    with pytest.raises(DefinitionError, match="source 'payments' is one in all services of a job; got two"):
        job_plan([a, moved])
