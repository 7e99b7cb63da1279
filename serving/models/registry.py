"""The models of a project: whole, unchanging versions, and for each service a log of what its environments serve.

::

    root/<name>/model.json                       the service that the model is for, written once
    root/<name>/<version>/model.onnx             written once: its creation takes the number
    root/<name>/<version>/golden                 written once
    root/<name>/<version>/reference.json         written once, of versions that were trained here
    root/<name>/<version>/manifest.json          written once, last: from then on the version is there
    root/<name>/<version>/tuned/<key>.json       how it runs best on such a machine, replaced whole
    root/<name>/<version>/removed.json           in its place once the version is removed
    root/deployments/<service>/<seq>.json        the entries of the log, 00000001.json first
    root/deployments/<service>/scorers/<n>.json  what a scorer serves now, replaced whole
    root/deployments/<service>/taken/…           how a scorer took an entry, and from which offsets, written once

The root is a folder, or a URL of an object store: files are created by one writer and whole, and there is no rename.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec

from features.errors import SettingError
from schemas.codec import UNREADABLE
from schemas.deployment import Placed
from serving.models.lifecycle import PRODUCTION, Change, Deployed, Entry, check_alias, entry_of
from serving.models.log import Log, user
from serving.models.manifest import (
    GOLDEN,
    MANIFEST,
    ONNX,
    REFERENCE,
    Draft,
    Manifest,
    Model,
    read_golden,
    read_manifest,
    read_onnx,
)
from serving.models.reports import Report, Taken
from serving.models.store import Store, open_store
from serving.models.tuned import TUNED, Machine, Tuned, path_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
DEPLOYMENTS, SCORERS, TAKEN = "deployments", "scorers", "taken"
OWNER, REMOVED = "model.json", "removed.json"

T = TypeVar("T")
_report, _taken = msgspec.json.Decoder(Report).decode, msgspec.json.Decoder(Taken).decode
"""Made as the module is imported: msgspec 0.22 may crash where two threads use a type for the first time."""


class Registry:
    """The models below a folder or a URL. Versions and entries of the log never change, whoever writes at the same time."""

    def __init__(self, root: Path | str | Store, clock: Callable[[], float] = time.time) -> None:
        self._store = open_store(root) if isinstance(root, Path | str) else root
        self._clock = clock
        self._logs: dict[str, Log] = {}
        self._said: set[str] = set()

    def register(self, draft: Draft) -> Manifest:
        """Store the draft as the next version of its model; two that register at once get two numbers.

        Raises `SettingError` where the model is for another service.
        """
        name, service = draft.manifest.name, draft.manifest.service
        self._own(name, service)
        version = max(self._numbers(name), default=0) + 1
        while not self._store.create(f"{name}/{version}/{ONNX}", draft.onnx):
            version += 1
        manifest = msgspec.structs.replace(draft.manifest, version=version)
        self._store.create(f"{name}/{version}/{GOLDEN}", draft.golden)
        if draft.reference is not None:
            self._store.create(f"{name}/{version}/{REFERENCE}", draft.reference)
        self._store.create(f"{name}/{version}/{MANIFEST}", _json(manifest))
        return manifest

    def get(self, name: str, version_or_alias: int | str) -> Model:
        """A version by its number or by an alias, its bytes checked against the manifest."""
        manifest = self.manifest(name, version_or_alias)
        folder = f"{name}/{manifest.version}"
        model = Model(manifest, cache(lambda file: self._store.read(f"{folder}/{file}")))  # what is checked is what is loaded
        read_onnx(model)
        return model

    def manifest(self, name: str, version_or_alias: int | str) -> Manifest:
        """What a version is, its bytes unread."""
        version = self.version(name, version_or_alias)
        path = f"{_checked(name)}/{version}/{MANIFEST}"
        try:
            return read_manifest(self._store.read(path), path)
        except FileNotFoundError:
            known = ", ".join(map(str, self.versions(name))) or "none yet: train one"
            raise SettingError(f"model '{name}' has no version {version}; it has {known}") from None

    def version(self, name: str, version_or_alias: int | str) -> int:
        """The version that a number or an alias means, which need not be there. Raises `SettingError` for an unknown alias."""
        if isinstance(version_or_alias, int):
            return version_or_alias
        if version_or_alias.isdecimal():
            return int(version_or_alias)
        aliases = self.aliases(name)
        if version_or_alias not in aliases:
            known = ", ".join(sorted(aliases)) or "none yet: promote a version"
            raise SettingError(f"model '{name}' has no alias '{version_or_alias}'; it has {known}")
        return aliases[version_or_alias]

    def versions(self, name: str) -> tuple[int, ...]:
        """The version numbers of ``name``, ascending."""
        return tuple(sorted(_versions(self._store.paths(_checked(name)))))

    def newest(self, name: str) -> int:
        """The newest version of ``name``; 1 where it has none, which need not be there."""
        return max(self.versions(name), default=1)

    def names(self) -> tuple[str, ...]:
        """The models that have a version."""
        found: dict[str, list[str]] = {}
        for path in self._store.paths():
            name, _, rest = path.partition("/")
            found.setdefault(name, []).append(rest)
        return tuple(name for name in sorted(found) if NAME.fullmatch(name) and name != DEPLOYMENTS and _versions(found[name]))

    def manifests(self) -> list[Manifest]:
        """What every version of every model is, by name and number, the bytes of the models unread."""
        paths = self._manifests()
        while True:
            try:
                contents = self._store.read_all(paths)
            except FileNotFoundError:  # a version was removed since the listing
                before, paths = paths, self._manifests()
                if paths == before:
                    raise
            else:
                return [read_manifest(content, path) for path, content in zip(paths, contents, strict=True)]

    def service_of(self, name: str) -> str:
        """The service that a model is for. Raises `SettingError` where there is no such model."""
        service = self._service(name)
        if service is None:
            known = ", ".join(self.names()) or "none yet: train one"
            raise SettingError(f"a model is in the registry; got '{name}'; it has {known}")
        return service

    def aliases(self, name: str) -> dict[str, int]:
        """The environments that a version of ``name`` serves; the canary is a share of production, and none of them."""
        service = self._service(name)
        if service is None:
            return {}
        return {alias: placed.version for alias, placed in self.deployed(service).aliases.items() if placed.model == name}

    def deployed(self, service: str) -> Deployed:
        """What the environments of a service serve."""
        return self._log(service).read()[1]

    def entries(self, service: str, after: int = 0) -> list[Entry]:
        """The log of a service, from the entry after the ``after``-th on."""
        return list(self._log(service).read()[0][after:])

    def services(self) -> tuple[str, ...]:
        """The services that have a log."""
        return tuple(sorted({path.partition("/")[0] for path in self._store.paths(DEPLOYMENTS)}))

    def change(self, service: str, change: Change) -> Entry:
        """Append a change to the log of a service; gives its entry.

        Raises `SettingError` where it is not legal after what the log has by then, or its version is not whole.
        """
        log, token = self._log(service), uuid.uuid4().hex
        while True:
            entry = self._entry(service, log.read()[1], change, token)
            if log.append(entry):
                return entry

    def check(self, service: str, change: Change) -> None:
        """Raise what `change` would, as things are now."""
        self._entry(service, self.deployed(service), change, "")

    def _entry(self, service: str, deployed: Deployed, change: Change, token: str) -> Entry:
        if self.service_of(change.model) != service:
            raise SettingError(
                f"a model is for one service; got {change.model} for {service}, and it is for {self.service_of(change.model)}; "
                "register it under another name"
            )
        entry = entry_of(deployed, change, at=round(self._clock() * 1000), id=token)
        if entry.placed and entry.placed != entry.before and entry.action != "remove":
            read_golden(self.get(entry.placed.model, entry.placed.version))  # nobody loads it without
        return entry

    def set_alias(self, name: str, alias: str, version: int, *, who: str | None = None) -> None:
        """Point an environment at a version, where it does not yet: a promotion, or a shadow."""
        check_alias(alias)
        self.manifest(name, version)
        service = self.service_of(name)
        if self.deployed(service).aliases.get(alias) == Placed(name, version):
            return
        wanted = Change(action="promote", model=name, version=version, who=who or user())
        if alias != PRODUCTION:
            wanted = msgspec.structs.replace(wanted, action="alias", alias=alias)
        self.change(service, wanted)

    def remove(self, name: str, version: int, *, who: str, why: str = "") -> Entry | None:
        """Remove a version that no environment has; its number is not used again. None: the log says so already.

        Its manifest stays as removed.json, so that receipts of its predictions can be read.
        """
        service, entry = self.service_of(name), None
        if Placed(name, version) not in self.deployed(service).removed:
            self.manifest(name, version)
            entry = self.change(service, Change(action="remove", model=name, version=version, who=who, why=why))
        folder = f"{name}/{version}"
        if version in self.versions(name):
            self._store.replace(f"{folder}/{REMOVED}", self._store.read(f"{folder}/{MANIFEST}"))
        measured = [f"{TUNED}/{file}" for file in self._store.paths(f"{folder}/{TUNED}")]
        for file in (MANIFEST, ONNX, GOLDEN, REFERENCE, *measured):
            self._store.delete(f"{folder}/{file}")
        return entry

    def tune(self, name: str, version: int, tuned: Tuned) -> None:
        """Keep how a version runs best on a machine, in place of what was measured there before."""
        self.manifest(name, version)
        self._store.replace(path_of(name, version, tuned.machine), _json(tuned))

    def forget_tuned(self, name: str, version: int, machine: Machine) -> None:
        """Have a version run on such a machine as it does everywhere."""
        self.manifest(name, version)
        self._store.delete(path_of(name, version, machine))

    def report(self, service: str, instance: str, report: Report) -> None:
        """Keep what a scorer of a service serves now, in place of what it said before; what it first says of a change stays."""
        name, log = quote(instance, safe="").replace(".", "%2E"), f"{DEPLOYMENTS}/{_checked(service)}"
        for serving in report.serving:
            path = f"{log}/{TAKEN}/{serving.seq}-{serving.alias}-{serving.state}-{name}.json"
            if path not in self._said:
                self._store.create(path, _json(Taken(instance, serving)))
                self._said.add(path)
        self._store.replace(f"{log}/{SCORERS}/{name}.json", _json(report))

    def reports(self, service: str) -> list[Report]:
        """What the scorers of a service said last, each when it was there."""
        return self._written(f"{DEPLOYMENTS}/{_checked(service)}/{SCORERS}", _report)

    def taken(self, service: str) -> list[Taken]:
        """How the scorers of a service took the entries of its log: what each said first, of a failure and of a success."""
        return self._written(f"{DEPLOYMENTS}/{_checked(service)}/{TAKEN}", _taken)

    def _manifests(self) -> list[str]:
        """Where the manifests are, by name and number."""
        found = []
        for path in self._store.paths():
            name, version, file = (*path.split("/"), "", "")[:3]
            if name != DEPLOYMENTS and version.isdecimal() and file == MANIFEST:
                found.append((name, int(version), path))
        return [path for _, _, path in sorted(found)]

    def _written(self, folder: str, decode: Callable[[bytes], T]) -> list[T]:
        """What scorers wrote in a folder."""
        paths = [f"{folder}/{name}" for name in self._store.paths(folder)]
        try:
            return [decode(content) for content in self._store.read_all(paths)]
        except UNREADABLE as error:
            raise SettingError(f"what scorers say is written by them alone; {folder} has {error}; remove that file") from None

    def _service(self, name: str) -> str | None:
        """The service that a model is for; None where there is no such model."""
        try:
            content = self._store.read(f"{_checked(name)}/{OWNER}")
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(content, type=dict[str, str])["service"]
        except (*UNREADABLE, KeyError) as error:
            raise SettingError(f"{name}/{OWNER} is written once and never changed; it gave {error!r}; restore it") from None

    def _own(self, name: str, service: str) -> None:
        """Give a new model's name to a service."""
        if name == DEPLOYMENTS:
            raise SettingError(f"the registry keeps its logs in '{DEPLOYMENTS}'; got it as a model's name; use another")
        if self._store.create(f"{_checked(name)}/{OWNER}", _json({"service": service})):
            return
        owner = self.service_of(name)
        if owner != service:
            raise SettingError(f"a model is for one service; '{name}' is for {owner}; got it for {service}; use another name")

    def _numbers(self, name: str) -> set[int]:
        """The numbers that are taken: also those that are removed, and those that are being written, or were given up."""
        return {int(path.partition("/")[0]) for path in self._store.paths(name) if path.partition("/")[0].isdecimal()}

    def _log(self, service: str) -> Log:
        if service not in self._logs:
            self._logs[service] = Log(self._store, f"{DEPLOYMENTS}/{_checked(service)}", service)
        return self._logs[service]


def _versions(paths: list[str]) -> set[int]:
    """The versions that have a manifest, of a model's files."""
    found = (path.partition("/") for path in paths)
    return {int(version) for version, _, file in found if version.isdecimal() and file == MANIFEST}


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise SettingError(f"a name is letters, digits, _, - and ., no dot first; got '{name}'; try 'orders'")
    return name


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)
