"""What a version of a model is, and its bytes, checked against that."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from features.errors import SettingError


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
    task: Literal["classification", "regression"] = "classification"
    lineage: dict[str, str] = {}
    """How it was made: its trainer, and that one's parameters."""


class Model(msgspec.Struct, frozen=True):
    """A version in the registry, and where its ONNX file lies."""

    manifest: Manifest
    path: Path


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file; raises `SettingError` where it is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"a manifest is written once and never changed; {path} gave {error}; use another version") from None


def read_onnx(model: Model) -> bytes:
    """The model's ONNX file; raises `SettingError` where its sha256 is not the manifest's."""
    manifest = model.manifest
    if not model.path.is_file():
        raise SettingError(f"model '{manifest.name}' {manifest.version} has no {model.path}; restore it, or use another version")
    onnx = model.path.read_bytes()
    found = hashlib.sha256(onnx).hexdigest()
    if found != manifest.sha256:
        raise SettingError(
            f"model '{manifest.name}' {manifest.version}: a version never changes; the manifest has sha256 "
            f"{manifest.sha256[:12]}…, {model.path} has {found[:12]}…; restore the file, or use another version"
        )
    return onnx
