"""Rows of batch views in Feast's online store: read, written in the order of their times, cleared.

The provider is called, not `FeatureStore`: its ``online_read`` costs half of ``get_online_features`` and gives the rows' times,
and it takes the definitions' own objects.
"""

from __future__ import annotations

import copy
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock

from features.errors import HeadraceError, SettingError, StackError
from features.feast.keys import Definition, Key, UnheldKeyError, definition, tables
from features.plan import BatchView
from features.service import Service
from features.times import to_ms
from schemas.features import Value

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_WRITE = 5000
ORDER = "_order"
"""The value of a row that says, as text, how new it is: of a stream view's its event time and the offset of its event, of a
prediction its time and when it was computed. No view names it."""


class Row(NamedTuple):
    """A row of a batch view: its own time (UTC milliseconds) and its values, in the order of the view's features."""

    as_of: int
    values: tuple[Value, ...]


ReadRows = Callable[[BatchView, Sequence[Key]], Sequence[Row | None]]
"""Gives, for each key, its row of the view, or None where there is none."""
WriteRows = Callable[[BatchView, "pa.Table"], int]
"""Writes rows of the view, with its key, time and features as columns; gives how many were written."""


def open_online_store(folder: Path, objects: Iterable[Any], views: Iterable[BatchView]) -> ReadRows:
    """Reads ``views`` from the online store of the project in ``folder``; ``objects`` are its definitions.

    Raises `SettingError` where the store cannot be read.
    """
    store = open_store(folder)
    objects, views = list(objects), list(views)
    definitions = {view.view: definition(objects, view) for view in views}

    def read(view: BatchView, keys: Sequence[Key]) -> Sequence[Row | None]:
        whole = [key for key in keys if None not in key]
        found = _read(store, definitions[view.view], view, whole) if whole else []
        rows = {key: _row(view.features, *row) for key, row in zip(whole, found, strict=True)}
        return [rows.get(key) for key in keys]

    for view in views:
        _try(read, folder, view, definitions[view.view].nobody)
    return read


def open_for_writing(service: Service) -> WriteRows:
    """Applies the batch views of the service's project to its store, and writes rows of its batch views.

    Feast lets an older value overwrite a newer one; here a key that has a row of a later time keeps it.
    """
    store = applied_store(service)
    definitions = {view.view: definition(service.objects, view) for view in service.plan.batch}

    def write(view: BatchView, rows: pa.Table) -> int:
        written = 0
        for first in range(0, rows.num_rows, ROWS_A_WRITE):
            with telling(service.folder):
                written += _write(store, definitions[view.view], view, rows.slice(first, ROWS_A_WRITE))
        return written

    return write


def clear_online(service: Service) -> None:
    """Forget the online rows of every view of the service: newer ones would keep out those of a replay of the past."""
    store = applied_store(service)
    names = (*service.plan.views_of_windows, *(view.view for view in service.plan.batch))
    of_project = tables(service.objects)
    views = [_with_order(of_project[name]) for name in names]
    provider = store._get_provider()
    provider.update_infra(store.project, views, [], [], [], partial=True)
    # SQLite has dropped their tables, and clients go on reading.
    provider.update_infra(store.project, [], views, [], [], partial=True)


def _with_order(view: Any) -> Any:
    """The view with all that its rows hold: Redis forgets the fields that are named, and keeps the others of a key."""
    from feast import Field
    from feast.types import String

    with warnings.catch_warnings():  # of what is "experimental" in Feast 0.67; a user can do nothing about it
        warnings.simplefilter("ignore")
        whole = copy.copy(view)
    whole.features = [*view.features, Field(name=ORDER, dtype=String)]
    return whole


def _read(store: Any, of: Definition, view: BatchView, keys: Sequence[Key]) -> Any:
    """For each key (time, values by feature), or (None, None)."""
    return store._get_provider().online_read(store.config, of.view, [of.entity_key(key) for key in keys], list(view.features))


def _row(features: Sequence[str], as_of: Any, values: Any) -> Row | None:
    if values is None:
        return None
    return Row(to_ms(as_of), tuple(_python(values.get(name)) for name in features))


def _python(value: Any) -> Any:
    kind = value.WhichOneof("val") if value is not None else None
    return None if kind is None else getattr(value, kind)


def _write(store: Any, of: Definition, view: BatchView, rows: pa.Table) -> int:
    """Write those of the rows that are not older than what the store has of their keys.

    It is the row's own time that is compared, and not an `ORDER` beside it, because ``feast materialize`` writes these rows, too.
    """
    from feast.type_map import python_values_to_proto_values

    keys = list(zip(*(rows[name].to_pylist() for name in view.key), strict=True))
    times = rows[view.timestamp].to_pylist()
    types = {field.name: field.dtype.to_value_type() for field in of.view.features}
    columns = [python_values_to_proto_values(rows[name].to_pylist(), types[name]) for name in view.features]
    values = [dict(zip(view.features, row, strict=True)) for row in zip(*columns, strict=True)]
    stored = [time for time, _ in _read(store, of, view, keys)]
    new = [
        (of.entity_key(key), row, time, None)
        for key, row, time, before in zip(keys, values, times, stored, strict=True)
        if before is None or _utc(before) <= time
    ]
    if new:
        store._get_provider().online_write_batch(store.config, of.view, new, None)
    return len(new)


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def open_store(folder: Path) -> Any:
    """Feast's store of the project in ``folder``. Raises `SettingError` where its feature_store.yaml describes none."""
    from feast import FeatureStore

    try:
        return FeatureStore(repo_path=str(folder))
    except Exception as error:  # Feast's own, YAML's, pydantic's or the system's
        raise SettingError(
            f"{folder / 'feature_store.yaml'} describes the online store; Feast says: {type(error).__name__}: {error}; fix it"
        ) from None


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """Within, the project's store is written to; what it raises is a `StackError` with what to do."""
    try:
        yield
    except (HeadraceError, UnheldKeyError):
        raise
    except Exception as error:  # each online store has errors of its own
        raise StackError(
            f"rows go to the online store of {folder / 'feature_store.yaml'}; it said: {type(error).__name__}: {error}; fix that "
            "and run the command again: what was written stays, and nothing newer is overwritten"
        ) from error


def applied_store(service: Service) -> Any:
    """Feast's store, with the project's batch and stream views in its registry.

    They alone have rows there. Feast 0.67 calls on-demand functions with made-up values, and fails where one gives null.
    """
    from feast import Entity

    store = open_store(service.folder)
    objects = [*(one for one in service.objects if isinstance(one, Entity)), *tables(service.objects).values()]
    lock = service.folder / ".headrace" / "feast.lock"
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock), warnings.catch_warnings():  # writers that start at once would write over each other's registry
        warnings.simplefilter("ignore")  # of what is "experimental" in Feast 0.67; a user can do nothing about it
        store.apply(objects)
        let_readers_read(store)
    return store


def let_readers_read(store: Any) -> None:
    """SQLite's write-ahead log, which a database keeps once set: without it a reader waits until a day is written."""
    if is_sqlite(store.config.online_store):
        with closing(sqlite3.connect(database(store))) as connection:
            connection.execute("PRAGMA journal_mode = WAL")


def is_sqlite(config: Any) -> bool:
    """Whether an online store of this configuration is SQLite's."""
    return config.type == "sqlite" or str(config.type).endswith("SqliteOnlineStore")


def database(store: Any) -> Path:
    """Where the file of an SQLite store is."""
    return Path(store.repo_path / store.config.online_store.path)


def _try(read: ReadRows, folder: Path, view: BatchView, key: Key) -> None:
    try:
        read(view, [key])
    except Exception as error:  # each online store has errors of its own
        raise SettingError(
            f"batch view '{view.view}' is read from the online store of {folder}; it said: {error}; write the view's rows first, "
            "with 'headrace batch-views SERVICE --push'"
        ) from error
