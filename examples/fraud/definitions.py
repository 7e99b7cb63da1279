"""Card fraud: what the model knows of a transaction. Nothing here but Feast objects."""

from datetime import timedelta

from feast import Aggregation, Entity, FeatureService, Field, FileSource, KafkaSource, RequestSource, StreamFeatureView
from feast.batch_feature_view import batch_feature_view
from feast.data_format import JsonFormat, ParquetFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64
from feast.value_type import ValueType

DAYS = (1, 7, 30)

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)
terminal = Entity(name="terminal", join_keys=["terminal_id"], value_type=ValueType.INT64)

# What the card network publishes. It never holds the label.
transactions = KafkaSource(
    name="transactions",
    topic="transactions",
    kafka_bootstrap_servers="",  # where Kafka is belongs to the deployment: headrace.toml
    timestamp_field="event_time",
    message_format=JsonFormat(
        schema_json="transaction_id long, event_time timestamp, customer_id long, terminal_id long, amount decimal(12,2)"
    ),
    batch_source=FileSource(
        name="transactions_history",
        path="data/transactions.parquet",
        file_format=ParquetFormat(),
        timestamp_field="event_time",
    ),
    watermark_delay_threshold=timedelta(0),
    tags={"event_id": "transaction_id"},
)

# What an investigation finds. Its event time is the moment it is known: seven days after the transaction.
labels = KafkaSource(
    name="labels",
    topic="labels",
    kafka_bootstrap_servers="",
    timestamp_field="event_time",
    message_format=JsonFormat(
        schema_json="transaction_id long, event_time timestamp, customer_id long, terminal_id long, is_fraud long"
    ),
    batch_source=FileSource(
        name="labels_history",
        path="data/labels.parquet",
        file_format=ParquetFormat(),
        timestamp_field="event_time",
    ),
    watermark_delay_threshold=timedelta(0),
    tags={"event_id": "transaction_id"},
)

customer_spend = StreamFeatureView(
    name="customer_spend",
    entities=[customer],
    source=transactions,
    timestamp_field="event_time",
    aggregations=[
        Aggregation(column="amount", function=function, time_window=timedelta(days=days), name=f"{function}_{days}d")
        for days in DAYS
        for function in ("count", "mean")
    ],
    tags={"fill": "0"},
)

terminal_risk = StreamFeatureView(
    name="terminal_risk",
    entities=[terminal],
    source=labels,
    timestamp_field="event_time",
    aggregations=[
        Aggregation(column="is_fraud", function=function, time_window=timedelta(days=days), name=f"{function}_{days}d")
        for days in DAYS
        for function in ("count", "mean")
    ],
    tags={"fill": "0"},  # the risk of a terminal of which nothing is known
)

# The last twenty of each, as sequences.
customer_amounts = StreamFeatureView(
    name="customer_amounts",
    entities=[customer],
    source=transactions,
    timestamp_field="event_time",
    aggregations=[Aggregation(column="amount", function="last_20", time_window=timedelta(days=30), name="amounts_30d")],
)

terminal_labels = StreamFeatureView(
    name="terminal_labels",
    entities=[terminal],
    source=labels,
    timestamp_field="event_time",
    aggregations=[Aggregation(column="is_fraud", function="last_20", time_window=timedelta(days=30), name="known_30d")],
)

transaction = RequestSource(
    name="transaction", schema=[Field(name="event_time", dtype=Int64), Field(name="amount", dtype=Float64)]
)


@on_demand_feature_view(sources=[transaction], mode="python", schema=[Field(name="amount", dtype=Float64)])
def transaction_amount(inputs: dict[str, list]) -> dict[str, list]:
    """The amount itself."""
    return {"amount": [float(amount) for amount in inputs["amount"]]}


@on_demand_feature_view(
    sources=[transaction],
    mode="python",
    schema=[Field(name="weekend", dtype=Int64), Field(name="night", dtype=Int64)],
)
def transaction_flags(inputs: dict[str, list]) -> dict[str, list]:
    """Whether the event falls on a Saturday or Sunday, and in the hours 0 to 6 (UTC); times in milliseconds."""
    day, hour = 86_400_000, 3_600_000
    return {
        "weekend": [int((time // day + 3) % 7 >= 5) for time in inputs["event_time"]],  # 1970-01-01 was a Thursday
        "night": [int(time % day // hour <= 6) for time in inputs["event_time"]],
    }


@batch_feature_view(
    mode="sql",
    entities=[customer],
    source=FileSource(
        name="customer_profile_days",
        path="data/customer_profile.parquet",
        file_format=ParquetFormat(),
        timestamp_field="day",
    ),
    schema=[Field(name="mean_amount", dtype=Float64), Field(name="transactions_per_day", dtype=Float64)],
    tags={"history": "transactions"},
)
def customer_profile() -> str:
    """A customer's habits: over all history before the day, made once a day."""
    return """
        SELECT customer_id,
               CAST(avg(amount) AS DOUBLE) AS mean_amount,
               count(*) / date_diff('day', (SELECT min(event_time) FROM transactions), $day) AS transactions_per_day
        FROM transactions
        GROUP BY customer_id
    """


fraud = FeatureService(
    name="fraud",
    features=[transaction_amount, transaction_flags, customer_spend, terminal_risk, customer_profile],
    tags={"spine": "transactions"},
)

# The fifteen inputs of the Fraud Detection Handbook: its published figures are met with these.
handbook = FeatureService(
    name="handbook",
    features=[transaction_amount, transaction_flags, customer_spend, terminal_risk],
    tags={"spine": "transactions"},
)

# The same with sequences in place of counts and means: for a network of convolutions (docs/training.md).
card_history = FeatureService(
    name="card_history",
    features=[transaction_amount, transaction_flags, customer_amounts, terminal_labels],
    tags={"spine": "transactions"},
)
