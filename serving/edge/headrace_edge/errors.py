"""What stops the runner, and what stops one event."""

from __future__ import annotations


class EdgeError(Exception):
    """Ends the runner with one line: the rule, what came, what to do."""


class RefusedError(Exception):
    """An event that is not taken: ``reason`` is that of a dead letter, the text says which column, and what came."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class UnscorableError(Exception):
    """An event that is in the windows and has no prediction: a function failed on it, or a sum went beyond a double."""
