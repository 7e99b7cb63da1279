"""The panel of the audit: differences between what was served and what history says, by cause, and the newest late rows."""

from __future__ import annotations

import statistics
from contextlib import suppress
from pathlib import Path

import msgspec

from features.errors import StackError
from schemas.audit_report import AuditReport
from schemas.codec import UNREADABLE
from schemas.late_row import LateRow
from schemas.topics import LATE_ROWS
from serving.http.page.kept import Kept
from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Sources
from serving.http.page.tail import NO_KAFKA, Tail

LOOKED_AT = 2000
"""Late rows that are read, of all services."""

_report = msgspec.json.Decoder(AuditReport).decode
"""Made as the module is imported: msgspec 0.22 may crash where two threads use a type for the first time."""


class Late(msgspec.Struct, frozen=True):
    """The newest late rows of one view."""

    view: str
    rows: int
    vectors: int
    """Feature vectors, already given, that would hold them."""
    changed: int
    """Values in these that would be others."""
    median_ms: int
    """How late they were."""
    most_ms: int
    newest_at: int
    """When the newest was found; UTC milliseconds."""


class Differences(msgspec.Struct, frozen=True):
    """What the panel shows."""

    report: AuditReport | None
    """None: nobody has audited the service yet."""
    late: list[Late]
    late_down: str
    """Why the late rows are not known, if they are not."""
    is_all: bool
    """Whether there are no other late rows on the topic."""


def read_report(file: Path) -> AuditReport:
    """What an audit left. Raises `StackError` for a file that is none."""
    try:
        return _report(file.read_bytes())
    except UNREADABLE as error:
        raise StackError(f"a report is a file that 'headrace audit' writes; {file} gave: {error}; run it again") from None


class AuditPanel:
    """The panel; one thread at a time calls it."""

    def __init__(self) -> None:
        self._reports = Kept(read_report)
        self._tail: Tail | None = None

    def __call__(self, sources: Sources, service: str) -> Differences | Empty:
        """The newest report of a service, and its newest late rows. Raises `StackError` where the report cannot be read."""
        read = self._reports.read(sources.audit_file(service)) if sources.audit_file else None
        late, is_all, down = self._late(sources, service)
        if read is None and not late and is_all and (not down or sources.reader is None):
            return Empty(
                f"Nobody has held what {service} served against history, and no row came late.", f"headrace audit {service}"
            )
        return Differences(read.value if read else None, late, down, is_all)

    def _late(self, sources: Sources, service: str) -> tuple[list[Late], bool, str]:
        plan = sources.plans.get(service)
        if plan is None or sources.reader is None:
            return [], True, NO_KAFKA.say
        self._tail = self._tail or Tail(sources.reader)
        found: dict[tuple[str, str], list[tuple[LateRow, int]]] = {
            (stage.source, view): [] for stage in plan.windows for view in stage.views
        }
        seen = 0
        try:
            for record in self._tail.newest(LATE_ROWS.name, LOOKED_AT):
                seen += 1
                with suppress(*UNREADABLE):  # no late row
                    row = _decode(record.value or b"")
                    if (row.source, row.view) in found:
                        found[row.source, row.view].append((row, record.timestamp))
        except StackError as error:
            return [], True, str(error)
        is_all = self._tail.is_whole and seen < LOOKED_AT
        return [_told(view, rows) for (_, view), rows in found.items() if rows], is_all, ""


_decode = msgspec.json.Decoder(LateRow).decode


def _told(view: str, rows: list[tuple[LateRow, int]]) -> Late:
    late = [row.late_ms for row, _ in rows]
    return Late(
        view,
        len(rows),
        sum(row.vectors for row, _ in rows),
        sum(row.changed for row, _ in rows),
        round(statistics.median(late)),
        max(late),
        max(at for _, at in rows),
    )


def audit_panel() -> Panel:
    """One with a consumer of its own."""
    return Panel("audit", "what the audit found", AuditPanel(), 10)
