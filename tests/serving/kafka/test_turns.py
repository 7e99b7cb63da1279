"""Whose turn it is: what a scorer makes of the files that `headrace up` writes while a plan takes over."""

from __future__ import annotations

import fcntl
from pathlib import Path

import msgspec

from infra.local.stack.turns import serve_alone, write_turns
from serving.kafka.turns import Turn, Turns, TurnWatch, held_file, hold_file, read_turns
from tests.support.orders import PLAN

OLD = PLAN.short_digest
NEW = msgspec.structs.replace(PLAN, lateness_ms=PLAN.lateness_ms + 1)
SERVICE = PLAN.service


class Clock:
    """Time that passes between two looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """A second later than before."""
        self.now += 1
        return self.now


def watch(folder: Path | None, plan: str = OLD) -> TurnWatch:
    """A scorer's, of which each call looks anew."""
    return TurnWatch(folder, SERVICE, plan, instance=0, clock=Clock())


def test_without_files_all_events_are_a_plans_own(tmp_path: Path) -> None:
    """A service that never changed its plan has no turns, and a scorer elsewhere has no folder of them."""
    for folder in (None, tmp_path, tmp_path / "none"):
        one = watch(folder)
        assert not one.waits()
        assert (one.turn, one.others) == (None, frozenset())


def test_a_new_plan_waits_until_offsets_are_chosen(tmp_path: Path) -> None:
    """Then it predicts what lies from there on, and the plan before the rest, each event one of them."""
    waiting = Turns((Turn(OLD, "g"), Turn("new", "g.1", begins=None)))
    write_turns(tmp_path, SERVICE, waiting)
    old, new = watch(tmp_path), watch(tmp_path, "new")
    assert (old.waits(), new.waits()) == (False, True)
    assert (old.others, new.others) == ({"new"}, {OLD})
    write_turns(tmp_path, SERVICE, Turns((Turn(OLD, "g", ends={0: 5}), Turn("new", "g.1", begins={0: 5}))))
    assert (old.waits(), new.waits()) == (False, False)
    assert old.turn is not None
    assert new.turn is not None
    for place in ((0, 4), (0, 5), (1, 0)):
        assert old.turn.has(*place) != new.turn.has(*place)
    assert not new.turn.has(0, 4)


def test_a_scorer_stands_still_while_the_hold_is_locked(tmp_path: Path) -> None:
    """It says so with what the hold says; one that nobody holds any more, as its process was killed, is none."""
    one = watch(tmp_path)
    with hold_file(tmp_path, SERVICE).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b"this time")
        file.flush()
        assert one.waits()
        assert held_file(tmp_path, SERVICE, OLD, 0).read_bytes() == b"this time"
    assert hold_file(tmp_path, SERVICE).exists()
    assert not one.waits()


def test_a_plan_whose_turn_was_over_has_another_where_it_is_started_again(tmp_path: Path) -> None:
    """After `down`, with the definitions of before: it goes on in the group of the plan that served last."""
    write_turns(tmp_path, SERVICE, Turns((Turn(OLD, "g", ends={0: 5}), Turn(NEW.short_digest, "g.1"))))
    serve_alone(tmp_path, NEW)
    assert len(read_turns(tmp_path, SERVICE).turns) == 2, "it is this plan's turn already"
    serve_alone(tmp_path, PLAN)
    assert read_turns(tmp_path, SERVICE).of(OLD) == Turn(OLD, "g.1")


def test_a_plan_whose_turn_never_came_has_none_until_it_is_started(tmp_path: Path) -> None:
    """A takeover that was taken back leaves a turn without events: its vectors stay another plan's."""
    never = Turn(NEW.short_digest, "g.1", ends={})
    write_turns(tmp_path, SERVICE, Turns((Turn(OLD, "g"), never)))
    assert not never.has(0, 0)
    assert read_turns(tmp_path, SERVICE).serving == Turn(OLD, "g")
    serve_alone(tmp_path, PLAN)
    assert read_turns(tmp_path, SERVICE).turns[-1] == Turn(OLD, "g")
