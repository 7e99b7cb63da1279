"""What tests share: a real broker, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.local import jars
from infra.local.broker import Broker

pytest_plugins = ["tests.support.data"]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real Kafka broker with no topics; a test names its own."""
    jars.ensure()
    with Broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running
