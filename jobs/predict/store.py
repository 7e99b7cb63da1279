"""Scored rows into the store of predictions, while they go by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa

from features.feast.keys import Key
from features.feast.predictions import WritePredictions
from features.plan import Plan
from jobs.predict.score import OUTPUTS, SCORE
from schemas import StoredPrediction


class Storing:
    """Stores the newest prediction of each entity of scored tables; a row without a score leaves what is stored as it is."""

    def __init__(
        self, plan: Plan, write: WritePredictions, *, model: str, version: int, computed_at: int, holds_ms: int | None
    ) -> None:
        self.stored = 0
        """How many were stored: the newest of each entity and table, unless the store had a newer one."""
        self._plan, self._write, self._holds = plan, write, holds_ms
        self._run: dict[str, Any] = {
            "model": model,
            "version": version,
            "plan": plan.short_digest,
            "computed_at": computed_at,
        }

    def of(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """``tables``, as they are."""
        for table in tables:
            self.stored += self._write(self._predictions(table))
            yield table

    def _predictions(self, table: pa.Table) -> Iterator[tuple[Key, StoredPrediction]]:
        plan = self._plan
        keys = zip(*(table[column.name].to_pylist() for column in plan.entity), strict=True)
        times = table[plan.spine_source.time].to_pylist()
        others = table[OUTPUTS].to_pylist() if OUTPUTS in table.column_names else [None] * table.num_rows
        for key, as_of, score, outputs in zip(keys, times, table[SCORE].to_pylist(), others, strict=True):
            if score is not None:
                until = None if self._holds is None else as_of + self._holds
                more = msgspec.UNSET if outputs is None else outputs
                yield key, StoredPrediction(score=score, as_of=as_of, valid_until=until, outputs=more, **self._run)
