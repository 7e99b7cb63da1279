"""What a version of a model is, and its bytes, checked against that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from features.errors import SettingError

MANIFEST, ONNX, GOLDEN = "manifest.json", "model.onnx", "golden"
"""The files of a version."""


class Manifest(msgspec.Struct, frozen=True):
    """What a version is: its bytes, its inputs and where they came from. Times are UTC milliseconds."""

    name: str
    version: int
    sha256: str
    """Of the ONNX file."""
    inputs: tuple[str, ...]
    """``<view>__<feature>``, in the order of the model's columns."""
    plan: str
    """The full digest of the plan that computed the training set."""
    service: str
    trained_from: int
    trained_until: int
    """Training rows lie in [trained_from, trained_until)."""
    metrics: dict[str, float]
    created_at: int


class Draft(msgspec.Struct, frozen=True):
    """What is to become a version: it passed every check, and has no number yet (its manifest's version is 0)."""

    manifest: Manifest
    onnx: bytes
    golden: bytes


class Model(msgspec.Struct, frozen=True):
    """A version in the registry, and what gives its files."""

    manifest: Manifest
    read: Callable[[str], bytes]
    """The bytes of `ONNX` or `GOLDEN`; raises `FileNotFoundError` where the file is gone."""


def read_manifest(content: bytes, path: str) -> Manifest:
    """The manifest that was read from ``path``; raises `SettingError` where it is none."""
    try:
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"a manifest is written once and never changed; {path} gave {error}; use another version") from None


def read_onnx(model: Model) -> bytes:
    """The model's ONNX file; raises `SettingError` where its sha256 is not the manifest's."""
    manifest = model.manifest
    try:
        onnx = model.read(ONNX)
    except FileNotFoundError:
        missing = f"model '{manifest.name}' {manifest.version} has no {ONNX}"
        raise SettingError(f"{missing}; restore it, or use another version") from None
    found = hashlib.sha256(onnx).hexdigest()
    if found != manifest.sha256:
        raise SettingError(
            f"model '{manifest.name}' {manifest.version}: a version never changes; the manifest has sha256 "
            f"{manifest.sha256[:12]}…, its {ONNX} has {found[:12]}…; restore the file, or use another version"
        )
    return onnx


def read_golden(model: Model) -> bytes:
    """The model's golden batch."""
    return model.read(GOLDEN)
