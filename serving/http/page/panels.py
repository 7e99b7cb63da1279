"""The panels of the page; how they are ordered and drawn is `static/page.js`'s."""

from __future__ import annotations

from serving.http.page.models import MODELS
from serving.http.page.panel import Panel

PANELS: tuple[Panel, ...] = (MODELS,)
