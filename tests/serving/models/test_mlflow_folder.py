"""What is taken of a downloaded MLflow model is in its folder, whatever its MLmodel says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from features.errors import SettingError
from serving.models.from_mlflow import onnx_of


def downloaded(folder: Path, **flavor: object) -> bytes:
    """The ONNX file of a model whose MLmodel says so of its flavor onnx."""
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "model.onnx").write_bytes(b"its own")
    (folder / "of another.onnx").write_bytes(b"a file of this machine")
    return onnx_of("models:/orders/1", SimpleNamespace(flavors={"onnx": flavor}), folder / "model")


def test_the_file_that_it_names(tmp_path: Path) -> None:
    """It is bytes: nothing of it is run."""
    assert downloaded(tmp_path, data="model.onnx") == b"its own"


@pytest.mark.parametrize("outside", ["../of another.onnx", "{folder}/of another.onnx", "link.onnx", None, 7])
def test_a_file_elsewhere_is_refused(tmp_path: Path, outside: object) -> None:
    """Whoever may write into an MLflow registry would have a file of this machine registered as a model."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "link.onnx").symlink_to(tmp_path / "of another.onnx")
    named = outside.format(folder=tmp_path) if isinstance(outside, str) else outside
    with pytest.raises(SettingError, match="a model's file is in its folder; models:/orders/1 names "):
        downloaded(tmp_path, data=named)
