"""Rows whose features are wanted, as Feast calls them: a dataframe, as it is, and the columns of it that queries have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.errors import SettingError
from features.plan import ColumnType

EVENT_TIMESTAMP = "event_timestamp"
"""Feast's name of the column with the time of a row."""
PER_MS = {"us": 1_000, "ns": 1_000_000}
NUMBERS = {"integer", "floating", "decimal", "boolean", "integer-na", "mixed-integer", "mixed-integer-float"}
"""As pandas calls the types of a column's values: it would take them for nanoseconds."""


def time_column(frame: pd.DataFrame) -> str:
    """The column with the rows' times: ``event_timestamp``, or the one column of times. Raises `SettingError`."""
    names = [name for name in frame.columns if pd.api.types.is_datetime64_any_dtype(frame[name])]
    if EVENT_TIMESTAMP in frame.columns:
        return EVENT_TIMESTAMP
    if len(names) != 1:
        came = ", ".join(map(str, names)) or "no column of times"
        raise SettingError(
            f"entity rows have their time in '{EVENT_TIMESTAMP}', or in their one column of times; got {came}; "
            f"rename one to '{EVENT_TIMESTAMP}'"
        )
    return str(names[0])


def times(frame: pd.DataFrame, name: str) -> pa.Array:
    """A column of times, of any zone and unit, as UTC milliseconds, finer digits cut off; without a zone it is UTC."""
    column = frame[name]
    if not pd.api.types.is_datetime64_any_dtype(column):
        kind = pd.api.types.infer_dtype(column)
        if kind in NUMBERS and not column.isna().all():
            raise SettingError(
                f"entity rows: column '{name}' has times; got {kind} numbers, which could be of any unit; "
                f"make times of it, with pandas.to_datetime({name}, unit='ms', utc=True), say"
            )
        try:
            column = pd.to_datetime(column, utc=True)
        except (TypeError, ValueError) as error:
            raise SettingError(
                f"entity rows: column '{name}' has times; got {column.dtype}: {str(error).splitlines()[0]}; make times of it"
            ) from None
    return milliseconds(pa.array(column, from_pandas=True))


def milliseconds(moments: pa.Array) -> pa.Array:
    """Arrow's timestamps as whole UTC milliseconds, the finer digits cut off towards the past."""
    moments = moments.combine_chunks() if isinstance(moments, pa.ChunkedArray) else moments
    unit = moments.type.unit
    counts = moments.cast(pa.int64())
    missing = counts.is_null().to_numpy(zero_copy_only=False)
    whole = counts.fill_null(0).to_numpy(zero_copy_only=False)
    found = whole * 1000 if unit == "s" else np.floor_divide(whole, PER_MS.get(unit, 1))
    return pa.array(found, pa.int64(), mask=missing)


def key_column(frame: pd.DataFrame, name: str, view: str, own: str, kind: ColumnType | None) -> pa.Array:
    """A column of keys in the type of ``own``, the view's, which is ``kind``; None: as it is. Raises `SettingError`."""
    if name not in frame.columns:
        raise SettingError(
            f"entity rows have the key of each view; got no column '{name}', by which they are to find '{view}'; "
            f"add it, or take the view with .with_join_key_map({{'{own}': …}})"
        )
    column = arrow(frame, name)
    if kind is None:
        return column
    wanted = pa.int64() if kind.kind == "int64" else pa.string()
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if pa.types.is_null(column.type) or is_text == (kind.kind == "string"):
        try:
            return column.cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass
    raise SettingError(f"entity rows: the key '{name}' of '{view}' is {kind}; got {column.type}; give it as {wanted}")


def arrow(frame: pd.DataFrame, name: Any) -> pa.Array:
    """A column as Arrow has it: categories as their values, NaN as null."""
    try:
        column = pa.array(frame[name], from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise SettingError(
            f"entity rows: a column that is used has values of one type; got '{name}': {str(error).splitlines()[0]}; fix it"
        ) from None
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def frame_of(table: pa.Table) -> pd.DataFrame:
    """A table as a dataframe in which 64-bit integers keep their bits: where some are null, in pandas' own type for it."""
    frame: pd.DataFrame = table.to_pandas()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_integer(column.type) and column.null_count:
            frame[name] = column.to_pandas(types_mapper=_nullable)
    return frame


def _nullable(kind: pa.DataType) -> Any:
    return getattr(pd, f"{'U' if pa.types.is_unsigned_integer(kind) else ''}Int{kind.bit_width}Dtype")()


def with_features(frame: pd.DataFrame, features: pa.Table) -> pd.DataFrame:
    """The rows as they were, in their order, numbered anew, and the features beside them."""
    return pd.concat([frame.reset_index(drop=True), frame_of(features)], axis=1)


def check_names(columns: Iterable[str], features: Iterable[str]) -> None:
    """Refuse a feature of the name of a column of the entity rows: one of the two would be lost."""
    known = set(columns)
    taken = [name for name in features if name in known]
    if taken:
        raise SettingError(
            f"entity rows have no column of a feature's name; got '{taken[0]}'; rename it, or set full_feature_names=True"
        )
