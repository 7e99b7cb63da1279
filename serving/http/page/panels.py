"""The panels of the page; how they are ordered and drawn is `static/page.js`'s."""

from __future__ import annotations

from serving.http.page.alarms import ALARMS, BEHIND
from serving.http.page.audit import audit_panel
from serving.http.page.batch import batch_panel
from serving.http.page.challengers import CHALLENGERS
from serving.http.page.cost import cost_panel
from serving.http.page.details import Detail
from serving.http.page.drift import DRIFT, HISTOGRAM
from serving.http.page.feed import EXPLAIN, RECEIPT, feed_panel
from serving.http.page.flow import flow_panel
from serving.http.page.letters import letters_panel
from serving.http.page.models import MODELS
from serving.http.page.panel import Panel
from serving.http.page.performance import CALIBRATION, PERFORMANCE
from serving.http.page.scores import SCORES
from serving.http.page.timeline import timeline_panel
from serving.http.page.values import VALUES


def panels() -> tuple[Panel, ...]:
    """All of them, those that remember something anew."""
    return (
        MODELS,
        flow_panel(),
        feed_panel(),
        timeline_panel(),
        SCORES,
        DRIFT,
        VALUES,
        ALARMS,
        PERFORMANCE,
        CALIBRATION,
        CHALLENGERS,
        audit_panel(),
        batch_panel(),
        letters_panel(),
        cost_panel(),
    )


def details() -> tuple[Detail, ...]:
    """What a click in one of them asks for."""
    return (HISTOGRAM, BEHIND, RECEIPT, EXPLAIN)
