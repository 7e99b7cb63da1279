"""The panels of the page; how they are ordered and drawn is `static/page.js`'s."""

from __future__ import annotations

from serving.http.page.cost import cost_panel
from serving.http.page.flow import flow_panel
from serving.http.page.models import MODELS
from serving.http.page.panel import Panel


def panels() -> tuple[Panel, ...]:
    """All of them, those that remember something anew."""
    return (MODELS, flow_panel(), cost_panel())
