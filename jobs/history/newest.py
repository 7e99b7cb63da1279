"""How far a history reaches."""

from __future__ import annotations

from collections.abc import Mapping

from features.errors import SettingError
from features.plan import Source
from features.service import Service
from features.sql.quoting import quoted
from features.times import ALWAYS
from jobs.history.files import connect
from jobs.history.places import Written, history_of
from jobs.history.scans import within_memory
from jobs.history.tables import File, create_table


def newest_ms(service: Service, source: Source, histories: Mapping[str, Written] | None = None) -> int:
    """The newest event time of a source's history, UTC milliseconds. Raises `SettingError` where it has no row."""
    with within_memory(), connect(resources=service.resources) as connection:
        files = [File(history_of(source, service.folder, histories or {}))]
        create_table(connection, source, files, {source.event_id, source.time}, ALWAYS, service.event_times)
        ((newest,),) = connection.execute(f"SELECT max({quoted(source.time)}) FROM {quoted(source.name)}").fetchall()
    if newest is None:
        raise SettingError(f"a history has rows; that of '{source.name}' has none; bring it up to date")
    return int(newest)
