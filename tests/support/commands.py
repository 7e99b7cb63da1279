"""The commands of the application, with good values for what they require: for tests that try them all, new ones too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from infra.cli.app import app

UNTRIED = {"setup", "docs-cli", "docs-settings", "serve"}
"""Commands that read nothing of a user's, and the one that would go on until it is stopped (see tests/serving/http)."""
GOOD = {
    "service": "num",
    "services": "num",
    "topic": "num",
    "name": "num",
    "model": "num",
    "version": "1",
    "alias": "staging",
    "first": "1",
    "second": "1",
    "share": "0.05",
    "out": "out/out.parquet",
    "file": "data/num.parquet",
    "onnx": "models/num/1/model.onnx",
    "start": "2024-05-01",
    "end": "2024-05-03",
    "event_id": "1",
    "until": "2024-05-02",
}
"""Values of arguments and options by their names, in the project of `tests.support.num`; of others it is x."""
EITHER = {"score": ["--out", GOOD["out"]]}
"""Of a command that requires one of several options, one."""


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The commands that do something, by their words."""
    inner = getattr(command, "commands", {})
    if not inner:
        yield path, command
    for name, one in inner.items():
        yield from leaves(one, (*path, name))


COMMANDS = {path: command for path, command in leaves(typer.main.get_command(app)) if path[0] not in UNTRIED}


def required(command: Any) -> list[str]:
    """Good values for all that a command requires, as words of a command line."""
    words = list[str](EITHER.get(command.name, []))
    for one in command.params:
        if one.required:
            words += [] if one.param_type_name == "argument" else [one.opts[0]]
            words.append(GOOD.get(one.name, "x"))
    return words


def good(*words: str) -> list[str]:
    """A command's words, and good values for all that it requires."""
    return [*words, *required(COMMANDS[words])]
