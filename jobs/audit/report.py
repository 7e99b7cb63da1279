"""What an audit found, as a file that others read: `schemas.audit_report`."""

from __future__ import annotations

from jobs.audit.audit import Audit
from jobs.audit.comparison import EXAMPLES
from schemas.audit_report import Audited, AuditReport


def report(found: Audit, now_ms: int) -> AuditReport:
    """The report of an audit: the values of each stage, and the first differences that nothing explains."""
    compared = found.found
    return AuditReport(
        service=found.service,
        plan=found.plan,
        made_at=now_ms,
        start=found.start,
        end=found.end,
        served=found.served,
        compared=compared.events,
        not_in_history=compared.not_in_history,
        without_receipt=found.without_receipt,
        never_served=found.never_served,
        late_rows=found.late_rows,
        stages=[
            Audited(one.name, one.values, one.differing, {str(cause): count for cause, count in one.causes.items()})
            for one in compared.stages
        ],
        examples=[example for one in compared.features for example in one.examples][:EXAMPLES],
    )
