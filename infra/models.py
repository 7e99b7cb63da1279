"""The project's model registry, as the settings have it, and what training hands its model to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from features.inputs.reference import Reference
from features.plan import Plan
from infra.settings import Settings
from serving.models.admit import Given, admit
from serving.models.manifest import Manifest, Model, read_reference
from serving.models.registry import Registry


def registry_root(project: Path, settings: Settings) -> Path | str:
    """The registry's folder, or its URL."""
    return settings.registry if "://" in settings.registry else project / settings.registry


def registry_of(project: Path, settings: Settings) -> Registry:
    """The project's model registry."""
    return Registry(registry_root(project, settings))


def named(registry: Registry, written: str) -> Model:
    """``MODEL[@VERSION]``: the version of a number or an alias, or else the newest. Raises `SettingError` where there is none."""
    name, _, version = written.partition("@")
    registry.service_of(name)
    return registry.get(name, version or registry.newest(name))


def references(registry: Registry) -> Callable[[str, int], Reference | None]:
    """Gives the reference of a model's version; None where it has none, or is not there: predictions outlive what made them."""

    def given(name: str, version: int) -> Reference | None:
        if name not in registry.names() or version not in registry.versions(name):
            return None
        return read_reference(registry.get(name, version))

    return given


def registering(registry: Registry) -> Callable[..., Manifest]:
    """`jobs.training.train.Register`: a trained model is the next version in the registry, once it has passed every check."""

    def register(onnx: bytes, *, plan: Plan, golden_rows: Sequence[Sequence[Any]], **known: Any) -> Manifest:
        return registry.register(admit(onnx, plan, give=lambda columns: Given(golden_rows), **known))

    return register
