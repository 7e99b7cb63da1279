"""The files of a project, written from a proposal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template

from features.errors import SettingError
from infra.init.columns import Column
from infra.init.proposal import PLAIN, Label, Proposal

TEMPLATES = Path(__file__).parent / "templates"
FILES = {
    name: f"{name.removeprefix('.')}.template" for name in ("definitions.py", "headrace.toml", "feature_store.yaml", ".gitignore")
}
"""What is written, and from which template: a wheel takes no file that begins with a dot."""
FEAST = {"long": "Int64", "boolean": "Bool"}
GUESSED = "  # guessed: {}"
WHY = {
    "time": "is this when the event happened?",
    "id": "is it another in each event?",
    "key": "is it whose events a window is to hold?",
}


def require_empty(folder: Path) -> None:
    """Raise `SettingError` where ``folder`` is a file, or holds anything."""
    found = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else [""] if os.path.lexists(folder) else []
    if found:
        came = f"has {found[0]}" if found[0] else "is a file"
        raise SettingError(f"a project begins in an empty folder; {folder} {came}; name another, or move that away")


def write(proposal: Proposal, folder: Path) -> None:
    """Write the project into ``folder``; its data are put there by others."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    values = {**_definitions(proposal), **_settings(proposal)}
    for name, template in FILES.items():
        (folder / name).write_text(Template((TEMPLATES / template).read_text()).substitute(values))


def _definitions(proposal: Proposal) -> dict[str, str]:
    remarks = {role: GUESSED.format(why) if role in proposal.guessed else "" for role, why in WHY.items()}
    numbers, label = proposal.numbers, proposal.label
    types = {"Float64", "Int64", *(_feast(column) for column in numbers)}
    return {
        "name": proposal.name,
        "topic": proposal.topic,
        "about": _about(proposal),
        "types": ", ".join(sorted(types)),
        "request": "RequestSource, " if numbers else "",
        "schema": _schema(proposal.columns),
        "left_out": "".join(f"        # left out, {_quoted(column.name)}: {column.remark}\n" for column in proposal.left_out),
        "time": proposal.time,
        "time_remark": remarks["time"],
        "id": proposal.id,
        "id_remark": remarks["id"],
        "key": proposal.key,
        "key_remark": remarks["key"],
        "key_type": "INT64" if proposal.column(proposal.key).type == "long" else "STRING",
        "history": proposal.history,
        "labels": _part("labels", {"name": proposal.name, **_label(proposal, label)}) if label else "",
        "pairs": "".join(f'    ("{column}", "{function}"),\n' for column, function in _aggregations(proposal)),
        "event": _part("event", _event(numbers)) if numbers else "",
        "event_view": "event, " if numbers else "",
    }


def _about(proposal: Proposal) -> str:
    if proposal.looked_at is None:
        return "Sample events of a made-up shop: replace them with your own."
    return f"Proposed from {_quoted(proposal.looked_at)}. Check what says 'guessed', then run 'headrace plan'."


def _quoted(text: str) -> str:
    """What others have named, as no more than a text: a file is written that Python runs."""
    return ascii(text).replace('"', "'")


def _schema(columns: Sequence[Column]) -> str:
    texts = [f"{column.name} {column.type}, " for column in columns]
    texts[-1] = texts[-1].removesuffix(", ")
    remarks = [f"  # {column.remark}" if column.remark else "" for column in columns]
    return "\n        ".join(f'"{text}"{remark}' for text, remark in zip(texts, remarks, strict=True))


def _label(proposal: Proposal, label: Label) -> Mapping[str, str]:
    id_type = proposal.column(proposal.id).type
    schema = f"{proposal.id} {id_type}, {proposal.time} timestamp, {label.column} {label.type}"
    return {"schema": schema, "time": proposal.time, "id": proposal.id, "column": label.column, "history": label.history}


def _aggregations(proposal: Proposal) -> list[tuple[str, str]]:
    """Columns and functions of windows: none of which gives a whole number beyond what a model's input holds."""
    of_all = [(proposal.id if PLAIN.fullmatch(proposal.id) else proposal.key, "count")]
    numbers = [column for column in proposal.numbers if column.type != "boolean"]
    of_numbers = [(column.name, function) for column in numbers for function in _functions(column)]
    return of_all + of_numbers + [(column.name, "count_distinct") for column in proposal.texts]


def _functions(column: Column) -> tuple[str, ...]:
    return ("mean",) if column.type == "long" else ("mean", "max")


def _event(numbers: Iterable[Column]) -> dict[str, str]:
    fields = "".join(f'    Field(name="{column.name}", dtype={_feast(column)}),\n' for column in numbers)
    return {"fields": fields}


def _feast(column: Column) -> str:
    return FEAST.get(column.type, "Float64")


def _part(name: str, values: Mapping[str, str]) -> str:
    return Template((TEMPLATES / f"definitions.{name}.template").read_text()).substitute(values)


def _settings(proposal: Proposal) -> dict[str, str]:
    name, label, days = proposal.name, proposal.label, proposal.days
    where = f"bootstrap = {json.dumps(proposal.bootstrap)}" if proposal.bootstrap else '# bootstrap = "localhost:9092"'
    if label is None:
        learns = f'# [train.{name}]\n# label = "SOURCE.COLUMN"  # docs/own-stream.md has a source of labels'
    else:
        learns = f'[train.{name}]\nlabel = "{name}_labels.{label.column}"'
    if days is None or label is None:
        run = f'# [run]\n# service = "{name}"\n# train_from = 2026-01-12\n# train_days = 7\n# start = 2026-01-26\n# days = 7'
    else:
        run = (
            f'[run]\nservice = "{name}"\ntrain_from = {days.train_from}\ntrain_days = {days.train_days}\n'
            f"start = {days.start}\ndays = {days.test_days}\nrate = 500"
        )
    return {"bootstrap": where, "learns": learns, "run": run}
