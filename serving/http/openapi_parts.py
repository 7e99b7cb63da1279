"""What the parts of the OpenAPI description share: an operation, and the schema of a column."""

from __future__ import annotations

from typing import Any

from features.plan import ColumnType
from serving.http.media import JSON
from serving.http.problems import PROBLEM

Schema = dict[str, Any]
LONG: Schema = {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1}
MOMENT: Schema = {
    "anyOf": [{"type": "integer", "format": "int64", "minimum": 0}, {"type": "string", "format": "date-time"}],
    "description": "UTC milliseconds, or ISO 8601 with an offset",
}
NAMES: dict[str, Schema] = {
    "int64": LONG,
    "float64": {"type": "number"},
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
}


def operation(summary: str, tag: str, responses: dict[str, Any], scope: str | None = None) -> dict[str, Any]:
    """An operation, with the errors that any may have as problem details."""
    problem = {"description": "A problem", "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    made: dict[str, Any] = {
        "summary": summary,
        "tags": [tag],
        "responses": {**responses, "4XX": problem, "503": problem} | responses,
    }
    if scope is None:
        made["security"] = []
    return made


def ok() -> dict[str, Any]:
    """A response without a body that is described."""
    return {"description": "As it should be"}


def any_body() -> dict[str, Any]:
    """A response in JSON."""
    return {**ok(), "content": {JSON: {}}}


def column(kind: ColumnType, is_key: bool) -> dict[str, Any]:
    """A value of a column; but for a key's it may be null."""
    made: dict[str, Any] = dict(MOMENT) if kind.kind == "timestamp" else dict(NAMES.get(kind.kind, {"type": "number"}))
    if kind.kind == "decimal":
        made["description"] = str(kind)
    return made if is_key else {**made, "nullable": True}
