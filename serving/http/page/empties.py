"""What the panels of a monitor say where there is nothing to show yet."""

from __future__ import annotations

from serving.http.page.monitored import Seen
from serving.http.page.panel import Empty
from serving.monitor.ending import LONG


def nothing(service: str) -> Empty:
    """What to do where a service has no monitor yet."""
    return Empty(
        "Nobody watches these predictions yet: set run = true in [monitor], and headrace up runs a monitor beside the scorer. "
        "By hand it is",
        f"headrace monitor {service}",
    )


def waiting(seen: Seen) -> Empty:
    """What to do where no window has been judged yet."""
    state = seen.state
    if state.without_reference and not state.events:
        return Empty(
            "The versions that predict have nothing to be held against; a newer one will have, which is trained by",
            f"headrace retrain {state.service}",
        )
    rows = sum(window.rows for version in state.versions.values() for window in version.windows.values())
    few = len({verdict.start for version in state.versions.values() for verdict in version.closed if not verdict.findings})
    over = f" Windows that are over and had fewer: {few:,}." if few else ""
    return Empty(
        f"No window of {LONG[state.length]} has been judged yet: {rows:,} predictions are in windows "
        f"that are open, and a window is judged once the stream is beyond it, if it has monitor.min_events predictions.{over}"
    )
