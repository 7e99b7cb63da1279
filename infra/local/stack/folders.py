"""Where the parts of a stack are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from features.job import JobPlan


class Folders(NamedTuple):
    """Where the parts of a project's stack are, below its run folder."""

    run: Path

    @property
    def owner(self) -> Path:
        """The project whose stack this is."""
        return self.run / "owner.json"

    @property
    def stack(self) -> Path:
        """Where Kafka is, for those who come later."""
        return self.run / "stack.json"

    @property
    def settings(self) -> Path:
        """The settings that processes are started with."""
        return self.run / "settings.json"

    @property
    def logs(self) -> Path:
        """The logs of all processes."""
        return self.run / "logs"

    @property
    def kafka(self) -> Path:
        """The local broker's data."""
        return self.run / "kafka"

    @property
    def checkpoints(self) -> Path:
        """The stream jobs' state."""
        return self.run / "checkpoints"

    def histories(self, job: JobPlan) -> Iterator[Path]:
        """The files of the history that a job is being backfilled with."""
        return self.checkpoints.glob(f"{job.name}/{job.short_digest}/*/history/*.rows")

    @property
    def plans(self) -> Path:
        """The plans that the stream jobs were started with."""
        return self.run / "plans"

    @property
    def turns(self) -> Path:
        """Which events are whose where one plan took over from another."""
        return self.run / "turns"

    @property
    def monitor(self) -> Path:
        """What the monitors have counted."""
        return self.run / "monitor"

    @property
    def retrain(self) -> Path:
        """What is known of retrains that began by themselves."""
        return self.run / "retrain"

    @property
    def outcomes(self) -> Path:
        """How right predictions were, as `headrace outcomes` found them last: a report for each service."""
        return self.run / "outcomes"

    def outcomes_of(self, service: str) -> Path:
        """The report of a service."""
        return self.outcomes / f"{service}.json"

    @property
    def audits(self) -> Path:
        """What `headrace audit` found last: a report for each service."""
        return self.run / "audits"

    def audit_of(self, service: str) -> Path:
        """The report of a service."""
        return self.audits / f"{service}.json"

    @property
    def takeover(self) -> Path:
        """What is taken over just now."""
        return self.run / "takeover.json"

    @property
    def takeovers(self) -> Path:
        """What was taken over, a line each."""
        return self.logs / "takeovers.jsonl"

    def ready(self, name: str) -> Path:
        """The file that the process called ``name`` writes when it does its work."""
        return self.run / "ready" / name

    def plan(self, service: str, beside: str = "") -> Path:
        """The compiled plan; of a job beside another, whose process has ``beside`` behind its name, another."""
        return self.plans / f"{service}{beside}.json"
