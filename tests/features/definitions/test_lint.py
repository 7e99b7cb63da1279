"""What Feast accepts and nobody would act on is refused, each argument of each of Feast's objects that is so."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.definitions.load import load
from features.errors import DefinitionError
from tests.features.definitions.test_definitions import PRELUDE, RULE_CAME_ADVICE

WHOLE = """
from feast.batch_feature_view import BatchFeatureView
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.types import Float32, String
from feast.data_format import ParquetFormat

HISTORY = {{"name": "payments_history", "path": "data/payments.parquet", "timestamp_field": "at"}}
DAYS = {{"name": "days", "path": "data/days.parquet", "timestamp_field": "day"}}
payments = source(**{{"name": "payments", {source}}})
spend = view(of({aggregation}), **{{"name": "spend", {stream}}})


def profile():
    return "SELECT shop, avg(amount) AS mean_amount FROM payments GROUP BY shop"


profile = batch_feature_view(
    **{{
        "mode": "sql",
        "entities": [shop],
        "source": FileSource(**DAYS),
        "schema": [Field(name="mean_amount", dtype=Float64)],
        "tags": {{"history": "payments"}},
        {batch}
    }}
)(profile)
event = RequestSource(**{{"name": "event", "schema": [Field(name="amount", dtype=Float64)], {request}}})


def double(inputs):
    return {{"double": [2 * amount for amount in inputs["amount"]]}}


double = on_demand_feature_view(
    **{{"sources": [event], "mode": "python", "schema": [Field(name="double", dtype=Float64)], {on_demand}}}
)(double)
risk = FeatureService(**{{"name": "risk", "features": [spend, profile, double], "tags": {{"spine": "payments"}}, {service}}})
"""
EMPTY = dict.fromkeys(("source", "aggregation", "stream", "batch", "request", "on_demand", "service"), "")

REFUSED = [
    ("stream", '"ttl": timedelta(days=1)', "got ttl=datetime.timedelta(days=1); leave ttl out"),
    ("stream", '"enable_tiling": True', "got enable_tiling=True; leave enable_tiling out"),
    ("stream", '"tiling_hop_size": timedelta(minutes=5)', "leave tiling_hop_size out"),
    ("stream", '"udf": lambda rows: rows', "got a udf"),
    ("stream", '"udf_string": "rows"', "got udf_string='rows'"),
    ("stream", '"mode": "spark"', "got mode='spark'; leave mode out"),
    ("stream", '"stream_engine": {"type": "spark"}', "set [stream] in headrace.toml"),
    ("stream", '"offline": True', "got offline=True; leave offline out"),
    ("stream", '"enable_validation": True', "leave enable_validation out"),
    ("stream", '"version": "v2"', "got 'spend@v2'"),
    ("stream", '"timestamp_field": "tip"', "got timestamp_field='tip'"),
    ("stream", '"schema": [Field(name="total", dtype=Float64)]', "got 'total' of type Float64; leave schema out"),
    ("stream", '"schema": [Field(name="sum_amount_3600s", dtype=Float32)]', "of type Float32; leave schema out"),
    ("stream", '"tags": {"fil": "0"}', "got 'fil'; write 'fill'"),
    ("stream", '"tags": {"allowed_lateness": "2d"}', "the tag 'allowed_lateness' is of a service"),
    ("aggregation", "slide_interval=timedelta(minutes=1)", "leave slide_interval out"),
    ("aggregation", 'name="valid_until"', "and no other is called so; got 'valid_until'; rename it"),
    ("batch", '"enable_validation": True', "leave enable_validation out"),
    ("batch", '"version": "v2"', "got 'profile@v2'"),
    ("batch", '"mode": "python"', "got mode='python'"),
    ("batch", '"schema": []', "got no schema; write schema"),
    ("batch", '"schema": [Field(name="Valid_until", dtype=Float64)]', "and no other is called so; got 'Valid_until'; rename it"),
    ("batch", '"schema": [Field(name="mean_amount", dtype=Float64, vector_index=True)]', "leave vector_index out"),
    ("batch", '"tags": {"history": "payments", "fill": "0"}', "the tag 'fill' is of a stream view"),
    ("batch", '"source": FileSource(**{**DAYS, "field_mapping": {"m": "mean_amount"}})', "rename the column in the file"),
    ("batch", '"source": FileSource(**{**DAYS, "created_timestamp_column": "made"})', "leave created_timestamp_column out"),
    ("batch", '"source": FileSource(**{**DAYS, "s3_endpoint_override": "http://s3"})', "leave s3_endpoint_override out"),
    ("batch", '"source": FileSource(**{**DAYS, "timestamp_field": ""})', "got no timestamp_field in its FileSource"),
    ("on_demand", '"write_to_online_store": True, "entities": [shop]', "leave"),
    ("on_demand", '"track_metrics": True', "leave track_metrics out"),
    ("on_demand", '"singleton": True', "got mode='python', singleton=True"),
    ("on_demand", '"version": "v2"', "got 'double@v2'"),
    ("on_demand", '"entities": [shop]', "leave entities out"),
    ("on_demand", '"schema": []', "got no schema"),
    (
        "on_demand",
        '"schema": [Field(name="double", dtype=String)]',
        "a function gives numbers and booleans; got 'double' of type String",
    ),
    (
        "on_demand",
        '"schema": [Field(name="valid_until", dtype=Float64)]',
        "and no other is called so; got 'valid_until'; rename it",
    ),
    ("on_demand", '"tags": {"history": "payments"}', "the tag 'history' is of a batch view"),
    ("request", '"schema": [Field(name="amount", dtype=String)]', "got 'amount' of type String; write dtype=Float64"),
    ("request", '"timestamp_field": "at"', "leave timestamp_field out of a RequestSource"),
    ("service", '"precompute_online": True', "leave precompute_online out"),
    (
        "service",
        '"logging_config": LoggingConfig(destination=FileLoggingDestination(path="log"))',
        "leave logging_config out",
    ),
    ("service", '"features": [spend.with_name("other")]', "got 'other'; leave it as it is"),
    ("service", '"features": [spend.with_join_key_map({"card": "id"})]', "takes views under their own names and keys"),
    ("service", '"features": [spend[["valid_until"]]]', "takes features that view 'spend' has; got 'valid_until'"),
    ("service", '"features": ["spend:sum"]', "got the string"),
    ("service", '"tags": {"spine": "payments", "allowed_latenes": "2d"}', "write 'allowed_lateness'"),
    ("source", '"field_mapping": {"amt": "amount"}', "name the column in the schema as the feature needs it"),
    ("source", '"created_timestamp_column": "id"', "write tags={'arrival': '<column>'}"),
    ("source", '"kafka_bootstrap_servers": "kafka:9092"', "set kafka.bootstrap in headrace.toml"),
    ("source", '"topic": ""', "got none; write topic='…'"),
    ("source", '"topic": "my payments"', "got topic='my payments'; write the topic's own name"),
    ("source", '"topic": ".."', "got topic='..'; write the topic's own name"),
    ("source", '"topic": "dead_letters"', "is Headrace's own; got topic='dead_letters'; read another topic"),
    ("source", '"watermark_delay_threshold": timedelta(seconds=-1)', "how late its events may be"),
    ("source", '"watermark_delay_threshold": timedelta(microseconds=1)', "how late its events may be"),
    ("source", '"tags": {"event_id": "id", "arival": "note"}', "got 'arival'; write 'arrival'"),
    ("source", '"batch_source": FileSource(**{**HISTORY, "timestamp_field": "day"})', "name the column alike in both"),
    (
        "source",
        '"batch_source": FileSource(**{**HISTORY, "field_mapping": {"a": "amount"}})',
        "got in its FileSource, field_mapping",
    ),
    ("source", '"batch_source": FileSource(**{**HISTORY, "created_timestamp_column": "id"})', "got in its FileSource, created"),
    ("source", '"batch_source": FileSource(**{**HISTORY, "s3_endpoint_override": "http://s3"})', "set AWS_ENDPOINT_URL"),
]
ACCEPTED = [
    ("stream", '"online": False, "description": "what was spent", "owner": "ann@example.com", "org": "risk"'),
    ("stream", '"tags": {"fill": "0", "team": "payments"}'),
    ("stream", '"schema": [Field(name="card", dtype=String), Field(name="sum_amount_3600s", dtype=Float64)]'),
    ("batch", '"online": True, "ttl": timedelta(days=2), "description": "habits", "owner": "ann@example.com"'),
    ("batch", '"source": FileSource(**{**DAYS, "file_format": ParquetFormat()})'),
    ("on_demand", '"description": "twice", "owner": "ann@example.com", "tags": {"team": "risk"}'),
    ("service", '"description": "a model", "owner": "ann@example.com"'),
    ("source", '"description": "card network", "owner": "ann@example.com"'),
]


@pytest.mark.parametrize(("of", "argument", "said"), REFUSED)
def test_an_argument_that_nobody_acts_on_is_refused(of: str, argument: str, said: str, tmp_path: Path) -> None:
    """The message says the rule, what came and what to do, on one line."""
    (tmp_path / "definitions.py").write_text(PRELUDE + WHOLE.format(**{**EMPTY, of: argument}))
    with pytest.raises(DefinitionError) as refused:
        load(tmp_path)
    assert said in str(refused.value)
    assert RULE_CAME_ADVICE.fullmatch(str(refused.value)), refused.value


@pytest.mark.parametrize(("of", "argument"), [("source", ""), *ACCEPTED])
def test_what_is_acted_on_or_is_for_people_is_accepted(of: str, argument: str, tmp_path: Path) -> None:
    """The plan is the same but for a fill value and a ttl."""
    (tmp_path / "definitions.py").write_text(PRELUDE + WHOLE.format(**{**EMPTY, of: argument}))
    assert load(tmp_path).service("risk").plan.inputs == ("spend__sum_amount_3600s", "profile__mean_amount", "double__double")


def test_what_feast_alone_computes_is_its_own(tmp_path: Path) -> None:
    """A plain view, and a batch view and a function that no service of ours has, may say what Feast acts on."""
    others = """
offers = FeatureView(
    name="offers", entities=[shop], source=FileSource(name="f", path="f.parquet", field_mapping={"px": "price"}),
    schema=[Field(name="price", dtype=Float64)], ttl=timedelta(days=1),
)
habits = BatchFeatureView(
    name="habits", mode="sql", source=FileSource(**{**DAYS, "created_timestamp_column": "made"}), entities=[shop],
    schema=[Field(name="x", dtype=Float64)], udf=profile.udf, batch_engine={"type": "local"}, tags={"history": "payments"},
)


@on_demand_feature_view(sources=[event], mode="python", schema=[Field(name="twice", dtype=Float64)], track_metrics=True)
def twice(inputs):
    return {"twice": inputs["amount"]}
"""
    (tmp_path / "definitions.py").write_text(PRELUDE + WHOLE.format(**EMPTY) + others)
    assert list(load(tmp_path).services) == ["risk"]


def test_a_batch_view_has_no_engine_of_its_own(tmp_path: Path) -> None:
    """In a service of ours DuckDB computes it; Feast's decorator has no such argument, its class does."""
    added = """
habits = BatchFeatureView(
    name="habits", mode="sql", source=FileSource(**DAYS), entities=[shop], udf=profile.udf,
    schema=[Field(name="x", dtype=Float64)], batch_engine={"type": "spark"}, tags={"history": "payments"},
)
more = service(habits, name="more")
"""
    (tmp_path / "definitions.py").write_text(PRELUDE + WHOLE.format(**EMPTY) + added)
    with pytest.raises(DefinitionError, match="leave batch_engine out"):
        load(tmp_path)
