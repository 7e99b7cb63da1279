"""The text of the Flink job: golden files for whole plans, and what each part of a plan changes in it."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from features.job import job_plan
from features.plan import Column, ColumnType, Mode, Plan, Source, Stage, WindowFeature
from features.seam import seam_at
from features.sql.flink import Job, JobOptions, job_sql
from features.sql.flink.options import History
from tests.features.sql import golden
from tests.support.options import options

MINUTE = 60_000
MODES: tuple[Mode, ...] = ("arrival", "event_time")
COLUMNS = (
    Column("id", ColumnType("int64")),
    Column("at", ColumnType("timestamp")),
    Column("card", ColumnType("string")),
    Column("shop", ColumnType("int64")),
    Column("amount", ColumnType("decimal", 12, 2)),
    Column("tip", ColumnType("float64")),
)


@pytest.mark.parametrize("name", golden.TEXTS)
def test_the_text_is_the_golden_one(name: str) -> None:
    """A change of the text is meant: ``python -m tests.features.sql.golden`` rewrites the files, and the difference is read."""
    assert golden.TEXTS[name]() == (golden.FOLDER / name).read_text()


def test_names_and_values_are_quoted() -> None:
    """Names that hold quotes and SQL stay names, and literals stay literals."""
    hostile = "a`; DROP `b' OR ''='"
    columns = tuple(Column(hostile + c.name, c.type) for c in COLUMNS)
    source = Source(hostile, hostile, columns, columns[1].name, columns[0].name, "history.parquet", 0)
    feature = WindowFeature(f"{hostile}__sum", "sum", columns[4].name, MINUTE)
    windows = (Stage(hostile, (columns[2].name,), (feature,)),)
    plan = Plan(hostile, hostile, (source,), windows, (), (), (feature.name,), "event_time", 0)
    bare = re.sub(r"`(?:[^`]|``)*`|'(?:[^']|'')*'", "", sql_of(plan, options(bootstrap=hostile)).text)
    assert "DROP" not in bare
    assert not set(bare) & set("`'\"")


def test_a_later_stage_over_the_spine_needs_every_row_of_it() -> None:
    """With ``vectors_from`` set, the first of two stages over the spine passes all rows on; the last one leaves some out."""
    job = sql_of(plan(stage("payments", "card"), stage("payments", "shop")), options(vectors_from_ms=5))
    assert select(job, "payments_by_card_rows")["_is_query"] == "TRUE"
    assert select(job, "payments_by_shop_rows")["_is_query"] == "`at` >= 5"
    assert "`at` >= 5" not in statement(job, "INSERT INTO `_features_risk`")


def test_the_last_stage_over_the_spine_gives_vectors_from_the_given_time() -> None:
    """With ``vectors_from`` set, earlier rows contribute to the spine's windows and are no queries; they go no further."""
    job = sql_of(plan(stage("payments", "card"), stage("reports", "card")), options(vectors_from_ms=5))
    first, second = select(job, "payments_by_card_rows"), select(job, "reports_by_card_rows")
    assert (first["_contributes"], first["_is_query"]) == ("TRUE", "`at` >= 5")
    assert (second["_contributes"], second["_is_query"]) == ("FALSE", "TRUE")
    assert "`at` >= 5" not in statement(job, "CREATE TEMPORARY VIEW `reports_by_card_rows`")


def test_rows_that_neither_contribute_nor_are_queries_are_not_read_on() -> None:
    """With ``vectors_from`` set and no windows over the spine, earlier rows of the spine are left out at the start."""
    job = sql_of(plan(stage("reports", "card")), options(vectors_from_ms=5))
    assert "WHERE `_reason` IS NULL AND `at` >= 5" in statement(job, "CREATE TEMPORARY VIEW `reports_by_card_rows`")


def test_a_stage_over_the_spine_after_another_source_has_all_rows() -> None:
    """With ``vectors_from`` set, the first stage leaves nothing out where a later one is over the spine."""
    shared, own = stage("reports", "card"), stage("payments", "card")
    job = job_sql(job_plan([plan(shared, own), plan(shared, service="other")]), options(vectors_from_ms=5))
    assert select(job, "reports_by_card_rows")["_is_query"] == "TRUE"
    assert "`at` >= 5" not in statement(job, "CREATE TEMPORARY VIEW `reports_by_card_rows`")
    assert select(job, "payments_by_card_rows")["_is_query"] == "`at` >= 5"
    assert "`at` >= 5" in statement(job, "INSERT INTO `_features_other`")  # it takes the rows before they are left out
    assert "`at` >= 5" not in statement(job, "INSERT INTO `_features_risk`")


@pytest.mark.parametrize("mode", MODES)
def test_a_backfilled_job_differs_in_its_sources_and_in_the_ids_of_rows(mode: Mode) -> None:
    """Each source is told of the histories; a stage is told of ids, and which time the seam is; nothing else changes."""
    of = msgspec.structs.replace(plan(stage("reports", "card")), mode=mode)
    history = History(seam_at(job_plan([of]), 7, files=2), "/a folder", "start")
    plain, job = sql_of(of, options()), sql_of(of, options(history=history))
    for source, files in (("payments", 0), ("reports", 2)):
        table = statement(job, f"CREATE TEMPORARY TABLE `{source}`")
        assert "'connector' = 'headrace-kafka'" in table
        assert f"'history.files' = '{files}'" in table
        assert "'history.sources' = 'reports'" in table
    assert select(job, "reports_by_card_rows")["_id"] == "CAST(NULL AS BIGINT)", "the spine contributes nothing"
    changed = set(job.text.splitlines()) - set(plain.text.splitlines())
    assert {line.split("=")[0].split("(")[0].strip() for line in changed} <= {
        *(f"'history.{name}'" for name in ("folder", "source", "files", "sources", "start")),
        *("'quiet.timeout'", "'quiet.delay'", "'connector'", "spec", "CAST", "`id` AS `_id`,"),
    }


def test_without_vectors_from_every_event_has_a_vector() -> None:
    """Nothing compares times where no time is given."""
    assert ">=" not in sql_of(plan(stage("payments", "card"), stage("reports", "card")), options()).text


def test_a_job_beside_another_gives_vectors_from_offsets_on() -> None:
    """Rows of history and events before an offset fill the windows; of a partition that is new every event gets a vector."""
    job = sql_of(plan(stage("payments", "card")), options(vectors_from={0: 7, 1: 0}))
    is_query = select(job, "payments_by_card_rows")["_is_query"]
    assert is_query == "CASE `_partition` WHEN -1 THEN FALSE WHEN 0 THEN `_offset` >= 7 WHEN 1 THEN `_offset` >= 0 ELSE TRUE END"
    group = f"'properties.group.id' = 'headrace.risk.{job_plan([plan(stage('payments', 'card'))]).short_digest}'"
    assert group in statement(job, "CREATE TEMPORARY TABLE `payments`")


def test_a_plan_without_windows_passes_the_events_on() -> None:
    """A service of on-demand features alone reads its spine, and gives vectors from the given time on."""
    job = sql_of(plan(), options(vectors_from_ms=5))
    assert "sliding_windows(" not in job.text
    insert = statement(job, "INSERT INTO `_features_risk`")
    assert insert.endswith("FROM `payments`\nWHERE `_reason` IS NULL AND `at` >= 5")
    assert "CAST(`id` AS STRING)" in insert
    assert "ROW()" not in insert  # which Flink does not parse


def test_a_key_of_two_columns_is_one_row() -> None:
    """Flink partitions a table argument by one column; the vector's Kafka key is the two as text."""
    job = sql_of(plan(stage("payments", "card", "shop"), stage("reports", "card", "shop")), options())
    assert select(job, "payments_by_card_shop_rows")["_key"] == "ROW(`card`, `shop`)"
    assert job.text.count("PARTITION BY `_key`") == 2
    assert "CONCAT_WS('|', CAST(`card` AS STRING), CAST(`shop` AS STRING))" in statement(job, "INSERT INTO `_features_risk`")


def test_stages_that_share_a_source_read_it_once() -> None:
    """Two stages over the spine follow one another: one table, one state each, the features of both."""
    job = sql_of(plan(stage("payments", "card"), stage("payments", "shop")), options())
    assert job.text.count("'connector' = 'kafka'") == 5  # the two sources, the features, the dead letters, the late rows
    assert "FROM `payments_by_card`" in statement(job, "CREATE TEMPORARY VIEW `payments_by_shop_rows`")
    assert "FROM `payments_by_shop`" in statement(job, "INSERT INTO `_features_risk`")
    assert "UNION ALL" not in job.text
    assert "`payments_card__sum`" in statement(job, "CREATE TEMPORARY VIEW `payments_by_shop`")
    assert "`_complete_payments_by_card` AND `_complete_payments_by_shop`" in statement(job, "INSERT INTO `_features_risk`")


def test_an_event_needs_the_keys_of_every_stage_that_reads_it() -> None:
    """The spine needs the keys of all stages, since it is a query at each; another source those of its own."""
    job = sql_of(plan(stage("payments", "card"), stage("reports", "shop")), options())
    assert "'headrace-event.required' = 'id;card;shop'" in statement(job, "CREATE TEMPORARY TABLE `payments`")
    assert "'headrace-event.required' = 'id;shop'" in statement(job, "CREATE TEMPORARY TABLE `reports`")


def test_another_sources_rows_contribute_and_are_no_queries() -> None:
    """The rows of a source that is not the spine come as the second half of a union, with nulls for what they lack."""
    rows = statement(sql_of(plan(stage("reports", "card")), options()), "CREATE TEMPORARY VIEW `reports_by_card_rows`")
    spine, other = rows.split("\nUNION ALL\n")
    assert "FALSE AS `_contributes`" in spine
    assert "CAST(NULL AS DECIMAL(12, 2)) AS `_value_amount`" in spine
    assert "TRUE AS `_contributes`,\n  FALSE AS `_is_query`," in other
    assert "CAST(NULL AS DECIMAL(12, 2)) AS `amount`" in other


@pytest.mark.parametrize("mode", MODES)
def test_the_halves_of_a_union_have_the_same_columns(mode: Mode) -> None:
    """By name and in order, whatever the rows carry; the stage gives on what it is told to carry."""
    job = sql_of(plan(stage("payments", "card"), stage("reports", "shop"), stage("reports", "card"), mode=mode), options())
    for view in ("reports_by_shop", "reports_by_card"):
        spine, other = statement(job, f"CREATE TEMPORARY VIEW `{view}_rows`").split("\nUNION ALL\n")
        names = [re.findall(r"`(\w+)`,?$", half.partition("\nFROM")[0], re.MULTILINE) for half in (spine, other)]
        assert names[0][-len(names[1]) :] == names[1]
        given = statement(job, f"CREATE TEMPORARY VIEW `{view}` AS")
        assert all(f"  `{name}`,\n" in given for name in spec(job, view)["carry"])
        assert set(spec(job, view)["carry"]) < set(names[1])


def test_every_type_of_result_has_its_column() -> None:
    """Sums of decimals are as wide as Flink has, min and max are of the column's type, count and mean of their own."""
    functions = ("count", "sum", "mean", "min", "max")
    features = tuple(WindowFeature(f"v__{f}_{c}", f, c, MINUTE) for c in ("amount", "tip", "shop") for f in functions)
    job = sql_of(plan(Stage("payments", ("card",), features)), options())
    line = next(line for line in job.text.splitlines() if line.startswith("  `features` ROW<"))
    types = dict(re.findall(r"`v__(\w+)` ([A-Z]+(?:\([^)]*\))?)", line))
    assert [types[f"{f}_amount"] for f in functions] == ["BIGINT", "DECIMAL(38, 2)", "DOUBLE", "DECIMAL(12, 2)", "DECIMAL(12, 2)"]
    assert [types[f"{f}_tip"] for f in functions] == ["BIGINT", "DOUBLE", "DOUBLE", "DOUBLE", "DOUBLE"]
    assert [types[f"{f}_shop"] for f in functions] == ["BIGINT", "DECIMAL(38, 0)", "DOUBLE", "BIGINT", "BIGINT"]


def test_the_operator_is_told_the_stage() -> None:
    """The argument of the operator is the stage: windows in milliseconds, the column of each, how long rows are kept."""
    features = (WindowFeature("v__a", "mean", "tip", 2 * MINUTE, 0.5), WindowFeature("v__b", "count", "amount", MINUTE))
    given = spec(sql_of(plan(Stage("payments", ("card",), features), lateness_ms=7), options()), "payments_by_card")
    assert given["mode"] == "arrival"
    assert (given["retention"], given["lateness"], given["cache"]) == (2 * MINUTE + 7, 7, 0)
    assert given["values"] == ["_value_tip", "_value_amount"]
    whole = {"parameter": None, "view": "v"}
    assert given["features"] == [
        {**whole, "name": "v__a", "function": "mean", "value": 0, "window": 2 * MINUTE, "fill": 0.5},
        {**whole, "name": "v__b", "function": "count", "value": 1, "window": MINUTE, "fill": None},
    ]


@pytest.mark.parametrize(
    ("written", "function", "parameter"),
    [("max", "max", None), ("last_10", "last_n", "10"), ("p50", "quantile", "0.5"), ("p99_9", "quantile", "0.999")],
)
def test_the_operator_is_told_the_parts_of_a_function(written: str, function: str, parameter: str | None) -> None:
    """The row of the table, and the parameter with all its digits, as text."""
    features = (WindowFeature("v__x", written, "tip", MINUTE),)
    (given,) = spec(sql_of(plan(Stage("payments", ("card",), features)), options()), "payments_by_card")["features"]
    assert (given["function"], given["parameter"]) == (function, parameter)


def test_event_time_mode_has_watermarks_and_timers() -> None:
    """In event-time mode each source has a watermark behind its delay, and each stage a time to wait for."""
    stages = stage("payments", "card"), stage("reports", "card")
    waiting = sql_of(plan(*stages, mode="event_time", delay_ms=500), options()).text
    assert waiting.count("WATERMARK FOR `_rt` AS TO_TIMESTAMP_LTZ(`at` - 501, 3)") == 2
    assert waiting.count("on_time => DESCRIPTOR(`_rt`)") == 2
    assert waiting.count("'scan.watermark.alignment.group' = 'risk'") == 2


def test_arrival_mode_has_watermarks_and_waits_for_nothing() -> None:
    """In arrival mode the watermark says only what can be forgotten: no row has a time to wait for, no source another."""
    at_once = sql_of(plan(stage("payments", "card"), stage("reports", "card"), delay_ms=500), options(idle_timeout_ms=9)).text
    assert at_once.count("WATERMARK FOR `_rt` AS TO_TIMESTAMP_LTZ(`at` - 501, 3)") == 2
    assert at_once.count("'scan.watermark.idle-timeout' = '9 ms'") == 2
    assert "on_time" not in at_once
    assert "rowtime" not in at_once
    assert "alignment" not in at_once


def test_a_bounded_job_ends_where_the_topics_end() -> None:
    """A bounded job has an end, no alignment, which would pause what has come to it, and no source that falls idle."""
    for mode in MODES:
        text = sql_of(plan(stage("reports", "card"), mode=mode), options(bounded=True)).text
        assert text.count("'scan.bounded.mode' = 'latest-offset'") == 2
        assert "alignment" not in text
        assert "idle" not in text


def test_every_source_has_its_dead_letters() -> None:
    """What a source cannot use goes to one topic, whichever source it was."""
    job = sql_of(plan(stage("reports", "card")), options(dead_letters="graveyard"))
    assert len([insert for insert in job.inserts if insert.startswith("INSERT INTO `_dead_letters`")]) == 2
    assert "'topic' = 'graveyard'" in statement(job, "CREATE TEMPORARY TABLE `_dead_letters`")


def test_late_rows_leave_the_vectors_for_a_ledger() -> None:
    """Each stage's late rows go to one topic, with the source they came from, and neither to the next stage nor to a vector."""
    job = sql_of(plan(stage("payments", "card"), stage("reports", "card")), options(late_rows="ledger"))
    assert "'topic' = 'ledger'" in statement(job, "CREATE TEMPORARY TABLE `_late_rows`")
    ledger = [insert for insert in job.inserts if insert.startswith("INSERT INTO `_late_rows`")]
    assert [re.findall(r"ROW\('(\w+)'", insert) for insert in ledger] == [["payments"], ["reports"]]
    assert all(insert.endswith("WHERE `_late` IS NOT NULL") for insert in ledger)
    following, *_ = statement(job, "CREATE TEMPORARY VIEW `reports_by_card_rows`").split("\nUNION ALL\n")
    assert following.endswith("FROM `payments_by_card`\nWHERE `_late` IS NULL")
    assert statement(job, "INSERT INTO `_features_risk`").endswith("FROM `reports_by_card`\nWHERE `_late` IS NULL")


def test_a_cache_is_the_stages_own() -> None:
    """How much a stage may keep decoded is told to the operator."""
    job = sql_of(plan(stage("payments", "card")), options(cache_bytes=7))
    assert spec(job, "payments_by_card")["cache"] == 7
    assert spec(job, "payments_by_card")["kept"] == 64 * 1024 * 1024


def test_services_of_one_job_each_have_their_columns() -> None:
    """Each service has its topic, its plan's digest, its features, and the completeness of the stages that it uses."""
    cards, shops = stage("payments", "card"), stage("payments", "shop")
    both, one = plan(cards, shops), plan(cards, service="cards")
    job = job_sql(job_plan([both, one]), options())
    assert job.text.count("FROM sliding_windows(") == 2
    assert "'topic' = 'features.cards'" in statement(job, "CREATE TEMPORARY TABLE `_features_cards`")
    risk, own = statement(job, "INSERT INTO `_features_risk`"), statement(job, "INSERT INTO `_features_cards`")
    assert f"'{both.short_digest}'" in risk
    assert f"'{one.short_digest}'" in own
    assert "  `_complete_payments_by_card` AND `_complete_payments_by_shop`,\n" in risk
    assert "  `_complete_payments_by_card`,\n" in own
    assert "  ROW(`_valid_until_payments_card`, `_valid_until_payments_shop`),\n" in risk
    its_stage = "ROW(`payments_card__sum`),\n  ROW(`_valid_until_payments_card`),\n  `_trace`\nFROM `payments_by_card`\n"
    assert its_stage in own  # it does not wait for the other's
    assert "ROW(`payments_card__sum`, `payments_shop__sum`),\n" in risk
    assert "FROM `payments_by_shop`\n" in risk


def test_services_of_one_job_write_a_bad_event_once() -> None:
    """A source that two services read is one table, and needs the keys of both."""
    job = job_sql(job_plan([plan(stage("payments", "card")), plan(stage("payments", "shop"), service="shops")]), options())
    assert job.text.count("CREATE TEMPORARY TABLE `payments`") == 1
    assert "'headrace-event.required' = 'id;card;shop'" in statement(job, "CREATE TEMPORARY TABLE `payments`")
    letters = [insert for insert in job.inserts if insert.startswith("INSERT INTO `_dead_letters`")]
    assert sum("FROM `payments`" in insert for insert in letters) == 1


def test_predictions_of_a_key_stay_in_order() -> None:
    """A vector's Kafka key is that of the first windows over the spine; without any, the event's id."""
    insert = "INSERT INTO `_features_risk`"
    first = f"{insert}\nSELECT\n  "
    keyed = statement(sql_of(plan(stage("reports", "shop"), stage("payments", "card")), options()), insert)
    assert keyed.startswith(first + "CAST(`card` AS STRING),")
    free = statement(sql_of(plan(stage("reports", "card")), options()), insert)
    assert free.startswith(first + "CAST(`id` AS STRING),")


def plan(*windows: Stage, mode: Mode = "arrival", lateness_ms: int = 0, delay_ms: int = 0, service: str = "risk") -> Plan:
    """A plan over payments, the spine, and reports."""
    sources = tuple(Source(name, name, COLUMNS, "at", "id", f"{name}.parquet", delay_ms) for name in ("payments", "reports"))
    return Plan(service, "payments", sources, windows, (), (), (), mode, lateness_ms)


def sql_of(one: Plan, options: JobOptions) -> Job:
    """The job of one service."""
    return job_sql(job_plan([one]), options)


def stage(source: str, *key: str) -> Stage:
    """A sum of amounts over a minute."""
    return Stage(source, key, (WindowFeature(f"{source}_{'_'.join(key)}__sum", "sum", "amount", MINUTE),))


def statement(job: Job, start: str) -> str:
    """The statement that begins with ``start``."""
    return next(text for text in (*job.setup, *job.inserts) if text.startswith(start))


def select(job: Job, view: str) -> dict[str, str]:
    """The named expressions of the first SELECT of a view."""
    text = statement(job, f"CREATE TEMPORARY VIEW `{view}`").split("\nUNION ALL\n")[0]
    return {name: expression for expression, name in re.findall(r"^  (.*) AS `(\w+)`,?$", text, re.MULTILINE)}


def spec(job: Job, view: str) -> dict[str, Any]:
    """What the operator of a stage is told."""
    match = re.search(r"spec => '(.*)'", statement(job, f"CREATE TEMPORARY VIEW `{view}` AS"))
    assert match
    told: dict[str, Any] = json.loads(match[1].replace("''", "'"))
    return told
