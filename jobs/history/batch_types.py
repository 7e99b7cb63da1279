"""What a batch view's SQL gives, in the types that its schema declares: the online store has those, so history does, too."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from features.errors import DefinitionError
from features.feast.keys import declared_types
from features.inputs.arrow import floats
from features.plan import BatchView
from features.service import Service

NUMBERS = {"Int32": pa.int32(), "Int64": pa.int64(), "Float32": pa.float32(), "Float64": pa.float64()}
KEYS = {"int64": "Int64", "string": "String"}
"""Feast's types of a key, by those of its column."""


def typed(rows: pa.Table, service: Service, view: BatchView) -> pa.Table:
    """The view's rows with each column in its type; NaN is null, which it becomes in the online store.

    Raises `DefinitionError` for a value that its type does not hold as it is. A Float32 rounds to the nearest, which is what it
    is for.
    """
    declared = declared_types(service.objects, view)
    declared |= {name: KEYS[service.plan.spine_source.column(name).type.kind] for name in view.key}
    columns = {name: _typed(view, name, rows[name], declared[name]) for name in (*view.key, *view.features)}
    return pa.table(columns)


def _typed(view: BatchView, name: str, column: pa.ChunkedArray, declared: str) -> pa.ChunkedArray:
    found = column.type
    if pa.types.is_floating(found):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, found), column)
    if declared.startswith("Float"):
        column = floats(pa.table({name: column}))[name]
    if pa.types.is_null(found) or _is_of(found, declared):
        try:
            return column.cast(NUMBERS.get(declared, pa.bool_() if declared == "Bool" else pa.string()))
        except pa.ArrowInvalid as error:
            said = f": {error}"
    else:
        said = ""
    what = "its key has the type of the spine's column" if name in view.key else "its schema says the type of each feature"
    raise DefinitionError(
        f"batch view '{view.view}': {what}, and its SQL gives it; got '{name}' of {declared} as {found}{said}; "
        "cast it in the SQL, or change the schema"
    )


def _is_of(found: pa.DataType, declared: str) -> bool:
    if declared == "String":
        return bool(pa.types.is_string(found))
    if declared == "Bool":
        return bool(pa.types.is_boolean(found))
    return bool(
        pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found) or pa.types.is_boolean(found)
    )
