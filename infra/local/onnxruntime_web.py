"""ONNX Runtime for browsers: the package ``onnxruntime-web``, fetched once by npm from the registry that npm is configured for.

Nothing of it is in this repository but its version and the digests of what it must be.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from features.errors import SettingError

VERSION = "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package, as registries and lock files write it."""
FILES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""The two files of the package that a bundle has, with their sha256."""
FETCH_S = 600


def files(on_step: Callable[[str], None] = lambda step: None) -> dict[str, bytes]:
    """The files by name, fetched where the user's cache does not have them.

    ``on_step`` is told what is being done, before it is done. Raises `SettingError` without npm, where npm cannot fetch the
    package, and where it is not the one that is pinned here.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "headrace" / f"onnxruntime-web-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        found = _read(folder)
        if found is None:
            on_step(f"fetching onnxruntime-web {VERSION}")
            found = _fetched()
            for name, content in found.items():
                (folder / name).write_bytes(content)
    return found


def _read(folder: Path) -> dict[str, bytes] | None:
    """What is there, if it is all there, and whole."""
    found = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    whole = {name: hashlib.sha256(content).hexdigest() for name, content in found.items()} == FILES
    return found if whole else None


def _fetched() -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        raise SettingError(
            f"a page scores with onnxruntime-web {VERSION}, which npm fetches; found no npm on PATH; install it "
            "(Debian: apt install npm), or export with --runner python"
        )
    with tempfile.TemporaryDirectory() as made:
        command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--loglevel=error", "--pack-destination", made]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=made, timeout=FETCH_S)
        except subprocess.TimeoutExpired:
            raise SettingError(f"npm fetches onnxruntime-web {VERSION}; it did not in {FETCH_S} s; try again") from None
        packed = list(Path(made).glob("*.tgz"))
        if done.returncode or not packed:
            said = " ".join((done.stderr or done.stdout).split())[:300] or f"exit code {done.returncode}"
            raise SettingError(f"npm fetches onnxruntime-web {VERSION}; it says: {said}; see 'npm config get registry'")
        return _unpacked(packed[0])


def _unpacked(package: Path) -> dict[str, bytes]:
    """The files in a package that is the one that is pinned. Raises `SettingError` for another."""
    came = "sha512-" + base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if came != INTEGRITY:
        raise SettingError(
            f"onnxruntime-web {VERSION} is the package with {INTEGRITY[:24]}…; npm fetched one with {came[:24]}…; "
            "see 'npm config get registry' and 'npm cache verify'"
        )
    with tarfile.open(package) as packed:
        found = {name: packed.extractfile(f"package/dist/{name}") for name in FILES}
        return {name: file.read() for name, file in found.items() if file}
