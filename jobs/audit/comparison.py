"""What a comparison of served and true values comes to: how many values of each feature differ, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

Cause = Literal["late_row", "late_batch_row", "changed_definition", "incomplete", "began_empty", "unexplained"]
CAUSES: tuple[Cause, ...] = get_args(Cause)
"""Why a served value is not the true one. ``late_row``: the stream job's ledger has a row of its window that came too late.
``late_batch_row``: the online store got the row of its batch view after the event. ``changed_definition``: another plan gave it.
``incomplete``: the vector or the receipt said that something was missing. ``began_empty``: the windows were not backfilled,
and history gives the served value, too, of the rows from the topics' beginning on. The last is a defect."""
CAUSE_NAMES: dict[Cause, str] = {
    "late_row": "late row",
    "late_batch_row": "late batch row",
    "changed_definition": "other definition",
    "incomplete": "incomplete",
    "began_empty": "began empty",
    "unexplained": "unexplained",
}
"""What the causes are called in tables and pictures."""
UNEXPLAINED: Cause = "unexplained"
BEGAN_EMPTY: Cause = "began_empty"
EXAMPLES = 10
"""Unexplained differences that are shown of a feature, and events that are named."""


class Compared(msgspec.Struct):
    """The comparison of a feature's values, or of all those of a stage or view."""

    name: str
    of: str
    """The stage, batch view or on-demand view that it is a feature of."""
    values: int = 0
    differing: int = 0
    causes: dict[Cause, int] = msgspec.field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    examples: list[str] = msgspec.field(default_factory=list)
    """The first differences that nothing explains."""

    @property
    def unexplained(self) -> int:
        """Differences that are a defect."""
        return self.causes[UNEXPLAINED]

    def add(self, other: Compared) -> None:
        """Count the other's values too."""
        self.values += other.values
        self.differing += other.differing
        self.causes = {cause: self.causes[cause] + other.causes[cause] for cause in CAUSES}
        self.examples = [*self.examples, *other.examples][:EXAMPLES]


def causes_shown(found: Iterable[Compared]) -> tuple[Cause, ...]:
    """The columns of a table: windows begin empty only where nobody backfilled them, and else there is no such column."""
    began_empty = any(one.causes[BEGAN_EMPTY] for one in found)
    return tuple(cause for cause in CAUSES if cause != BEGAN_EMPTY or began_empty)


class Hour(msgspec.Struct):
    """The values of the events of one hour."""

    values: int = 0
    causes: dict[Cause, int] = msgspec.field(default_factory=dict)
    """How many differ, by cause; a cause of none is absent."""


class Comparison(msgspec.Struct):
    """Served values held against true ones."""

    events: int = 0
    """Events that were served and are in history."""
    not_in_history: int = 0
    """Events that were served and are not in history: nothing is known of their values."""
    not_in_history_ids: list[int | str] = msgspec.field(default_factory=list)
    """The first of them."""
    features: list[Compared] = msgspec.field(default_factory=list)
    hours: dict[int, Hour] = msgspec.field(default_factory=dict)
    """By the UTC milliseconds of its start; an hour without a value is absent."""

    @property
    def differing(self) -> int:
        """Differences, over all features."""
        return sum(feature.differing for feature in self.features)

    @property
    def unexplained(self) -> int:
        """Differences that are a defect, over all features."""
        return sum(feature.unexplained for feature in self.features)

    @property
    def began_empty(self) -> int:
        """Differences that a backfill would have avoided, over all features."""
        return sum(feature.causes[BEGAN_EMPTY] for feature in self.features)

    @property
    def stages(self) -> tuple[Compared, ...]:
        """The features of each stage or view, taken together."""
        found: dict[str, Compared] = {}
        for feature in self.features:
            found.setdefault(feature.of, Compared(feature.of, feature.of)).add(feature)
        return tuple(found.values())
