"""What SIGTERM and SIGINT do for a while."""

from __future__ import annotations

import signal
import threading

import pytest

from features.signals import signals_to, stopped_by_signals

BOTH = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_sets_the_event(number: signal.Signals) -> None:
    """Within the block it ends nothing; behind it, it does again what it did before."""
    before, stop = signal.getsignal(number), threading.Event()
    with stopped_by_signals(stop):
        signal.raise_signal(number)
        assert stop.is_set()
    assert signal.getsignal(number) == before


def test_what_a_block_raises_leaves_no_handler_behind() -> None:
    """An error passes, and the signals do what they did before."""
    before = [signal.getsignal(number) for number in BOTH]
    with pytest.raises(ZeroDivisionError), signals_to(signal.SIG_IGN):
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in BOTH] == before


def test_a_thread_leaves_the_signals_alone() -> None:
    """Python lets the main thread alone set a handler: elsewhere the block runs, and nothing else."""
    found = []

    def work() -> None:
        with signals_to(signal.SIG_IGN):
            found.append([signal.getsignal(number) for number in BOTH])

    before = [signal.getsignal(number) for number in BOTH]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]
