"""The reference that a version is watched by: bins and counters of its training rows, and how far such rows are from each other.

A window of live rows is held against training by `features.inputs.drift.psi`. How large that is while nothing changes depends on
how rows depend on each other, so it is drawn from training itself (block permutation: Lahiri 2003, chapter 2, for blocks of time;
Good 2005, section 3.7, for exchanging whole clusters). A draw splits the keys at random, and takes

- as the window the rows of one part of the keys on one day (or in one hour),
- as the reference the rows of all other keys on all other days.

So a key's rows stay together over all of training, as do the rows of a day, with what only that day has. Of each input the keys
are those that its windows are by. No draw has a window of more than about half a day's rows; a live window that is
larger is held against those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from threadpoolctl import threadpool_limits

from features.errors import SettingError
from features.inputs.arrow import to_list
from features.inputs.bins import NEW, OTHERS, Bins, number_bins, text_bins
from features.inputs.columns import features_of
from features.inputs.drift import PROBABILITIES, Limit, psi_of
from features.inputs.matrix import matrix
from features.inputs.reference import LENGTH_MS, LENGTHS, SCORE, Histogram, Length, Reference, Segments
from features.plan import Plan
from jobs.training.fitted import Labels
from jobs.training.rows import Mask, Rows
from jobs.training.split import Split

DRAWS = 1000
"""Windows of each size, about."""
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of the keys in a draw's window."""
LEAST_ROWS = 20
"""A window is not drawn from fewer rows in the mean."""
BLOCKS = 4096
"""Where there are more keys, several at random go together, which makes draws no more alike."""
BLOCKS_OF_SEGMENT = 1024
"""Of a segment: its limits are drawn as often as those of all rows, and there may be ten times as many of them."""
PERIODS = 200
"""Days or hours that windows are drawn from, at most."""
MOST_SEGMENTS = 10
"""The cells of a column with the most rows of training are segments of their own; all others are one together."""
LEAST_OF_SEGMENT = 500
"""Rows of training that a cell has, to be a segment of its own."""
SEED = 20_240_501

Ints = npt.NDArray[np.int64]


def watched(rows: Rows, split: Split) -> tuple[Mask, Mask]:
    """The rows of training, and those after it that a model can score, [rows] each: with a label or without, as live rows are."""
    trained: Mask = rows.frame["day"].to_numpy() < split.first_day + split.days
    later: Mask = ~trained & ~np.isinf(rows.x).any(axis=1)
    return trained, later


def reference_of(plan: Plan, rows: Rows, trained: Mask, scores: Labels, scored: Mask, segments: Sequence[str] = ()) -> Reference:
    """The reference of a model that was trained on the days of the rows ``trained``, with ``scores`` of the rows ``scored``.

    The masks are [rows], ``scores`` [scored rows]; ``segments`` are the inputs, and columns of the event, by whose values rows
    are watched apart. The same rows give the same reference. Raises `SettingError` as `check_segments` does.
    """
    check_segments(segments, plan, rows.inputs)
    times = rows.table[plan.spine_source.time].to_numpy()
    table = rows.table.filter(pa.array(trained))
    of_event = [name for name in dict.fromkeys(segments) if name not in rows.inputs]
    values = [*rows.x.T, *(_of_event(rows.table, plan, name) for name in of_event)]
    makers = [number_bins if one.dtype != object else text_bins for one in values]
    names = (*rows.inputs, *of_event)
    bins = [make(name, own[trained]) for make, name, own in zip(makers, names, values, strict=True)]
    cells = [one.cells(own[trained]) for one, own in zip(bins, values, strict=True)]
    keys = [*(key_of_input(plan, name) for name in rows.inputs), *([entity_of(plan)] * len(of_event))]
    limits = _limits_by_key(table, keys, bins, cells, times[trained])
    histograms = [Histogram(one, _counted(one, own), found) for one, own, found in zip(bins, cells, limits, strict=True)]
    of_score = number_bins(SCORE, scores)
    own, later = of_score.cells(scores), rows.table.filter(pa.array(scored))
    found = _limits_by_key(later, [entity_of(plan)], [of_score], [own], times[scored])
    histograms.append(Histogram(of_score, _counted(of_score, own), found[0]))
    places = [names.index(column) for column in dict.fromkeys(segments)]
    inputs = Part(table, times[trained], keys, bins, cells)
    by_column = []
    for place in places:
        score = Part(later, times[scored], [entity_of(plan)], [of_score], [own])
        by_column.append(_by_segment(bins[place], place, inputs, score, bins[place].cells(values[place][scored])))
    return Reference(*_span(times[trained]), *_span(times[scored]), tuple(histograms), tuple(by_column))


class Part(NamedTuple):
    """Some rows and their cells, of inputs or of the score."""

    table: pa.Table
    times: Ints
    keys: Sequence[tuple[str, ...]]
    """Of each input."""
    bins: Sequence[Bins]
    cells: Sequence[npt.NDArray[np.intp]]
    """[inputs][rows]."""

    def of(self, rows: Mask, without: int = -1) -> list[Histogram]:
        """The histograms of some rows, but for one column's; without limits where there are none."""
        kept = [place for place in range(len(self.bins)) if place != without]
        keys, bins = [self.keys[place] for place in kept], [self.bins[place] for place in kept]
        cells = [self.cells[place][rows] for place in kept]
        found: list[dict[Length, tuple[Limit, ...]]] = [{} for _ in kept]
        if rows.any():
            found = _limits_by_key(self.table.filter(pa.array(rows)), keys, bins, cells, self.times[rows], BLOCKS_OF_SEGMENT)
        return [Histogram(one, _counted(one, own), limit) for one, own, limit in zip(bins, cells, found, strict=True)]


def known_segments(plan: Plan, inputs: Sequence[str]) -> tuple[str, ...]:
    """The columns that a model with these ``inputs`` can be watched by: those, and what tells events apart."""
    spine = plan.spine_source
    return (*inputs, *(one.name for one in spine.columns if one.name not in (spine.time, spine.event_id, SCORE)))


def check_segments(segments: Sequence[str], plan: Plan, inputs: Sequence[str]) -> None:
    """Raises `SettingError` where a segment is none of `known_segments`."""
    known = known_segments(plan, inputs)
    for column in segments:
        if column not in known:
            raise SettingError(
                f"a segment is an input of the model, or a column of {plan.spine} but its time and id; got '{column}' in "
                f"segments; there are {', '.join(known)}"
            )


def _of_event(table: pa.Table, plan: Plan, name: str) -> npt.NDArray[Any]:
    """A column of the events, as receipts have it: objects where it is of texts, else numbers."""
    values = to_list(table[name])
    is_text = plan.spine_source.column(name).type.kind == "string"
    found: npt.NDArray[Any] = np.array(values, object) if is_text else matrix(values)
    return found


def _by_segment(column: Bins, place: int, inputs: Part, score: Part, of_scored: npt.NDArray[np.intp]) -> Segments:
    """What the others were in each segment of the column at ``place``; ``of_scored`` are its cells of the scored rows."""
    counts = np.bincount(inputs.cells[place], minlength=column.size)
    if column.kind == "text":
        counts[NEW] = 0  # what training had too seldom is of the others
    most = np.argsort(-counts, kind="stable")[:MOST_SEGMENTS]
    own = sorted(int(cell) for cell in most if counts[cell] >= LEAST_OF_SEGMENT)
    of_cells = np.full(column.size, len(own))
    of_cells[own] = np.arange(len(own))
    labels, found = column.labels, []
    for number in range(len(own) + 1):
        of_inputs = inputs.of(of_cells[inputs.cells[place]] == number, place)
        found.append((*of_inputs, *score.of(of_cells[of_scored] == number)))
    return Segments(column.name, (*(labels[cell] for cell in own), OTHERS), tuple(of_cells.tolist()), tuple(found))


def key_of_input(plan: Plan, column: str) -> tuple[str, ...]:
    """The spine's columns that the rows of an input have in common: the key of its windows or its batch view."""
    (feature,) = features_of(plan, [column])
    for stage in plan.windows:
        if any(one.name == feature for one in stage.features):
            return stage.key
    for view in plan.batch:
        if feature.partition("__")[0] == view.view:
            return view.key
    return entity_of(plan)


def entity_of(plan: Plan) -> tuple[str, ...]:
    """The key of the first windows over the spine, as predictions have it; without any, none: rows are independent."""
    stages = sorted(plan.windows, key=lambda stage: stage.source != plan.spine)
    return stages[0].key if stages else ()


def _counted(bins: Bins, cells: npt.NDArray[np.intp]) -> tuple[int, ...]:
    return tuple(np.bincount(cells, minlength=bins.size).tolist())


def _span(times: Ints) -> tuple[int, int]:
    return int(times.min()), int(times.max()) + 1


def _limits_by_key(
    table: pa.Table,
    keys: Sequence[tuple[str, ...]],
    bins: Sequence[Bins],
    cells: Sequence[npt.NDArray[np.intp]],
    times: Ints,
    most: int = BLOCKS,
) -> list[dict[Length, tuple[Limit, ...]]]:
    """The limits of each input; those of one key are drawn together."""
    found: list[dict[Length, tuple[Limit, ...]]] = [{} for _ in keys]
    for key in dict.fromkeys(keys):
        places = [place for place, own in enumerate(keys) if own == key]
        blocks = blocks_of({name: table[name].to_numpy() for name in key}, table.num_rows, most)
        sizes = [bins[place].size for place in places]
        stacked = np.column_stack([cells[place] for place in places])
        for length in LENGTHS:
            drawn = limits(stacked, sizes, blocks, times // LENGTH_MS[length])
            for place, one in zip(places, drawn, strict=True):
                found[place][length] = one
    return found


def blocks_of(key: Mapping[str, Any], rows: int, most: int = BLOCKS) -> Ints:
    """The block of each row, [rows]: its key's, or that of several keys; without a key each row's own, or of several rows."""
    own = pd.DataFrame(key).groupby(list(key), sort=True, dropna=False).ngroup().to_numpy() if key else np.arange(rows)
    count = int(own.max(initial=-1)) + 1
    if count <= most:
        return own.astype(np.int64)
    shuffled: Ints = np.random.default_rng(SEED).permutation(count) % most
    found: Ints = shuffled[own]
    return found


def limits(cells: npt.NDArray[np.intp], sizes: Sequence[int], blocks: Ints, periods: Ints) -> list[tuple[Limit, ...]]:
    """How far windows of some blocks in one period are from the other blocks in the other periods, for each input.

    ``cells`` is [rows, inputs], ``sizes`` how many cells each input has, ``blocks`` and ``periods`` are [rows]. Where all rows
    are of one period, the reference is of that one too. BLAS has one thread: for products so small, others wait more than they
    work, 14 times as long on two cores that have other work (OpenBLAS 0.3, 26 November 2026).
    """
    with threadpool_limits(1, "blas"):
        return _limits(cells, sizes, blocks, periods)


def _limits(cells: npt.NDArray[np.intp], sizes: Sequence[int], blocks: Ints, periods: Ints) -> list[tuple[Limit, ...]]:
    random = np.random.default_rng(SEED)
    starts = np.concatenate(([0], np.cumsum(sizes)))
    width, count = int(starts[-1]), int(blocks.max()) + 1
    flat = blocks[:, None] * width + cells + starts[:-1]
    whole = np.bincount(flat.ravel(), minlength=count * width).reshape(count, width).astype(np.float32)
    found, own = np.unique(periods, return_inverse=True)
    several = len(found) > 1
    chosen = np.sort(random.permutation(len(found))[:PERIODS])
    draws = -(-DRAWS // len(chosen))
    values: list[list[npt.NDArray[np.float64]]] = [[] for _ in SHARES]
    rows: list[list[npt.NDArray[np.float64]]] = [[] for _ in SHARES]
    for period in chosen:
        inside = np.bincount(flat[own == period].ravel(), minlength=count * width).reshape(count, width).astype(np.float32)
        outside = whole - inside if several else whole
        for place, share in enumerate(SHARES):
            taken = (random.random((draws, count)) < share).astype(np.float32)
            window, others = (taken @ inside).astype(np.float64), ((1 - taken) @ outside).astype(np.float64)
            size = window[:, : starts[1]].sum(axis=1)
            some = (size > 0) & (others[:, : starts[1]].sum(axis=1) > 0)
            parts = [slice(one, other) for one, other in pairwise(starts)]
            values[place].append(np.array([psi_of(others[some, part], window[some, part]) for part in parts]))
            rows[place].append(size[some])
    return _as_limits(values, rows, len(sizes))


def _as_limits(
    values: Sequence[Sequence[npt.NDArray[np.float64]]], rows: Sequence[Sequence[npt.NDArray[np.float64]]], inputs: int
) -> list[tuple[Limit, ...]]:
    """Of each input, for the sizes of windows that have rows enough; the largest always, if it has any."""
    drawn = [(np.concatenate(size), np.concatenate(value, axis=1)) for size, value in zip(rows, values, strict=True)]
    drawn = [(size, value) for size, value in drawn if len(size)]
    kept = [one for one in drawn if one[0].mean() >= LEAST_ROWS] or drawn[-1:]
    return [
        tuple(Limit(float(size.mean()), tuple(np.quantile(value[place], PROBABILITIES).tolist())) for size, value in kept)
        for place in range(inputs)
    ]
