"""Entities whose predictions are wanted as of one time: rows of keys, with what functions take of an event beside them.

A row is a query and no event: it sees the rows of every source up to and with its millisecond, and is in no window (rules 1 and 2
of docs/windows.md). So it is a row of a spine of its own, over which every stage is one of another source.
"""

from __future__ import annotations

import msgspec

from features.plan import Source
from features.service import Service


def of_entities(service: Service) -> Service:
    """The service over a spine of entities, which nothing but a file of them has.

    Its columns are the keys of all views and what on-demand functions take of an event; the time is none of the file's.
    """
    plan = service.plan
    spine = plan.spine_source
    names = [column.name for column in plan.entity] + [name for view in plan.on_demand for name in view.event_inputs]
    columns = tuple(spine.column(name) for name in dict.fromkeys([*names, spine.time]))
    name = "entities"
    while name in service.sources:
        name += "_"
    rows = Source(name, "", columns, spine.time, spine.time, "", 0)  # a row needs no id: it is in one file alone
    return msgspec.structs.replace(service, plan=msgspec.structs.replace(plan, spine=name, sources=(rows, *plan.sources)))
