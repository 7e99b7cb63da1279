"""The project's model registry, as the settings have it, and what training hands its model to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from features.inputs.matrix import matrix
from features.plan import Plan
from infra.settings import Settings
from serving.models.admit import Given, admit
from serving.models.manifest import Manifest, Task
from serving.models.registry import Registry


def registry_root(project: Path, settings: Settings) -> Path | str:
    """The registry's folder, or its URL."""
    return settings.registry if "://" in settings.registry else project / settings.registry


def registry_of(project: Path, settings: Settings) -> Registry:
    """The project's model registry."""
    return Registry(registry_root(project, settings))


def registering(registry: Registry) -> Callable[..., Manifest]:
    """A function that makes a trained model the next version in the registry, once it has passed every check."""

    def register(
        onnx: bytes,
        *,
        name: str,
        service: str,
        inputs: tuple[str, ...],
        plan: Plan,
        task: Task,
        trained_from: int,
        trained_until: int,
        metrics: Mapping[str, float],
        lineage: Mapping[str, str],
        created_at: int,
        golden_rows: Sequence[Sequence[Any]],
    ) -> Manifest:
        """``golden_rows`` are test rows in the order of ``inputs``: what the model learned from are their float32."""
        rows = matrix(golden_rows).tolist()
        draft = admit(
            onnx,
            plan,
            name=name,
            created_at=created_at,
            inputs=inputs,
            task=task,
            give=lambda columns: Given(rows),
            trained_from=trained_from,
            trained_until=trained_until,
            metrics=metrics,
            lineage=lineage,
        )
        return registry.register(draft)

    return register
