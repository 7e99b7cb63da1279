"""Who writes the turns of a service's plans: which events are whose (`serving.kafka.turns`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from features.disk import keep
from features.plan import Plan
from serving.kafka.turns import Turn, Turns, read_turns, turns_file


def write_turns(folder: Path, service: str, turns: Turns) -> None:
    """Replace the turns of a service."""
    keep(turns_file(folder, service), turns)


def hand_over(folder: Path, service: str, offsets: Mapping[int, int], reads_from: Mapping[int, int]) -> None:
    """Let the newest turn begin at ``offsets``, where those before it end; a partition without an offset is all its own.

    Its scorers read feature vectors from the offsets ``reads_from`` on.
    """
    *before, last = read_turns(folder, service).turns
    ended = [msgspec.structs.replace(turn, ends=offsets) if turn.ends is None else turn for turn in before]
    write_turns(folder, service, Turns((*ended, msgspec.structs.replace(last, begins=offsets, reads_from=reads_from))))


def serve_alone(folder: Path, plan: Plan) -> None:
    """Give a plan that is started in the place of another, which no longer runs, its turn: it goes on where that one was."""
    service = plan.service
    turns = read_turns(folder, service)
    last = turns.serving
    if last is not None and (last.plan != plan.short_digest or last is not turns.turns[-1]):
        write_turns(folder, service, Turns((*turns.turns, Turn(plan.short_digest, last.group))))
