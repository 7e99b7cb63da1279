"""The model registry of a project, and how a trained model gets into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features.plan import Plan
    from serving.models.manifest import Manifest
    from serving.models.registry import Registry


def registering(registry: Registry) -> Callable[..., Manifest]:
    """What training registers its models with."""

    def register(onnx: bytes, *, plan: Plan, golden_rows: Any, **known: Any) -> Manifest:
        return registry.register(onnx, plan=plan.digest, **known)

    return register
