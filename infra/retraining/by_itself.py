"""``headrace retrain --when``: look, decide, and have the log say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from features.errors import SettingError
from infra.local import stack
from infra.retraining.attempts import Busy, attempts_of
from infra.retraining.once import Request, Result, Told, learnt_until, log_decision, newest
from infra.retraining.reasons import Look, Looking, look
from infra.settings import run_folder

if TYPE_CHECKING:
    from infra.train_settings import When
    from jobs.training.split import Split


@contextmanager
def by_itself(
    request: Request, whens: Sequence[When], once: Callable[[Told, Split], Result]
) -> Iterator[tuple[Look | None, Result | None]]:
    """Retrain with ``once`` where there is a reason and nothing stands against it; gives what was found, and what came of it.

    Within, no other begins: whoever waits for the gate does so there. No look: another retrain by itself is running, or waits.
    Why none begins is in the log once, until there is something new to say; with ``wanted.dry_run`` nothing is written. Raises
    `SettingError` where nothing is in production, and what ``once`` raises.
    """
    where, settings, registry, of, config, wanted = request
    placed = registry.deployed(of.name).production
    if placed is None:
        raise SettingError(
            f"a retrain by itself is held against production; {of.name} has no version there; put a first one there with "
            f"'headrace retrain {of.name}'"
        )
    with ExitStack() as held:
        try:
            attempts = held.enter_context(attempts_of(stack.Folders(run_folder(where, settings)).retrain, of.name, registry))
        except Busy:
            yield None, None
            return
        production = registry.manifest(placed.model, placed.version)
        if not wanted.dry_run:
            attempts.recover(production)
        split = newest(of, config, wanted)
        found = look(Looking(request, production, split, attempts), whens)
        if found.due and not wanted.dry_run:
            with attempts.attempt(production, found.text, learnt_until(split)) as told:
                result = once(told, split)
            yield found, result
            return
        if not wanted.dry_run and found.key != attempts.kept.not_now:
            attempts.kept.not_now = found.key
            log_decision(registry, production, "postpone", f"retrain: {found.text}")
            attempts.save()
        yield found, None
