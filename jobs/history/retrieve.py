"""The features of entity rows, as of the time of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from features.errors import SettingError
from features.inputs import on_demand
from features.inputs.arrow import floats, from_list, to_list
from features.times import EventTimes
from jobs.history.entity_rows import arrow, key_column, milliseconds
from jobs.history.feast_views import Function, Named, Wanted
from jobs.history.files import connect
from jobs.history.point_in_time import Features, queries_of, rows_as_of, windows_as_of


def retrieve(
    folder: Path, wanted: Wanted, rows: pd.DataFrame, moments: pa.Array, threads: int, event_times: EventTimes
) -> pa.Table:
    """The columns of ``wanted``, a row for each of ``rows``, in their order and in the types that their views declare.

    ``moments`` are the rows' times, UTC milliseconds.
    Raises `SettingError` for rows, histories and files that do not fit the views, and `DefinitionError` for on-demand functions.
    """
    queries = queries_of(moments, _keys(wanted, rows))
    with connect(threads) as connection:
        found = windows_as_of(connection, folder, wanted.windows, queries, event_times)
        found |= rows_as_of(connection, wanted.joined, queries)
    for function in wanted.on_demand:
        found |= _on_demand(function, rows, found)
    return pa.table({column.name: _declared(column, found[column.feature]) for column in wanted.columns})


def _keys(wanted: Wanted, rows: pd.DataFrame) -> dict[str, pa.Array]:
    """The columns of ``rows`` that hold keys, each in the type of what is keyed by it."""
    found = {}
    for joined in wanted.joined:
        for own, theirs in joined.key:
            found[theirs] = key_column(rows, theirs, joined.view.view, own, None)
    for windows in wanted.windows:
        for own, theirs in windows.key:
            found[theirs] = key_column(rows, theirs, windows.view, own, windows.source.column(own).type)
    return found


def _on_demand(function: Function, rows: pd.DataFrame, features: Features) -> Features:
    """What an on-demand function gives, called as training and the scorer call it: with times as milliseconds."""
    view = function.view
    missing = [name for name in view.event_inputs if name not in rows.columns]
    if missing:
        raise SettingError(
            f"on-demand view '{view.view}': entity rows have the columns of its request source; got no '{missing[0]}'; add it"
        )
    given = {name: _given(rows, name) for name in view.event_inputs}
    if function.call is None:
        return _by_feast(function, given, features)
    made = on_demand.call(view, function.call, given, features, to_list, len(rows))
    return {name: from_list(values) for name, values in made.items()}


def _given(rows: pd.DataFrame, name: str) -> pa.ChunkedArray:
    column = arrow(rows, name)
    return pa.chunked_array([milliseconds(column) if pa.types.is_timestamp(column.type) else column])


def _by_feast(function: Function, given: Mapping[str, pa.ChunkedArray], features: Features) -> Features:
    """Feast calls a pandas function with columns under their short and their full names."""
    full = {full: _plain(features[full]) for _, full in function.view.feature_inputs}
    read = {name: full[feature] for name, feature in function.view.feature_inputs}
    made = function.feast.feature_transformation.transform_arrow(pa.table({**given, **read, **full}), function.feast.features)
    return {f"{function.view.view}__{name}": made[name] for name in function.view.outputs}


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimals as the nearest doubles."""
    return floats(pa.table({"": column}))[""]


def _declared(column: Named, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values in the type that the view declares."""
    values = values if pa.types.is_integer(column.type) else _plain(values)  # a decimal may be a whole number beyond 2^53
    try:
        return values.cast(column.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SettingError(
            f"feature '{column.feature}' is {column.type}, as its view declares; got {values.type}: {error}; "
            "change the type in the view's schema, and run 'feast apply'"
        ) from None
