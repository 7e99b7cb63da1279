"""An event that is explained for the page: by ``headrace explain``, in a process of its own, so that no request waits for it."""

from __future__ import annotations

import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from features.errors import SettingError, StackError

if TYPE_CHECKING:
    from serving.http.page.sources import Explained, ExplainedValue

SECONDS = 80.0
"""Then the process is ended."""
NO_PICTURE = "A picture needs the extra: pip install 'headrace[plot]'"


class _Value(msgspec.Struct):
    """What ``--json`` says of a feature; its numbers stay as they are written."""

    feature: str
    of: str
    text: str
    was_served: bool
    served: msgspec.Raw
    recomputed: msgspec.Raw
    cause: str | None


class _Said(msgspec.Struct):
    values: list[_Value]


class Explaining:
    """Explains events of a project, one at a time."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def __call__(self, service: str, event_id: str) -> Explained:
        """What ``headrace explain`` says of an event.

        Raises `SettingError` with its line where it refuses, `StackError` where another event is being explained, or it takes too
        long.
        """
        if not self._turn.acquire(blocking=False):
            raise StackError("one event is explained at a time; another one is just now; try again in a few seconds")
        try:
            with TemporaryDirectory(prefix="headrace-explain-") as folder:
                return self._explained(service, event_id, Path(folder) / "event.svg")
        finally:
            self._turn.release()

    def close(self) -> None:
        """End what runs: nobody waits for it any more."""
        self._is_closed = True
        if self._process is not None:
            self._process.kill()

    def _explained(self, service: str, event_id: str, picture: Path) -> Explained:
        from serving.http.page.sources import Explained

        can_draw = find_spec("matplotlib") is not None
        drawn = ["--out", str(picture)] if can_draw else []
        command = [sys.executable, "-m", "infra.cli", "explain", "--project", str(self._project), "--json", *drawn]
        with subprocess.Popen([*command, "--", service, event_id], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            self._process = process
            if self._is_closed:
                process.kill()
            try:
                said, refused = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise StackError(
                    f"an event is explained within {SECONDS:g} s here; run 'headrace explain {service} {event_id}', at leisure"
                ) from None
        if process.returncode:
            lines = refused.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
            raise SettingError(lines[-1].removeprefix("error: "))
        values = [_told(value) for value in msgspec.json.decode(said, type=_Said).values]
        return Explained(values, picture.read_text() if can_draw else "", "" if can_draw else NO_PICTURE)


def _told(value: _Value) -> ExplainedValue:
    from serving.http.page.sources import ExplainedValue

    served = bytes(value.served).decode() if value.was_served else None
    return ExplainedValue(value.feature, value.of, value.text, served, bytes(value.recomputed).decode(), value.cause)
