"""Writes a bundle: a folder that predicts on a device, and proves before it does that it computes what history does."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort

import serving.edge.headrace_edge
from features.errors import SettingError
from serving.edge.headrace_edge import bundle
from serving.edge.headrace_edge.errors import EdgeError
from serving.edge.headrace_edge.golden import Replayed
from serving.edge.headrace_edge.plan import read
from serving.edge.readme import readme
from serving.models.manifest import Manifest

RUNNER = Path(serving.edge.headrace_edge.__file__).parent
PAGES = RUNNER.parent / "browser"
PAGE = "index.html"
RUN = '''"""Runs this bundle: ``python run.py --help``."""

import sys

from headrace_edge.__main__ import main

sys.exit(main())
'''

encode = msgspec.json.Encoder(decimal_format="number").encode


class Browser(msgspec.Struct, frozen=True):
    """What the runner of a browser has besides itself."""

    version: str
    """Of onnxruntime-web."""
    files: Mapping[str, bytes]
    """Of that package, by name."""
    functions: bytes | None
    """``functions.js``, that of `serving.edge.javascript.translated`."""


class GoldenEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event of the golden vectors, in the order in which they arrive."""

    source: str
    event: str
    features: dict[str, Any] | None = None
    """What history says of it: all window features; None for one that is only in windows."""
    score: float | None = None
    """The model's; where there are ``features``."""
    outputs: dict[str, Any] | None = None
    own: dict[str, float | None] | None = None
    """The runner's own values, of features that are not to the bit."""


class Exported(msgspec.Struct, frozen=True):
    """What was written."""

    folder: str
    files: dict[str, int]
    """Bytes, by name."""
    manifest_sha256: str
    replayed: int
    """Golden vectors."""
    values: int
    """Values of windows in them."""


def export(
    out: Path,
    plan: bytes,
    manifest: Manifest,
    onnx: bytes,
    functions: bytes | None,
    golden: Sequence[GoldenEvent],
    needs: list[str],
    python: bool = True,
    browser: Browser | None = None,
) -> Exported:
    """Write the bundle to ``out``, whole or not at all, once its runner has replayed ``golden``.

    ``plan`` is that of `serving.edge.plan.edge_plan`, ``functions`` that of `serving.edge.functions.text_of`. The bundle has the
    runner for Python, and with ``browser`` the one for a browser. Raises `SettingError` where ``out`` has something in it, and
    where the runner computes anything but what history does.
    """
    check_out(out)
    versions = {"python": "3.11", "numpy": np.__version__, "onnxruntime": ort.__version__}
    versions |= {"onnxruntime-web": browser.version} if browser else {}
    with tempfile.TemporaryDirectory(dir=_parent(out), prefix=f".{out.name}-") as made:
        draft = Path(made) / "bundle"
        draft.mkdir()
        if python:
            shutil.copytree(RUNNER, draft / RUNNER.name, ignore=shutil.ignore_patterns("__pycache__"))
            (draft / "run.py").write_text(RUN)
        if browser:
            _write_browser(draft, browser)
        (draft / bundle.PLAN).write_bytes(plan)
        (draft / bundle.MODEL).write_bytes(onnx)
        if functions is not None:
            (draft / bundle.FUNCTIONS).write_bytes(functions)
        vectors = sum(one.features is not None for one in golden)
        (draft / "README.md").write_text(readme(read(plan), manifest, needs, versions, vectors, python, browser is not None))
        try:
            _write_golden(draft, golden, manifest, needs, versions)
            own = iter(bundle.read(draft).check().own)
            kept = [msgspec.structs.replace(one, own=next(own) or None) if one.features is not None else one for one in golden]
            _write_golden(draft, kept, manifest, needs, versions)
            found = bundle.read(draft).check()
        except EdgeError as error:
            raise SettingError(f"a bundle computes what history does; {error}") from None
        if out.exists():
            out.rmdir()
        draft.rename(out)
    return _exported(out, found)


def _write_browser(draft: Path, browser: Browser) -> None:
    shutil.copytree(PAGES, draft / PAGES.name, ignore=shutil.ignore_patterns(PAGE))
    shutil.copy(PAGES / PAGE, draft / PAGE)
    if browser.functions is not None:
        (draft / "functions.js").write_bytes(browser.functions)
    (draft / "onnxruntime").mkdir()
    for name, content in browser.files.items():
        (draft / "onnxruntime" / name).write_bytes(content)


def check_out(out: Path) -> None:
    """Raises `SettingError` where a bundle cannot be written to ``out``."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingError(f"--out is a folder that is not there yet, or is empty; got {out}; name another")


def _parent(out: Path) -> Path:
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    return out.absolute().parent


def _write_golden(
    draft: Path, golden: Sequence[GoldenEvent], manifest: Manifest, needs: list[str], versions: dict[str, str]
) -> None:
    """The golden vectors, and the manifest of all that is there."""
    (draft / bundle.GOLDEN).write_bytes(b"".join(encode(one) + b"\n" for one in golden))
    files = {
        path.relative_to(draft).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in sorted(draft.rglob("*"))
        if path.is_file() and path.name != bundle.MANIFEST and "__pycache__" not in path.parts
    }
    whole = {
        "format": bundle.FORMAT,
        "model": manifest.name,
        "version": manifest.version,
        "service": manifest.service,
        "plan": manifest.plan,
        "made_with": {**versions, "python": sys.version.split()[0]},
        "needs": needs,
        "files": files,
    }
    (draft / bundle.MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(whole)) + b"\n")


def _exported(out: Path, found: Replayed) -> Exported:
    content = (out / bundle.MANIFEST).read_bytes()
    sizes = {name: its["bytes"] for name, its in msgspec.json.decode(content)["files"].items()}
    sizes[bundle.MANIFEST] = len(content)
    return Exported(str(out), sizes, hashlib.sha256(content).hexdigest(), found.vectors, found.values)
