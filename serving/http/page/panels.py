"""The panels of the page; how they are ordered and drawn is `static/page.js`'s."""

from __future__ import annotations

from serving.http.page.alarms import ALARMS, BEHIND
from serving.http.page.challengers import CHALLENGERS
from serving.http.page.details import Detail
from serving.http.page.drift import DRIFT, HISTOGRAM
from serving.http.page.models import MODELS
from serving.http.page.panel import Panel
from serving.http.page.performance import CALIBRATION, PERFORMANCE
from serving.http.page.scores import SCORES
from serving.http.page.values import VALUES

PANELS: tuple[Panel, ...] = (MODELS, SCORES, DRIFT, VALUES, ALARMS, PERFORMANCE, CALIBRATION, CHALLENGERS)
DETAILS: tuple[Detail, ...] = (HISTOGRAM, BEHIND)
