"""What tests share: a broker and a Flink cluster, each started once, and how much `make check` leaves out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from infra.local import jars
from infra.local.broker import Broker
from tests.support import flink
from tests.support.children import child

pytest_plugins = ["tests.support.data"]

# Of a run without --hypothesis-profile: as many random streams as the contract is held by. `make check` takes fewer.
settings.register_profile("full", max_examples=1000, deadline=None, database=None)
settings.register_profile("quick", max_examples=50, deadline=None, database=None)
settings.load_profile("full")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real Kafka broker with no topics; a test names its own."""
    jars.ensure()
    made = Broker(tmp_path_factory.mktemp("kafka"))
    with child(made.prepare(), made.folder / "console.log") as process:
        made.wait(lambda: process.poll() is None)
        yield made


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[flink.Cluster]:
    """A Flink cluster with two TaskManagers, for the jobs of one test after the other."""
    jars.ensure()
    with flink.running(tmp_path_factory.mktemp("flink")) as running:
        yield running
