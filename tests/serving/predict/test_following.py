"""What is loaded of a deployment log, and when what did not load is tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import SettingError
from features.service import Service
from serving.models.lifecycle import Change
from serving.models.registry import Registry
from serving.predict.following import Following
from serving.predict.loading import Loader
from tests.serving.predict.test_vector import PLAN
from tests.support.models import register, stumps
from tests.support.odd_models import register_spoiled


def test_what_does_not_load_is_not_tried_at_every_look(tmp_path: Path) -> None:
    """With nothing in service a look raises once for the log as it is, and again when told to retry; the next entry loads."""
    registry, plan = Registry(tmp_path), PLAN
    spoiled = register_spoiled(tmp_path, plan).version
    whole = register(tmp_path, plan, stumps([0.1]), inputs=("by-shop__count",), alias=None).version
    registry.set_alias("s", "production", spoiled)
    following = Following("s", registry, Loader(Service(tmp_path, plan, {}, {}, ()), registry, (1.0, 10), lambda topic: 0), None)
    with pytest.raises(SettingError, match="again"):
        following.look(retry=False)
    assert following.look(retry=False) == ([], None)
    with pytest.raises(SettingError, match="again"):
        following.look(retry=True)
    registry.change("s", Change(action="promote", model="s", version=whole, who="test"))
    entries, loaded = following.look(retry=False)
    assert loaded is not None
    assert (len(entries), loaded.lineup.production.placed.version) == (1, whole)
    assert following.look(retry=False) == ([], None)
