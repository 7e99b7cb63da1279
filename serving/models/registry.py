"""The models, in plain files: a folder that holds whole, unchanging versions, and names that point at them.

::

    root/<name>/<version>/model.onnx      written once
    root/<name>/<version>/manifest.json   what it was trained on, and its sha256
    root/<name>/aliases.json              {"production": 3}, renamed into place
    root/<name>/.aliases.lock             held by whoever sets an alias
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from filelock import FileLock

from features.errors import SettingError
from serving.models.manifest import Manifest, Model, read_manifest, read_onnx

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
ALIAS = re.compile(r"[a-z][a-z0-9_-]*")


class Registry:
    """The models below one folder. Versions are never changed; aliases are, one rename at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def register(
        self,
        onnx: bytes,
        *,
        name: str,
        service: str,
        inputs: tuple[str, ...],
        plan: str,
        trained_from: int,
        trained_until: int,
        metrics: Mapping[str, float],
        created_at: int,
        task: Literal["classification", "regression"] = "classification",
        lineage: Mapping[str, str] | None = None,
    ) -> Manifest:
        """Store ``onnx`` as the next version of ``name``; two that register at once get two numbers."""
        folder = self._folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        version = max(self.versions(name), default=0) + 1
        while True:
            manifest = Manifest(
                name=name,
                version=version,
                sha256=hashlib.sha256(onnx).hexdigest(),
                inputs=tuple(inputs),
                plan=plan,
                service=service,
                trained_from=trained_from,
                trained_until=trained_until,
                metrics=dict(metrics),
                created_at=created_at,
                task=task,
                lineage=dict(lineage or {}),
            )
            if _place(folder, manifest, onnx):
                return manifest
            version += 1

    def get(self, name: str, version_or_alias: int | str) -> Model:
        """A version by its number or by an alias, its bytes checked against the manifest."""
        version = self.version(name, version_or_alias)
        folder = self._folder(name) / str(version)
        if not (folder / "manifest.json").is_file():
            known = ", ".join(map(str, self.versions(name))) or "none yet: train one"
            raise SettingError(f"model '{name}' has no version {version}; it has {known}")
        manifest = read_manifest(folder / "manifest.json")
        model = Model(manifest, folder / "model.onnx")
        read_onnx(model)
        return model

    def version(self, name: str, version_or_alias: int | str) -> int:
        """The version that a number or an alias means, which need not be there. Raises `SettingError` for an unknown alias."""
        if isinstance(version_or_alias, int):
            return version_or_alias
        if version_or_alias.isdecimal():
            return int(version_or_alias)
        aliases = self.aliases(name)
        if version_or_alias not in aliases:
            known = ", ".join(sorted(aliases)) or "none yet: promote a version"
            raise SettingError(f"model '{name}' has no alias '{version_or_alias}'; it has {known}")
        return aliases[version_or_alias]

    def versions(self, name: str) -> tuple[int, ...]:
        """The version numbers of ``name``, ascending."""
        folder = self._folder(name)
        if not folder.is_dir():
            return ()
        return tuple(sorted(int(p.name) for p in folder.iterdir() if p.name.isdecimal()))

    def names(self) -> tuple[str, ...]:
        """The models that have a version."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(p.name for p in self.root.iterdir() if NAME.fullmatch(p.name) and self.versions(p.name)))

    def aliases(self, name: str) -> dict[str, int]:
        """Which version each alias of ``name`` points at."""
        path = self._folder(name) / "aliases.json"
        if not path.is_file():
            return {}
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SettingError(f"aliases of model '{name}' are a JSON object of versions; got {error}; fix {path}") from None

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point ``alias`` at ``version``; a reader sees the old aliases or the new, never half of them.

        One writer at a time: two who set different aliases both win.
        """
        check_alias(alias)
        self.get(name, version)
        folder = self._folder(name)
        with FileLock(folder / ".aliases.lock"), _temporary(folder) as building:
            aliases = {**self.aliases(name), alias: version}
            _write(building / "aliases.json", msgspec.json.format(msgspec.json.encode(aliases), indent=2))
            os.replace(building / "aliases.json", folder / "aliases.json")
            _sync_folder(folder)

    def _folder(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise SettingError(f"a model's name is letters, digits, _, - and ., no dot first; got '{name}'; try 'orders'")
        return self.root / name


def check_alias(alias: str) -> None:
    """Raise `SettingError` where this is no name of an alias."""
    if not ALIAS.fullmatch(alias):
        raise SettingError(f"an alias is lower-case letters, digits, _ and -, a letter first; got '{alias}'; try 'staging'")


def _place(folder: Path, manifest: Manifest, onnx: bytes) -> bool:
    """Build the version beside its place and rename it there; False where another has taken the number."""
    with _temporary(folder) as building:
        _write(building / "model.onnx", onnx)
        _write(building / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        _sync_folder(building)
        try:
            building.rename(folder / str(manifest.version))  # fails where that folder exists: it is never empty
        except OSError:
            if (folder / str(manifest.version)).exists():
                return False
            raise
    _sync_folder(folder)
    return True


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    building = Path(tempfile.mkdtemp(dir=folder, prefix=".building-"))
    building.chmod(0o755)
    try:
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
