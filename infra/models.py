"""The project's model registry, as the settings have it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from infra.settings import Settings
from serving.models.golden import Batch
from serving.models.manifest import Draft, Manifest
from serving.models.registry import Registry


def registry_root(project: Path, settings: Settings) -> Path | str:
    """The registry's folder, or its URL."""
    return settings.registry if "://" in settings.registry else project / settings.registry


def registry_of(project: Path, settings: Settings) -> Registry:
    """The project's model registry."""
    return Registry(registry_root(project, settings))


def registering(registry: Registry) -> Callable[..., Manifest]:
    """What training hands its model to: the model becomes the next version in the registry."""

    def register(
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
    ) -> Manifest:
        manifest = Manifest(
            name=name,
            version=0,
            sha256=hashlib.sha256(onnx).hexdigest(),
            inputs=tuple(inputs),
            plan=plan,
            service=service,
            trained_from=trained_from,
            trained_until=trained_until,
            metrics=dict(metrics),
            created_at=created_at,
        )
        golden = Batch([[n / 2 for _ in inputs] for n in range(64)], [], None)
        return registry.register(Draft(manifest, onnx, msgspec.json.encode(golden)))

    return register
