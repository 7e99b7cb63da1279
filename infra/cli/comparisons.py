"""How a comparison of what was served with what was true is shown: by the audit, and by the report of the end-to-end run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from infra.cli import show
from jobs.audit.comparison import CAUSE_NAMES, UNEXPLAINED, causes_shown

if TYPE_CHECKING:
    from jobs.audit.comparison import Cause, Compared, Comparison


def print_stages(title: str, found: Comparison) -> None:
    """A row for each stage and view."""
    _print(title, "stage", found.stages)
    _print_examples(found)


def print_features(title: str, found: Comparison) -> None:
    """A row for each feature."""
    _print(title, "feature", found.features)
    _print_examples(found)


def as_json(found: Comparison) -> dict[str, Any]:
    """The comparison, and what its tables say beside it; what happened over time is a list."""
    import msgspec

    whole: dict[str, Any] = msgspec.to_builtins(found)
    whole["stages"] = [_compared(one) for one in found.stages]
    whole["features"] = [_compared(one) for one in found.features]
    whole["hours"] = [{"start": start, **whole["hours"][start]} for start in sorted(whole["hours"])]
    return whole | {"differing": found.differing, "unexplained": found.unexplained}


def _compared(one: Compared) -> dict[str, Any]:
    import msgspec

    return {**msgspec.to_builtins(one), "unexplained": one.unexplained}


def _print(title: str, what: str, found: Sequence[Compared]) -> None:
    shown = causes_shown(found)
    columns = (what, "values", "differing", *map(CAUSE_NAMES.__getitem__, shown))
    rows = [(one.name, f"{one.values:,}", f"{one.differing:,}", *(_count(one, cause) for cause in shown)) for one in found]
    show.table(title, columns, rows, right=columns[1:])


def _count(one: Compared, cause: Cause) -> str:
    count = one.causes[cause]
    if cause != UNEXPLAINED:
        return f"{count:,}"
    return f"[{'red' if count else 'green'}]{count:,}[/]"


def _print_examples(found: Comparison) -> None:
    for feature in found.features:
        for example in feature.examples:
            show.out.print(f"  {show.escape(example)}", style="red")
    if found.not_in_history:
        some = ", ".join(map(str, found.not_in_history_ids))
        count = f"{found.not_in_history:,} events"
        show.out.print(f"  not compared, as history has none of them: {count} ({show.escape(some)})", style="yellow")
