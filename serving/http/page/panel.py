"""What a panel is, and the three states that it can be in: data, empty, its source down."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from serving.http.page.sources import Sources


class Empty(msgspec.Struct, frozen=True):
    """There is nothing to show yet, and what to do about that."""

    say: str
    """One sentence."""
    command: str = ""
    """What to run; none: nothing is to be done but wait."""


class Down(msgspec.Struct, frozen=True):
    """What a panel reads does not reply. Times are UTC milliseconds."""

    source: str
    why: str
    since: int


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of ``GET /v1/page/{panel}``: one of the three."""

    data: msgspec.Struct | None = None
    empty: Empty | None = None
    down: Down | None = None


class Panel(NamedTuple):
    """One panel of the page."""

    name: str
    """Also of its JavaScript, ``static/panels/NAME.js``."""
    source: str
    """What it reads, as a person is told when that is down."""
    read: Callable[[Sources, str], msgspec.Struct]
    """Its data of a service, a frozen struct, or `Empty`. It is called on a thread of the panel's own; a `HeadraceError` is shown
    to whoever looks, any other error is logged."""
    seconds: float
    """For how long what was read is shown again, to every browser."""
