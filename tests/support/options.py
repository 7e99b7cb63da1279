"""What Flink's SQL is made with in tests that look at its text."""

from __future__ import annotations

from typing import Any

import msgspec

from features.sql.flink import JobOptions
from infra.config import sql_options
from infra.settings import StreamSettings


def options(**changes: Any) -> JobOptions:
    """The options that the default settings give, with these changed."""
    return msgspec.structs.replace(sql_options(StreamSettings(), bootstrap="localhost:9092"), **changes)
