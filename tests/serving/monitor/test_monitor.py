"""Windows are counted, judged and forgotten; alarms open and close, each once."""

from __future__ import annotations

import sys
import threading
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import StackError
from features.inputs.reference import SCORE
from features.times import DAY_MS
from schemas import Alarm
from serving.monitor.metrics import Seen, _Monitored
from serving.monitor.monitor import MOST_OPEN, Monitor
from serving.monitor.state import State, Track
from tests.serving.monitor.support import DAY, INPUT, ROWS, TRAINED, count, monitor, values


def _days(shifts: list[float], **changes: object) -> list[list[Alarm]]:
    """The alarms of each day whose values are moved by so much."""
    one, found = monitor(**changes), []
    for day, shift in enumerate(shifts):
        count(one, day, values(day, shift))
        found.append(one.advance(DAY + (day + 1) * DAY_MS))
    return found


def test_stationary_days_raise_no_alarm() -> None:
    """A month of them."""
    assert _days([0.0] * 30) == [[]] * 30


def test_an_alarm_opens_once_and_closes_once() -> None:
    """On the second day that drifted; it goes on without a word, and closes after two days that did not."""
    found = _days([0, 0, 0.5, 0.5, 0.5, 0.5, 0, 0, 0])
    told = [[(alarm.state, alarm.input) for alarm in day] for day in found]
    both = [INPUT, SCORE]
    opened, closed = [("open", name) for name in both], [("closed", name) for name in both]
    assert told == [[], [], [], opened, [], [], [], closed, []]
    assert found[3][0].id == found[7][0].id == f"shop/shop/1/{INPUT}/{DAY + 2 * DAY_MS}"


def test_one_day_alone_is_no_alarm_and_two_of_three_are() -> None:
    """Persistence."""
    assert _days([0, 0.5, 0, 0, 0.5, 0, 0]) == [[]] * 7
    assert [bool(day) for day in _days([0.5, 0, 0.5])] == [False, False, True]


def test_an_alarm_says_what_since_when_how_much_and_against_what() -> None:
    """With both histograms in numbers."""
    alarm = _days([0.5, 0.5])[1][0]
    assert (alarm.since, alarm.window_start, alarm.window_end) == (DAY, DAY + DAY_MS, DAY + 2 * DAY_MS)
    assert alarm.psi > alarm.limit >= 0.02
    assert alarm.p_value < 0.05
    assert alarm.psi == pytest.approx(0.25, rel=0.4)
    assert (sum(alarm.trained), sum(alarm.found), alarm.rows) == (len(TRAINED), ROWS, ROWS)
    assert len(alarm.cells) == len(alarm.trained) == len(alarm.found)
    assert (alarm.trained_from, alarm.trained_until) == (DAY - 14 * DAY_MS, DAY - 7 * DAY_MS)
    assert alarm.what == "distribution"
    assert alarm.raised_at == 7000
    assert "has drifted since" in alarm.text


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda x: np.where(np.arange(len(x)) % 3 == 0, np.nan, x), "nulls"),
        (lambda x: np.where(np.arange(len(x)) % 3 == 0, 0.0, x), "zeros"),
        (lambda x: x * 100, "out_of_range"),
    ],
)
def test_an_alarm_names_what_has_moved_most(spoil: Any, what: str) -> None:
    """A feature gone null, one that is 0, a unit that changed."""
    one = monitor()
    for day in range(2):
        count(one, day, spoil(values(day)))
    (alarm, _) = one.advance(DAY + 2 * DAY_MS)
    assert (alarm.input, alarm.what) == (INPUT, what)


def test_the_next_alarm_is_another_one() -> None:
    """Windows of an alarm that closed count for no other: where few of many are needed, one more day alone opens none."""
    found = _days([0.5, 0.5, 0, 0, 0.5, 0, 0.5], windows_needed=2, windows_looked_at=7)
    told = [(day, alarm.state, alarm.since) for day, alarms in enumerate(found) for alarm in alarms if alarm.input == INPUT]
    fourth = DAY + 4 * DAY_MS
    assert told == [(1, "open", DAY), (3, "closed", DAY), (6, "open", fourth)]
    one = _days([0.5, 0, 0.5, 0], windows_needed=1, windows_looked_at=3)
    ids = [(alarm.id, alarm.state) for alarms in one for alarm in alarms]
    assert len(ids) == 8 == len(set(ids))


def test_a_registry_that_was_made_anew_is_refused() -> None:
    """Counters of another reference's cells are not gone on with."""
    one = monitor()
    count(one, 0, values(0))
    other = monitor()
    other.state = one.state
    of = other.reference("shop", 1)
    assert of is not None
    changed = msgspec.structs.replace(of, trained_from=1)
    again = Monitor(one.state, one.rules, lambda model, version: changed)
    with pytest.raises(StackError, match="one reference for good; shop v1 had another when"):
        count(again, 0, values(1))


def test_a_small_effect_is_no_drift_however_sure_it_is() -> None:
    """Less than a third of a deviation of very many rows is below a floor of 0.1, and above none."""

    def drifted(floor: float) -> bool:
        one = monitor(min_psi=floor)
        count(one, 0, values(0, 0.3, rows=50_000))
        one.advance(DAY + DAY_MS)
        return one.state.versions["shop/1"].closed[0].findings[0].drifted

    assert drifted(0.0)
    assert not drifted(0.1)


def test_a_window_with_few_rows_is_kept_and_not_judged() -> None:
    """Nothing is said of it, and it neither opens nor closes an alarm."""
    one = monitor()
    for day, rows in enumerate((ROWS, 100, ROWS)):
        count(one, day, values(day, 0.5, rows=rows))
    assert [alarm.since for alarm in one.advance(DAY + 3 * DAY_MS)] == [DAY, DAY]
    closed = one.state.versions["shop/1"].closed
    assert [(verdict.rows, bool(verdict.findings)) for verdict in closed] == [(ROWS, True), (100, False), (ROWS, True)]


def test_windows_close_once_the_stream_is_beyond_them_and_what_comes_later_is_late() -> None:
    """After ``wait_ms``; the late ones are counted as such, and in no window."""
    one = monitor(wait_ms=1000)
    count(one, 0, values(0))
    one.advance(DAY + DAY_MS + 999)
    assert one.state.versions["shop/1"].closed == []
    one.advance(DAY + DAY_MS + 1000)
    count(one, 0, values(1, rows=10))
    count(one, 1, values(2, rows=10))
    assert (one.state.late, one.state.events) == (10, ROWS + 10)
    assert one.state.versions["shop/1"].closed[0].rows == ROWS


def test_what_is_kept_is_bounded() -> None:
    """However many windows a wrong clock opens, and however long it runs: the newest ones, open and closed."""
    one = monitor(kept_windows=5)
    for day in range(MOST_OPEN + 40):
        count(one, day, values(day, rows=20))
    one.advance(0)
    version = one.state.versions["shop/1"]
    assert (len(version.windows), len(version.closed)) == (MOST_OPEN, 5)
    assert min(version.windows) == DAY + 40 * DAY_MS


def test_what_is_read_ahead_of_the_stream_stays_open() -> None:
    """One partition is read far beyond another: what comes of the other is not late."""
    one = monitor(kept_windows=5)
    for day in range(30):
        count(one, day, values(day))
        one.advance(DAY)
    count(one, 0, values(99))
    assert (one.state.late, one.state.versions["shop/1"].windows[DAY].rows) == (0, 2 * ROWS)


def test_a_version_that_predicts_no_longer_is_forgotten_and_its_alarm_closes() -> None:
    """Once nothing of it would be kept."""
    one = monitor(kept_windows=3)
    of = one.reference("shop", 1)
    one._references = lambda model, version: of
    for day in range(2):
        count(one, day, values(day, 0.5))
    assert len(one.advance(DAY + 2 * DAY_MS)) == 2
    told = []
    for day in range(2, 8):
        count(one, day, values(day), version=2)
        told += one.advance(DAY + (day + 1) * DAY_MS)
    assert [(alarm.state, alarm.version) for alarm in told] == [("closed", 1)] * 2
    assert "predicts no longer" in told[0].text
    assert list(one.state.versions) == ["shop/2"]


def test_versions_without_a_reference_are_counted_as_such() -> None:
    """Nothing is kept of them."""
    one = monitor()
    count(one, 0, values(0), version=9)
    assert (one.state.without_reference, one.state.versions) == (ROWS, {})


@settings(max_examples=settings().max_examples // 5)
@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_any_order_and_split_gives_the_same_state(random: Any, parts: int) -> None:
    """Of the predictions of three days: by partition, by poll."""
    times = DAY + np.arange(300, dtype=np.int64) * (3 * DAY_MS // 300)
    found = np.round(values(3, rows=300), 3)
    whole, split = monitor(), monitor()
    whole.count("shop", 1, times, {INPUT: found, SCORE: found})
    order = list(range(300))
    random.shuffle(order)
    for part in np.array_split(np.array(order), parts):
        split.count("shop", 1, times[part], {INPUT: found[part], SCORE: found[part]})
    as_json = [msgspec.to_builtins(one.state, str_keys=True) for one in (whole, split)]
    assert as_json[0] == as_json[1]


def test_a_state_goes_on_from_its_file() -> None:
    """In the middle of a window, and of a row of days that drifted."""
    without, one = monitor(), monitor()
    for day in range(6):
        for half in (slice(0, 300), slice(300, None)):
            found = values(day, 0.5 if 1 < day < 4 else 0)[half]
            count(without, day, found)
            count(one, day, found)
            one.state = msgspec.json.decode(msgspec.json.encode(one.state), type=State)
        until = DAY + (day + 1) * DAY_MS
        assert without.advance(until) == one.advance(until)
    assert msgspec.json.encode(without.state) == msgspec.json.encode(one.state)


def test_prometheus_is_told_of_the_newest_window() -> None:
    """Indices, shares, and whether an alarm is open."""
    one = monitor()
    for day in range(2):
        count(one, day, values(day, 0.5))
    one.advance(DAY + 2 * DAY_MS)
    families = {family.name: family for family in _Monitored(lambda: Seen(one.state, {0: 3})).collect()}
    labels = {"service": "shop", "model": "shop", "version": "1", "input": INPUT}
    samples = {name: [s for s in family.samples if s.labels == labels] for name, family in families.items()}
    assert samples["headrace_monitor_alarm"][0].value == 1
    assert samples["headrace_monitor_psi"][0].value > samples["headrace_monitor_limit"][0].value
    assert families["headrace_monitor_lag"].samples[0].value == 3
    assert {s.labels["what"]: s.value for s in families["headrace_monitor_events"].samples}["counted"] == 2 * ROWS


def test_a_column_that_few_receipts_carry_is_not_judged() -> None:
    """A scorer of an older Headrace wrote the others of the window: ten values say nothing, however far from training."""
    one = monitor()
    for day in range(2):
        times = DAY + day * DAY_MS + np.arange(ROWS, dtype=np.int64)
        one.count("shop", 1, times[:-10], {SCORE: values(day)[:-10] / 10})
        one.count("shop", 1, times[-10:], {INPUT: values(day, 5.0)[-10:], SCORE: values(day)[-10:] / 10})
    assert one.advance(DAY + 2 * DAY_MS) == []
    assert [[finding.input for finding in verdict.findings] for verdict in one.state.versions["shop/1"].closed] == [[SCORE]] * 2


def test_prometheus_is_told_of_an_open_alarm_whose_input_the_newest_window_lacks() -> None:
    """An alert on it would be over, while the alarm is open."""
    one = monitor()
    for day in range(2):
        count(one, day, values(day, 0.5))
    one.count("shop", 1, np.full(ROWS, DAY + 2 * DAY_MS), {SCORE: values(2) / 10})
    one.advance(DAY + 3 * DAY_MS)
    families = {family.name: family for family in _Monitored(lambda: Seen(one.state, {})).collect()}
    assert [(s.labels["input"], s.value) for s in families["headrace_monitor_alarm"].samples] == [(SCORE, 1), (INPUT, 1)]
    assert [s.labels["input"] for s in families["headrace_monitor_psi"].samples] == [SCORE]


def test_prometheus_may_look_while_inputs_are_added() -> None:
    """On a thread of its own; a look that fails is a gap in every graph."""
    one, stop = monitor(), threading.Event()
    count(one, 0, values(0))
    one.advance(DAY + DAY_MS)
    tracks = one.state.versions["shop/1"].tracks
    tracks.update({str(number): Track() for number in range(50_000)})

    def change() -> None:
        while not stop.is_set():
            if tracks.pop("more", None) is None:
                tracks["more"] = Track()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(20):
            _Monitored(lambda: Seen(one.state, {})).collect()
    finally:
        stop.set()
        changing.join()
        sys.setswitchinterval(interval)
