"""The browser runner's windows in Chromium: every case of the contract, random streams, and what it reads and translates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.edge.headrace_edge import events, model
from serving.edge.headrace_edge import plan as runner
from serving.edge.headrace_edge.errors import RefusedError, UnscorableError
from serving.edge.headrace_edge.windows import Bounds
from tests.contract.cases import Case, mismatches, name_of, plan_of
from tests.contract.lockstep import AGE_MS
from tests.contract.reference import Event
from tests.contract.test_windows import EACH
from tests.serving.edge.pages import Harness, plan_text
from tests.serving.edge.plans import edge_plan, text
from tests.serving.edge.test_windows import device_of, taken, written_of
from tests.support.strategies import PLAN, streams

pytestmark = pytest.mark.slow

NOW = 1_800_000_000_000
WHOLE = plan_text(PLAN)
RUNNER_PLAN = edge_plan(PLAN)


@EACH
def test_every_case_of_the_contract(case: Case, js: Harness) -> None:
    """A page gives what the case file says of arrival mode, with its dead letters and what is not complete."""
    plan = plan_of([case], "arrival", AGE_MS if case.lateness_ms is None else case.lateness_ms)
    sources = {source.name for source in plan.sources}
    rows = [(place, row) for place, row in enumerate(case.rows) if row.is_event and row.source in sources]
    said, _ = js.windows(plan_text(plan), [(row.source, written_of(row, place)) for place, row in rows])
    found: dict[int, Mapping[str, Any] | str] = {}
    for (place, _), one in zip(rows, said, strict=True):
        if one is not None and len(one) == 1:
            found[place] = one[0]
        elif one is not None:
            found[place] = {**{f.name: one[0][name_of(f)] for f in case.features}, "complete": one[1]}
    wrong = mismatches(case, "arrival", found)
    if wrong:
        pytest.fail(wrong, pytrace=False)


BOUNDED = (streams(size=30), st.integers(1, 6), st.integers(1, 3), st.integers(0, 30))
HUGE = st.lists(
    st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from((1e308, -1e308, 5e-324)), min_size=2, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(*BOUNDED)
def test_random_streams_are_those_of_the_python_runner(
    js: Harness, stream: list[Event], rows: int, keys: int, restart: int
) -> None:
    """Feature by feature to the bit, with `complete`, whatever is late, however little is kept, over a restart."""
    for bounds in (Bounds(100_000, 100_000), Bounds(rows, keys)):
        device = device_of(PLAN, bounds)
        expected = []
        for number, event in enumerate(stream):
            if number == restart:
                saved = json.loads(json.dumps(device.save()))
                device = device_of(PLAN, bounds)
                device.restore(saved)
            expected.append(taken(device, event.source, text(event.columns)))
        written = [(event.source, text(event.columns)) for event in stream]
        said, kept = js.windows(WHOLE, written, restart, rows=bounds.rows, keys=bounds.keys)
        assert [None if one is None else tuple(one) for one in said] == expected
        assert repr(said) == repr([None if one is None else list(one) for one in expected])  # 1 is not 1.0, nor -0.0 0.0
        assert all(some <= bounds.keys and most <= bounds.rows for some, most in kept)


@settings(max_examples=60, deadline=None)
@given(HUGE)
def test_doubles_of_any_size_are_those_of_the_python_runner(js: Harness, values: list[float]) -> None:
    """Sums, means and variances to the bit, and the same ones beyond a double."""
    written = [text({"id": n, "at": 1000, "card": 1, "shop": "a", "real": one}) for n, one in enumerate(values)]
    device = device_of(PLAN)
    said, _ = js.windows(WHOLE, [("payments", one) for one in written])
    for one, there in zip(written, said, strict=True):
        try:
            expected: Any = taken(device, "payments", one)
        except UnscorableError as error:
            expected = ("unscorable", str(error))
        assert repr(there) == repr(list(expected))


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
DAY, CLOCK = r"(19[67]|20[0-3])[0-9]-[01][0-9]-[0-3][0-9]", r"[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?"
OFFSET = r"([Zz]|[+-](0[0-9]|1[5-9]|24)(:([0-5][0-9]|00|60)(:[0-6][0-9]|:00)?)?)"
MOMENTS = st.from_regex(rf'"{DAY}[Tt ]{CLOCK}{OFFSET}"', fullmatch=True)
ODD = st.sampled_from(
    (
        *(
            "null",
            "true",
            "false",
            '""',
            '"a"',
            "[]",
            "{}",
            "NaN",
            "-Infinity",
            "-0",
            "0e99",
            "1e400",
            "9" * 1001,
            "00",
            "1.",
            ".5",
        ),
        *(
            '"\\ud83d\\ude00"',
            '"\\ud800"',
            '"\\x"',
            '"\\u00"',
            '"\t"',
            "9223372036854775807",
            "9223372036854775808",
            "tru",
            "[1,]",
        ),
        *("1714550400000", "1714550400000.0", "17145504e5", '"2024-02-29T12:00Z"', '"2023-02-29T12:00Z"', "99999999.99", "0.10"),
    )
)
NAMES = ("id", "at", "card", "shop", "whole", "exact", "real", "note", "web", "seen", "other")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), NUMBERS | MOMENTS | ODD, max_size=4), min_size=1, max_size=20))
def test_events_are_read_as_the_python_runner_reads_them(js: Harness, many: list[dict[str, str]]) -> None:
    """The same values of the same types, and the same refusals for the same reasons."""
    good = {"id": "1", "at": str(NOW), "card": "1", "shop": '"a"'}
    texts = ["{" + ", ".join(f'"{name}": {value}' for name, value in {**good, **one}.items()) + "}" for one in many]
    assert js.call("read", WHOLE, "payments", texts, NOW) == [read(one) for one in texts]


@pytest.mark.parametrize(
    "written", ["", " ", "1", "[1]", "{", '{"a":1}x', "\ufeff{}", '{"a" 1}', '{"_edge":1}', "{}" * 2, "[" * 2000]
)
def test_what_is_no_event_is_refused_as_by_the_python_runner(js: Harness, written: str) -> None:
    """One reason for both."""
    (said,) = js.call("read", WHOLE, "payments", [written], NOW)
    assert said[0] == read(written)[0] == "not_json"


def read(written: str) -> Any:
    """The Python runner's columns, or the reason and, but for what is no JSON at all, the text of a refusal."""
    try:
        found = events.read(RUNNER_PLAN.sources["payments"], written, NOW, RUNNER_PLAN.max_ahead_ms, RUNNER_PLAN.max_age_days)
    except RefusedError as error:
        return [error.reason, SaysMore() if error.reason == "not_json" else str(error)]
    return found.columns


class SaysMore:
    """Equal to any text: each JSON reader has words of its own."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and len(other) > 10

    __hash__ = None  # type: ignore[assignment]


def test_lines_are_of_a_bounded_length(js: Harness) -> None:
    """Of a longer one the beginning is there, which is no JSON, as for the Python runner; what follows is read on."""
    script = """async (parts) => {
      const { lines } = await import("/browser/lines.js");
      const said = [];
      for await (const [source, text] of lines(new Blob(parts).stream(), "spine")) {
        said.push([source, text.slice(0, 9), text.length, text.at(-1)]);
      }
      return said;
    }"""
    most = 2**20
    parts = [
        '{"a": 1}\n',
        "x" * 3 * most,
        '\nother\t{"b": 2}\r\n\n',
        '{"c": 3}',
        " " * most,
        "x\n",
        '{"d": "',
        "y" * (most - 9),
        '"}',
    ]
    assert js.page.evaluate(script, parts) == [
        ["spine", '{"a": 1}', 8, "}"],
        ["spine", "x" * 9, most + 1, "…"],
        ["other", '{"b": 2}', 8, "}"],
        ["spine", '{"c": 3} ', most + 1, "…"],
        ["spine", '{"d": "yy', most, "}"],
    ]


VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=3)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(("float", "double", "int64", "bool", "string")), st.lists(VALUES, min_size=1, max_size=3))
def test_a_model_is_fed_what_the_python_runner_feeds_it(js: Harness, kind: str, row: list[Any]) -> None:
    """The same bits, and the same values refused."""
    if kind in ("float", "double"):
        row = [None if isinstance(value, str) else value for value in row]
    tensor = runner.Tensor("x", kind, tuple(f"v__{place}" for place in range(len(row))), matrix=True)
    given = {"name": "x", "type": kind, "columns": tensor.columns, "matrix": True}
    said = js.call("fed", given, [(type(value).__name__, sent(value)) for value in row])
    try:
        expected = model._feed(tensor, row)
    except UnscorableError:
        assert said is None
        return
    assert said[1] == (expected[0].tolist() if kind == "string" else list(expected.tobytes()))


def sent(value: Any) -> str:
    """An int or a float as a text, anything else as JSON."""
    return repr(value) if type(value) in (int, float) else json.dumps(value)
