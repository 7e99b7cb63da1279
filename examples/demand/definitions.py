"""Demand for rental bikes: what a model knows, at a rental, of those of the hour after it. Nothing here but Feast objects."""

from datetime import timedelta

from feast import Aggregation, Entity, FeatureService, Field, FileSource, KafkaSource, RequestSource, StreamFeatureView
from feast.batch_feature_view import batch_feature_view
from feast.data_format import JsonFormat, ParquetFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

LATEST = timedelta(seconds=10)
"""Docks and weather stations report this late at most."""

station = Entity(name="station", join_keys=["station"], value_type=ValueType.STRING)
bike = Entity(name="bike", join_keys=["bike"], value_type=ValueType.STRING)
district = Entity(name="district", join_keys=["district"], value_type=ValueType.STRING)

# What the docks report: a bike of a kind was taken from a station. Each is a query: how many more in the next hour?
rentals = KafkaSource(
    name="rentals",
    topic="rentals",
    kafka_bootstrap_servers="",  # where Kafka is belongs to the deployment: headrace.toml
    timestamp_field="rented_at",
    message_format=JsonFormat(schema_json="rental_id string, rented_at timestamp, station string, bike string, district string"),
    batch_source=FileSource(
        name="rentals_history",
        path="data/rentals.parquet",
        file_format=ParquetFormat(),
        timestamp_field="rented_at",
    ),
    watermark_delay_threshold=LATEST,
    tags={"event_id": "rental_id", "arrival": "reported_at"},
)

# Every ten minutes, of each district.
weather = KafkaSource(
    name="weather",
    topic="weather",
    kafka_bootstrap_servers="",
    timestamp_field="measured_at",
    message_format=JsonFormat(
        schema_json="reading_id string, measured_at timestamp, district string, rain_mm decimal(5,1), temperature decimal(5,1)"
    ),
    batch_source=FileSource(
        name="weather_history",
        path="data/weather.parquet",
        file_format=ParquetFormat(),
        timestamp_field="measured_at",
    ),
    watermark_delay_threshold=LATEST,
    tags={"event_id": "reading_id", "arrival": "received_at"},
)

# How many rentals there were in the hour after each. It is counted one to six hours after that hour is over.
outcomes = KafkaSource(
    name="outcomes",
    topic="outcomes",
    kafka_bootstrap_servers="",
    timestamp_field="known_at",
    message_format=JsonFormat(schema_json="rental_id string, known_at timestamp, station string, bike string, demand long"),
    batch_source=FileSource(
        name="outcomes_history",
        path="data/outcomes.parquet",
        file_format=ParquetFormat(),
        timestamp_field="known_at",
    ),
    tags={"event_id": "rental_id"},
)

dock_rentals = StreamFeatureView(
    name="dock_rentals",
    entities=[station, bike],
    source=rentals,
    timestamp_field="rented_at",
    aggregations=[
        Aggregation(column="rental_id", function="count", time_window=window, name=f"count_{name}")
        for name, window in {
            "15m": timedelta(minutes=15),
            "1h": timedelta(hours=1),
            "3h": timedelta(hours=3),
            "23h": timedelta(hours=23),
            "24h": timedelta(hours=24),
            "167h": timedelta(hours=167),
            "168h": timedelta(hours=168),
        }.items()
    ],
)

dock_times = StreamFeatureView(
    name="dock_times",
    entities=[station, bike],
    source=rentals,
    timestamp_field="rented_at",
    aggregations=[Aggregation(column="rented_at", function="last_6", time_window=timedelta(hours=24), name="times")],
)

station_rentals = StreamFeatureView(
    name="station_rentals",
    entities=[station],
    source=rentals,
    timestamp_field="rented_at",
    aggregations=[
        Aggregation(column="rental_id", function="count", time_window=timedelta(hours=1), name="count_1h"),
        Aggregation(column="rental_id", function="count", time_window=timedelta(hours=24), name="count_24h"),
    ],
)

district_weather = StreamFeatureView(
    name="district_weather",
    entities=[district],
    source=weather,
    timestamp_field="measured_at",
    aggregations=[
        Aggregation(column="rain_mm", function="last", time_window=timedelta(hours=1), name="rain_now"),
        Aggregation(column="rain_mm", function="mean", time_window=timedelta(hours=1), name="rain_1h"),
        Aggregation(column="rain_mm", function="max", time_window=timedelta(hours=6), name="rain_6h"),
        Aggregation(column="temperature", function="last", time_window=timedelta(hours=1), name="temperature"),
    ],
)

rental = RequestSource(name="rental", schema=[Field(name="rented_at", dtype=Int64), Field(name="bike", dtype=String)])


@on_demand_feature_view(
    sources=[rental],
    mode="python",
    schema=[Field(name="hour", dtype=Float64), Field(name="weekday", dtype=Int64), Field(name="electric", dtype=Int64)],
)
def rental_facts(inputs: dict[str, list]) -> dict[str, list]:
    """The hour of the day, with its fraction, the day of the week (Monday is 0), both UTC, and the kind of bike as a number."""
    day, hour = 86_400_000, 3_600_000
    return {
        "hour": [time % day / hour for time in inputs["rented_at"]],
        "weekday": [(time // day + 3) % 7 for time in inputs["rented_at"]],  # 1970-01-01 was a Thursday
        "electric": [int(bike == "electric") for bike in inputs["bike"]],
    }


@on_demand_feature_view(
    sources=[dock_rentals[["count_23h", "count_24h", "count_167h", "count_168h"]]],
    mode="python",
    schema=[Field(name="yesterday", dtype=Int64), Field(name="week_ago", dtype=Int64)],
)
def same_hour(inputs: dict[str, list]) -> dict[str, list]:
    """The rentals of the hour that is asked for, a day and a week before: what the longer of two windows has more."""
    return {
        "yesterday": [long - short for long, short in zip(inputs["count_24h"], inputs["count_23h"], strict=True)],
        "week_ago": [long - short for long, short in zip(inputs["count_168h"], inputs["count_167h"], strict=True)],
    }


@on_demand_feature_view(sources=[dock_times[["times"]]], mode="python", schema=[Field(name="minutes", dtype=Float64)])
def dock_pace(inputs: dict[str, list]) -> dict[str, list]:
    """Minutes between two rentals, on average of the last six; null for the first in a day."""
    return {
        "minutes": [(times[-1] - times[0]) / 60_000 / (len(times) - 1) if len(times) > 1 else None for times in inputs["times"]]
    }


@batch_feature_view(
    mode="sql",
    entities=[station, bike],
    source=FileSource(
        name="dock_profile_days",
        path="data/dock_profile.parquet",
        file_format=ParquetFormat(),
        timestamp_field="day",
    ),
    schema=[
        Field(name="per_hour", dtype=Float64),
        Field(name="morning", dtype=Float64),
        Field(name="evening", dtype=Float64),
        Field(name="weekend", dtype=Float64),
    ],
    tags={"history": "rentals"},
)
def dock_profile() -> str:
    """What a kind of bike is used for at a station: rentals an hour in the four weeks before the day, and when they are."""
    return """
        SELECT station, bike,
               count(*) / date_diff('hour', greatest($day - INTERVAL 28 DAYS, (SELECT min(rented_at) FROM rentals)), $day)
                   AS per_hour,
               avg(CAST(hour(rented_at) BETWEEN 6 AND 9 AS DOUBLE)) AS morning,
               avg(CAST(hour(rented_at) BETWEEN 16 AND 19 AS DOUBLE)) AS evening,
               avg(CAST(isodow(rented_at) >= 6 AS DOUBLE)) AS weekend
        FROM rentals
        WHERE rented_at >= $day - INTERVAL 28 DAYS
        GROUP BY station, bike
    """


demand = FeatureService(
    name="demand",
    features=[
        rental_facts,
        dock_rentals[["count_15m", "count_1h", "count_3h", "count_24h", "count_168h"]],
        same_hour,
        dock_pace,
        station_rentals,
        district_weather,
        dock_profile,
    ],
    # `headrace run` publishes a day in five seconds: a step that is a few seconds behind another is a day behind in event time.
    tags={"spine": "rentals", "mode": "event_time", "allowed_lateness": "7d"},
)
