"""The life cycle: which changes are legal, what they do, and that a replay gives the same, whoever wrote the log."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import SettingError
from serving.models.lifecycle import Canary, Change, Deployed, Entry, Placed, apply, entry_of, replay


def change(action: Any, version: int | None = None, model: str = "orders", **more: Any) -> Change:
    """A change of the model ``orders``."""
    return Change(action=action, model=model, version=version, **more)


def after(*changes: Change) -> Deployed:
    """What is deployed after legal changes."""
    deployed = Deployed("orders")
    for one in changes:
        deployed = apply(deployed, entry_of(deployed, one, at=1, id="a"))
    return deployed


def refused(deployed: Deployed, one: Change) -> str:
    """The one line that a change is refused with."""
    with pytest.raises(SettingError) as caught:
        entry_of(deployed, one, at=1, id="a")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_promotion_remembers_what_was_there_and_a_rollback_goes_back() -> None:
    """Further back each time, never to the one just left, and not at all where there is none before."""
    three = after(change("promote", 1), change("promote", 2), change("promote", 3))
    assert (three.production, three.previous) == (Placed("orders", 3), (Placed("orders", 1), Placed("orders", 2)))
    entry = entry_of(three, change("rollback"), at=7, id="b")
    assert (entry.placed, entry.before, entry.alias, entry.at) == (Placed("orders", 2), Placed("orders", 3), "production", 7)
    once = apply(three, entry)
    twice = apply(once, entry_of(once, change("rollback"), at=8, id="c"))
    assert (once.production, twice.production) == (Placed("orders", 2), Placed("orders", 1))
    assert "before orders v1 there is none" in refused(twice, change("rollback"))
    again = after(*(change("promote", version) for version in (1, 2, 1, 2)), change("rollback"))
    assert (again.production, again.previous) == (Placed("orders", 1), ())


def test_a_rollback_ends_the_canary_and_passes_over_what_is_removed() -> None:
    """The canary was tried beside the version that is taken back."""
    deployed = after(
        change("promote", 1), change("promote", 2), change("promote", 3), change("canary", 4, share=0.05), change("remove", 2)
    )
    assert deployed.canary == Canary("orders", 4, 0.05)
    back = apply(deployed, entry_of(deployed, change("rollback"), at=1, id="b"))
    assert (back.production, back.canary) == (Placed("orders", 1), None)


def test_the_promotion_of_the_canary_ends_it_and_another_one_does_not() -> None:
    """A canary is compared with production, whichever that is."""
    begun = (change("promote", 1), change("canary", 2, share=0.05))
    assert after(*begun, change("promote", 2)).canary is None
    assert after(*begun, change("promote", 3)).canary == Canary("orders", 2, 0.05)


def test_a_canary_has_a_share_a_version_and_a_production_beside_it() -> None:
    """Each rule has its line."""
    one = after(change("promote", 1))
    two = after(change("promote", 1), change("canary", 2, share=0.05))
    assert "above 0 and below 1" in refused(one, change("canary", 2, share=1.0))
    assert "above 0 and below 1" in refused(one, change("canary", 2, share=float("nan")))
    assert "has none in production" in refused(Deployed("orders"), change("canary", 2, share=0.5))
    assert "which is production" in refused(one, change("canary", 1, share=0.5))
    assert "there is none; nothing to end" in refused(one, change("canary", 2, share=0.0))
    assert "is orders v2; nothing to end" in refused(two, change("canary", 3, share=0.0))
    assert "at 0.05 already" in refused(two, change("canary", 2, share=0.05))
    assert after(change("promote", 1), change("canary", 2, share=0.05), change("canary", 2, share=0.2)).canary == Canary(
        "orders", 2, 0.2
    )
    ended = entry_of(two, change("canary", 2, share=0.0), at=1, id="b")
    assert (ended.placed, ended.before, apply(two, ended).canary) == (Placed("orders", 2), Placed("orders", 2), None)


def test_a_shadow_has_a_name_of_its_own_and_ends() -> None:
    """Any but those of production and of its canary."""
    shadow = after(change("alias", 1, alias="staging"))
    assert shadow.aliases == {"staging": Placed("orders", 1)}
    assert shadow.production is None
    assert apply(shadow, entry_of(shadow, change("alias", alias="staging"), at=1, id="b")).aliases == {}
    assert "promoted and rolled back" in refused(shadow, change("alias", 1, alias="production"))
    assert "a share of production, and no alias" in refused(shadow, change("alias", 1, alias="canary"))
    assert "lower-case" in refused(shadow, change("alias", 1, alias="Staging"))
    assert "is orders v1 already" in refused(shadow, change("alias", 1, alias="staging"))
    assert "'other' of orders has no version" in refused(shadow, change("alias", alias="other"))


def test_what_serves_is_not_removed_and_what_is_removed_does_not_serve() -> None:
    """Its number is not used again."""
    deployed = after(
        change("promote", 1), change("canary", 2, share=0.5), change("alias", 3, alias="staging"), change("remove", 4)
    )
    for version, name in {1: "production", 2: "canary", 3: "staging"}.items():
        assert f"which is {name} of orders" in refused(deployed, change("remove", version))
    for one in (change("promote", 4), change("canary", 4, share=0.1), change("alias", 4, alias="staging"), change("remove", 4)):
        assert "does not come back; got orders v4" in refused(deployed, one)


def test_a_rollback_names_the_model_that_is_in_production() -> None:
    """A service may have several models: one of them is not taken back in the name of another."""
    deployed = after(change("promote", 1), change("promote", 1, model="others"))
    assert "got orders, and production of orders is others v1" in refused(deployed, change("rollback"))
    back = apply(deployed, entry_of(deployed, change("rollback", model="others"), at=1, id="b"))
    assert back.production == Placed("orders", 1)


class Simple:
    """The life cycle as one would tell it: ``line`` has what production was, the last is what it is now."""

    def __init__(self) -> None:
        self.line: list[Placed] = []
        self.shadows: dict[str, Placed] = {}
        self.canary: tuple[Placed, float] | None = None
        self.removed: set[Placed] = set()

    def is_legal(self, one: Change) -> bool:
        """Whether the change may be made now."""
        wanted = None if one.version is None else Placed(one.model, one.version)
        production = self.line[-1] if self.line else None
        match one.action:
            case "rollback":
                return production is not None and production.model == one.model and len(self.line) > 1
            case "canary" if one.share == 0:
                return self.canary is not None and self.canary[0] == wanted
            case "alias" if wanted is None:
                shadow = self.shadows.get(one.alias or "")
                return shadow is not None and shadow.model == one.model
        if wanted is None or wanted in self.removed:
            return False
        match one.action:
            case "promote":
                return wanted != production
            case "canary":
                fits = one.share is not None and 0 < one.share < 1
                return fits and production is not None and wanted != production and self.canary != (wanted, one.share)
            case "alias":
                return one.alias not in (None, "production", "canary") and self.shadows.get(one.alias) != wanted
            case _:
                serving = {production, *self.shadows.values(), *([self.canary[0]] if self.canary else [])}
                return wanted not in serving

    def make(self, one: Change) -> None:
        """Make a legal change."""
        wanted = Placed(one.model, one.version or 0)
        match one.action:
            case "promote":
                self.line = [*(was for was in self.line if was != wanted), wanted]
                self.canary = None if self.canary and self.canary[0] == wanted else self.canary
            case "rollback":
                self.line.pop()
                self.canary = None
            case "canary":
                self.canary = (wanted, one.share) if one.share else None
            case "alias" if one.version is None:
                del self.shadows[one.alias or ""]
            case "alias":
                self.shadows[one.alias or ""] = wanted
            case "remove":
                self.removed.add(wanted)
                self.line = [was for was in self.line if was != wanted]


CHANGES = st.builds(
    Change,
    action=st.sampled_from(["promote", "promote", "rollback", "canary", "alias", "remove"]),
    model=st.sampled_from(["orders", "others"]),
    version=st.one_of(st.integers(1, 4), st.none()),
    alias=st.sampled_from(["staging", "candidate", "production", "canary", None]),
    share=st.sampled_from([0.05, 0.2, 0.0, 1.0, None]),
)


@settings(max_examples=settings().max_examples // 5)
@given(st.lists(CHANGES, max_size=30))
def test_random_changes_are_legal_where_the_simple_model_says_so(changes: list[Change]) -> None:
    """What is deployed is the simple model's; a refused change leaves no trace; a replay of the written log gives the same."""
    simple, deployed, log = Simple(), Deployed("orders"), list[bytes]()
    for one in changes:
        if not simple.is_legal(one):
            refused(deployed, one)
            continue
        simple.make(one)
        entry = entry_of(deployed, one, at=len(log), id="a")
        deployed = apply(deployed, entry)
        log.append(msgspec.json.encode(entry))
        assert deployed.seq == entry.seq == len(log)
        assert deployed.production == (simple.line[-1] if simple.line else None)
        assert list(deployed.previous) == simple.line[:-1]
        assert {alias: has for alias, has in deployed.aliases.items() if alias != "production"} == simple.shadows
        assert (deployed.canary and (deployed.canary.placed, deployed.canary.share)) == simple.canary
        assert set(deployed.removed) == simple.removed
    assert replay("orders", (msgspec.json.decode(line, type=Entry) for line in log)) == deployed
