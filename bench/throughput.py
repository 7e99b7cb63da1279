"""The stream job flat out, Kafka to features, beside a Flink job that only passes the same records on.

    python -m bench.throughput

Both read the transactions and labels of 183 days from full topics, parallelism 2, with the broker on the same cores. Ours writes
a feature vector per transaction; the pass-through job decodes each record with Flink's JSON format and writes it again. The rate
is of records read, from the first that was written to the last; "warm" is that of the second half, the JVM having compiled.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from bench.common import EXAMPLE, handbook_data, publish_history, row
from bench.rates import BATCH_MS, PARALLELISM, output_rate, stream_rate
from features.plan import Plan
from infra.local import jars
from infra.local.broker import Broker

RECORDS_A_TRANSACTION = 2
"""A transaction and a label: what ours reads for each vector that it writes."""


def rows() -> list[dict[str, Any]]:
    """Pass-through first, then ours in both modes, on one broker."""
    from features.definitions.load import load

    handbook_data()
    plan = load(EXAMPLE).service("handbook").plan
    jars.ensure()
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        broker.create_topics({source.topic: 2 for source in plan.sources})
        publish_history(broker, EXAMPLE, plan)
        measured = {}
        for name in ("pass-through", "arrival", "event_time"):
            measured[name] = _measure(name, plan, broker, Path(temporary))
    lines = []
    for mode in ("arrival", "event_time"):
        for number, what in enumerate(("", ", warm")):
            ours, base = measured[mode][number], measured["pass-through"][number]
            lines.append(row(f"stream job, {mode} mode{what}", round(ours), "records/s", baseline=round(base)))
            goal = 0.6 if mode == "arrival" else None
            lines.append(
                row(f"stream job / pass-through, {mode} mode{what}", round(ours / base, 2), "ratio", goal=goal, baseline=1.0)
            )
    return lines


def _measure(name: str, plan: Plan, broker: Broker, folder: Path) -> tuple[float, float]:
    """Records read a second, of all and of the second half."""
    if name == "pass-through":
        return output_rate(broker, "passed", pass_through, plan, broker.bootstrap)
    plan = msgspec.structs.replace(plan, service=f"handbook-{name}", mode=name)
    cold, warm = stream_rate(plan, broker, folder)
    return cold * RECORDS_A_TRANSACTION, warm * RECORDS_A_TRANSACTION


def pass_through(plan: Plan, bootstrap: str) -> None:
    """Flink's own JSON format in and out, and nothing between."""
    from pyflink.common import Configuration
    from pyflink.table import EnvironmentSettings, TableEnvironment

    from features.sql.flink.sinks import BATCH_BYTES
    from features.sql.flink.types import sql_type

    settings = Configuration()
    for key, value in {
        "pipeline.jars": ";".join(jar.resolve().as_uri() for jar in jars.flink_jars()),
        "pipeline.object-reuse": "true",
        "parallelism.default": str(PARALLELISM),
        "execution.buffer-timeout.interval": f"{BATCH_MS} ms",
    }.items():
        settings.set_string(key, value)
    environment = TableEnvironment.create(
        EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(settings).build()
    )
    kafka = f"'connector' = 'kafka', 'properties.bootstrap.servers' = '{bootstrap}', 'format' = 'json'"
    inserts = environment.create_statement_set()
    for source in plan.sources:
        columns = ", ".join(f"`{c.name}` {sql_type(c.type)}" for c in source.columns)
        environment.execute_sql(
            f"CREATE TEMPORARY TABLE `{source.name}` ({columns}) WITH ({kafka}, 'topic' = '{source.topic}', "
            "'properties.group.id' = 'pass', 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset')"
        )
        out = f"{kafka}, 'topic' = 'passed', 'properties.linger.ms' = '{BATCH_MS}', 'properties.batch.size' = '{BATCH_BYTES}'"
        environment.execute_sql(f"CREATE TEMPORARY TABLE `{source.name}_out` ({columns}) WITH ({out})")
        inserts.add_insert_sql(f"INSERT INTO `{source.name}_out` SELECT * FROM `{source.name}`")
    inserts.execute().wait()


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
