"""A monitor starts looks whether to retrain: one at a time, when an alarm opens and every so often, and waits for none."""

from __future__ import annotations

import structlog

from serving.monitor.retraining import Retraining


class Child:
    """A process whose end the test says."""

    code: int | None = None

    def poll(self) -> int | None:
        """Its exit code."""
        return self.code


class Started:
    """What was started, and the clock."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self.now = 0.0
        self.retraining = Retraining(self.start, 100, clock=lambda: self.now)

    def start(self) -> Child:
        """A new one."""
        self.children.append(Child())
        return self.children[-1]


def test_it_looks_at_first_and_every_so_often() -> None:
    """From the beginning of one look to that of the next."""
    one = Started()
    for now in (0, 1, 99, 100, 101, 250):
        one.now = now
        one.retraining.step()
        one.children[-1].code = 0
    assert len(one.children) == 3


def test_one_at_a_time_and_an_alarm_meanwhile_is_not_lost() -> None:
    """It is looked at once the one that runs has ended."""
    one = Started()
    one.retraining.step()
    one.retraining.step(alarm_opened=True)
    one.now = 1000
    one.retraining.step()
    assert len(one.children) == 1
    one.children[0].code = 0
    one.now = 1001
    one.retraining.step()
    assert len(one.children) == 2
    one.children[1].code = 0
    one.retraining.step()
    assert len(one.children) == 2


def test_one_that_fails_or_does_not_start_is_in_the_log_and_the_next_comes() -> None:
    """The monitor goes on."""
    one = Started()
    with structlog.testing.capture_logs() as logs:
        one.retraining.step()
        one.children[0].code = -9
        one.retraining.step()

        def fails() -> Child:
            raise OSError("Cannot allocate memory")

        one.retraining._start = fails
        one.now = 200
        one.retraining.step()
    assert [(line["log_level"], line.get("exit_code"), line.get("error")) for line in logs] == [
        ("warning", -9, None),
        ("warning", None, "Cannot allocate memory"),
    ]
    one.retraining._start = one.start
    one.now = 299
    one.retraining.step()
    assert len(one.children) == 1
    one.now = 300
    one.retraining.step()
    assert len(one.children) == 2
