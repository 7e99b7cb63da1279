"""The folder that ``headrace export-edge`` writes: its files, held against the manifest before any of them is used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from . import on_demand, plan
from .errors import EdgeError
from .golden import Replayed, replay
from .model import Session
from .on_demand import Function
from .plan import Plan

FORMAT = 1
MANIFEST, PLAN, MODEL, GOLDEN, FUNCTIONS = "manifest.json", "plan.json", "model.onnx", "golden.jsonl", "functions.py"


class Bundle(NamedTuple):
    """A bundle whose files are those of its manifest."""

    id: str
    """The first 12 hex digits of plan.json's and model.onnx's sha256: what a saved state belongs to."""
    plan: Plan
    session: Session
    functions: dict[str, Function]
    golden: bytes

    def check(self) -> Replayed:
        """Replay the golden vectors. Raises `EdgeError` where anything differs."""
        return replay(self.plan, self.session, self.functions, self.golden)


def read(folder: Path) -> Bundle:
    """The bundle in a folder. Raises `EdgeError` for a file that is missing or changed."""
    sums = _sums(folder)
    files = {name: _verified(folder, name, sha256) for name, sha256 in sums.items()}
    found = plan.read(files[PLAN])
    functions = on_demand.load(files.get(FUNCTIONS, b""), found.on_demand)
    bundle = f"{sums[PLAN][:12]}-{sums[MODEL][:12]}"
    return Bundle(bundle, found, Session(files[MODEL], found.model), functions, files[GOLDEN])


def _sums(folder: Path) -> dict[str, str]:
    """The sha256 of each file, by its path within the folder."""
    try:
        manifest: Any = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise EdgeError(f"a bundle has a {MANIFEST}; {folder / MANIFEST}: {error}; copy the whole folder again") from None
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if version != FORMAT:
        raise EdgeError(f"a bundle has format {FORMAT}; got {version}; export the model again")
    try:
        sums = {str(name): str(its["sha256"]) for name, its in manifest["files"].items()}
    except (KeyError, TypeError, AttributeError):
        raise EdgeError(f"a {MANIFEST} has the sha256 of each file; {folder}'s has not; copy the whole folder again") from None
    outside = [name for name in sums if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise EdgeError(f"a bundle's files are in its folder; its {MANIFEST} names {outside[0]!r:.80}; export the model again")
    missing = [name for name in (PLAN, MODEL, GOLDEN) if name not in sums]
    if missing:
        raise EdgeError(f"a {MANIFEST} names all files of a bundle; it lacks {missing[0]}; copy the whole folder again")
    return sums


def _verified(folder: Path, name: str, sha256: str) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise EdgeError(f"a bundle has the files of its manifest; {name}: {error}; copy the whole folder again") from None
    came = hashlib.sha256(content).hexdigest()
    if came != sha256:
        raise EdgeError(
            f"a bundle's files never change; {name} has sha256 {came[:12]}…, the manifest {sha256[:12]}…; copy the folder again"
        )
    return content
