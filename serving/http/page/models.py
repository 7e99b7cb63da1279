"""The panel of models: a service's versions, the environments that have them, their shares, and how they do."""

from __future__ import annotations

import time

import msgspec

from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Sources
from serving.models.environments import Environment, environments
from serving.models.manifest import Manifest

MOST = 25
"""Versions that are shown: those that an environment has, and the newest others."""


class Version(msgspec.Struct, frozen=True):
    """A version of a model. Times are UTC milliseconds."""

    model: str
    version: int
    created_at: int
    trained_from: int | None
    trained_until: int | None
    metrics: dict[str, float]
    """On the test days."""
    environments: list[Environment]


class Models(msgspec.Struct, frozen=True):
    """The versions of a service, those in an environment first."""

    versions: list[Version]
    others: int
    """How many more there are."""


def models(sources: Sources, service: str) -> Models | Empty:
    """What the registry has of a service. The manifests that are read are those that are shown."""
    registry = sources.registry
    names = [name for name in registry.names() if registry.service_of(name) == service]
    numbers = [(name, version) for name in names for version in registry.versions(name)]
    if not numbers:
        say = f"{service} has no model yet: train one and put it in production."
        return Empty(say, f"headrace train {service} --promote production")
    now = round(time.time() * 1000)
    serving = environments(registry.deployed(service), registry.entries(service), registry.reports(service), now)
    order = [(one.placed.model, one.placed.version) for one in serving]
    order += sorted(numbers, key=lambda one: (-one[1], one[0]))
    shown = list(dict.fromkeys(one for one in order if one in numbers))[:MOST]
    versions = [_version(registry.manifest(name, version), serving) for name, version in shown]
    return Models(versions, len(numbers) - len(shown))


def _version(manifest: Manifest, serving: list[Environment]) -> Version:
    return Version(
        manifest.name,
        manifest.version,
        manifest.created_at,
        manifest.trained_from,
        manifest.trained_until,
        manifest.metrics,
        [one for one in serving if one.placed == manifest.placed],
    )


MODELS = Panel("models", "the model registry", models, 5)
