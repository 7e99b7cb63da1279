"""Log lines of what serves, where the caller has not configured structlog."""

from __future__ import annotations

import structlog


def log_as_json() -> None:
    """One JSON object a line, with the traceback of what is logged as an exception."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
