"""What a version of a model is, and its bytes, checked against that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from features.errors import SettingError
from features.inputs.reference import Reference, decode_reference
from features.inputs.signature import Signature, Task
from schemas.codec import UNREADABLE
from schemas.deployment import Placed

MANIFEST, ONNX, GOLDEN, REFERENCE = "manifest.json", "model.onnx", "golden", "reference.json"
"""The files of a version."""


class Golden(msgspec.Struct, frozen=True):
    """The golden batch: rows with the predictions that the model gave when it was added (`serving.models.golden`)."""

    sha256: str
    rows: int
    spread: float
    """The largest difference of a row's score between batches of 1, 7 and 256 rows: 0 for trees."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a version is: its bytes, what it takes and gives, and where it came from. Times are UTC milliseconds."""

    name: str
    version: int
    """0 as long as it is a draft."""
    service: str
    sha256: str
    """Of the ONNX file."""
    plan: str
    """The full digest of the plan whose feature vectors it scores."""
    signature: Signature
    task: Task
    created_at: int
    golden: Golden
    onnxruntime: str
    """The version that made the golden batch's predictions."""
    cpu: tuple[str, ...] = ()
    """The vector instructions of the CPU that did."""
    trained_from: int | None = None
    trained_until: int | None = None
    """Training rows lie in [trained_from, trained_until); None: nobody said."""
    metrics: dict[str, float] = {}
    note: str = ""
    lineage: dict[str, str] = {}
    """Where it came from, in words: the trainer, the source."""
    reference: str | None = None
    """The sha256 of what live inputs and scores are held against (`features.inputs.reference`); None: there is none."""
    segments: tuple[str, ...] = ()
    """The columns of the event that its receipts carry, though they are no inputs: its predictions are watched apart by them."""

    @property
    def placed(self) -> Placed:
        """The version, as an environment has it."""
        return Placed(self.name, self.version)

    @property
    def inputs(self) -> tuple[str, ...]:
        """``<view>__<feature>``, in the order of the model's columns, a list as its columns."""
        return self.signature.columns


class Draft(msgspec.Struct, frozen=True):
    """What is to become a version: it passed every check, and has no number yet (its manifest's version is 0)."""

    manifest: Manifest
    onnx: bytes
    golden: bytes
    reference: bytes | None = None


class Model(msgspec.Struct, frozen=True):
    """A version in the registry, and what gives its files."""

    manifest: Manifest
    read: Callable[[str], bytes]
    """The bytes of a file beside the manifest, `ONNX` or `GOLDEN` say; raises `FileNotFoundError` where it is gone."""


_manifest = msgspec.json.Decoder(Manifest).decode
"""Made as the module is imported: msgspec 0.22 may crash where two threads use a type for the first time."""


def read_manifest(content: bytes, path: str) -> Manifest:
    """The manifest that was read from ``path``; raises `SettingError` where it is none."""
    try:
        return _manifest(content)
    except UNREADABLE as error:
        raise SettingError(f"a manifest is written once and never changed; {path} gave {error}; use another version") from None


def read_onnx(model: Model) -> bytes:
    """The model's ONNX file; raises `SettingError` where its sha256 is not the manifest's."""
    return _verified(model, ONNX, model.manifest.sha256)


def read_golden(model: Model) -> bytes:
    """The model's golden batch; raises `SettingError` where its sha256 is not the manifest's."""
    return _verified(model, GOLDEN, model.manifest.golden.sha256)


def read_reference(model: Model) -> Reference | None:
    """What the version's inputs and scores were in training; None where nobody kept it: a version that was added, or an old one.

    Raises `SettingError` where its sha256 is not the manifest's.
    """
    expected = model.manifest.reference
    return None if expected is None else decode_reference(_verified(model, REFERENCE, expected))


def _verified(model: Model, file: str, sha256: str) -> bytes:
    manifest = model.manifest
    try:
        content = model.read(file)
    except FileNotFoundError:
        raise SettingError(
            f"model '{manifest.name}' {manifest.version} has no {file}; restore it, or use another version"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise SettingError(
            f"model '{manifest.name}' {manifest.version}: a version never changes; the manifest has sha256 "
            f"{sha256[:12]}…, its {file} has {found[:12]}…; restore the file, or use another version"
        )
    return content
