"""The row of retrains that begin by themselves: one at a time, none too soon, and none that ends without a word.

What a retrain is about to do is in a file before it begins, with an id; what came of it is in the deployment log, with the same
id. So one that was killed is known by having no entry: it is then said to have failed, and what it had registered is removed.

::

    file: it begins (id) ──► train, compare ──► registered (id in its lineage) ──► log: its decision (id) ──► file: it has ended
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from filelock import FileLock, Timeout

from features.disk import replace_synced
from features.errors import StackError
from infra.retraining.once import LINEAGE, Told, log_decision
from schemas.codec import UNREADABLE
from schemas.deployment import Placed
from serving.models.log import user

if TYPE_CHECKING:
    from serving.models.manifest import Manifest
    from serving.models.registry import Registry


class Attempt(msgspec.Struct, frozen=True):
    """One retrain. Times are UTC milliseconds, by the clock but for ``learnt_until``."""

    id: str
    why: str
    began_at: int
    learnt_until: int
    """Of event time: the end of the days that it learns from."""
    seq: int
    """How many entries the log had when it began."""
    ended: bool = False
    failed: bool = False


class Measured(msgspec.Struct, frozen=True):
    """Whether a version has decayed, as it was measured last."""

    placed: Placed
    end_day: int
    """The day (since 1970) after the days that it was measured on."""
    decayed: bool
    text: str
    """The figures."""


class Kept(msgspec.Struct):
    """What is known from one look to the next."""

    last: Attempt | None = None
    not_now: str = ""
    """Why the last look began none: that is in the log once, not each hour."""
    decay: Measured | None = None


class Busy(Exception):  # noqa: N818 - no error: it says that another looks
    """Another retrain by itself is running."""


class Attempts:
    """Those of one service."""

    def __init__(self, file: Path, kept: Kept, registry: Registry, clock: Callable[[], float]) -> None:
        self.kept, self._file, self._registry, self._clock = kept, file, registry, clock

    def save(self) -> None:
        """Have the file say what is known."""
        replace_synced(self._file, msgspec.json.encode(self.kept))

    def now_ms(self) -> int:
        """By the clock, UTC."""
        return round(self._clock() * 1000)

    def recover(self, production: Manifest) -> None:
        """Say of one that was killed that it failed, and remove what it had registered and had not put anywhere."""
        if self.kept.last is not None and not self.kept.last.ended:
            self._conclude(self.kept.last, production, "it was ended before its decision")

    def _conclude(self, last: Attempt, production: Manifest, came: str) -> None:
        """The end of one whose decision the log may lack: what it registered and is nowhere is removed, and ``came`` is said.

        That a version was removed is no decision: who was killed between the two entries says the second one too.
        """
        service = production.service
        entries = self._registry.entries(service, last.seq)
        decided = any(last.id in entry.why for entry in entries if entry.action != "remove")
        if not decided:
            of_it = [one for one in self._registry.manifests() if one.service == service and one.lineage.get(LINEAGE) == last.id]
            left = [one for one in of_it if not self._registry.deployed(service).names_of(one.placed)]
            for one in left:
                why = f"retrain {last.id} was ended before it was put in a shadow"
                self._registry.remove(one.name, one.version, who=user(), why=why)
            removed = f"; {', '.join(str(one.placed) for one in left)} is removed" if left else ""
            log_decision(self._registry, production, "fail", f"{last.why}: {came}{removed}")
        self._end(failed=not decided)

    @contextmanager
    def attempt(self, production: Manifest, reason: str, learnt_until: int) -> Iterator[Told]:
        """Within, a retrain runs; whatever ends it without a decision is in the log as a failure, and is raised on.

        A version that it had registered by then is removed: a failure changes nothing.
        """
        own = uuid.uuid4().hex[:8]
        why, seq = f"retrain {own}, {reason}", self._registry.deployed(production.service).seq
        self.kept.last = Attempt(own, why, self.now_ms(), learnt_until, seq)
        self.kept.not_now = ""
        self.save()
        try:
            yield Told(why, own)
        except BaseException as error:
            came = "it was interrupted" if isinstance(error, KeyboardInterrupt) else " ".join(str(error).split()) or repr(error)
            self._conclude(self.kept.last, production, came)
            raise
        self._end(failed=False)

    def _end(self, *, failed: bool) -> None:
        assert self.kept.last is not None  # noqa: S101 - one that has begun
        self.kept.last = msgspec.structs.replace(self.kept.last, ended=True, failed=failed)
        self.save()


@contextmanager
def attempts_of(folder: Path, service: str, registry: Registry, clock: Callable[[], float] = time.time) -> Iterator[Attempts]:
    """The service's, held: nobody else retrains it by itself within. Raises `Busy` where somebody does."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{service}.json"
    try:
        held = FileLock(file.with_suffix(".lock"), timeout=0).acquire()
    except Timeout:
        raise Busy from None
    with held:
        try:
            kept = msgspec.json.decode(file.read_bytes(), type=Kept)
        except FileNotFoundError:
            kept = Kept()
        except UNREADABLE as error:
            raise StackError(
                f"what is known of retrains is a file that headrace wrote; {file} gave {error}; restore it, or remove it: the "
                "next retrain by itself may then come sooner"
            ) from None
        yield Attempts(file, kept, registry, clock)
