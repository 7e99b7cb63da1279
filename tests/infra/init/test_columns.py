"""What a column is to be in a schema, by its values: proposals for events as they are found in the wild."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from infra.init.columns import of_json

MS = 1714550400000


@pytest.mark.parametrize(
    ("name", "values", "type_"),
    [
        ("id", [1, None, 3], "long"),
        ("clicked", [True, False], "boolean"),
        ("page", ["/", "/cart"], "string"),
        ("degrees", [21, Decimal("21.375")], "double"),
        ("price", [Decimal("9.99"), 12, Decimal("0.50")], "decimal(18,2)"),
        ("unitPrice", [Decimal("9.99")], "decimal(18,2)"),
        ("price", [Decimal("9.995")], "double"),
        ("price", [12, 13], "long"),
        ("price", [Decimal("1E+3")], "decimal(18,2)"),
        ("ts", [MS, MS + 1], "timestamp"),
        ("createdAt", [MS], "timestamp"),
        ("serial", [MS, MS + 1], "long"),
        ("seen", ["2024-05-01T08:00:00Z", "2024-05-01 10:00:00.5+02:00"], "timestamp"),
        ("ts", [MS // 1000], "long"),
        ("ts", [MS * 1000], "long"),
        ("time", ["2024-05-01T08:00:00"], "string"),
        ("größe", [1], "long"),
    ],
)
def test_values_say_the_type(name: str, values: list[Any], type_: str) -> None:
    """Nulls say nothing; a time is milliseconds or has an offset; money is exact where its name says that it is money."""
    assert of_json(name, values).type == type_


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("place", [{"lat": 1}], "nested"),
        ("tags", [["a"]], "nested"),
        ("gone", [None, None], "no value"),
        ("mixed", [1, "x"], "several types: int, str"),
        ("flag", [True, 1], "several types: bool, int"),
        ("large", [2**63], "beyond 64 bits"),
        ("a__b", [1], "no '__'"),
        ("_id", [1], "a letter first"),
        ("a\nb", [1], "a column's name"),
    ],
)
def test_what_no_schema_can_have_is_left_out(name: str, values: list[Any], why: str) -> None:
    """With the reason."""
    column = of_json(name, values)
    assert column.type == ""
    assert why in column.remark


@pytest.mark.parametrize(("value", "unit"), [(MS // 1000, "seconds"), (MS * 1000, "microseconds"), (MS * 10**6, "nanoseconds")])
def test_a_time_of_another_unit_is_named(value: int, unit: str) -> None:
    """It would be a time of 1970, or of the far future."""
    assert f"looks like {unit}" in of_json("ts", [value]).remark
