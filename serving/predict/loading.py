"""From what is deployed to the lineup that serves it: versions loaded and warm, in a thread that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from features.errors import HeadraceError, SettingError
from features.feast.cache import Cached, KeptRows, nothing_kept
from features.feast.online import ReadRows, open_online_store
from features.plan import BatchView
from features.service import Service
from schemas.deployment import Placed
from schemas.topics import PRODUCTION, predictions
from serving.models.lifecycle import CANARY, Deployed
from serving.models.registry import Registry
from serving.models.session import load_model
from serving.predict.lineup import Lane, Lineup, no_rows
from serving.predict.predictor import Predictor

OpenStore = Callable[[Path, Sequence[Any], Sequence[BatchView]], ReadRows]
"""Opens the online store of a project's folder, with its definitions, for these views: `open_online_store`, say."""

log = structlog.get_logger()


class Failed(NamedTuple):
    """A version that could not be put in service."""

    alias: str
    placed: Placed
    share: float | None
    error: str


class Loaded(NamedTuple):
    """A lineup, and how it came about."""

    deployed: Deployed
    lineup: Lineup
    failed: tuple[Failed, ...] = ()


class Loader:
    """Makes the lineups of one service. ``partitions`` gives how many partitions a topic has, 0 where there is none."""

    def __init__(
        self,
        service: Service,
        registry: Registry,
        cache: tuple[float, int],
        partitions: Callable[[str], int],
        open_store: OpenStore = open_online_store,
    ) -> None:
        self._service = service
        self._registry = registry
        self._partitions = partitions
        self._store, self._shadow_store = Store(service, cache, open_store), Store(service, cache, open_store)

    def first(self, deployed: Deployed) -> Loaded:
        """The lineup to start with: of production the newest version in the log that loads.

        Raises `HeadraceError` where there is none, or none loads.
        """
        newest = deployed.must_have_production()
        failed: list[Failed] = []
        errors: list[HeadraceError] = []
        for placed in (newest, *reversed(deployed.previous)):
            try:
                production = self._lane(PRODUCTION, placed, None, {})
                break
            except HeadraceError as error:
                errors.append(error)
                failed.append(_failed(PRODUCTION, placed, None, error))
        else:
            raise errors[0]
        return self._with_the_others(deployed, production, {}, failed)

    def next(self, deployed: Deployed, now: Loaded) -> Loaded:
        """The lineup to go on with. An environment whose new version does not load keeps what it has."""
        placed, failed = deployed.production, list[Failed]()
        lanes = {lane.alias: lane for lane in now.lineup.lanes}
        production = now.lineup.production
        if placed is not None:
            production = self._lane_or_old(PRODUCTION, placed, None, lanes, failed) or production
        return self._with_the_others(deployed, production, lanes, failed)

    def _with_the_others(self, deployed: Deployed, production: Lane, lanes: dict[str, Lane], failed: list[Failed]) -> Loaded:
        canary, shadows = None, list[Lane]()
        if deployed.canary is not None:
            canary = self._lane_or_old(CANARY, deployed.canary.placed, deployed.canary.share, lanes, failed)
        for alias, placed in sorted(deployed.aliases.items()):
            if alias != PRODUCTION and (lane := self._lane_or_old(alias, placed, None, lanes, failed)):
                shadows.append(lane)
        plan, functions = self._service.plan, self._service.functions
        store, shadow_rows = self._store, self._shadow_store.read
        lineup = Lineup(plan, functions, production, canary, shadows, rows=store.read, shadow_rows=shadow_rows, kept=store.kept)
        return Loaded(deployed, lineup, tuple(failed))

    def _lane_or_old(
        self, alias: str, placed: Placed, share: float | None, lanes: dict[str, Lane], failed: list[Failed]
    ) -> Lane | None:
        try:
            return self._lane(alias, placed, share, lanes)
        except Exception as error:  # whatever is wrong with a version, what serves goes on
            failed.append(_failed(alias, placed, share, error))
            return lanes.get(alias)

    def _lane(self, alias: str, placed: Placed, share: float | None, lanes: dict[str, Lane]) -> Lane:
        """The lane that has it, or a new one. A version that serves in another environment is not loaded again."""
        before = lanes.get(alias)
        if before is not None and before.placed == placed:
            return before if before.share == share else Lane(alias, before.predictor, share, before.tally)
        if alias not in (PRODUCTION, CANARY):
            self._check_topic(alias)
        loaded = next((lane.predictor for lane in lanes.values() if lane.placed == placed), None)
        predictor = loaded or Predictor(load_model(self._registry.get(placed.model, placed.version)), self._service.plan)
        (self._store if alias in (PRODUCTION, CANARY) else self._shadow_store).cover(predictor.needed.batch)
        log.info("loaded", service=self._service.name, alias=alias, model=placed.model, version=placed.version, share=share)
        return Lane(alias, predictor, share)

    def _check_topic(self, alias: str) -> None:
        topic, plan = predictions(self._service.plan.service, alias).name, self._service.plan
        has, needs = self._partitions(topic), self._partitions(plan.features_topic)
        if has < needs:
            raise SettingError(
                f"a shadow writes to a topic of its own, with the partitions of the features; {topic} has {has} of {needs}; "
                "run 'headrace up', or make it"
            )


class Store:
    """The online store, as one thread reads it: opened where a model needs a batch view that none before needed."""

    def __init__(self, service: Service, cache: tuple[float, int], open_store: OpenStore) -> None:
        self._service = service
        self._cache = cache
        self._open = open_store
        self._views: tuple[BatchView, ...] = ()
        self.read: ReadRows = no_rows
        self.kept: KeptRows = nothing_kept

    def cover(self, views: Iterable[BatchView]) -> None:
        """Read these views too. Raises `SettingError` where the store has one of them not."""
        new = [view for view in views if view not in self._views]
        if not new:
            return
        every = (*self._views, *new)
        cached = Cached(self._open(self._service.folder, self._service.objects, every), *self._cache)
        self.read, self.kept = cached, cached.kept
        self._views = every


def _failed(alias: str, placed: Placed, share: float | None, error: Exception) -> Failed:
    text = str(error) if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}"
    return Failed(alias, placed, share, text)
