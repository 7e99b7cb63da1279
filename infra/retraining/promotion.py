"""A whole retrain: a newer model, its version in a shadow, and in production once the gate lets it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, NamedTuple

from features.errors import SettingError, StackError
from infra.deploy import deploy
from infra.gate import Judged, judged
from infra.retraining.by_itself import by_itself
from infra.retraining.once import Told, retrained
from serving.models.lifecycle import Change
from serving.models.log import user

if TYPE_CHECKING:
    from infra.retraining.once import Request, Result
    from infra.retraining.reasons import Look
    from infra.train_settings import When
    from jobs.history.compute import Progress
    from jobs.training.split import Split
    from schemas.deployment import Placed
    from serving.models.manifest import Manifest

LOOK_SECONDS = 10.0
"""Between two looks at what the gate says."""


class Came(NamedTuple):
    """What came of it."""

    look: Look | None
    """Of one by itself, what spoke for it and against it; None also where another one runs."""
    result: Result | None
    """None: it was not begun."""
    promoted: bool | None
    """Whether its version is in production; None: there is none."""


def retrain_to_production(
    request: Request,
    whens: Sequence[When],
    training: Callable[[], AbstractContextManager[Progress]],
    waiting: Callable[[Placed], AbstractContextManager[Progress]],
) -> Came:
    """Retrain, where ``whens`` names reasons only for one of them, and have the gate judge what is taken.

    One by itself is alone until the gate has decided. ``training`` and ``waiting`` are entered for what takes long, and give what
    is told of it. Raises what `retrained`, `by_itself` and the gate do.
    """

    def once(told: Told, split: Split | None = None) -> Result:
        made = retrained(request, told=told, split=split, on_progress=on_progress)
        if made.manifest is not None and made.before is not None:
            _try(request, made.manifest, made.why)
        return made

    with ExitStack() as held:
        with training() as on_progress:
            look, result = held.enter_context(by_itself(request, whens, once)) if whens else (None, once(Told()))
        promoted = None if result is None or result.manifest is None else _promoted(request, result, result.manifest, waiting)
    return Came(look, result, promoted)


def _try(request: Request, manifest: Manifest, why: str) -> None:
    """Put a version in its shadow."""
    alias = request.wanted.alias
    change = Change(action="alias", model=manifest.name, version=manifest.version, who=user(), why=why, alias=alias)
    deploy(request.where, request.settings, request.registry, manifest.service, change)


def _promoted(
    request: Request, result: Result, manifest: Manifest, waiting: Callable[[Placed], AbstractContextManager[Progress]]
) -> bool:
    """Put a version in production where the gate lets it; gives whether it did.

    A first version has nothing to be held against but the plan, and does not wait.
    """
    placed = manifest.placed
    if result.before is None:
        found = judged(request.where, request.settings, request.registry, placed)
    elif request.wanted.wait_minutes:
        with waiting(placed) as on_progress:
            found = _awaited(request, placed, result.before.placed, on_progress)
    else:
        return False
    if not found.passed:
        return False
    checks = ", ".join(f"{check.name} {check.found}" for check in found.checks)
    promote = Change(
        action="promote", model=manifest.name, version=manifest.version, who=user(), why=f"{result.why}; gate: {checks}"
    )
    request.registry.change(manifest.service, promote)
    return True


def _awaited(request: Request, placed: Placed, before: Placed, on_progress: Progress) -> Judged:
    """What the gate says once it lets the version pass, or when the time is over.

    Kafka may be away for a part of the time: it is looked at again. Raises `SettingError` where production is no longer
    ``before``, which the version was held against, and `StackError` where Kafka is away in the end.
    """
    begin, total = time.monotonic(), round(request.wanted.wait_minutes * 60)
    while True:
        found: Judged | StackError
        try:
            found = judged(request.where, request.settings, request.registry, placed)
        except StackError as error:
            found = error
        now = request.registry.deployed(request.of.name).production
        if now != before:
            raise SettingError(
                f"what goes to production was held against what is there; {placed} was held against {before}, and {now} came "
                f"to production since; 'headrace models promote {placed.model} {placed.version}' has the gate judge it"
            )
        passed = round(time.monotonic() - begin)
        is_over, is_away = passed >= total, isinstance(found, StackError)
        on_progress("Kafka does not reply" if is_away else "waiting for the gate, seconds", min(passed, total), total)
        if isinstance(found, StackError):
            if is_over:
                raise found
        elif found.passed or is_over:
            return found
        time.sleep(min(LOOK_SECONDS, max(0.0, total - passed)))
