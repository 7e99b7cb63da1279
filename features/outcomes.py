"""The plan of a job that joins the predictions of a service with their labels, as they come: docs/outcomes.md has its rules."""

from __future__ import annotations

import hashlib
from functools import cached_property

import msgspec

from features.job import JobPlan
from features.plan import Column, ColumnType, Mode, Plan, Source
from features.times import DAY_MS
from schemas import topics

LATENESS_MS = DAY_MS
"""How far behind the newest a prediction or a label may come, for its event to be remembered, beside the horizon."""
TEXT, WHOLE, BOOL = ColumnType("string"), ColumnType("int64"), ColumnType("bool")
RECEIPT = {"plan": TEXT, "model": TEXT, "version": WHOLE, "sha256": TEXT, "complete": BOOL, "scored_at": WHOLE}
"""What an outcome has of a receipt."""


class OutcomesPlan(msgspec.Struct, frozen=True, dict=True):
    """What such a job reads and keeps. It knows of no plan of features, so it goes on while one takes over from another.

    To those who run jobs it is what a `features.job.JobPlan` is to them: it has a name, sources, and a state.
    """

    service: str
    predictions: Source
    labels: Source
    """With the columns that are needed: event id, time, label."""
    label: str
    """The column."""
    horizon_ms: int
    """How far a label's time may be from its event's, either way."""
    has_dead_letters: bool
    """Whether another job, the service's own, reads the labels' topic, and writes dead letters for what it cannot read. The state
    does not depend on it: a plan that takes over may read that topic, or no longer."""

    @property
    def sources(self) -> tuple[Source, Source]:
        """What the job reads."""
        return self.predictions, self.labels

    @cached_property
    def digest(self) -> str:
        """sha256 of what its state depends on."""
        return hashlib.sha256(msgspec.json.encode((self.service, self.sources, self.label, self.horizon_ms))).hexdigest()

    @property
    def short_digest(self) -> str:
        """What names the folder of the job's state."""
        return self.digest[:12]

    @property
    def name(self) -> str:
        """The job's."""
        return f"outcomes.{self.service}"

    @property
    def services(self) -> tuple[str, ...]:
        """The one whose outcomes the job writes."""
        return (self.service,)

    @property
    def plans(self) -> tuple[Plan, ...]:
        """It computes no features."""
        return ()

    @property
    def mode(self) -> Mode:
        """No record waits for another."""
        return "arrival"

    @property
    def lateness_ms(self) -> int:
        """How far out of order its topics may be."""
        return LATENESS_MS


AnyJob = JobPlan | OutcomesPlan
"""What runs as a job of Flink's."""


def outcomes_plan(plan: Plan, source: Source, label: Column, horizon_ms: int) -> OutcomesPlan:
    """The plan for the service of ``plan``, and its ``label``, a column of ``source``."""
    named = {source.event_id, source.time, label.name}
    columns = tuple(column for column in source.columns if column.name in named)
    labels = Source("_labels", source.topic, columns, source.time, source.event_id, "", 0)
    read = {one.topic for one in plan.sources}
    return OutcomesPlan(plan.service, _predictions(plan), labels, label.name, horizon_ms, source.topic in read)


def _predictions(plan: Plan) -> Source:
    """The topic of the predictions in production as a source: fields of a receipt are called ``receipt.<field>``."""
    spine = plan.spine_source
    own = {"event_id": spine.column(spine.event_id).type, "event_time": WHOLE, "score": ColumnType("float64")}
    of_receipt = {f"receipt.{name}": kind for name, kind in RECEIPT.items()}
    columns = tuple(Column(name, kind) for name, kind in (own | of_receipt).items())
    return Source("_predictions", topics.predictions(plan.service).name, columns, "event_time", "event_id", "", 0)
