"""``GET /``, ``/page/…`` and ``/v1/page/…``: the page, its files, and the data of its panels.

The page loads nothing that is not here, and its Content-Security-Policy lets it load nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
from importlib import resources
from typing import Annotated, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from features.errors import HeadraceError
from schemas.codec import UNREADABLE
from serving.http.gate import RETRY_SECONDS, Gate
from serving.http.media import JSON, json_response
from serving.http.page.details import Details
from serving.http.page.letters import MOST, replay
from serving.http.page.panels import details, panels
from serving.http.page.reading import Reading
from serving.http.page.sources import Sources
from serving.http.problems import ProblemError, no_service

INDEX = "index.html"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


NO_TOKENS = (
    "a replay changes what is on Kafka, and needs a token with the scope 'publish', also where nothing else needs one; there are "
    "none here; write 'TOKEN read,publish' to a file, TOKEN by 'openssl rand -hex 32', and name it in http.tokens_file"
)
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class File(NamedTuple):
    """A file of the page."""

    content: bytes
    media_type: str
    etag: str


class Page:
    """The endpoints of the page."""

    def __init__(self, sources: Sources, gate: Gate) -> None:
        self._sources, self._gate = sources, gate
        self._files = _files()
        self._readings = {panel.name: Reading(panel, sources) for panel in panels()}
        self._details = Details(details(), sources)

    async def index(self, request: Request) -> Response:
        """``/``."""
        return self._file(request, INDEX)

    async def file(self, request: Request) -> Response:
        """``/page/{file}``."""
        return self._file(request, request.path_params["file"])

    async def about(self, request: Request) -> Response:
        """``/v1/page``: of which services there are panels."""
        return json_response({"services": self._sources.services, "tokens": self._gate.has_tokens})

    async def panel(self, request: Request) -> Response:
        """``/v1/page/{panel}?service=S``: its data, or why there are none; 304 where they are those that the page has."""
        name = request.path_params["panel"]
        reading = self._readings.get(name)
        if reading is None:
            raise ProblemError(404, f"the page has no panel '{name}'; it has {', '.join(self._readings)}")
        body = await reading.body(self._service(request))
        return _unless_known(request, body.etag, body.content, JSON)

    async def detail(self, request: Request) -> Response:
        """``/v1/page/{panel}/{detail}?service=S&…``: what a click in a panel asks for."""
        path, parameters = request.path_params, dict(request.query_params)
        reply = await self._details.reply(path["panel"], path["detail"], self._service(request), parameters)
        return json_response(reply)

    async def replay(self, request: Request) -> Response:
        """``POST /v1/page/letters/replay``: publish records of dead letters again; this needs a token, wherever it is asked."""
        if not self._gate.has_tokens:
            raise ProblemError(403, NO_TOKENS)
        self._gate.authorize(request, "publish")
        with self._gate.admit():
            wanted = _wanted(await self._gate.body(request))
            if wanted.service not in self._sources.services:
                raise no_service(wanted.service, self._sources.services)
            try:
                replayed = await asyncio.to_thread(replay, self._sources, wanted.service, wanted.letters)
            except HeadraceError as error:
                raise ProblemError(503, str(error), retry_after=RETRY_SECONDS) from None
        return json_response({"replayed": replayed})

    def close(self) -> None:
        """End the threads of the panels."""
        self._details.close()
        for reading in self._readings.values():
            reading.close()

    def _service(self, request: Request) -> str:
        service = request.query_params.get("service", "")
        if service not in self._sources.services:
            raise no_service(service, self._sources.services)
        return service

    def _file(self, request: Request, name: str) -> Response:
        found = self._files.get(name)
        if found is None:
            raise ProblemError(404, f"the page has no file '{name}'")
        return _unless_known(request, found.etag, found.content, found.media_type)


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a replay."""

    service: str
    letters: list[tuple[Offset, Offset]]
    """By partition and offset."""


def _wanted(body: bytes) -> Wanted:
    rule = 'a replay is {"service": NAME, "letters": [[PARTITION, OFFSET], …]}'
    try:
        wanted = msgspec.json.decode(body, type=Wanted)
    except UNREADABLE as error:
        raise ProblemError(400, f"{rule}; got {error}") from None
    if not 0 < len(set(wanted.letters)) == len(wanted.letters) <= MOST:
        raise ProblemError(400, f"{rule}, of 1 to {MOST} dead letters, each once; got {len(wanted.letters)}")
    return wanted


def _unless_known(request: Request, etag: str, content: bytes, media_type: str) -> Response:
    headers = {**HEADERS, "etag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


def _files() -> dict[str, File]:
    """All files of the page by their paths: they are few, and a path that is not among them is none of the page's."""
    folder = resources.files(__package__) / "static"
    places = [(one.name, one) for one in folder.iterdir() if one.is_file()]
    places += [(f"panels/{one.name}", one) for one in (folder / "panels").iterdir()]
    found = {}
    for name, place in places:
        content = place.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        found[name] = File(content, TYPES[name[name.rindex(".") :]], etag)
    return found
