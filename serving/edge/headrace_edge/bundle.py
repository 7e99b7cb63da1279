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
    manifest = _manifest(folder)
    files = {name: _verified(folder, name, its["sha256"]) for name, its in manifest["files"].items()}
    found = plan.read(files[PLAN])
    functions = on_demand.load(files.get(FUNCTIONS, b""), found.on_demand)
    bundle = f"{manifest['files'][PLAN]['sha256'][:12]}-{manifest['files'][MODEL]['sha256'][:12]}"
    return Bundle(bundle, found, Session(files[MODEL], found.model), functions, files[GOLDEN])


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise EdgeError(f"a bundle has a {MANIFEST}; {folder / MANIFEST}: {error}; copy the whole folder again") from None
    if manifest.get("format") != FORMAT:
        raise EdgeError(f"a bundle has format {FORMAT}; got {manifest.get('format')}; export the model again")
    return manifest


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
