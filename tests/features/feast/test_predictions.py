"""Predictions of batch runs in a project's online store: SQLite, a real Redis, and any other store of Feast's."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from features.definitions.load import load
from features.errors import SettingError, StackError
from features.feast.online import clear_online
from features.feast.predictions import open_predictions, open_predictions_for_writing
from features.service import Service
from schemas import StoredPrediction
from tests.support.online_shop import REDIS, SQLITE, make_shop
from tests.support.redis import redis_server

NOON = 1_700_000_000_000
KEY = (2**63 - 1, "a / b, é", -1)
"""An account, a shop and a product."""


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a server of this module's own."""
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(params=["sqlite", "redis", "generic", "fresh"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service with that store; ``generic``: written through Feast's own calls, ``fresh``: our store for clients."""
    kind = str(request.param)
    port = request.getfixturevalue("redis_port") if kind == "redis" else None
    stores = {"redis": "redis", "fresh": "features.feast.online_stores.FreshSqliteOnlineStore"}
    text = (REDIS if kind == "redis" else SQLITE).format(kind=stores.get(kind, "sqlite"), port=port)
    if kind == "generic":
        from features.feast import online_guarded

        monkeypatch.setattr(online_guarded, "is_sqlite", lambda config: False)
    return load(make_shop(tmp_path / "a shop", text)).service("shop")


def test_a_store_that_is_away_is_one_line_of_advice(tmp_path: Path) -> None:
    """Where it fails while it is written to, too."""
    service = load(make_shop(tmp_path, REDIS.format(kind="redis", port=1))).service("shop")
    write = open_predictions_for_writing(service)
    with pytest.raises(StackError, match=r"feature_store.yaml; it said: ConnectionError: .*run the command again"):
        write([(KEY, prediction(NOON))])


def prediction(as_of: int, computed_at: int = NOON, score: float = 0.1) -> StoredPrediction:
    """One that holds for a day."""
    return StoredPrediction(score, "shop", 3, "plan", as_of, computed_at, as_of + 86_400_000)


def test_what_was_stored_is_read(shop: Service) -> None:
    """To the bit, by a key of three columns of any text and number; a key that nobody stored has nothing."""
    write, read = open_predictions_for_writing(shop), open_predictions(shop)
    whole = msgspec.structs.replace(prediction(NOON, score=0.1 + 0.2), outputs={"label": 1, "of": {"a": 0.25, "b": None}})
    bare = msgspec.structs.replace(prediction(NOON), valid_until=None)
    assert write([(KEY, whole), ((1, "", 0), bare)]) == 2
    assert read([KEY, (1, "a", 0), (1, "", 0), (2**63, "", 0)]) == [whole, None, bare, None]


def test_no_older_prediction_comes_over_a_newer_one(shop: Service) -> None:
    """Neither in one write nor in several: of two times the later counts, of one time that of the later run."""
    write, read = open_predictions_for_writing(shop), open_predictions(shop)
    all_of = [prediction(NOON + n // 3, NOON + n, n / 100) for n in range(60)]
    random.Random(7).shuffle(all_of)
    for first in range(0, len(all_of), 7):
        write([(KEY, one) for one in all_of[first : first + 7]])
    newest = prediction(NOON + 19, NOON + 59, 0.59)
    assert read([KEY]) == [newest]
    assert write([(KEY, prediction(NOON + 18, NOON + 10**6))]) == 0
    assert read([KEY]) == [newest]


def test_two_runs_at_once(shop: Service, request: pytest.FixtureRequest) -> None:
    """Leave the newer prediction of each key, whichever wrote last."""
    if "generic" in request.node.name:
        pytest.skip("only SQLite and Redis can compare and write in one step")
    keys = [(n, "s", 0) for n in range(300)]
    writers = [open_predictions_for_writing(shop) for _ in range(2)]

    def run(number: int) -> None:
        for first in range(0, len(keys), 50):
            writers[number]([(key, prediction(NOON + number, score=number / 10)) for key in keys[first : first + 50]])

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.score for one in open_predictions(shop)(keys) if one} == {0.1}


def test_the_rows_of_views_are_others(shop: Service) -> None:
    """A replay clears those, and what was stored stays."""
    key = (-5, "s", 0)
    open_predictions_for_writing(shop)([(key, prediction(NOON))])
    clear_online(shop)
    assert open_predictions(shop)([key]) == [prediction(NOON)]


def test_a_service_without_a_key_stores_nothing(tmp_path: Path) -> None:
    """And says so before anything is computed."""
    shop = load(make_shop(tmp_path, SQLITE.format(kind="sqlite"))).service("shop")
    bare = msgspec.structs.replace(shop, plan=msgspec.structs.replace(shop.plan, windows=(), batch=()))
    with pytest.raises(SettingError, match="whose features have no key"):
        open_predictions_for_writing(bare)
