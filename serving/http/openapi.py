"""The service's OpenAPI description, of what serves now, and the page that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from features.inputs.columns import window_types
from features.plan import ColumnType, Plan
from serving.http.config import HttpConfig
from serving.http.events import Entrance
from serving.http.media import BINARY, JSON, json_response
from serving.http.openapi_events import EVENT_SCHEMAS, events, stream
from serving.http.openapi_parts import LONG, NAMES, Schema, any_body, column, ok, operation
from serving.http.problems import ProblemError
from serving.http.rows import Rows
from serving.http.served import Served

OPENAPI = "3.0.3"
"""What the page of swagger-ui-bundle 1.1 shows."""
VERSIONS = ("", "/versions/{version}")
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>headrace</title>
<link rel="stylesheet" href="docs/swagger-ui.css"><link rel="icon" href="docs/favicon-32x32.png"></head>
<body><div id="page"></div><script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script></body></html>
"""
START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null})\n'
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")


class Docs:
    """``/openapi.json`` and ``/docs``."""

    def __init__(
        self, served: Mapping[str, Served], config: HttpConfig, entrances: Mapping[str, Entrance], *, has_tokens: bool
    ) -> None:
        self._served, self._config, self._entrances, self._has_tokens = served, config, entrances, has_tokens

    async def description(self, request: Request) -> Response:
        """``/openapi.json``."""
        return json_response(self.document())

    async def page(self, request: Request) -> Response:
        """``/docs``: nothing on it comes from elsewhere."""
        if _assets() is None:
            raise ProblemError(
                404, "the page is of the package swagger-ui-bundle; pip install 'headrace[http]'; see /openapi.json"
            )
        return Response(PAGE, media_type="text/html", headers={"content-security-policy": POLICY})

    async def asset(self, request: Request) -> Response:
        """``/docs/{file}``."""
        name, folder = request.path_params["file"], _assets()
        if name == "start.js":
            return Response(START, media_type="text/javascript")
        if folder is None or name not in ASSETS:
            raise ProblemError(404, f"the page has no file '{name}'")
        return FileResponse(folder / name)

    def document(self) -> dict[str, Any]:
        """The description."""
        paths: dict[str, Any] = {
            "/healthz": {"get": operation("Whether the process lives", "health", {"200": any_body()})},
            "/readyz": {
                "get": operation("Whether every service has a warm model", "health", {"200": any_body(), "503": any_body()})
            },
            "/metrics": {
                "get": operation("Metrics for Prometheus", "health", {"200": {**ok(), "content": {"text/plain": {}}}}, "read")
            },
            "/v1/models": {"get": operation("What serves now", "models", {"200": any_body()}, "read")},
        }
        for name, one in self._served.items():
            if one.now is not None:
                paths[f"/v1/predict/{name}"] = {"post": self._predict(name, one, one.now.rows)}
            if one.service.plan.entity:
                paths |= _stored(name, one.service.plan)
        paths |= {f"/v1/events/{topic}": {"post": events(topic, one, self._config)} for topic, one in self._entrances.items()}
        streamed = sorted({service for one in self._entrances.values() for service in one.services})
        paths |= {f"/v1/stream/{service}": {"get": stream(service)} for service in streamed}
        paths |= _inference()
        made: Schema = {
            "openapi": OPENAPI,
            "info": {"title": "Headrace", "version": "1", "description": "Predictions, by the models in production."},
            "paths": paths,
            "components": {
                "schemas": {
                    "Problem": _PROBLEM,
                    "Prediction": _PREDICTION,
                    "FetchedPrediction": _FETCHED,
                    "Tensor": _TENSOR,
                    **EVENT_SCHEMAS,
                },
            },
        }
        if self._has_tokens:
            made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            made["security"] = [{"token": []}]
        return made

    def _predict(self, name: str, one: Served, rows: Rows) -> dict[str, Any]:
        event = {
            "type": "object",
            "required": list(rows.needed),
            "properties": {key: column(kind, key in rows.keys) for key, kind in rows.types.items()},
        }
        if not rows.needed:
            del event["required"]  # OpenAPI 3.0 has no empty list there
        row: dict[str, Any] = {"type": "object", "required": ["event"], "properties": {"event": event}}
        if rows.windows:
            types = window_types(one.service.plan)
            row["required"].append("features")
            row["properties"]["features"] = {
                "type": "object",
                "required": list(rows.windows),
                "properties": {feature: _feature(types[feature]) for feature in rows.windows},
            }
        body = {
            "type": "object",
            "required": ["rows"],
            "properties": {"rows": {"type": "array", "maxItems": self._config.max_rows, "items": row}},
        }
        response = {
            "type": "object",
            "required": ["predictions", "errors", "degraded"],
            "properties": {
                "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
                "errors": {"type": "integer"},
                "degraded": {"type": "boolean"},
            },
        }
        made = operation(
            f"Predictions of {name}", "predict", {"200": {**ok(), "content": {JSON: {"schema": response}}}}, "predict"
        )
        return {**made, "requestBody": {"required": True, "content": {JSON: {"schema": body}}}}


def _stored(name: str, plan: Plan) -> dict[str, Any]:
    """The path of a service's stored predictions, with a part for each column of the key."""
    found = {**ok(), "content": {JSON: {"schema": {"$ref": "#/components/schemas/FetchedPrediction"}}}}
    made = operation(f"The stored prediction of an entity of {name}", "predictions", {"200": found}, "read")
    given = [
        {"name": column.name, "in": "path", "required": True, "schema": dict(NAMES[column.type.kind])} for column in plan.entity
    ]
    parts = "/".join(f"{{{column.name}}}" for column in plan.entity)
    return {f"/v1/predictions/{name}/{parts}": {"get": made, "parameters": given}}


def _assets() -> Path | None:
    """The folder of the page's files; None where the package is not installed."""
    found = find_spec("swagger_ui_bundle")
    places = found.submodule_search_locations if found else None
    return next((file.parent for place in places or () for file in Path(place).glob("vendor/*/swagger-ui-bundle.js")), None)


def _inference() -> dict[str, Any]:
    """The paths of the Open Inference Protocol."""
    tensor = {"$ref": "#/components/schemas/Tensor"}
    request = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": tensor},
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
                },
            },
        },
    }
    paths: dict[str, Any] = {
        "/v2": {"get": operation("What the server is", "v2", {"200": any_body()})},
        "/v2/health/live": {"get": operation("Whether the process lives", "v2", {"200": any_body()})},
        "/v2/health/ready": {
            "get": operation("Whether every service has a warm model", "v2", {"200": any_body(), "503": any_body()})
        },
        "/v2/repository/index": {"post": operation("The versions that serve", "v2", {"200": any_body()}, "read")},
    }
    for version in VERSIONS:
        path = f"/v2/models/{{model}}{version}"
        names = ["model", *(["version"] if version else [])]
        given = [{"name": one, "in": "path", "required": True, "schema": {"type": "string"}} for one in names]
        of = " of a version" if version else ""
        infer = operation(f"A model's outputs{of}", "v2", {"200": {**ok(), "content": {JSON: {}, BINARY: {}}}}, "predict")
        infer["requestBody"] = {"required": True, "content": {JSON: {"schema": request}}}
        paths[path] = {"get": operation(f"Inputs and outputs{of}", "v2", {"200": any_body()}, "read"), "parameters": given}
        paths[f"{path}/ready"] = {
            "get": operation(f"Whether it serves{of}", "v2", {"200": any_body()}, "read"),
            "parameters": given,
        }
        paths[f"{path}/infer"] = {"post": infer, "parameters": given}
    return paths


def _feature(kind: ColumnType) -> dict[str, Any]:
    one = dict(LONG) if kind.kind == "timestamp" else dict(NAMES.get(kind.kind, {"type": "number"}))
    return {"type": "array", "items": one} if kind.length else {**one, "nullable": True}


_TEXT, _INTEGER = {"type": "string"}, {"type": "integer"}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {"type": _TEXT, "title": _TEXT, "status": _INTEGER, "detail": _TEXT, "request_id": _TEXT},
}
_PREDICTION = {
    "type": "object",
    "description": "As on the topic of predictions (docs/messages.md), or the event's id and an error.",
    "required": ["event_id"],
    "properties": {
        "event_id": {"anyOf": [_INTEGER, _TEXT]},
        "event_time": _INTEGER,
        "score": {"type": "number"},
        "receipt": {"type": "object"},
        "outputs": {"type": "object"},
        "error": _TEXT,
    },
}
_FETCHED = {
    "type": "object",
    "description": "What a batch run stored of an entity. Times are UTC milliseconds.",
    "required": ["service", "key", "score", "model", "version", "plan", "as_of", "computed_at", "age_ms", "valid_until"],
    "properties": {
        "service": _TEXT,
        "key": {"type": "object"},
        "score": {"type": "number"},
        "outputs": {"type": "object"},
        "model": _TEXT,
        "version": _INTEGER,
        "plan": _TEXT,
        "as_of": _INTEGER,
        "computed_at": _INTEGER,
        "age_ms": _INTEGER,
        "valid_until": {**_INTEGER, "nullable": True},
    },
}
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": _TEXT,
        "shape": {"type": "array", "items": _INTEGER},
        "datatype": _TEXT,
        "parameters": {"type": "object"},
        "data": {"type": "array", "items": {}},
    },
}
