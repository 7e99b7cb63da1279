"""The local stack: Kafka, stream jobs and scorers for each service, as processes that go on when the command ends.

::

    <run_dir>/owner.json          the project whose stack this is: a copy of the folder is nobody's
             /stack.json          where Kafka is, which services were started, and which of them share a stream job
             /processes, /logs    see `infra.local.processes`
             /ready/<name>        written by a process once it does its work; by a scorer with the version it began with
             /plans/<service>     the plan that the stream job was started with, so that it needn't import Feast
             /settings.json       the settings of the processes that are started, without secrets
             /kafka, /checkpoints what --wipe deletes
"""

from infra.local.stack.environments import Environment, aliases_of, make_topic
from infra.local.stack.folders import Folders
from infra.local.stack.owner import other_stack
from infra.local.stack.record import (
    Stack,
    bootstrap,
    http_address,
    metrics,
    monitor_name,
    outcomes_name,
    plans_in_use,
    read_plan,
    scorer_name,
    writer_name,
)
from infra.local.stack.services import Served, running, served
from infra.local.stack.start import begin_kafka, up
from infra.local.stack.status import Row, status
from infra.local.stack.stop import down
from infra.local.stack.todo import check_models
from infra.local.stack.told import starts_again, told_otherwise

__all__ = [
    "Environment",
    "Folders",
    "Row",
    "Served",
    "Stack",
    "aliases_of",
    "begin_kafka",
    "bootstrap",
    "check_models",
    "down",
    "http_address",
    "make_topic",
    "metrics",
    "monitor_name",
    "other_stack",
    "outcomes_name",
    "plans_in_use",
    "read_plan",
    "running",
    "scorer_name",
    "served",
    "starts_again",
    "status",
    "told_otherwise",
    "up",
    "writer_name",
]
