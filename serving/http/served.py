"""A service as HTTP serves it: what is in production by its deployment log, followed while it serves."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import msgspec
import structlog

from features.errors import HeadraceError
from features.service import Service
from schemas.topics import PRODUCTION
from serving.http.config import HttpConfig
from serving.http.rows import Rows
from serving.http.scoring import InService, Scoring
from serving.http.store import opening_within
from serving.models.lifecycle import Deployed
from serving.models.registry import Registry
from serving.predict.following import LOOK_SECONDS, RETRY_SECONDS, Following
from serving.predict.loading import Loader

START_RETRY_SECONDS = 2.0
"""Until is tried again what does not load at the start: without it there is no service."""
CLOSE_SECONDS = 10.0

log = structlog.get_logger()


class Served:
    """One service. What serves is `now`, one reference; it has everything that a request needs."""

    def __init__(self, service: Service, registry: Registry, config: HttpConfig, scoring: Scoring) -> None:
        self.service = service
        self.scoring = scoring
        self.now: InService | None = None
        """None until a model serves and is warm."""
        self.reason = "its models are being loaded"
        """Why nothing serves, as a client may know it."""
        self._logged = ""
        self._most = config.max_rows
        loader = Loader(
            service,
            registry,
            (config.batch_cache_seconds, config.batch_cache_rows),
            _no_topics,
            opening_within(config.store_timeout_ms / 1000),
        )
        self._following = Following(
            service.name, registry, loader, None, lambda: _without_shadows(registry.deployed(service.name))
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow-{service.name}", daemon=True)

    @property
    def name(self) -> str:
        """The service's."""
        return self.service.name

    def start(self) -> None:
        """Load what is in production, and follow it."""
        self._thread.start()

    def close(self) -> None:
        """Score what was taken, and end."""
        self._stop.set()
        self.scoring.close()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        retry, tried = True, time.monotonic()
        while not self._stop.is_set():
            self._look(retry)
            self._stop.wait(LOOK_SECONDS)
            loaded = self._following.loaded
            pause = START_RETRY_SECONDS if loaded is None else RETRY_SECONDS
            retry = (loaded is None or bool(loaded.failed)) and time.monotonic() - tried > pause
            tried = time.monotonic() if retry else tried

    def _look(self, retry: bool) -> None:
        try:
            _, loaded = self._following.look(retry)
        except Exception as error:  # the registry is away, say: what serves goes on
            is_ours = isinstance(error, HeadraceError)
            text = str(error) if is_ours else f"{type(error).__name__}: {error}"
            if text != self._logged:
                log.warning("no other models are put in service", service=self.name, error=text)
            self._logged = text
            self.reason = text if is_ours else "its models cannot be loaded; the log of the service says why"
            return
        if loaded is not None:
            lineup = loaded.lineup
            rows = Rows(self.service.plan, lineup.vectors, self.service.event_times, self._most)
            self.now = InService(lineup, rows)
            for lane in lineup.lanes:
                log.info("in service", service=self.name, alias=lane.alias, model=lane.placed.model, version=lane.placed.version)


def all_ready(served: Mapping[str, Served]) -> bool:
    """Whether every service has a model that is warm."""
    return bool(served) and all(one.now for one in served.values())


def _without_shadows(deployed: Deployed) -> Deployed:
    """Production and its canary: nobody reads what a shadow would say."""
    aliases = {alias: placed for alias, placed in deployed.aliases.items() if alias == PRODUCTION}
    return msgspec.structs.replace(deployed, aliases=aliases)


def _no_topics(topic: str) -> int:
    return 0
