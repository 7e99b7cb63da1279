"""``GET /v1/predictions/{service}/{key}``: the prediction that a batch run has stored for an entity."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from urllib.parse import unquote_to_bytes

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from features.feast.keys import Key
from features.feast.predictions import open_predictions
from features.plan import Column, Plan
from features.service import Service
from features.times import moment_text
from schemas import FetchedPrediction, StoredPrediction
from schemas.codec import encode
from serving.http.config import HttpConfig
from serving.http.gate import RETRY_SECONDS, Gate
from serving.http.media import JSON
from serving.http.problems import ProblemError, no_service
from serving.http.served import Served
from serving.http.store import PAUSE_SECONDS, StoreDownError, Within

BEFORE_THE_KEY = 4
"""Parts of ``/v1/predictions/SERVICE/`` before a key's."""
WHOLE = re.compile(r"-?[0-9]{1,19}")

log = structlog.get_logger()


class StoredPredictions:
    """The endpoint, for all services of the process. It needs no model: a prediction that is stored says which it is of."""

    def __init__(self, served: Mapping[str, Served], config: HttpConfig, gate: Gate) -> None:
        self._stores = {name: _Store(one.service, config.store_timeout_ms / 1000) for name, one in served.items()}
        self._gate, self._seconds = gate, config.deadline_ms / 1000

    async def __call__(self, request: Request) -> Response:
        """Look one key up."""
        name = request.path_params["service"]
        store = self._stores.get(name)
        if store is None:
            raise no_service(name, self._stores)
        key = key_of(store.service.plan, request.scope["raw_path"])
        with self._gate.admit():
            found = await self._read(store, key)
        now = int(time.time() * 1000)
        entity = dict(zip((column.name for column in store.service.plan.entity), key, strict=True))
        if found is None:
            raise ProblemError(404, f"no prediction of service '{name}' is stored for {_text(entity)}")
        if found.valid_until is not None and found.valid_until <= now:
            raise _gone(name, entity, found.valid_until)
        known = msgspec.structs.asdict(found)
        fetched = FetchedPrediction(**known, service=name, key=entity, age_ms=max(0, now - found.computed_at))
        return Response(encode(fetched), media_type=JSON)

    async def _read(self, store: _Store, key: Key) -> StoredPrediction | None:
        try:
            async with asyncio.timeout(self._seconds):
                return await store.read(key)
        except (TimeoutError, StoreDownError):
            raise ProblemError(503, "the store of predictions is down; try again", retry_after=RETRY_SECONDS) from None


def key_of(plan: Plan, raw_path: bytes) -> Key:
    """The key in a path: a part for each column, percent-encoded, a number as its digits. Raises `ProblemError`."""
    if not plan.entity:
        raise ProblemError(404, f"the features of service '{plan.service}' have no key, so that nothing is stored by one")
    names = "/".join(f"{{{column.name}}}" for column in plan.entity)
    rule = f"a path is /v1/predictions/{plan.service}/{names}"
    written = raw_path.split(b"/")[BEFORE_THE_KEY:]
    if len(written) != len(plan.entity):
        raise ProblemError(404, f"{rule}; got {len(written)} parts of a key; percent-encode a slash within one")
    return tuple(_part(column, one, rule) for column, one in zip(plan.entity, written, strict=True))


def _part(column: Column, written: bytes, rule: str) -> int | str:
    try:
        text = unquote_to_bytes(written).decode()
    except UnicodeDecodeError:
        raise ProblemError(400, f"{rule}; got '{column.name}' that is no text in UTF-8; percent-encode its bytes") from None
    if column.type.kind == "string":
        return text
    if not WHOLE.fullmatch(text):
        raise ProblemError(400, f"{rule}, where '{column.name}' is a whole number of 64 bits; got '{text:.40}'; write its digits")
    return int(text)


def _text(entity: Mapping[str, int | str]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in entity.items())


def _gone(name: str, entity: Mapping[str, int | str], until: int) -> ProblemError:
    when = f"held until {moment_text(until)} UTC"
    error = ProblemError(410, f"the prediction of service '{name}' for {_text(entity)} {when}; the next run stores another")
    error.headers["cache-control"] = "no-store"  # else a 410 may be kept (RFC 9110, 15.5.11), and the next run ends it
    return error


_Read = Within[Sequence[Key], Sequence[StoredPrediction | None]]


class _Store:
    """The predictions of one service, read on a thread of its own; the store is opened for the first who reads."""

    def __init__(self, service: Service, seconds: float) -> None:
        self.service = service
        self._seconds = seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"stored-{service.name}")
        self._opening: Future[_Read] | None = None
        self._again_at = 0.0

    async def read(self, key: Key) -> StoredPrediction | None:
        """What is stored. Raises `StoreDownError`."""
        opening = self._opened()
        read = opening.result() if opening.done() else await asyncio.shield(asyncio.wrap_future(opening))
        (found,) = await asyncio.get_running_loop().run_in_executor(self._thread, read, [key])
        return found

    def _opened(self) -> Future[_Read]:
        failed = self._opening is not None and self._opening.done() and self._opening.exception() is not None
        if self._opening is None or (failed and time.monotonic() >= self._again_at):
            self._opening = Future()
            Thread(target=self._open, args=(self._opening,), daemon=True).start()  # it may hang: nobody waits for its end
        return self._opening

    def _open(self, opening: Future[_Read]) -> None:
        try:
            read = open_predictions(self.service)
        except Exception as error:  # whoever waits is told, whatever it is
            log.error("the store of predictions cannot be read", service=self.service.name, error=str(error))
            self._again_at = time.monotonic() + PAUSE_SECONDS
            opening.set_exception(StoreDownError(str(error)))
        else:
            opening.set_result(Within(read, self._seconds))
