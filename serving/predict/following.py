"""Follows what a service's deployment log puts in production, for whatever serves it: a scorer, or the HTTP service."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from serving.models.lifecycle import Deployed, Entry
from serving.models.registry import Registry
from serving.predict.loading import Failed, Loaded, Loader

LOOK_SECONDS = 0.25
"""Between two looks at the log: of a promotion's second, this much is waiting at most."""
RETRY_SECONDS = 30.0
"""Until a version that did not load is tried again: its file may be restored, its topic made."""

log = structlog.get_logger()


class Following:
    """What is loaded of one service. One thread looks.

    ``loaded`` is what it begins with, None where nothing loaded as yet; ``deployed`` says what the log puts in service.
    """

    def __init__(
        self,
        service: str,
        registry: Registry,
        loader: Loader,
        loaded: Loaded | None,
        deployed: Callable[[], Deployed] | None = None,
    ) -> None:
        self.loaded = loaded
        self._service, self._registry, self._loader = service, registry, loader
        self._deployed = deployed or (lambda: registry.deployed(service))
        self._seq = loaded.deployed.seq if loaded else 0

    def look(self, retry: bool) -> tuple[list[Entry], Loaded | None]:
        """The log's new entries, and what serves from now on where that is something else.

        ``retry``: try again what did not load. Raises `HeadraceError` where nothing is loaded, and nothing loads.
        """
        before = self.loaded
        new = self._registry.entries(self._service, after=self._seq)
        if not new and not retry:
            return [], None
        deployed = self._deployed()
        self._seq = deployed.seq  # what does not load now is tried when ``retry`` says so, not at every look
        self.loaded = now = self._loader.next(deployed, before) if before else self._loader.first(deployed)
        self.log_failures(before.failed if before else ())
        return new, now if new or before is None or now.failed != before.failed else None

    def log_failures(self, before: Sequence[Failed]) -> None:
        """One line for each version that is not put in service, those ``before`` aside."""
        for one in self.loaded.failed if self.loaded else ():
            if one not in before:
                what = {"alias": one.alias, "model": one.placed.model, "version": one.placed.version}
                log.error("a version is not put in service", service=self._service, **what, error=one.error)
