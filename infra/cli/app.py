"""The application that the commands register with, their common options, and how errors and Ctrl-C look."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from features.errors import HeadraceError, SettingError

ERROR, INTERRUPTED = 2, 130
FILES = "a file that is read is whole, and its values fit their types: fix or replace it"
KAFKAS = "kafka.errors.KafkaError"
"""What all of Kafka's errors are."""
OTHERS = {
    KAFKAS: "Kafka refused: see its log, and 'headrace status'",
    "_duckdb.Error": FILES,
    "_duckdb.IOException": FILES,
    "_duckdb.InvalidInputException": FILES,
    "_duckdb.ConversionException": FILES,
    "_duckdb.OutOfRangeException": FILES,
    "_duckdb.OutOfMemoryException": "it takes more memory than there is: take fewer days",
    "pyarrow.lib.ArrowInvalid": FILES,
}
"""What to do about errors of others that no command has put in words of its own: by name, as their packages are slow to import.
The rest of DuckDB's are of its SQL, which is ours."""


class Interrupted(Exception):  # noqa: N818 - no error; and no KeyboardInterrupt, of which typer makes an exit code
    """Ctrl-C ended the command; the text says what was done, and what still runs."""


class Commands(TyperGroup):
    """All commands."""

    def invoke(self, ctx: Any) -> Any:
        """Run the one that is named; Ctrl-C is `Interrupted`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None


app = typer.Typer(
    name="headrace",
    cls=Commands,
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
    """Run a command line; gives its exit code.

    What a user can fix is one red line on stderr and exit code 2; after Ctrl-C one line says what was done. An exception that
    leaves here is a fault of Headrace.
    """
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # its errors reach us as exceptions
    try:
        return int(_command()(args=arguments, standalone_mode=False, prog_name="headrace") or 0)
    except Interrupted as interrupt:
        return _interrupted(str(interrupt))
    except HeadraceError as error:
        return complain(str(error))
    except typer.TyperException as error:
        return _complain_of_usage(error)
    except OSError as error:
        return complain(_of_the_system(error))
    except Exception as error:
        if _is_interrupt(error):
            return _interrupted("")
        kinds = [f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__]
        advice = OTHERS.get(KAFKAS if KAFKAS in kinds else kinds[0])
        if advice is None:
            raise
        return complain(f"{type(error).__name__}: {error}; {advice}")


@cache
def _command() -> Any:
    """The application as a command, made once: a test runs hundreds."""
    return typer.main.get_command(app)


def complain(message: str) -> int:
    """One red line on stderr; gives the exit code."""
    _say(f"error: {message}", "red")
    return ERROR


def note(message: str) -> None:
    """One line on stderr of what is no error, and yet may surprise."""
    _say(f"note: {message}", "yellow")


def warn(message: str) -> None:
    """One line on stderr of what may make results worse."""
    _say(f"warning: {message}", "yellow")


@contextmanager
def interruptible(said: Callable[[], str]) -> Iterator[None]:
    """Within, Ctrl-C ends the command with one line, ``said``: what was done, and what still runs. SIGTERM does the same."""
    try:
        with terminated_as_interrupted():
            yield
    except (KeyboardInterrupt, RuntimeError) as error:
        if not _is_interrupt(error):
            raise
        raise Interrupted(said()) from None


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Within, SIGTERM is raised as Ctrl-C is: what is to be cleared away is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def folder(project: Path) -> Path:
    """The project's folder as an absolute path. Raises `SettingError` where it is none."""
    if not project.is_dir():
        raise SettingError(f"a project is a folder with a definitions.py; there is no folder {project}; give --project DIR")
    return project.absolute()


def _is_interrupt(error: BaseException) -> bool:
    """Whether it came of Ctrl-C: of that in a query, DuckDB 2.0 makes a RuntimeError."""
    return isinstance(error, KeyboardInterrupt) or str(error) == "Query interrupted"


def _interrupted(said: str) -> int:
    _say(f"interrupted: {said}" if said else "interrupted", "yellow")
    return INTERRUPTED


def _say(message: str, colour: str) -> None:
    """One line on stderr, whatever is in it: a file's name may be no text."""
    line = " ".join(message.split())
    typer.secho(line.encode(errors="backslashreplace").decode(), fg=colour, err=True)


def _complain_of_usage(error: typer.TyperException) -> int:
    message = error.format_message()
    if message.startswith("Usage:"):  # a group of commands without one: all of its help
        typer.echo(message, err=True)
        return ERROR
    context = getattr(error, "ctx", None)
    return complain(f"{message} ({context.command_path if context else 'headrace'} --help)")


def _of_the_system(error: OSError) -> str:
    """What the operating system refused, as one line."""
    what = f"'{error.filename}': " if error.filename else ""
    return (
        f"a command reads and writes where its user may; got {what}{error.strerror or error}; "
        "check the path, its permissions and the room on its disk, or name another"
    )
