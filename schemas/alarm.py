"""The message on ``alarms``: an input or the scores of a version are no longer what they were in training, or are so again."""

from __future__ import annotations

from typing import Literal

import msgspec

What = Literal[
    "nulls",  # more of them, or fewer
    "zeros",  # more of them, or fewer
    "out_of_range",  # below the least or above the largest value of training
    "new_values",  # texts that training did not have
    "distribution",  # the shares of other values
]


class Alarm(msgspec.Struct, frozen=True):
    """What has changed, since when, how much and against what. Times are UTC milliseconds, of event time but for ``raised_at``.

    The key of its record is the id: an alarm is written once as it opens and once as it closes.
    """

    id: str
    """``<service>/<model>/<version>/<input>/<since>``; of a segment the input is ``<input> where <segment>``."""
    state: Literal["open", "closed"]
    service: str
    model: str
    version: int
    input: str
    """A feature, ``<view>__<feature>``, or ``score``."""
    what: What
    """What has moved most."""
    text: str
    """One line for a person."""
    since: int
    """The start of the first window that drifted."""
    window_start: int
    window_end: int
    """The window that opened or closed the alarm; the figures are its."""
    rows: int
    """How many predictions the window has."""
    psi: float
    """The population stability index of the window against training."""
    js: float
    """The Jensen-Shannon divergence, in bits."""
    p_value: float
    """How likely an index of that size is while nothing has changed."""
    limit: float
    """The index from which on the window drifted."""
    trained_from: int
    trained_until: int
    """The rows of the reference; of ``score``, the later ones that it was measured on."""
    cells: list[str]
    """What each cell of the histograms holds."""
    trained: list[int]
    """How many values of training each cell has."""
    found: list[int]
    """How many values of the window each cell has."""
    raised_at: int
    """When the monitor found it, by its clock."""
    segment: str = ""
    """Of which predictions, `<input> is <values>`; empty: of all. ``rows`` are the segment's."""
    events: list[int | str] = []
    """Ids of some of the window's events behind it: of the cells that have grown most; of one that closes none."""
