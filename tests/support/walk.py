"""A page of the docs, done: the commands of its blocks in order, in one shell, as a reader types them.

A block of ``sh`` is run line by line. A line that ends with `ELSEWHERE` runs beside the others until the walk is over. A block
of another language goes to the end of the file that a comment above it names::

    <!-- append: definitions.py -->
    ```python
    …
    ```
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"^(?:<!-- append: (?P<file>\S+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
ELSEWHERE = "# in another terminal"
SECONDS_TO_BE_SEEN = 60
BEGIN = f"""\
set -euo pipefail
terminals=()
elsewhere() {{ "$@" > "$WALK/terminal-${{#terminals[@]}}" 2>&1 & terminals+=($!); }}
end() {{ for pid in "${{terminals[@]}}"; do kill $pid 2> /dev/null || true; done; wait; }}
trap end EXIT
seen() {{  # what is waited for has been shown elsewhere
  for _ in {{1..{SECONDS_TO_BE_SEEN * 10}}}; do grep -qs -- "$SEEN" "$WALK"/terminal-* && break; sleep 0.1; done
}}
"""


class Walked(NamedTuple):
    """What a reader has seen."""

    shown: str
    """All of stdout and stderr, each command after a line ``» command``."""
    elsewhere: tuple[str, ...]
    """What each command in another terminal has shown."""

    def after(self, command: str) -> str:
        """What the first command that begins so has shown."""
        return self.shown.partition(f"» {command}")[2].partition("\n")[2].partition("\n» ")[0]


class Block(NamedTuple):
    """A block of code, and the file that it is to be added to."""

    language: str
    text: str
    file: str | None


def blocks(page: str, heading: str | None = None) -> list[Block]:
    """The blocks of a page that are to be done, or of the section below a heading."""
    if heading:
        page = re.split(rf"^#+ {re.escape(heading)}$", page, flags=re.MULTILINE)[1]
        page = re.split(r"^#+ ", page, flags=re.MULTILINE)[0]
    found = (Block(match["language"], match["text"], match["file"]) for match in BLOCK.finditer(page))
    return [block for block in found if block.language == "sh" or block.file]


def walk(
    todo: list[Block], folder: Path, notes: Path, environment: Mapping[str, str], *, seen: str, seconds: float = 600
) -> Walked:
    """Do the blocks in ``folder``; ``notes``, an empty folder, gets what they show, and so does the error where one fails.

    Before `headrace down`, the text ``seen`` is waited for: something that a command in another terminal shows.
    """
    script = BEGIN + "".join(line for block in todo for line in _lines(block))
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, **environment, "WALK": str(notes), "SEEN": seen, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        shown, _ = shell.communicate(timeout=seconds)
    except BaseException:
        os.killpg(shell.pid, signal.SIGKILL)
        raise
    (notes / "shown").write_text(shown)
    elsewhere = tuple(file.read_text() for file in sorted(notes.glob("terminal-*")))
    assert shell.returncode == 0, "\n".join([f"exit code {shell.returncode}", shown[-6000:], *elsewhere])
    return Walked(shown, elsewhere)


def _lines(block: Block) -> Iterator[str]:
    if block.file:
        yield f"cat >> {shlex.quote(block.file)} <<'END_OF_BLOCK'\n{block.text}END_OF_BLOCK\n"
        return
    for line in filter(str.strip, block.text.splitlines()):
        yield f"echo {shlex.quote(f'» {line}')}\n"
        if line.startswith("headrace down"):
            yield "seen\n"
        yield f"elsewhere {line}\n" if line.endswith(ELSEWHERE) else f"{line}\n"
