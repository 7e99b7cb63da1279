"""What happens to one segment alone is found, and named; and an alarm names some of the events behind it."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.inputs.bins import number_bins
from features.inputs.reference import SCORE, Reference, Segments, encode_reference
from features.times import DAY_MS
from schemas import Alarm
from serving.monitor.metrics import Seen, _Monitored
from serving.monitor.monitor import Monitor
from serving.monitor.state import State
from serving.monitor.tally import NAMED, SAMPLE
from tests.serving.monitor.support import DAY, INPUT, histogram, rules
from tests.serving.monitor.support import reference as plain

KIND = "shop__kind"
KINDS = (1.0, 2.0, 3.0)
ROWS = 6000
IN_SEGMENT = f"{KIND} is > 3"


def rows_of(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Values of rows, and their kinds: of a tenth of them the third."""
    random = np.random.default_rng(seed)
    return random.normal(10, 2, rows), random.choice(KINDS, rows, p=(0.6, 0.3, 0.1))


def reference() -> Reference:
    """Of the input, the kind and the score, and by segments of the kind: each kind, and all else."""
    found, kinds = rows_of(0)
    bins = number_bins(INPUT, found), number_bins(KIND, kinds), number_bins(SCORE, found / 10)
    of_cells = np.full(bins[1].size, len(KINDS))
    of_cells[bins[1].cells(np.array(KINDS))] = range(len(KINDS))
    of_rows = of_cells[bins[1].cells(kinds)]
    within = [
        (histogram(bins[0], found[of_rows == number]), histogram(bins[2], found[of_rows == number] / 10))
        for number in range(len(KINDS) + 1)
    ]
    whole = histogram(bins[0], found), histogram(bins[1], kinds), histogram(bins[2], found / 10)
    names = ("1", "2", "> 3", "(others)")
    segments = Segments(KIND, names, tuple(of_cells.tolist()), tuple(within))
    return msgspec.structs.replace(plain(), histograms=whole, segments=(segments,))


def monitor(**changes: object) -> Monitor:
    """With a new state."""
    made, of = rules(**changes), reference()
    return Monitor(State("shop", made.window), made, lambda model, version: of, clock=lambda: 7.0)


def count(one: Monitor, day: int, spoil: Any = None, rows: int = ROWS) -> None:
    """Count a day's predictions, whose ids say their day and row; ``spoil`` changes values, by their kinds."""
    found, kinds = rows_of(day + 1, rows)
    if spoil:
        found = spoil(found, kinds)
    times = DAY + day * DAY_MS + np.arange(rows, dtype=np.int64)
    one.count("shop", 1, times, {INPUT: found, KIND: kinds, SCORE: found / 10}, [f"{day}-{row}" for row in range(rows)])


def alarms(spoil: Any, days: int = 4, **changes: object) -> list[Alarm]:
    """Of days that are spoiled from the second on."""
    one = monitor(**changes)
    for day in range(days):
        count(one, day, spoil if day else None)
    return one.advance(DAY + days * DAY_MS)


def in_third(found: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Half a deviation more, of the third kind alone."""
    return np.where(kinds == 3, found + 1, found)


def test_a_shift_of_one_segment_is_found_and_named() -> None:
    """Of a tenth of the rows; of all of them nothing can be seen."""
    found = alarms(in_third)
    assert [(one.input, one.segment, one.state) for one in found] == [(INPUT, IN_SEGMENT, "open"), (SCORE, IN_SEGMENT, "open")]
    alarm = found[0]
    assert alarm.id == f"shop/shop/1/{INPUT} where {IN_SEGMENT}/{DAY + DAY_MS}"
    assert alarm.text.startswith(f"{INPUT} of shop v1 where {IN_SEGMENT} has drifted since")
    assert sum(alarm.found) == alarm.rows == sum(rows_of(3)[1] == 3)
    assert alarm.psi > alarm.limit >= 0.02
    without = monitor()
    of = without.reference("shop", 1)
    assert of is not None
    bare = msgspec.structs.replace(of, segments=())
    without = Monitor(State("shop", "day"), rules(), lambda model, version: bare)
    for day in range(4):
        count(without, day, in_third)
    assert without.advance(DAY + 4 * DAY_MS) == []


def test_what_happens_to_all_is_said_once() -> None:
    """And not of each segment again."""
    found = alarms(lambda values, kinds: values + 1)
    assert [(one.input, one.segment) for one in found] == [(INPUT, ""), (SCORE, "")]


def test_an_alarm_of_a_segment_closes() -> None:
    """After two days that did not drift."""
    one = monitor()
    for day in range(6):
        count(one, day, in_third if 1 <= day <= 2 else None)
    told = [(alarm.state, alarm.input, alarm.events != []) for alarm in one.advance(DAY + 6 * DAY_MS)]
    assert told == [("open", INPUT, True), ("open", SCORE, True), ("closed", INPUT, False), ("closed", SCORE, False)]


def test_a_segment_that_is_silent_keeps_its_alarm_while_its_windows_are_kept_and_no_longer() -> None:
    """What has come back by then goes on; what has not closes, with the reason, and is forgotten."""

    def told(back: int) -> list[tuple[int, str, str]]:
        one, found = monitor(kept_windows=3), []
        for day in range(8):
            if day < 3 or day == back:
                count(one, day, in_third)
            else:
                values, kinds = rows_of(day + 1)
                columns = {INPUT: values, KIND: np.where(kinds == 3, 1.0, kinds), SCORE: values / 10}
                one.count("shop", 1, DAY + day * DAY_MS + np.arange(ROWS, dtype=np.int64), columns)
            found += [(day, alarm.state, alarm.text) for alarm in one.advance(DAY + (day + 1) * DAY_MS) if alarm.segment]
        assert (f"{INPUT} where {IN_SEGMENT}" in one.state.versions["shop/1"].tracks) == (back == 5)
        return found

    why = f"{IN_SEGMENT} any more: none of the last 3 windows had enough predictions of it"
    assert [(day, state) for day, state, _ in told(0)] == [(1, "open"), (1, "open"), (5, "closed"), (5, "closed")]
    assert [text for _, state, text in told(0) if state == "closed"] == [
        f"nothing is said of {name} of shop v1 where {why}" for name in (INPUT, SCORE)
    ]
    assert [(day, state) for day, state, _ in told(5)] == [(1, "open"), (1, "open")]


@pytest.mark.slow
def test_a_month_of_stationary_days_has_no_alarm() -> None:
    """With all segments."""
    assert alarms(None, days=30) == []


def test_a_segment_with_few_rows_is_not_judged() -> None:
    """Fewer than ``min_events`` of it."""
    assert alarms(in_third, min_events=1000) == []


def test_an_alarm_names_events_behind_it() -> None:
    """Of the window, of its segment, and of cells that have grown: gone null, they are nulls."""
    found = next(one for one in alarms(in_third) if one.input == INPUT)
    assert len(found.events) == len(set(found.events)) == NAMED
    _, kinds = rows_of(3)
    assert [kinds[int(str(event).removeprefix("2-"))] for event in found.events] == [3] * NAMED
    assert found.text.endswith(f"such as {', '.join(map(str, found.events))}")
    of_all = alarms(lambda values, kinds: np.where(np.arange(len(values)) % 8 == 0, np.nan, values))[0]
    assert (of_all.what, of_all.segment, len(of_all.events)) == ("nulls", "", NAMED)
    assert {int(str(event).removeprefix("2-")) % 8 for event in of_all.events} == {0}


def test_an_alarm_of_a_segment_names_no_event_whose_segment_is_not_known() -> None:
    """Predictions whose receipts do not say it are of none, though their values lie in the cells that have grown."""
    made, of = rules(), reference()
    (kinds,) = of.segments
    of = msgspec.structs.replace(of, segments=(msgspec.structs.replace(kinds, of_cells=(*kinds.of_cells[:-1], 2)),))
    one = Monitor(State("shop", made.window), made, lambda model, version: of, clock=lambda: 7.0)
    for day in range(4):
        count(one, day, in_third)
        found, _ = rows_of(day + 9)
        times = np.full(ROWS, DAY + day * DAY_MS, np.int64)
        one.count("shop", 1, times, {INPUT: found, SCORE: found / 10}, [f"unknown {day}-{row}" for row in range(ROWS)])
    alarm = next(one for one in one.advance(DAY + 4 * DAY_MS) if one.segment == IN_SEGMENT and one.input == INPUT)
    assert len(alarm.events) == NAMED
    assert not [event for event in alarm.events if str(event).startswith("unknown")]


def test_few_events_are_kept_and_none_once_a_window_is_closed() -> None:
    """However many there are."""
    one = monitor()
    for _ in range(3):
        count(one, 0)
    version = one.state.versions["shop/1"]
    assert len(version.windows[DAY].sample) == SAMPLE
    one.advance(DAY + DAY_MS)
    assert b"sample" not in msgspec.json.encode(version.closed)


@settings(max_examples=settings().max_examples // 5)
@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_order_and_split_gives_the_same_state(random: Any, parts: int) -> None:
    """Segments and sampled events too, of more events than are kept."""
    found, kinds = rows_of(9, rows=700)
    times = DAY + np.arange(700, dtype=np.int64) * (2 * DAY_MS // 1000)
    ids = [f"e{number}" for number in range(700)]
    order = list(range(700))
    random.shuffle(order)
    whole, split = monitor(), monitor()
    for one, chosen in ((whole, [np.arange(700)]), (split, np.array_split(np.array(order), parts))):
        for part in chosen:
            columns = {INPUT: found[part], KIND: kinds[part], SCORE: found[part]}
            one.count("shop", 1, times[part], columns, [ids[place] for place in part])
    as_json = [msgspec.to_builtins(one.state, str_keys=True) for one in (whole, split)]
    assert as_json[0] == as_json[1]
    assert sum(len(window["sample"]) for window in as_json[0]["versions"]["shop/1"]["windows"].values()) > SAMPLE


def test_a_state_goes_on_from_its_file() -> None:
    """With segments and sampled events, in the middle of a window."""
    without, one = monitor(), monitor()
    for day in range(4):
        for each in (without, one):
            count(each, day, in_third)
        one.state = msgspec.json.decode(msgspec.json.encode(one.state), type=State)
    until = DAY + 4 * DAY_MS
    assert without.advance(until) == one.advance(until) != []


def test_prometheus_is_told_how_many_segments_have_an_alarm() -> None:
    """By input."""
    one = monitor()
    for day in range(3):
        count(one, day, in_third)
    one.advance(DAY + 3 * DAY_MS)
    family = next(f for f in _Monitored(lambda: Seen(one.state, {})).collect() if f.name == "headrace_monitor_segment_alarms")
    assert {sample.labels["input"]: sample.value for sample in family.samples} == {INPUT: 1, KIND: 0, SCORE: 1}


def test_a_reference_without_segments_has_the_bytes_that_it_had() -> None:
    """Before there were any: a monitor's state knows a reference by its sha256."""
    assert b"segments" not in encode_reference(plain())
