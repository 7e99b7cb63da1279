"""``headrace retrain --when``: look, decide, and have the log say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import SettingError
from infra.local import stack
from infra.retraining.attempts import Busy, attempts_of
from infra.retraining.causes import Look, Looking, look
from infra.retraining.once import Outcome, Told, learnt_until, newest, said
from infra.settings import run_folder

if TYPE_CHECKING:
    from features.service import Service
    from infra.retraining.once import Wanted
    from infra.settings import Settings
    from infra.train_settings import When
    from jobs.training.config import TrainConfig
    from jobs.training.split import Split
    from serving.models.registry import Registry


@contextmanager
def by_itself(
    where: Path,
    settings: Settings,
    registry: Registry,
    of: Service,
    config: TrainConfig,
    wanted: Wanted,
    whens: Sequence[When],
    once: Callable[[Told, Split], Outcome],
) -> Iterator[tuple[Look | None, Outcome | None]]:
    """Retrain with ``once`` where there is a reason and nothing stands against it; gives what was found, and what came of it.

    Within, no other begins: whoever waits for the gate does so there. No look: another retrain by itself is running, or waits.
    Why none begins is in the log once, until there is something new to say; with ``wanted.dry_run`` nothing is written. Raises
    `SettingError` where nothing is in production, and what ``once`` raises.
    """
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
        section = settings.train[of.name].retrain
        found = look(Looking(where, settings, of, config, section, wanted, production, split, attempts), whens)
        if found.due and not wanted.dry_run:
            with attempts.attempt(production, found.text, learnt_until(split)) as told:
                outcome = once(told, split)
            yield found, outcome
            return
        if not wanted.dry_run and found.key != attempts.kept.not_now:
            attempts.kept.not_now = found.key
            said(registry, production, "postpone", f"retrain: {found.text}")
            attempts.save()
        yield found, None
