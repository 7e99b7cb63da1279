"""What every request passes: its id, its metrics, whether it is of another site, and what becomes of an error."""

from __future__ import annotations

import re
import time
import uuid
from http import HTTPStatus
from typing import Any

import structlog
from starlette.exceptions import HTTPException

from serving.http.gate import Gate
from serving.http.metrics import Metrics
from serving.http.problems import PROBLEM, ProblemError, problem_body

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
INFERENCE = "/v2/"
"""The Open Inference Protocol has its error's text in ``error``, beside the problem's own fields."""

log = structlog.get_logger()


class Edge:
    """An ASGI application around another one."""

    def __init__(self, app: Any, gate: Gate, metrics: Metrics, *, access_log: bool) -> None:
        self._app = app
        self._gate = gate
        self._metrics = metrics
        self._access_log = access_log
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Respond to one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
            return
        began, status = time.perf_counter(), 500
        request_id = _request_id(scope)
        scope["app"], scope["request_id"] = self, request_id.decode()

        async def send_on(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id))
            await send(message)

        try:
            self._gate.check_site(scope["headers"])
            await self._app(scope, receive, send_on)
        except ProblemError as error:
            await _respond(scope, send_on, error.status, error.detail, error.headers)
        except HTTPException as error:
            detail = _unrouted(scope, error)
            await _respond(scope, send_on, error.status_code, detail, dict(error.headers or {}))
        except Exception:
            log.exception("a request failed", path=scope["path"], request_id=scope["request_id"])
            await _respond(scope, send_on, 500, "a fault of the service; its log has the request's id", {})
        finally:
            seconds = time.perf_counter() - began
            self._count(scope, status, seconds)
            if self._access_log:
                _say(scope, status, seconds)

    def _count(self, scope: dict[str, Any], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "")
        place = route, scope["method"] if route else "", status
        if place not in self._children:
            metrics = self._metrics
            self._children[place] = metrics.requests.labels(*map(str, place)), metrics.seconds.labels(route)
        requests, histogram = self._children[place]
        requests.inc()
        histogram.observe(seconds)


def _say(scope: dict[str, Any], status: int, seconds: float) -> None:
    trace = next((value.decode(errors="replace") for name, value in scope["headers"] if name == b"traceparent"), None)
    what = {"method": scope["method"], "path": scope["path"], "status": status, "ms": round(seconds * 1000, 3)}
    log.info("request", **what, request_id=scope["request_id"], traceparent=trace)


def _request_id(scope: dict[str, Any]) -> bytes:
    """The caller's own, where it is one that may stand in a log."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return bytes(value)
    return uuid.uuid4().hex.encode()


def _unrouted(scope: dict[str, Any], error: HTTPException) -> str:
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{scope['path']} does not take {scope['method']}; it takes {(error.headers or {}).get('Allow', 'another')}"
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"there is no {scope['path']}; see /openapi.json"
    return str(error.detail)


async def _respond(scope: dict[str, Any], send: Any, status: int, detail: str, headers: dict[str, str]) -> None:
    more = {"error": detail} if scope["path"].startswith(INFERENCE) else {}
    body = problem_body(status, detail, scope["request_id"], **more)
    made = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    made += [(b"content-type", PROBLEM.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": made})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
