"""What tests share: a broker and a Flink cluster, each started once, and the number of random streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from infra.local import jars
from infra.local.broker import Broker
from tests.support.children import child

if TYPE_CHECKING:
    from tests.support.flink import Cluster

pytest_plugins = ["tests.support.data"]

# `make test` holds the engines to the contract on as many random streams as "full" says, `make check` on fewer.
settings.register_profile("full", max_examples=1000, deadline=None, database=None)
settings.register_profile("quick", max_examples=20, deadline=None, database=None)
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
def s3_server() -> Iterator[dict[str, str]]:
    """What the environment of a client of the tests' S3 server says."""
    from tests.support.s3 import s3_server

    with s3_server() as environment:
        yield environment


@pytest.fixture
def s3_url(s3_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A path in a new bucket, which this process may read and write."""
    from tests.support.s3 import new_bucket

    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    return f"s3://{new_bucket()}/the models"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Flink cluster with two TaskManagers, for the jobs of one test after the other."""
    from tests.support.flink import running

    jars.ensure()
    with running(tmp_path_factory.mktemp("flink")) as made:
        yield made
