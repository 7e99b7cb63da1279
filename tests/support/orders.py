"""A plan with a feature of every type, for models that take them by name."""

from __future__ import annotations

from features.plan import BatchView, Column, ColumnType, OnDemand, Plan, Source, Stage, WindowFeature

HOUR = 3_600_000
COLUMNS = {
    "id": ColumnType("int64"),
    "at": ColumnType("timestamp"),
    "shop": ColumnType("int64"),
    "price": ColumnType("float64"),
    "tax": ColumnType("decimal", 12, 2),
    "size": ColumnType("int64"),
    "web": ColumnType("bool"),
    "kind": ColumnType("string"),
}


def window(function: str, column: str, name: str = "") -> WindowFeature:
    """A feature of the view ``recent``."""
    return WindowFeature(f"recent__{name or f'{function}_{column}'}", function, column, HOUR)


FEATURES = (
    window("sum", "price"),
    window("count", "id", "count"),
    window("last", "tax"),
    window("last", "size"),
    window("last", "web"),
    window("last", "kind"),
    window("last_3", "price"),
    window("last", "at"),
)
PLAN = Plan(
    service="orders",
    spine="orders",
    sources=(Source("orders", "orders", tuple(Column(*one) for one in COLUMNS.items()), "at", "id", "orders.parquet", 0),),
    windows=(Stage("orders", ("shop",), FEATURES),),
    on_demand=(OnDemand("derived", ("price",), (), ("half",), "0"),),
    batch=(BatchView("profile", ("shop",), ("mean", "region"), "orders", "", "profile.parquet", "day"),),
    inputs=("recent__sum_price", "recent__count", "recent__last_3_price"),
    mode="arrival",
    lateness_ms=0,
)
