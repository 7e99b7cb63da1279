"""A model's session: only what answers as it did when it was added is put in service."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from features.errors import SettingError
from serving.models.admit import admit
from serving.models.manifest import Draft, Model, read_golden
from serving.models.registry import Registry
from serving.models.session import load_model
from tests.support.models import stumps
from tests.support.orders import PLAN


def registered(folder: Path) -> Model:
    """A version of two inputs."""
    registry = Registry(folder)
    registry.register(
        admit(stumps([0.25, 0.5]), PLAN, name="orders", created_at=0, inputs=("recent__sum_price", "recent__count"))
    )
    return registry.get("orders", 1)


def test_a_loaded_model_scores_rows(tmp_path: Path) -> None:
    """A number for each row; a null takes a branch of its own."""
    loaded = load_model(registered(tmp_path))
    low, high = loaded.score([(0, 0), (50, 50)]).scores
    assert low < 0.5 < high
    assert loaded.score([(50, None)]).scores == [high]


def test_a_model_that_answers_otherwise_is_not_loaded(tmp_path: Path) -> None:
    """Here another file in its place: the message says which row, and by which ONNX Runtime."""
    model = registered(tmp_path)
    other = stumps([0.25, 0.75])
    manifest = msgspec.structs.replace(model.manifest, sha256=hashlib.sha256(other).hexdigest())
    registry = Registry(tmp_path)
    registry.register(Draft(manifest, other, read_golden(model)))
    with pytest.raises(SettingError, match=r"model 'orders' 2: .* got score .* in row 0 \(ONNX Runtime .*; install that version"):
        load_model(registry.get("orders", 2))
