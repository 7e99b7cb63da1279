"""Flink's types of columns and features."""

from __future__ import annotations

from features.job import JobPlan
from features.plan import ColumnType, Plan, Stage, WindowFeature

SQL_TYPES = {"int64": "BIGINT", "float64": "DOUBLE", "string": "STRING", "bool": "BOOLEAN", "timestamp": "BIGINT"}

HEADERS = "MAP<STRING, BYTES>"
"""The type of a record's headers."""


def sql_type(column: ColumnType) -> str:
    """The Flink type of a column, or of a feature."""
    one = f"DECIMAL({column.precision}, {column.scale})" if column.kind == "decimal" else SQL_TYPES[column.kind]
    return f"ARRAY<{one}>" if column.length else one


def feature_type(plan: Plan | JobPlan, stage: Stage, feature: WindowFeature) -> str:
    """The Flink type of what the operator gives for a feature."""
    return sql_type(vector_type(plan, stage, feature))


def vector_type(plan: Plan | JobPlan, stage: Stage, feature: WindowFeature) -> ColumnType:
    """The type of what the operator gives for a feature. A sum is exact, so it is as wide as Flink has."""
    column = plan.source(stage.source).column(feature.column).type
    if feature.aggregation.function == "sum" and column.kind != "float64":
        return ColumnType("decimal", 38, column.scale)
    return feature.aggregation.gives(column)


def null(of: str) -> str:
    """A null of a Flink type."""
    return f"CAST(NULL AS {of})"
