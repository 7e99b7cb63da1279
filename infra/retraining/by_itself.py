"""``headrace retrain --when``: look, decide, and have the log say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def by_itself(
    request: Request, whens: Sequence[When], once: Callable[[Told, Split], Result]
) -> tuple[Look | None, Result | None]:
    """Retrain with ``once`` where there is a reason and nothing stands against it; gives what was found, and what came of it.

    No look: another retrain by itself is running. Why none begins is in the log once, until there is something new to say; with
    ``wanted.dry_run`` nothing is written. Raises `SettingError` where nothing is in production, and what ``once`` raises.
    """
    where, settings, registry, of, config, wanted = request
    placed = registry.deployed(of.name).production
    if placed is None:
        raise SettingError(
            f"a retrain by itself is held against production; {of.name} has no version there; put a first one there with "
            f"'headrace retrain {of.name}'"
        )
    try:
        with attempts_of(stack.Folders(run_folder(where, settings)).retrain, of.name, registry) as attempts:
            production = registry.manifest(placed.model, placed.version)
            if not wanted.dry_run:
                attempts.recover(production)
            split = newest(of, config, wanted)
            found = look(Looking(request, production, split, attempts), whens)
            if wanted.dry_run:
                return found, None
            if not found.due:
                if found.key != attempts.kept.not_now:
                    attempts.kept.not_now = found.key
                    log_decision(registry, production, "postpone", f"retrain: {found.text}")
                    attempts.save()
                return found, None
            with attempts.attempt(production, found.text, learnt_until(split)) as told:
                return found, once(told, split)
    except Busy:
        return None, None
