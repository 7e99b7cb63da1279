"""What a service's environments serve, and which changes of it are legal: pure functions over the entries of its log.

An environment is one version at a time. ``production`` is what users see; every other alias is a shadow of it, which scores the
same stream for nobody to act on; a canary takes a share of production's keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import msgspec

from features.errors import SettingError
from schemas.deployment import Action, LogEntry, Placed

PRODUCTION, CANARY = "production", "canary"
ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
"""Short enough for the name of a topic and of a file."""


class Canary(msgspec.Struct, frozen=True):
    """A version that serves a share of production's keys."""

    model: str
    version: int
    share: float
    """In (0, 1)."""

    @property
    def placed(self) -> Placed:
        """The version."""
        return Placed(self.model, self.version)


class Deployed(msgspec.Struct, frozen=True):
    """What a service's environments serve after the first ``seq`` entries of its log."""

    service: str
    seq: int = 0
    aliases: dict[str, Placed] = {}
    canary: Canary | None = None
    previous: tuple[Placed, ...] = ()
    """What production was before, the oldest first: each version once, none that is removed."""
    removed: tuple[Placed, ...] = ()

    @property
    def production(self) -> Placed | None:
        """What users see."""
        return self.aliases.get(PRODUCTION)

    def must_have_production(self) -> Placed:
        """The same; raises `SettingError` where there is nothing."""
        if self.production is None:
            raise SettingError(
                f"what serves is what is in production; service '{self.service}' has no model there; train one with 'headrace "
                f"train {self.service} --from DATE --promote production', or put one there with 'headrace models promote'"
            )
        return self.production

    def names_of(self, placed: Placed) -> list[str]:
        """The environments that have a version, the canary among them."""
        canary = [CANARY] if self.canary and self.canary.placed == placed else []
        return sorted(alias for alias, has in self.aliases.items() if has == placed) + canary


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants."""

    action: Action
    model: str
    version: int | None = None
    """None: of a rollback, and where a shadow ends."""
    alias: str | None = None
    """The environment that ``alias`` is about; the other actions have one of their own, or none."""
    share: float | None = None
    who: str = ""
    why: str = ""
    forced: bool = False


class Entry(LogEntry, frozen=True):
    """A change that was made."""

    id: str
    """Of the change: its writer knows by it whether the entry is its own."""

    @property
    def environment(self) -> str | None:
        """Whose version it changes; None: it removes one that no environment has."""
        return CANARY if self.action == "canary" else self.alias


def entry_of(deployed: Deployed, change: Change, *, at: int, id: str) -> Entry:  # noqa: A002
    """The log's next entry, where the change is legal after those before. Raises `SettingError` where it is not."""
    alias, placed, before = LEGAL[change.action](deployed, change)
    return Entry(
        seq=deployed.seq + 1,
        service=deployed.service,
        action=change.action,
        alias=alias,
        model=placed.model if placed else change.model,
        version=placed.version if placed else None,
        share=change.share if change.action == "canary" else None,
        before=before,
        who=change.who,
        why=change.why,
        at=at,
        forced=change.forced,
        id=id,
    )


def apply(deployed: Deployed, entry: Entry) -> Deployed:
    """What is deployed after one more entry, which was legal when it was written."""
    after = APPLY[entry.action](deployed, entry)
    return msgspec.structs.replace(after, seq=entry.seq)


def replay(service: str, entries: Iterable[Entry]) -> Deployed:
    """What is deployed after all entries of a log."""
    deployed = Deployed(service)
    for entry in entries:
        deployed = apply(deployed, entry)
    return deployed


def check_alias(alias: str) -> None:
    """Raise `SettingError` where this is no name of an environment."""
    if not ALIAS.fullmatch(alias):
        raise SettingError(
            f"an alias is lower-case letters, digits, _ and -, a letter first, 64 at most; got '{alias:.80}'; try 'staging'"
        )
    if alias == CANARY:
        raise SettingError("a canary is a share of production, and no alias; got 'canary'; use 'headrace models canary'")


Decided = tuple[str | None, Placed | None, Placed | None]
"""The environment, its version from now on, and the version before."""


def _promote(deployed: Deployed, change: Change) -> Decided:
    placed, before = _wanted(deployed, change), deployed.production
    if placed == before:
        raise SettingError(f"a promotion changes production; it is {placed} already; nothing to do")
    return PRODUCTION, placed, before


def _rollback(deployed: Deployed, change: Change) -> Decided:
    before = deployed.production
    if before is None or before.model != change.model:
        has = f"is {before}" if before else "has no version"
        raise SettingError(
            f"a rollback takes production back from the model that it names; got {change.model}, and production of "
            f"{deployed.service} {has}; name the model that is there, or promote a version"
        )
    if not deployed.previous:
        raise SettingError(
            f"a rollback goes to the version that production had before; before {before} there is none; promote a version"
        )
    return PRODUCTION, deployed.previous[-1], before


def _canary(deployed: Deployed, change: Change) -> Decided:
    now = deployed.canary
    if change.share is None or not 0 <= change.share < 1:
        raise SettingError(f"a canary's share is above 0 and below 1, or 0 to end it; got {change.share}; write 0.05, say")
    if change.share == 0:
        if now is None or now.model != change.model or now.version != change.version:
            has = f"is {now.placed}" if now else "there is none"
            raise SettingError(f"a share of 0 ends the canary; got {change.model} v{change.version}, and {has}; nothing to end")
        return PRODUCTION, now.placed, now.placed
    placed = _wanted(deployed, change)
    if deployed.production is None:
        raise SettingError(
            f"a canary takes a share of production; got {placed}, and {deployed.service} has none in production; promote one"
        )
    if deployed.production == placed:
        raise SettingError(f"a canary is tried beside production; got {placed}, which is production; name another version")
    if now == Canary(placed.model, placed.version, change.share):
        raise SettingError(f"a canary changes its version or its share; it is {placed} at {now.share:g} already; nothing to do")
    return PRODUCTION, placed, now.placed if now else None


def _alias(deployed: Deployed, change: Change) -> Decided:
    alias = change.alias or ""
    check_alias(alias)
    if alias == PRODUCTION:
        raise SettingError("production is promoted and rolled back; got it as a shadow's alias; use another name, or promote")
    before = deployed.aliases.get(alias)
    if change.version is None:
        if before is None or before.model != change.model:
            has = f"is {before}" if before else "has no version"
            raise SettingError(
                f"a shadow ends where it is; got {change.model}, and '{alias}' of {deployed.service} {has}; nothing to end"
            )
        return alias, None, before
    placed = _wanted(deployed, change)
    if placed == before:
        raise SettingError(f"an alias is moved to another version; '{alias}' is {placed} already; nothing to do")
    return alias, placed, before


def _remove(deployed: Deployed, change: Change) -> Decided:
    placed = _wanted(deployed, change)
    names = deployed.names_of(placed)
    if names:
        raise SettingError(
            f"a version is removed that no environment has; got {placed}, which is {' and '.join(names)} of {deployed.service}; "
            "promote another version, or end that first"
        )
    return None, placed, None


def _stays(deployed: Deployed, change: Change) -> Decided:
    """What is declined, postponed or failed has no version: it was never registered. The entry names what stays in production."""
    if deployed.production is None:
        raise SettingError(
            f"'{change.action}' is said beside a version in production; {deployed.service} has none there; promote a version"
        )
    return None, deployed.production, deployed.production


def _wanted(deployed: Deployed, change: Change) -> Placed:
    """The version that the change names. Raises `SettingError` where it names none, or one that is removed."""
    if change.version is None:
        raise SettingError(f"a change names a version; got none for '{change.action}' of {change.model}; name one")
    placed = Placed(change.model, change.version)
    if placed in deployed.removed:
        raise SettingError(f"a version that was removed does not come back; got {placed}; use another version")
    return placed


def _to_production(deployed: Deployed, placed: Placed, previous: tuple[Placed, ...], canary: Canary | None) -> Deployed:
    aliases = {**deployed.aliases, PRODUCTION: placed}
    return msgspec.structs.replace(deployed, aliases=aliases, canary=canary, previous=previous)


def _promoted(deployed: Deployed, entry: Entry) -> Deployed:
    """What is promoted a second time is remembered where it was last: a rollback never goes to what was just left."""
    placed = _placed(entry)
    known = [*deployed.previous, *([deployed.production] if deployed.production else [])]
    canary = deployed.canary if deployed.canary and deployed.canary.placed != placed else None
    return _to_production(deployed, placed, tuple(one for one in known if one != placed), canary)


def _rolled_back(deployed: Deployed, entry: Entry) -> Deployed:
    return _to_production(deployed, _placed(entry), deployed.previous[:-1], canary=None)


def _shared(deployed: Deployed, entry: Entry) -> Deployed:
    placed, share = _placed(entry), entry.share
    return msgspec.structs.replace(deployed, canary=Canary(placed.model, placed.version, share) if share else None)


def _aliased(deployed: Deployed, entry: Entry) -> Deployed:
    others = {alias: placed for alias, placed in deployed.aliases.items() if alias != entry.alias}
    placed = {} if entry.placed is None else {entry.alias or "": entry.placed}
    return msgspec.structs.replace(deployed, aliases=others | placed)


def _removed(deployed: Deployed, entry: Entry) -> Deployed:
    placed = _placed(entry)
    previous = tuple(one for one in deployed.previous if one != placed)
    return msgspec.structs.replace(deployed, previous=previous, removed=(*deployed.removed, placed))


def _stayed(deployed: Deployed, entry: Entry) -> Deployed:
    return deployed


def _placed(entry: Entry) -> Placed:
    if entry.placed is None:
        raise SettingError(f"entry {entry.seq} of {entry.service}'s log names a version; got none; restore the log")
    return entry.placed


LEGAL: dict[Action, Callable[[Deployed, Change], Decided]] = {
    "promote": _promote,
    "rollback": _rollback,
    "canary": _canary,
    "alias": _alias,
    "remove": _remove,
    "decline": _stays,
    "postpone": _stays,
    "fail": _stays,
}
APPLY: dict[Action, Callable[[Deployed, Entry], Deployed]] = {
    "promote": _promoted,
    "rollback": _rolled_back,
    "canary": _shared,
    "alias": _aliased,
    "remove": _removed,
    "decline": _stayed,
    "postpone": _stayed,
    "fail": _stayed,
}
"""What each action asks for, and what it does."""
