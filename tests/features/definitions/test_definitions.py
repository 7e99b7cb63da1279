"""Definitions that are refused, with the message, and definitions that are accepted, with what they are compiled to.

A case is a file in ``definitions/``: a sentence, ``--- definitions`` with the Python that follows `PRELUDE`, and either
``--- refused`` with the whole message or ``--- plan`` with lines of `described`. Line breaks in a message do not count.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from features.definitions.aggregations import find, written
from features.definitions.load import load
from features.errors import DefinitionError
from features.plan import Plan

PRELUDE = """
from datetime import timedelta

from feast import Aggregation, Entity, FeatureService, FeatureView, Field, FileSource, KafkaSource, PushSource
from feast import RequestSource, StreamFeatureView
from feast.batch_feature_view import batch_feature_view
from feast.data_format import AvroFormat, JsonFormat
from feast.on_demand_feature_view import OnDemandFeatureView, on_demand_feature_view
from feast.types import Array, Float64, Int64, String
from feast.value_type import ValueType

SCHEMA = "id long, at timestamp, card string, shop long, amount decimal(12,2), tip double, items long, note string, web boolean"


def source(name="payments", schema=SCHEMA, tags=(("event_id", "id"),), **changes):
    given = {
        "topic": name,
        "kafka_bootstrap_servers": "",
        "timestamp_field": "at",
        "message_format": JsonFormat(schema_json=schema),
        "batch_source": FileSource(name=f"{name}_history", path=f"data/{name}.parquet", timestamp_field="at"),
    }
    return KafkaSource(name=name, tags=dict(tags), **{**given, **changes})


def of(function="sum", column="amount", window=timedelta(hours=1), **changes):
    return Aggregation(column=column, function=function, time_window=window, **changes)


def view(*aggregations, name="spend", **changes):
    given = {"entities": [card], "source": payments, "timestamp_field": "at"}
    return StreamFeatureView(name=name, aggregations=list(aggregations), **{**given, **changes})


def service(*features, name="risk", spine="payments", **tags):
    return FeatureService(name=name, features=list(features), tags={"spine": spine, **tags})


card = Entity(name="card", join_keys=["card"])
shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.INT64)
payments = source()
reports = source("reports")
"""
CASE = re.compile(
    r"(?P<sentence>[^\n]+)\n--- definitions\n(?P<definitions>.*)--- (?P<kind>refused|plan)\n(?P<expected>.*)", re.DOTALL
)
RULE_CAME_ADVICE = re.compile(r".{10,}; (got|.* has none).*; .{4,}")


class Case(NamedTuple):
    """What a file in ``definitions/`` says."""

    name: str
    kind: str
    definitions: str
    expected: str


def read(path: Path) -> Case:
    """The case in a file."""
    match = CASE.fullmatch(path.read_text())
    assert match, f"{path} is a sentence, then '--- definitions', then '--- refused' or '--- plan'"
    return Case(path.stem, match["kind"], match["definitions"], match["expected"])


CASES = [read(path) for path in sorted((Path(__file__).parent / "cases").glob("*.txt"))]
REFUSED = [pytest.param(case, id=case.name) for case in CASES if case.kind == "refused"]
ACCEPTED = [pytest.param(case, id=case.name) for case in CASES if case.kind == "plan"]


def message_of(error: DefinitionError, folder: Path) -> str:
    """The message without what differs from run to run; lines are counted from the first after the prelude."""
    message = str(error).replace(str(folder / "definitions.py"), "definitions.py")
    return re.sub(r"(?<=on line )\d+", lambda line: str(int(line[0]) - PRELUDE.count("\n")), message)


@pytest.mark.parametrize("case", REFUSED)
def test_what_breaks_a_rule_is_refused(case: Case, tmp_path: Path) -> None:
    """The message says the rule, what came and what to do, on one line, and is the one in the file."""
    (tmp_path / "definitions.py").write_text(PRELUDE + case.definitions)
    with pytest.raises(DefinitionError) as refused:
        load(tmp_path)
    message = message_of(refused.value, tmp_path)
    assert message.split() == case.expected.split()
    assert RULE_CAME_ADVICE.fullmatch(message)


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_keeps_the_rules_has_its_plan(case: Case, tmp_path: Path) -> None:
    """Every line of the file is a line of the plan."""
    (tmp_path / "definitions.py").write_text(PRELUDE + case.definitions)
    lines = [line for plan in load(tmp_path).plans for line in described(plan)]
    assert [line for line in case.expected.splitlines() if line not in lines] == [], "\n".join(["the plan has", *lines])


def described(plan: Plan) -> Iterator[str]:
    """The plan, a line for each of its parts; times in seconds."""
    yield f"{plan.service}: every event of {plan.spine}, mode {plan.mode}, lateness {plan.lateness_ms // 1000}"
    yield f"sources {', '.join(s.name for s in plan.sources)}"
    for source in plan.sources:
        yield f"{source.name} has {', '.join(f'{c.name} {c.type}' for c in source.columns)}"
        delay = source.delay_ms / 1000
        yield f"{source.name} on {source.topic} and in {source.history}, delay {delay:g}, arrival {source.arrival}"
    for stage in plan.windows:
        for f in stage.features:
            fill = "" if f.fill is None else f", else {f.fill:g}"
            yield f"{stage.name}: {f.name} = {f.function}({f.column}) over {f.window_ms / 1000:g}{fill}"
    for view in plan.on_demand:
        given = [*view.event_inputs, *(f"{name} = {feature}" for name, feature in view.feature_inputs)]
        yield f"on demand {view.view}({', '.join(given)}) gives {', '.join(view.outputs)}"
    for batch in plan.batch:
        yield f"batch {batch.view} of {batch.source} by {', '.join(batch.key)} gives {', '.join(batch.features)}: {batch.sql}"
        yield f"rows of {batch.view} are at most {batch.ttl_ms // 1000} old"
    yield f"inputs {', '.join(plan.inputs)}"
    yield f"views {', '.join(plan.views_of_windows)}"


def test_a_fill_value_of_zero_has_no_sign(tmp_path: Path) -> None:
    """As no zero has: the stream gave -0.0, and history 0.0."""
    (tmp_path / "definitions.py").write_text(PRELUDE + "spend = view(of('mean'), tags={'fill': '-0'})\nrisk = service(spend)\n")
    (feature,) = load(tmp_path).service("risk").plan.window_features
    assert str(feature.fill) == "0.0"


def test_what_is_wrong_in_another_file_is_of_no_line_of_this(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is the one that imports it; the message has the other's."""
    (tmp_path / "definitions.py").write_text("x = 1\nimport faulty_helper\n")
    with pytest.raises(DefinitionError, match="ModuleNotFoundError on line 2: No module named 'faulty_helper'; fix that line"):
        load(tmp_path)
    (tmp_path / "faulty_helper.py").write_text("\n\n\n\ndef x(:\n")
    with pytest.raises(DefinitionError, match=r"definitions are one file, .*: move into it what faulty_helper has"):
        load(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        DefinitionError, match=r"SyntaxError on line 2: invalid syntax \(faulty_helper.py, line 5\); fix that line"
    ):
        load(tmp_path)


@pytest.mark.parametrize(
    ("function", "instead"),
    [
        ("stddev", "std_pop or std_samp"),
        ("var", "var_pop or var_samp"),
        ("average", "mean"),
        ("median", "p50"),
        ("distinct", "count_distinct"),
        ("nunique", "count_distinct"),
        ("last_0", "last, or last_1 to last_100"),
        ("last_010", "last, or last_1 to last_100"),
        ("p0_0", "min, or p0_1, say"),
        ("p050", "p1 to p99, or p99_9"),
        ("p99_90", "p1 to p99, or p99_9"),
        ("approx_quantile", "p1 to p99, or p99_9"),
        ("quantile", "p1 to p99, or p99_9"),
        ("COUNT", "use one of them"),
    ],
)
def test_names_of_other_systems_are_met_with_ours(function: str, instead: str) -> None:
    """Who writes what another system calls a function is told what it is called here."""
    with pytest.raises(LookupError, match=instead):
        find(function)


def test_every_function_of_the_table_is_documented() -> None:
    """``docs/definitions.md`` has a row for each function, as it is written, and no other."""
    text = (Path(__file__).parents[3] / "docs" / "definitions.md").read_text()
    table = text.partition("| function | of | gives | empty window |")[2].partition("\n\n")[0]
    rows = [name for line in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", line.split("|")[1])]
    assert rows == written()


def test_a_folder_without_definitions_is_refused(tmp_path: Path) -> None:
    """There is nothing to load where there is no definitions.py."""
    with pytest.raises(DefinitionError, match=r"a project has a definitions.py; .* has none; give --project DIR"):
        load(tmp_path)


def test_a_file_that_changed_within_a_second_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Python keeps what it compiled, and finds a file of the same length and second."""
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    file, windows = tmp_path / "definitions.py", []
    for hours in (1, 2):
        file.write_text(PRELUDE + f"spend = view(of(window=timedelta(hours={hours})))\nrisk = service(spend)\n")
        os.utime(file, (1_000_000, 1_000_000))
        windows.append(load(tmp_path).service("risk").plan.longest_ms)
    assert windows == [3_600_000, 7_200_000]


def test_an_unknown_service_is_refused(tmp_path: Path) -> None:
    """A service that is not there is refused with the names of those that are."""
    (tmp_path / "definitions.py").write_text(PRELUDE + "spend = view(of())\nrisk = service(spend)\n")
    with pytest.raises(DefinitionError, match=r"no feature service 'frauds' in .*; name one of risk"):
        load(tmp_path).service("frauds")


def test_functions_are_there_to_be_called(tmp_path: Path) -> None:
    """A service gives its on-demand functions by view."""
    case = next(case for case in CASES if case.name == "on_demand_over_windows")
    (tmp_path / "definitions.py").write_text(PRELUDE + case.definitions)
    (service,) = load(tmp_path).services.values()
    assert service.functions["ratio"]({"amount": [6.0], "mean_amount_3600s": [2.0]}) == {"ratio": [3.0]}


def test_the_code_of_the_documentation_is_accepted(tmp_path: Path) -> None:
    """Each block of ``docs/definitions.md`` can be added to the example, one after the other."""
    root = Path(__file__).parents[3]
    blocks = re.findall(r"^```python\n(.*?)^```", (root / "docs" / "definitions.md").read_text(), re.DOTALL | re.MULTILINE)
    example = (root / "examples" / "fraud" / "definitions.py").read_text()
    (tmp_path / "definitions.py").write_text("\n".join([example, *blocks]))
    service = load(tmp_path).service("chargeback_risk")
    assert service.plan.inputs == (
        "spend_ratio__to_mean",
        "customer_pause__seconds",
        "customer_peak__max_1h",
        "customer_peak__max_1d",
        "terminal_chargebacks__sum_7d",
        "terminal_profile__customers",
        "customer_spend__count_7d",
    )
    ratio = service.functions["spend_ratio"]({"amount": [3.0, 3.0, 3.0], "mean_30d": [2.0, 0.0, None]})
    assert ratio == {"to_mean": [1.5, None, None]}
    pause = service.functions["customer_pause"]({"times": [[1714550400000], [1714550400000, 1714550401500]]})
    assert pause == {"seconds": [None, 1.5]}
