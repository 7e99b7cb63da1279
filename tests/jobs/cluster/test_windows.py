"""Features over history with the windows of a real Flink cluster: the table is DuckDB's, to the bit."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from features.service import Service
from features.times import DAY_MS
from infra.config import cluster_config
from infra.settings import Settings, StreamSettings
from jobs.cluster.windows import windows_on
from jobs.history.compute import compute, stream_features
from jobs.history.rows_file import together
from tests.support.flink import Cluster

pytestmark = pytest.mark.stack


def on_cluster(service: Service, cluster: Cluster, folder: Path, **asked: object) -> pa.Table:
    settings = Settings(stream=StreamSettings(parallelism=2), run_dir=str(folder))
    config = cluster_config(settings, service.folder, cluster.rest)
    return together(stream_features(service, windows=partial(windows_on, config=config), **asked))


def test_handbook(cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """Two."""
    found = on_cluster(small, cluster, tmp_path)
    wanted = compute(small)
    assert found.schema == wanted.schema
    assert found.equals(wanted)
