"""Feature vectors as rows of stream views: of a message only what the rows hold is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from features.feast.online_windows import WindowRow, online_views
from features.service import Service

Rows = dict[str, list[WindowRow]]
"""By view."""


class OtherPlanError(ValueError):
    """A feature vector of another plan: its features may be others."""


class _View(NamedTuple):
    """Where a view's row is in a message."""

    name: str
    key: tuple[int, ...]
    """Places among the columns of the event."""
    features: tuple[int, ...]
    """Places among the features."""


class _Origin(msgspec.Struct, gc=False):
    offset: int


class RowsOf:
    """Makes rows of the messages of one service, those of its views that are online."""

    def __init__(self, service: Service) -> None:
        plan = service.plan
        stages = [(stage, view) for stage in plan.windows for view in online_views(service, stage)]
        event = tuple(dict.fromkeys(name for stage, _ in stages for name in stage.key))
        features = tuple(feature.name for stage, view in stages for feature in stage.features if feature.view == view)
        self.views = tuple(
            _View(
                view,
                tuple(map(event.index, stage.key)),
                tuple(features.index(feature.name) for feature in stage.features if feature.view == view),
            )
            for stage, view in stages
        )
        fields: list[tuple[str, Any]] = [
            ("event_time", int),
            ("plan", str),
            ("origin", _Origin),
            ("event", _struct("Event", dict.fromkeys(event, int | str | None))),
            ("features", _struct("Features", dict.fromkeys(features, Any))),
            ("valid_until", _struct("ValidUntil", dict.fromkeys((view.name for view in self.views), int | None))),
        ]
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(msgspec.defstruct("Message", fields)).decode
        self._plan = plan.short_digest

    def add(self, value: bytes | None, rows: Mapping[str, list[WindowRow]]) -> None:
        """Append a message's row of each view.

        Raises `OtherPlanError`, or one of `schemas.codec.UNREADABLE` for what is no feature vector.
        """
        message = self._decode(value or b"")
        if message.plan != self._plan:
            raise OtherPlanError(f"computed by plan '{message.plan}'; this service's is '{self._plan}'")
        event, features = msgspec.structs.astuple(message.event), msgspec.structs.astuple(message.features)
        for view, until in zip(self.views, msgspec.structs.astuple(message.valid_until), strict=True):
            rows[view.name].append(
                WindowRow(
                    tuple([event[place] for place in view.key]),
                    message.event_time,
                    message.origin.offset,
                    until,
                    tuple([features[place] for place in view.features]),
                )
            )

    def empty(self) -> Rows:
        """No rows of any view."""
        return {view.name: [] for view in self.views}


def _struct(name: str, types: Mapping[str, Any]) -> type[msgspec.Struct]:
    """A struct with fields of any name; the message must have all of them."""
    places = {f"f{i}": written for i, written in enumerate(types)}
    return msgspec.defstruct(name, [(place, types[written]) for place, written in places.items()], rename=places)
