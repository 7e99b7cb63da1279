"""The service's routes, and what stands before each: who may use it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from prometheus_client import generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from serving.http.config import HttpConfig
from serving.http.edge import Edge
from serving.http.events import Events
from serving.http.gate import Gate
from serving.http.inference import Inference
from serving.http.media import json_response
from serving.http.metrics import Metrics
from serving.http.openapi import Docs
from serving.http.page.page import Page
from serving.http.predict import Predict
from serving.http.served import Served, all_ready
from serving.http.stored import StoredPredictions
from serving.http.stream import Stream
from serving.http.tokens import Scope

Endpoint = Callable[[Request], Awaitable[Response]]
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Guarded(NamedTuple):
    """An endpoint, and the scope that a token needs for it; None: everybody may."""

    method: str
    path: str
    scope: Scope | None
    endpoint: Endpoint


class OnKafka(NamedTuple):
    """The endpoints behind which there is Kafka."""

    events: Events
    stream: Stream


def application(
    served: Mapping[str, Served],
    config: HttpConfig,
    gate: Gate,
    metrics: Metrics,
    on_kafka: OnKafka | None = None,
    page: Page | None = None,
) -> Edge:
    """The ASGI application of these services, by name."""
    metrics.show(served.values())
    health = Health(served)
    routes: tuple[Guarded, ...] = (
        Guarded("GET", "/healthz", None, health.live),
        Guarded("GET", "/readyz", None, health.ready),
        Guarded("GET", "/metrics", "read", _metrics(metrics)),
        Guarded("GET", "/v1/models", "read", health.models),
        Guarded("POST", "/v1/predict/{service}", "predict", Predict(served, config, gate, metrics).__call__),
        Guarded("GET", "/v1/predictions/{service}/{key:path}", "read", StoredPredictions(served, config, gate).__call__),
    )
    inference = Inference(served, config, gate)
    models = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
    routes = (
        *routes,
        Guarded("GET", "/v2", None, inference.server),
        Guarded("GET", "/v2/health/live", None, inference.live),
        Guarded("GET", "/v2/health/ready", None, inference.ready),
        Guarded("POST", "/v2/repository/index", "read", inference.index),
        *(Guarded("GET", path, "read", inference.metadata) for path in models),
        *(Guarded("GET", f"{path}/ready", "read", inference.model_ready) for path in models),
        *(Guarded("POST", f"{path}/infer", "predict", inference.infer) for path in models),
    )
    if on_kafka is not None:
        routes = (
            *routes,
            Guarded("POST", "/v1/events/{topic}", "publish", on_kafka.events.__call__),
            Guarded("GET", "/v1/stream/{service}", "read", on_kafka.stream.__call__),
        )
    if page is not None:
        routes = (
            *routes,
            Guarded("GET", "/", None, page.index),
            Guarded("GET", "/page/{file:path}", None, page.file),
            Guarded("GET", "/v1/page", "read", page.about),
            Guarded("POST", "/v1/page/letters/replay", None, page.replay),  # it asks for a token by itself, always
            Guarded("GET", "/v1/page/{panel}", "read", page.panel),
            Guarded("GET", "/v1/page/{panel}/{detail}", "read", page.detail),
        )
    docs = Docs(served, config, on_kafka.events.entrances if on_kafka else {}, has_tokens=gate.has_tokens)
    pages = (
        Guarded("GET", "/openapi.json", None, docs.description),
        Guarded("GET", "/docs", None, docs.page),
        Guarded("GET", "/docs/{file}", None, docs.asset),
    )
    routes = (*routes, *(pages if config.docs else ()))
    router = Router([_route(gate, one) for one in routes], redirect_slashes=False)
    return Edge(router, gate, metrics, access_log=config.access_log)


def _route(gate: Gate, one: Guarded) -> Route:
    scope, endpoint = one.scope, one.endpoint
    if scope is None:
        return Route(one.path, endpoint, methods=[one.method])

    async def guarded(request: Request) -> Response:
        gate.authorize(request, scope)
        return await endpoint(request)

    return Route(one.path, guarded, methods=[one.method])


class Health:
    """Whether the process lives, whether its services can predict, and with which models."""

    def __init__(self, served: Mapping[str, Served]) -> None:
        self._served = served

    async def live(self, request: Request) -> Response:
        """``/healthz``: the process lives."""
        return json_response({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """``/readyz``: every service has a model that is warm; 503 until then."""
        states = {name: "ready" if one.now else one.reason for name, one in self._served.items()}
        is_ready = all_ready(self._served)
        return json_response({"ready": is_ready, "services": states}, 200 if is_ready else 503)

    async def models(self, request: Request) -> Response:
        """``/v1/models``: what serves now."""
        return json_response(
            {
                "models": [
                    {
                        "service": name,
                        "environment": lane.alias,
                        "model": lane.placed.model,
                        "version": lane.placed.version,
                        "share": lane.share,
                        "plan": one.service.plan.short_digest,
                    }
                    for name, one in self._served.items()
                    for lane in (one.now.lineup.lanes if one.now else ())
                ]
            }
        )


def _metrics(metrics: Metrics) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return Response(generate_latest(metrics.registry), headers={"content-type": PROMETHEUS})

    return endpoint
