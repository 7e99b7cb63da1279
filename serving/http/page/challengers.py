"""The panel of challengers: newer versions beside the one in production, on the same rows, and what was decided.

The figures are those of the deployment log: what `headrace retrain` found on its test days, and what the gate found on live
events whose labels have arrived. The log has them as text, for people; a retrain's test holds that text and this reader together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from schemas.deployment import Action
from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Sources
from serving.models.lifecycle import Entry, apply, replay

MOST = 40
"""Comparisons that are shown, at most: the newest."""
NUMBER, SIGNED, COUNT = r"-?[0-9.]+", r"[+-](?:[0-9.]+|nan)", r"[0-9,]+"
DIFFERENCE = rf"(?P<value>{SIGNED}) \[(?P<low>{SIGNED}), (?P<high>{SIGNED})\] on (?P<rows>{COUNT})"
RETRAIN = re.compile(
    rf"(?P<metric>[a-z][a-z ]*) (?P<candidate>{NUMBER}), (?P<beside>\S+ v[0-9]+) (?P<production>{NUMBER}), "
    rf"difference {DIFFERENCE} rows"
)
GATE = re.compile(rf"(?P<metric>[a-z][a-z ]*) {DIFFERENCE} labels")
LOWER_IS_BETTER = ("mean absolute error",)
"""Of the metrics by which versions are compared; of all others a higher one is better."""
On = Literal["test days", "live events"]
Decision = Literal["declined", "in a shadow", "in production"]
DECISIONS: dict[Action, Decision] = {"decline": "declined", "alias": "in a shadow", "promote": "in production"}


class Pair(msgspec.Struct, frozen=True):
    """One comparison. Times are UTC milliseconds."""

    seq: int
    """The entry of the log."""
    at: int
    on: On
    challenger: str | None
    """The newer version; None: it was declined, and has no number."""
    beside: str
    """What was in production."""
    metric: str
    higher_is_better: bool
    candidate: float | None
    production: float | None
    """The metric of each; of live events the log has the difference alone."""
    difference: float
    """The challenger's metric less production's."""
    low: float | None
    high: float | None
    """Of its 95 % interval; None where there were too few rows for one."""
    rows: int
    """On which both were measured."""
    decision: Decision
    alias: str | None
    """The shadow."""
    why: str


class Challengers(msgspec.Struct, frozen=True):
    """What the panel shows, the newest comparison first."""

    pairs: list[Pair]
    left_out: int


def challengers(sources: Sources, service: str) -> Challengers | Empty:
    """The panel of a service."""
    found = compared(service, sources.registry.entries(service))
    if not found:
        return Empty("No newer version has been held against the one in production yet.", f"headrace retrain {service}")
    return Challengers(found[:MOST], max(0, len(found) - MOST))


def compared(service: str, entries: Sequence[Entry]) -> list[Pair]:
    """The comparisons in a service's log, the newest first."""
    deployed, found = replay(service, ()), list[Pair]()
    for entry in entries:
        before, deployed = deployed.production, apply(deployed, entry)
        if entry.action in DECISIONS and before is not None:
            found += _pairs(entry, str(before))
    found.reverse()
    return found


def _pairs(entry: Entry, beside: str) -> list[Pair]:
    """Those in the words of one entry. One of the gate repeats its retrain's figures, which an entry before has."""
    _, has_gate, gate = entry.why.partition("; gate: ")
    on: On = "live events" if entry.action == "promote" and has_gate else "test days"
    found = GATE.search(gate) if on == "live events" else RETRAIN.search(entry.why)
    return [] if found is None else [_pair(entry, beside, found.groupdict(), on)]


def _pair(entry: Entry, beside: str, said: dict[str, str], on: On) -> Pair:
    metric = said["metric"].strip()
    return Pair(
        seq=entry.seq,
        at=entry.at,
        on=on,
        challenger=None if entry.action == "decline" else str(entry.placed),
        beside=said.get("beside", beside),
        metric=metric,
        higher_is_better=metric not in LOWER_IS_BETTER,
        candidate=_number(said.get("candidate")),
        production=_number(said.get("production")),
        difference=float(said["value"]),
        low=_number(said["low"]),
        high=_number(said["high"]),
        rows=int(said["rows"].replace(",", "")),
        decision=DECISIONS[entry.action],
        alias=entry.alias if entry.action == "alias" else None,
        why=entry.why,
    )


def _number(text: str | None) -> float | None:
    return None if text is None or "nan" in text else float(text)


CHALLENGERS = Panel("challengers", "the deployment log", challengers, 5)
