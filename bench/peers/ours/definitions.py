"""The job of the peers as Headrace has it."""

from datetime import timedelta

from feast import Aggregation, Entity, FeatureService, FileSource, KafkaSource, StreamFeatureView
from feast.data_format import JsonFormat, ParquetFormat
from feast.value_type import ValueType

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)

transactions = KafkaSource(
    name="transactions",
    topic="transactions",
    kafka_bootstrap_servers="",
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

spend = StreamFeatureView(
    name="spend",
    entities=[customer],
    source=transactions,
    timestamp_field="event_time",
    aggregations=[
        Aggregation(column="amount", function=function, time_window=timedelta(days=days), name=f"{function}_{days}d")
        for days in (1, 7, 30)
        for function in ("count", "mean")
    ],
)

peers = FeatureService(name="peers", features=[spend], tags={"spine": "transactions"})
