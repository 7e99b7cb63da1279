"""What a process of a peer is told to do, and the made-up events of hot keys. Needs the standard library alone."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

from bench.peers.own_code import DAY, LENGTHS

FIRST = 40 * 365 * DAY
"""Event time of the first made-up event."""


@dataclass(frozen=True)
class Job:
    """One command line argument, as JSON."""

    bootstrap: str
    source: str
    target: str
    folder: str
    """For its state."""
    linger_ms: int = 0
    history: int = 0
    """Made-up rows that each of ``keys`` customers has from the start; the events that hold them are passed over."""
    keys: int = 1
    addresses: tuple[str, ...] = ()
    number: int = 0
    """Of this process among ``addresses``."""

    @classmethod
    def given(cls) -> Job:
        """The job on this process's command line."""
        return cls(**json.loads(sys.argv[1]))

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    @property
    def first_event(self) -> int:
        """The first event that is given a feature vector."""
        return self.history * self.keys

    def rows(self, customer: int) -> tuple[list[int], list[int]]:
        """Times and cents of the history of a customer."""
        numbers = range(customer, self.first_event, self.keys)
        pairs = [made_up(number, self.keys, self.history) for number in numbers]
        return [time for time, _ in pairs], [cents for _, cents in pairs]


def made_up(number: int, keys: int, rows: int) -> tuple[int, int]:
    """Time and cents of the event ``number``, of customer ``number % keys``: any 30 days hold ``rows`` of each customer."""
    return FIRST + number // keys * (LENGTHS[-1] // rows), number * 7919 % 30_000 + 1
