"""The golden batch: rows that travel with a version, with what it gave for them."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.features import Value


class Batch(msgspec.Struct, frozen=True):
    """What is kept, as JSON: rows in the order of the manifest's inputs, and what the model gave for them."""

    rows: list[list[Value]]
    scores: list[float]
    outputs: list[dict[str, Any]] | None


def read(content: bytes) -> Batch:
    """The batch that was kept."""
    return msgspec.json.decode(content, type=Batch)
