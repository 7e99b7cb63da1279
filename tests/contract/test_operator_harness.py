"""The window operator against the reference, in both modes, on random streams, watermarks, block sizes and restarts."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.plan import ColumnType, Mode, Stage
from tests.contract.harness import Options, Output, Process, Stream, running
from tests.contract.reference import Event, vectors
from tests.support.strategies import COLUMNS, DAY, PLAN, STEP, same, streams

FOR_EVER = 2**60
MODES: tuple[Mode, ...] = ("arrival", "event_time")
LATENESS = (0, 6 * STEP, 3 * DAY * STEP, 100 * DAY * STEP)
TYPES = {column.name: column.type for column in COLUMNS}


class Due(NamedTuple):
    """When the vector of a query is due: after how many items of the stream; and what its lateness is measured against."""

    known: int
    newest: int


@pytest.fixture(scope="module")
def operator() -> Iterator[Process]:
    """One process for all streams."""
    with running() as process:
        yield process


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    """A stage of the plan with some of its features: the reference takes its time over each."""
    whole = draw(st.sampled_from(PLAN.windows))
    some = draw(st.randoms(use_true_random=False)).sample(whole.features, min(6, len(whole.features)))
    return msgspec.structs.replace(whole, features=tuple(some))


@st.composite
def items(draw: st.DrawFn, stage: Stage) -> list[Event | int]:
    """Events, and a watermark that is some way behind them, all of them in the end."""
    every, behind = draw(st.sampled_from((1, 3, 10))), draw(st.sampled_from((1, STEP, 8 * STEP, 30 * STEP * DAY)))
    found: list[Event | int] = []
    reached, newest = -1, 0
    events = [event for event in draw(streams(size=30)) if event.source in {stage.source, PLAN.spine}]
    for number, event in enumerate(events):
        found.append(event)
        newest = max(newest, event.time)
        if number % every == 0 and newest - behind > reached:
            reached = newest - behind
            found.append(reached)
    return [*found, FOR_EVER]


OPTIONS = st.builds(
    lambda sizes, copies, restart, cache, kept: Options(sizes[0], sizes[1], copies, restart, cache, kept),
    st.sampled_from(((2, 2), (2, 3), (4, 3), (32, 16))),
    st.booleans(),
    st.sampled_from((0, 1, 7)),
    st.sampled_from((0, 2_000, 1_000_000)),
    st.sampled_from((0, 1_000, 1_000_000)),
)


@pytest.mark.slow
@settings(suppress_health_check=list(HealthCheck))
@given(st.data(), stages(), OPTIONS, st.sampled_from(LATENESS))
def test_both_modes_give_what_the_contract_says(
    operator: Process, data: st.DataObject, stage: Stage, options: Options, lateness: int
) -> None:
    """Each complete vector is the reference's, none within the lateness is incomplete, and nothing is left of a silent key."""
    found = data.draw(items(stage))
    for mode in MODES:
        plan = msgspec.structs.replace(PLAN, mode=mode, lateness_ms=lateness)
        stream = Stream(plan, stage, found, options)
        output = operator.run(stream)
        due = expected_due(mode, stream)
        assert sorted(output.order) == sorted(due)
        assert output.left == 0
        check_order(stream, due, output.order)
        for place, row in output.vectors.items():
            check(stream, place, due[place], row)
        check_ledger(mode, stream, output)


def expected_due(mode: Mode, stream: Stream) -> dict[int, Due]:
    """The vectors that are to come."""
    due: dict[int, Due] = {}
    watermark = -1
    waiting: list[int] = []
    newest: dict[tuple[Any, ...], int] = {}
    for place, item in enumerate(stream.items):
        if isinstance(item, int):
            watermark = item
            due |= {p: Due(place, 0) for p in waiting if _event(stream, p).time <= watermark}
            waiting = [p for p in waiting if p not in due]
            continue
        key = tuple(item.columns[name] for name in stream.stage.key)
        newest[key] = max(newest.get(key, -1), item.time)
        if item.source != stream.plan.spine:
            continue
        if mode == "event_time" and item.time > watermark:
            waiting.append(place)
        else:
            due[place] = Due(place + 1, max(newest[key], watermark))
    return due


def check_order(stream: Stream, due: dict[int, Due], order: list[int]) -> None:
    """Of a key, what a watermark sets free comes by time, then by arrival; all else as it comes."""
    for key in {_key(stream, place) for place in order}:
        got = [place for place in order if _key(stream, place) == key]
        assert got == sorted(got, key=lambda place: (due[place].known, _event(stream, place).time, place))


def check(stream: Stream, place: int, due: Due, row: dict[str, Any]) -> None:
    """One vector."""
    events = [item for item in stream.items if isinstance(item, Event)]
    event = _event(stream, place)
    known = sum(isinstance(item, Event) for item in stream.items[: due.known])
    number = sum(isinstance(item, Event) and item.source == stream.plan.spine for item in stream.items[:place])
    assert {name: typed(value, TYPES[name]) for name, value in row.items() if name in TYPES} == event.columns
    if not row["_complete"]:
        assert event.time < due.newest - stream.plan.lateness_ms
        return
    largest = {name: float(max((abs(e.columns[name] or 0) for e in events), default=0)) for name in ("whole", "exact", "real")}
    expected = vectors(stream.stage, stream.plan.spine, events[:known])[number]
    for feature in stream.stage.features:
        got = typed(row[feature.name], feature.aggregation.gives(TYPES[feature.column]))
        should = expected[feature.name]
        assert same(feature, got, should, largest.get(feature.column, 0.0)), f"{feature}: {got!r}, not {should!r}"


def check_ledger(mode: Mode, stream: Stream, output: Output) -> None:
    """Each row that comes late has an entry, and no other; how late it is."""
    expected: dict[int, int] = {}
    newest: dict[tuple[Any, ...], int] = {}
    queried: dict[tuple[Any, ...], int] = {}
    watermark = -1
    for place, item in enumerate(stream.items):
        if isinstance(item, int):
            watermark = item
            continue
        key = _key(stream, place)
        behind = watermark if mode == "event_time" else newest.get(key, -1)
        as_old = mode == "event_time" or item.time == queried.get(key)  # as a query which it comes before (rule 6)
        if item.source == stream.stage.source and (behind > item.time or (behind == item.time and as_old)):
            expected[place] = behind - item.time
        newest[key] = max(newest.get(key, -1), item.time)
        if item.source != stream.stage.source:
            queried[key] = max(queried.get(key, -1), item.time)
    for place, late in output.late:
        assert late.time == _event(stream, place).time
        assert late.view == stream.stage.features[0].view
    got = {place: late.late_ms for place, late in output.late}
    assert len(got) == len(output.late)
    if mode == "event_time" or stream.plan.lateness_ms == max(LATENESS):
        assert got == expected
    else:  # a key that was cleared has no newest row
        assert all(late <= expected[place] for place, late in got.items())


def typed(value: Any, column: ColumnType) -> Any:
    """A value out of JSON."""
    if column.length and value is not None:
        return [typed(one, msgspec.structs.replace(column, length=0)) for one in value]
    return Decimal(value) if isinstance(value, str) and column.kind not in {"string"} else value


def _event(stream: Stream, place: int) -> Event:
    item = stream.items[place]
    assert isinstance(item, Event)
    return item


def _key(stream: Stream, place: int) -> tuple[Any, ...]:
    return tuple(_event(stream, place).columns[name] for name in stream.stage.key)
