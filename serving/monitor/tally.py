"""Counters of some predictions by window, input and segment; and a few of their events, for an alarm to name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.inputs.drift import psi_terms
from features.inputs.reference import Histogram, Reference
from serving.monitor.judge import Finding
from serving.monitor.state import Window

SAMPLE = 500
"""Events of a window whose cells are kept: whichever way they come, those whose ids have the smallest hashes."""
NAMED = 5
"""Events that an alarm names, at most."""

Cells = npt.NDArray[np.intp]


class Tally(NamedTuple):
    """Some predictions of one version."""

    reference: Reference
    cells: Mapping[str, Cells]
    """Of each input that they have, and the score: their cells, [n]."""
    window: npt.NDArray[np.intp]
    """Which of their windows each is of, [n]."""

    def add_to(self, windows: Sequence[Window]) -> None:
        """Add them to the counters of their windows."""
        for histogram in self.reference.histograms:
            if histogram.name in self.cells:
                found = self._counted(histogram, self.window, len(windows))
                for kept, row in zip(windows, found, strict=True):
                    _add(kept.counts, histogram.name, row)
        for segments in self.reference.segments:
            if segments.column not in self.cells:
                continue
            count = len(segments.names)
            part = self.window * count + np.array(segments.of_cells)[self.cells[segments.column]]
            for histogram in segments.histograms[0]:
                if histogram.name in self.cells:
                    found = self._counted(histogram, part, len(windows) * count).reshape(len(windows), -1)
                    for kept, row in zip(windows, found, strict=True):
                        _add(kept.segments.setdefault(segments.column, {}), histogram.name, row)

    def sample_to(self, windows: Sequence[Window], events: Sequence[int | str]) -> None:
        """Keep some of them, by their ids, [n]: any order and split of a window's events leaves the same ones."""
        hashes = np.fromiter(map(_hash, events), np.int64, len(events))
        names = [one.name for one in self.reference.histograms]
        rows = np.array([self.cells.get(name, np.full(len(events), -1)) for name in names])
        for number, kept in enumerate(windows):
            own = np.nonzero(self.window == number)[0]
            if len(kept.sample) == SAMPLE:
                own = own[hashes[own] < kept.sample[-1][0]]
            first = own[np.argsort(hashes[own], kind="stable")[:SAMPLE]].tolist()
            found = [(int(hashes[row]), events[row], rows[:, row].tolist()) for row in first]
            kept.sample = sorted([*kept.sample, *found], key=lambda one: (one[0], str(one[1])))[:SAMPLE]

    def _counted(self, histogram: Histogram, part: npt.NDArray[np.intp], parts: int) -> npt.NDArray[np.intp]:
        """How many values each cell has in each part, [parts, cells]; ``part`` is which each is of, [n]."""
        size = histogram.bins.size
        return np.bincount(part * size + self.cells[histogram.name], minlength=parts * size).reshape(parts, size)


def held_against(reference: Reference, window: Window, finding: Finding) -> tuple[Histogram, list[int]]:
    """The histogram of training that a finding is of, and the window's counters of its cells."""
    name = finding.input
    if not finding.segment:
        return next(one for one in reference.histograms if one.name == name), window.counts[name]
    segments, number = reference.segment(finding.segment)
    histogram = next(one for one in segments.histograms[number] if one.name == name)
    size = histogram.bins.size
    return histogram, window.segments[segments.column][name][number * size : (number + 1) * size]


def events_behind(reference: Reference, window: Window, finding: Finding) -> list[int | str]:
    """Ids of sampled events of the cells that have grown, the one with the largest part of the index first."""
    histogram, found = held_against(reference, window, finding)
    names = [one.name for one in reference.histograms]
    place, sample = names.index(finding.input), window.sample
    if finding.segment:
        segments, number = reference.segment(finding.segment)
        column = names.index(segments.column)
        sample = [one for one in sample if one[2][column] >= 0 and segments.of_cells[one[2][column]] == number]
    before, after = np.array(histogram.counts, np.float64), np.array(found, np.float64)
    order = np.argsort(-psi_terms(before, after), kind="stable").tolist()
    grown = [cell for cell in order if after[cell] * before.sum() > before[cell] * after.sum()]
    return [event for cell in grown for _, event, cells in sample if cells[place] == cell][:NAMED]


def _add(counts: dict[str, list[int]], name: str, row: npt.NDArray[np.intp]) -> None:
    counts[name] = (row + counts[name]).tolist() if name in counts else row.tolist()


def _hash(event: int | str) -> int:
    return int.from_bytes(blake2b(str(event).encode(), digest_size=8).digest()) >> 1
