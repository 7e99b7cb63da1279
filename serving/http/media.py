"""The media types of bodies, and responses in JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

JSON, BINARY = "application/json", "application/octet-stream"
NDJSON = ("application/x-ndjson", "application/jsonl", "application/ndjson")
EVENT_STREAM = "text/event-stream"


def json_response(value: Any, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)
