"""The application that the commands register with, their common options, and how errors look."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from features.errors import HeadraceError, SettingError

ERROR, INTERRUPTED = 2, 130

app = typer.Typer(
    name="headrace",
    help="Exact sliding-window features over Kafka streams and over history, and a prediction for every event.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: starts sooner, and docs/cli.md holds it as it is
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
)

ProjectOption = Annotated[Path, typer.Option(help="The project's folder.", metavar="DIR", show_default="this one")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

HERE = Path()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; gives its exit code. What a user can fix is one red line on stderr and exit code 2."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # its errors reach us as exceptions
    try:
        return int(app(args=arguments, standalone_mode=False, prog_name="headrace") or 0)
    except HeadraceError as error:
        return complain(str(error))
    except typer.TyperException as error:
        return complain(f"{error.format_message()} (headrace --help)")
    except KeyboardInterrupt:
        return INTERRUPTED


def complain(message: str) -> int:
    """One red line on stderr; gives the exit code."""
    typer.secho(f"error: {' '.join(message.split())}", fg="red", err=True)
    return ERROR


def folder(project: Path) -> Path:
    """The project's folder as an absolute path. Raises `SettingError` where it is none."""
    if not project.is_dir():
        raise SettingError(f"a project is a folder with a definitions.py; there is no folder {project}; give --project DIR")
    return project.absolute()
