"""The reference that `bench monitor` gives a model of noise."""

from __future__ import annotations

import numpy as np
import pytest

from bench.monitor import REFERENCE_ROWS, Round, _best, noise
from features.inputs.reference import LENGTHS, SCORE
from infra.config import monitor_rules
from infra.monitor_settings import MonitorSettings
from serving.monitor.monitor import Monitor
from serving.monitor.state import State


@pytest.mark.slow
def test_a_monitor_counts_and_judges_against_noise() -> None:
    """It costs what any other does: every input has its cells, and limits for days and hours."""
    reference = noise(["one", "other", SCORE])
    assert [histogram.name for histogram in reference.histograms] == ["one", "other", SCORE]
    assert all(sum(histogram.counts) == REFERENCE_ROWS for histogram in reference.histograms)
    assert all(set(histogram.limits) == set(LENGTHS) for histogram in reference.histograms)
    monitor = Monitor(State("s", "day"), monitor_rules(MonitorSettings()), lambda model, version: reference)
    values = np.random.default_rng(2).random(1000) * 200
    monitor.count("m", 1, np.full(1000, reference.trained_until), {"one": values, "other": values, SCORE: values / 200})
    monitor.advance(2**62)
    (verdict,) = monitor.state.versions["m/1"].closed
    assert [finding.input for finding in verdict.findings] == ["one", "other", SCORE]
    assert not any(finding.drifted for finding in verdict.findings)


def test_the_best_of_rounds_is_the_best_of_each_figure() -> None:
    """The highest rate, and the lowest of everything else."""
    assert _best([Round(10, 5, 2, 9), Round(8, 4, 3, 7)]) == Round(10, 4, 2, 7)
