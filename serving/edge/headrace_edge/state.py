"""The state file: windows and the ids that are known, written whole and renamed, and held against its sha256 when it is read.

::

    state.json      {"format": 1, "bundle": "…", "sha256": "…"}     of the line below
                    {"outbox": 3, "stages": …, "ids": …}

``outbox`` is the number of the first files in the outbox that the state does not know of: what is in them is taken again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from .errors import EdgeError

FORMAT = 1


def save(path: Path, bundle: str, state: dict[str, Any]) -> None:
    """Write a state in the place of the one before: whoever reads the file has the old one or the new one, whole."""
    body = json.dumps(state, separators=(",", ":")).encode()
    head = json.dumps({"format": FORMAT, "bundle": bundle, "sha256": hashlib.sha256(body).hexdigest()}).encode()
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(head + b"\n" + body)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until the disk has a file's content, or which files are in a folder."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def load(path: Path, bundle: str) -> dict[str, Any] | None:
    """The state in a file; None where there is no file. Raises `EdgeError` where it is damaged, or is of another bundle."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    try:
        found = json.loads(head)
        known = found["format"], found["bundle"], found["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EdgeError(f"a state file begins with its format and sha256; {path} does not; {ADVICE}") from None
    if known[0] != FORMAT:
        raise EdgeError(f"a state file has format {FORMAT}; {path} has {known[0]}; run the bundle that wrote it, or {ADVICE}")
    if known[1] != bundle:
        raise EdgeError(
            f"a state is of the bundle that wrote it; {path} is of {known[1]}, this is {bundle}; "
            "name another --state DIR, and fill its windows with --fill"
        )
    if known[2] != hashlib.sha256(body).hexdigest():
        raise EdgeError(f"a state file has the sha256 that its first line says; {path} was changed or damaged; {ADVICE}")
    state: dict[str, Any] = json.loads(body)
    return state


ADVICE = "restore it, or remove it and the outbox beside it, once that is published, to begin without history"
