"""What tests share: a broker and a Flink cluster, each started once, and the number of random streams."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import compress
from pathlib import Path
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
WHOLE_FILE = re.compile(r"^pytestmark = (\[\n.*?^\]|[^\n]*)", re.MULTILINE | re.DOTALL)
"""The marks of all tests of a file."""
NOT_QUICK = ("stack", "slow")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--quick`` is `make check`."""
    parser.addoption("--quick", action="store_true", help="leave out tests marked slow or stack; few random streams")


def pytest_configure(config: pytest.Config) -> None:
    """As many random streams as are wanted."""
    settings.load_profile("quick" if config.getoption("quick") else "full")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``--quick``, a file whose tests are all left out is not imported: that costs more than the tests that are run."""
    if not config.getoption("quick") or collection_path.suffix != ".py":
        return None
    marks = WHOLE_FILE.search(collection_path.read_text())
    return True if marks and any(f"pytest.mark.{name}" in marks[1] for name in NOT_QUICK) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--quick``, of the other files what is marked by itself is left out."""
    if config.getoption("quick"):
        is_out = [any(item.get_closest_marker(name) for name in NOT_QUICK) for item in items]
        config.hook.pytest_deselected(items=list(compress(items, is_out)))
        items[:] = [item for item, out in zip(items, is_out, strict=True) if not out]


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
