"""``[outcomes]``: what the job that joins predictions with their labels is told by the settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from infra.section import Section


class OutcomesSettings(Section):
    """The jobs that join predictions with their labels, `headrace outcomes --stream` (docs/outcomes.md): how far a label may be
    from its event is `horizon` of `[train.<service>]`, and all that is not here is as `[stream]` has it."""

    run: bool = False
    """Whether `headrace up` runs one for each service that has a label, a `[train.<service>]`. Each is a JVM of its own."""
    state_backend: Literal["heap", "rocksdb"] | None = None
    """Where predictions and labels are kept for the horizon: `heap`, in the JVM's memory, or `rocksdb`, on disk, for many events
    or a long horizon; none: as `stream.state_backend` says."""
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """The port of this machine's loopback on which a job's metrics are, for Prometheus; 0: a free one, which `headrace status`
    shows, and which several services need; none: there are no metrics."""
