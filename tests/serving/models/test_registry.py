"""The model registry: versions that never change, aliases that do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from features.errors import SettingError
from features.inputs.signature import Output, Signature, Tensor
from serving.models.manifest import Draft, Golden, Manifest
from serving.models.registry import Registry
from serving.models.store import FolderStore

SIGNATURE = Signature((Tensor("x", "float", ("a__x", "a__y"), matrix=True),), (Output("score", "float"),), ("score", 0))


def register(registry: Registry, onnx_bytes: bytes = b"onnx", **changed: Any) -> Manifest:
    """A version with two inputs."""
    manifest = Manifest(
        name="fraud",
        version=0,
        service="fraud",
        sha256=hashlib.sha256(onnx_bytes).hexdigest(),
        plan="0" * 64,
        signature=SIGNATURE,
        task="classification",
        created_at=2,
        golden=Golden(hashlib.sha256(b"golden").hexdigest(), 1, 0.0),
        onnxruntime="1",
        metrics={"auc": 0.5},
    )
    return registry.register(Draft(msgspec.structs.replace(manifest, **changed), onnx_bytes, b"golden"))


def test_a_version_is_read_back_as_it_was_registered(tmp_path: Path) -> None:
    """The manifest holds what was given, the next number and the sha256 of the bytes."""
    registry = Registry(tmp_path)
    first, second = register(registry, b"one"), register(registry, b"two", metrics={"auc": 0.75})
    assert (first.version, second.version) == (1, 2)
    assert registry.get("fraud", 2).manifest == second
    assert second.sha256 == hashlib.sha256(b"two").hexdigest()
    assert registry.versions("fraud") == (1, 2)
    assert registry.names() == ("fraud",)


def test_those_who_register_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    """Twenty registrations by four threads are twenty versions, each whole, and nothing half-built stays."""
    registry = Registry(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: register(registry, b"%d" % number), range(20)))
    assert sorted(manifest.version for manifest in made) == list(range(1, 21))
    assert all(registry.get("fraud", m.version).manifest == m for m in made)
    assert {path.name for path in (tmp_path / "fraud").iterdir()} == {"model.json", *(str(number) for number in range(1, 21))}


def test_an_alias_moves_and_others_stay(tmp_path: Path) -> None:
    """Promotion is one rename; rollback is another."""
    registry = Registry(tmp_path)
    for _ in range(2):
        register(registry)
    registry.set_alias("fraud", "staging", 2)
    registry.set_alias("fraud", "production", 1)
    registry.set_alias("fraud", "production", 2)
    assert registry.aliases("fraud") == {"staging": 2, "production": 2}
    assert registry.get("fraud", "production").manifest.version == 2


def test_aliases_set_at_once_are_both_kept(tmp_path: Path) -> None:
    """Whoever sets an alias reads and replaces the file alone."""
    registry = Registry(tmp_path)
    register(registry)
    names = [f"alias-{chr(97 + n)}" for n in range(20)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda alias: registry.set_alias("fraud", alias, 1), names))
    assert sorted(registry.aliases("fraud")) == names


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    """What is loaded is what was registered, or an error that says which is which."""
    registry = Registry(tmp_path)
    register(registry)
    (tmp_path / "fraud" / "1" / "model.onnx").write_bytes(b"other")
    with pytest.raises(SettingError, match="a version never changes"):
        registry.get("fraud", 1)


@pytest.mark.parametrize("name", ["../fraud", "", ".fraud", "a/b", "/fraud", "a\0"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    """Names that would leave the registry's folder, or hide in it, are refused."""
    with pytest.raises(SettingError, match="a name is letters"):
        register(Registry(tmp_path), name=name)


def test_what_is_absent_is_said_with_what_there_is(tmp_path: Path) -> None:
    """An unknown version, alias or model is named, beside the known ones."""
    registry = Registry(tmp_path)
    register(registry)
    registry.set_alias("fraud", "staging", 1)
    for wanted, message in {7: "no version 7; it has 1", "production": "no alias 'production'; it has staging"}.items():
        with pytest.raises(SettingError, match=message):
            registry.get("fraud", wanted)
    with pytest.raises(SettingError, match="none yet"):
        registry.get("other", 1)
    with pytest.raises(SettingError, match="an alias is lower-case"):
        registry.set_alias("fraud", "Production", 1)
    with pytest.raises(SettingError, match="64 at most; got 'ssss"):  # no topic and no file could be called so
        registry.set_alias("fraud", "s" * 250, 1)


def test_a_manifest_is_plain_json(tmp_path: Path) -> None:
    """Anyone can read which model this is without our code."""
    register(Registry(tmp_path))
    assert json.loads((tmp_path / "fraud" / "1" / "manifest.json").read_text())["signature"]["score"] == ["score", 0]


def test_a_version_that_is_removed_while_all_are_read_is_none(tmp_path: Path) -> None:
    """A list of versions beside a removal has those that stay; a manifest that is listed and not there is no such case."""
    registry = Registry(tmp_path)
    register(registry, b"one")
    register(registry, b"two")

    class Removing(FolderStore):
        """Another process removes the first version between a listing and its reading."""

        def read_all(self, paths: Sequence[str]) -> list[bytes]:
            if registry.versions("fraud") == (1, 2):
                registry.remove("fraud", 1, who="another")
            return super().read_all(paths)

    assert [one.version for one in Registry(Removing(tmp_path)).manifests()] == [2]
    (tmp_path / "fraud" / "2" / "manifest.json").unlink()
    (tmp_path / "fraud" / "2" / "manifest.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        registry.manifests()
