"""The runner's windows: every case of the contract in arrival mode, and random streams held against the reference."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.plan import Plan
from serving.edge.headrace_edge import events
from serving.edge.headrace_edge.device import EVER, Device
from serving.edge.headrace_edge.errors import RefusedError, UnscorableError
from serving.edge.headrace_edge.windows import Bounds
from tests.contract.cases import COLUMNS, Case, Row, field, mismatches, name_of, plan_of, repeated
from tests.contract.lockstep import AGE_MS
from tests.contract.reference import Event, vectors
from tests.contract.test_windows import EACH
from tests.serving.edge.plans import edge_plan, text
from tests.support.strategies import NUMBERS, PLAN, same, stage, streams

MANY = Bounds(100_000, 100_000)


def device_of(plan: Plan, bounds: Bounds = MANY, whole_from: str | int = EVER) -> Device:
    """A device without a model."""
    return Device(edge_plan(plan), None, {}, bounds, whole_from=whole_from)  # type: ignore[arg-type]


def taken(device: Device, source: str, written: str) -> tuple[dict[str, Any], bool] | str | None:
    """The windows of an event of the spine with ``complete``, or the reason why it is refused."""
    plan = device.plan
    try:
        now = int(time.time() * 1000)
        event = events.read(plan.sources[source], written, now, plan.max_ahead_ms, plan.max_age_days)
    except RefusedError as error:
        return error.reason
    device.add(event)
    return device.features(event) if source == plan.spine else None


@EACH
def test_every_case_of_the_contract(case: Case) -> None:
    """The runner gives what the case file says of arrival mode, with its dead letters and what is not complete."""
    plan = plan_of([case], "arrival", AGE_MS if case.lateness_ms is None else case.lateness_ms)
    device, found = device_of(plan), dict[int, Mapping[str, Any] | str]()
    for place, row in enumerate(case.rows):
        if not row.is_event or row.source not in device.plan.sources:
            continue
        said = taken(device, row.source, written_of(row, place))
        if isinstance(said, str):
            found[place] = said
        elif said is not None:
            found[place] = {**{f.name: said[0][name_of(f)] for f in case.features}, "complete": said[1]}
    wrong = mismatches(case, "arrival", found)
    if wrong:
        pytest.fail(wrong, pytrace=False)


def written_of(row: Row, place: int) -> str:
    """A row as JSON, its cells as they are written; with an id, and with keys where the table leaves them out."""
    fields = {column.name: field(column, row.cells.get(column.name, "-")) for column in COLUMNS}
    fields |= {"id": str(place)} if "id" not in row.cells or fields["id"] else {}
    if row.at is not None and not row.cells["at"].startswith('"'):
        fields["at"] = str(row.at)
    fields |= {name: value for name, value in (("card", "0"), ("shop", '""')) if name not in row.cells}
    written = [*repeated(row), *fields.items()]
    return "{" + ", ".join(f'"{name}": {value}' for name, value in written if value is not None) + "}"


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(streams(size=25))
def test_random_streams_are_those_of_the_reference(stream: list[Event]) -> None:
    """Whatever is late: each vector is what the reference says of the rows that have arrived until then."""
    device = device_of(PLAN)
    largest = {name: float(max((abs(e.columns[name] or 0) for e in stream), default=0)) for name in NUMBERS}
    for number, event in enumerate(stream):
        said = taken(device, event.source, text(event.columns))
        if event.source != PLAN.spine:
            continue
        assert isinstance(said, tuple)
        for windows in PLAN.windows:
            expected = vectors(windows, PLAN.spine, stream[: number + 1])[-1]
            for feature in windows.features:
                near = largest.get(feature.column, 0.0)
                assert same(feature, said[0][feature.name], expected[feature.name], near), feature.name
        assert said[1]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(streams(size=30), st.integers(1, 6), st.integers(1, 3), st.integers(0, 30))
def test_a_bound_is_kept_and_what_it_costs_is_said(stream: list[Event], rows: int, keys: int, restart: int) -> None:
    """However few rows and keys are kept: a vector that says it is complete is the one of a device that keeps all."""
    small, whole = device_of(PLAN, Bounds(rows, keys)), device_of(PLAN)
    for number, event in enumerate(stream):
        if number == restart:
            saved = json.loads(json.dumps(small.save()))
            small = device_of(PLAN, Bounds(rows, keys))
            small.restore(saved)
        said, expected = (taken(one, event.source, text(event.columns)) for one in (small, whole))
        if isinstance(said, tuple) and said[1]:
            assert said == expected
    for saved in small.save()["stages"]:
        assert len(saved["keys"]) <= keys
        assert all(len(times) <= rows for _, _, times, _ in saved["keys"])


def payments(*at: int, card: int = 1) -> Sequence[dict[str, Any]]:
    """Events of one card."""
    return [{"id": n, "at": when, "card": card, "shop": "a", "whole": 1, "real": 1.0} for n, when in enumerate(at)]


def test_the_oldest_row_leaves_at_the_bound_and_complete_turns_false() -> None:
    """Three rows a key: the fourth pushes out the first, which its window should hold."""
    device = device_of(PLAN, Bounds(3, 10))
    said = [taken(device, "payments", text(one)) for one in payments(1000, 1100, 1200, 1300, 9000)]
    counts = [one[0]["payments_card__count_whole_5"] for one in said if isinstance(one, tuple)]
    assert counts == [1, 2, 3, 3, 1]
    assert [one[1] for one in said if isinstance(one, tuple)][:3] == [True] * 3
    assert not said[3][1]  # type: ignore[index]


def test_a_key_that_left_comes_back_incomplete() -> None:
    """Two keys: the third pushes out the one that was silent for longest, and what it had is missed as long as it counts."""
    device = device_of(PLAN, Bounds(10, 2))
    for card in (1, 2, 3):
        taken(device, "payments", text(payments(1000 * card, card=card)[0]))
    again = taken(device, "payments", text(payments(3001, card=1)[0]))
    assert isinstance(again, tuple)
    assert (again[0]["payments_card__count_whole_5"], again[1]) == (1, False)


def test_windows_are_whole_a_window_after_the_first_event() -> None:
    """A device knows nothing of before: until then receipts say so, unless it is told that there was nothing."""
    day = 86_400_000
    for whole_from, expected in (("first", [False, False, True]), (EVER, [True] * 3), (500, [False, True, True])):
        device = device_of(PLAN, whole_from=whole_from)
        taken(device, "reports", text(payments(1000)[0]))
        said = [taken(device, "payments", text(one)) for one in payments(day, day + 999, day + 1000 + day)]
        assert [one[1] for one in said if isinstance(one, tuple)] == expected, whole_from


def test_what_no_double_holds_has_no_prediction() -> None:
    """As on the stream: the sum of the two largest doubles is beyond one; with a third that cancels it is not."""
    sums = stage("payments", "card", functions=("sum", "mean"), columns=("real",), steps=(5,))
    device = device_of(msgspec.structs.replace(PLAN, windows=(sums,)))
    written = [
        text({**one, "real": real}) for one, real in zip(payments(1000, 1000, 1000), (1.7e308, 1.7e308, -1.7e308), strict=True)
    ]
    taken(device, "payments", written[0])
    with pytest.raises(UnscorableError, match="sum_real_5 is beyond a double"):
        taken(device, "payments", written[1])
    said = taken(device, "payments", written[2])
    assert isinstance(said, tuple)
    assert said[0] == {"payments_card__sum_real_5": 1.7e308, "payments_card__mean_real_5": float(Fraction(1.7e308) / 3)}
