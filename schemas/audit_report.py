"""What `headrace audit` leaves for others to read: how many served values are not what history gives, and why."""

from __future__ import annotations

import msgspec


class Audited(msgspec.Struct, frozen=True):
    """The values of a stage or view."""

    name: str
    values: int
    differing: int
    causes: dict[str, int]
    """How many differ, by cause (`jobs.audit.comparison`); ``unexplained`` is a defect."""


class AuditReport(msgspec.Struct, frozen=True):
    """The newest audit of a service. Times are UTC milliseconds."""

    service: str
    plan: str
    made_at: int
    start: int
    end: int
    """The event times that were compared lie in [start, end)."""
    served: int
    """Events with a receipt."""
    compared: int
    """Those of them that history has."""
    not_in_history: int
    without_receipt: int
    """Events with a feature vector and no prediction."""
    never_served: int
    """Events of history that were not served."""
    late_rows: int
    """Rows that came too late for a vector."""
    stages: list[Audited]
    examples: list[str]
    """The first differences that nothing explains."""
