"""What `headrace outcomes` left of a service, read once as long as it stays what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from features.errors import StackError
from schemas.codec import UNREADABLE
from schemas.outcomes_report import OutcomesReport
from serving.http.page.kept import Kept

_report = msgspec.json.Decoder(OutcomesReport).decode
"""Made as the module is imported: msgspec 0.22 may crash where two threads use a type for the first time."""


class Outcomes:
    """The reports of all services; ``file_of`` gives the file of one."""

    def __init__(self, file_of: Callable[[str], Path]) -> None:
        self._file_of = file_of
        self._kept = Kept(_decode)

    def report(self, service: str) -> OutcomesReport | None:
        """The newest; None where there is none. Raises `StackError` for a file that is none, or cannot be read."""
        found = self._kept.read(self._file_of(service))
        return found and found.value


def _decode(file: Path) -> OutcomesReport:
    try:
        return _report(file.read_bytes())
    except UNREADABLE as error:
        raise StackError(f"a report is a file that 'headrace outcomes' wrote; {file} gave {error}; run it again") from None
