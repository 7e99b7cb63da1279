"""Drift over history: what a monitor would have said of predictions that are made of files now."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from features.errors import SettingError
from features.inputs.arrow import input_arrays, table_matrix, to_list
from features.inputs.reference import SCORE, Reference
from infra.config import monitor_rules
from jobs.predict.score import stream_scores
from schemas.alarm import Alarm
from serving.models.manifest import Manifest, Model, read_reference
from serving.models.session import load_model
from serving.monitor.judge import Finding
from serving.monitor.monitor import Monitor
from serving.monitor.state import State, Verdict

if TYPE_CHECKING:
    from features.plan import Plan
    from features.service import Service
    from infra.monitor_settings import MonitorSettings
    from jobs.history.compute import Progress

MANY = 100_000
"""Windows that are kept: all of a history."""


class Drift(NamedTuple):
    """What was found."""

    manifest: Manifest
    reference: Reference
    verdicts: list[Verdict]
    """A closed window each, oldest first."""
    alarms: list[Alarm]
    """As they would have been written."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The histograms, as the reference has them."""
        return tuple(histogram.name for histogram in self.reference.histograms)

    def of(self, name: str) -> list[Finding]:
        """What the windows that were judged say of one input."""
        return [finding for verdict in self.verdicts for finding in verdict.findings if finding.input == name]


def reference_of(model: Model) -> Reference:
    """What a version is held against. Raises `SettingError` where it has nothing."""
    found = read_reference(model)
    if found is None:
        raise SettingError(
            f"a version is held against the rows that it was trained on; {model.manifest.placed} came without them, from another "
            "trainer or an older Headrace; train one with 'headrace train'"
        )
    return found


def drift_over_history(
    service: Service,
    model: Model,
    reference: Reference,
    section: MonitorSettings,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    events: str | None = None,
    histories: Mapping[str, str | Path] | None = None,
    on_progress: Progress | None = None,
) -> Drift:
    """Score history with ``model``, and hold each window against its ``reference``, the last too.

    Raises what `stream_scores` does.
    """
    manifest = model.manifest
    rules = msgspec.structs.replace(monitor_rules(section), kept_windows=MANY)
    monitor = Monitor(State(service.name, rules.window), rules, lambda name, version: reference)
    score = partial(load_model(model).score_table, plan=service.plan)
    common: dict[str, Any] = {"events": events, "histories": histories, "on_progress": on_progress}
    for table in stream_scores(service, score, inputs=manifest.inputs, start_ms=start_ms, end_ms=end_ms, **common):
        scored = table.filter(table[SCORE].is_valid())  # an event without a score has no prediction, but a dead letter
        times = scored[service.plan.spine_source.time].to_numpy().astype(np.int64)
        events = scored[service.plan.spine_source.event_id].to_pylist()
        monitor.count(manifest.name, manifest.version, times, table_columns(scored, service.plan, reference), events)
    alarms = monitor.advance(2**62)
    verdicts = [verdict for version in monitor.state.versions.values() for verdict in version.closed]
    return Drift(manifest, reference, verdicts, alarms)


def table_columns(table: pa.Table, plan: Plan, reference: Reference) -> dict[str, Any]:
    """The columns of a scored table that the reference has, [n] each: as the receipts of these events would have them."""
    of_event = {column.name for column in plan.spine_source.columns}
    inputs = [one.bins for one in reference.histograms if one.name != SCORE and one.name not in of_event]
    numbers = [bins.name for bins in inputs if bins.kind == "number"]
    x = table_matrix(table, plan, numbers)
    columns: dict[str, Any] = {name: x[:, place] for place, name in enumerate(numbers)}
    texts = [bins.name for bins in inputs if bins.kind == "text"]
    columns |= {name: to_list(pa.chunked_array([column])) for name, column in input_arrays(table, plan, texts).items()}
    columns |= {one.name: to_list(table[one.name]) for one in reference.histograms if one.name in of_event}
    return columns | {SCORE: table[SCORE].to_numpy()}
