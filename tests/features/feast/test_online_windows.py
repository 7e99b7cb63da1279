"""Window values in Feast's online store, as Feast's own client reads them: SQLite and a real Redis."""

from __future__ import annotations

import importlib
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from feast.errors import FeastError

from features.definitions.load import load
from features.feast.online import clear_online
from features.feast.online_windows import WindowRow, open_windows_for_writing
from features.service import Service
from tests.support.online_shop import REDIS, SQLITE, make_shop
from tests.support.redis import redis_server

pytestmark = pytest.mark.slow
FRESH = "features.feast.online_stores.Fresh{}OnlineStore"
HOUR = 3_600_000
NOW = int(time.time() * 1000)
FEATURES = ["count_price", "mean_price", "last_3_price", "last_gift", "last_at", "valid_until"]


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a server of this module's own."""
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(params=["sqlite", "redis", "generic"])
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of store; the last is SQLite written through Feast's own calls, as any other store is."""
    return str(request.param)


@pytest.fixture
def shop(kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service of a project with that store, with nothing in it."""
    return _shop(kind, FRESH.format("Redis" if kind == "redis" else "Sqlite"), tmp_path, request, monkeypatch)


def _shop(kind: str, store: str, folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Service:
    port = request.getfixturevalue("redis_port") if kind == "redis" else None
    text = (REDIS if kind == "redis" else SQLITE).format(kind=store, port=port)
    if kind == "generic":
        from features.feast import online_guarded

        monkeypatch.setattr(online_guarded, "is_sqlite", lambda config: False)
    service = load(make_shop(folder / "a shop", text)).service("shop")
    clear_online(service)
    return service


def row(at: int, count: int, key: tuple[Any, ...] = (1,), offset: int = 0, until: int | None = None) -> WindowRow:
    """Of an account, with a count that says which row it is."""
    return WindowRow(key, at, offset, until if until else at + HOUR, (count, count / 3, [1.5, 2, count], count % 2 == 0, at))


def read(service: Service, features: list[str], entities: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """What a new client of Feast's gives."""
    from feast import FeatureStore

    found = FeatureStore(repo_path=str(service.folder)).get_online_features(features=features, entity_rows=entities)
    return {name: values for name, values in found.to_dict().items() if name not in entities[0]}


def account(service: Service, key: int = 1) -> dict[str, Any]:
    """The values of one account."""
    found = read(service, [f"account_orders:{name}" for name in FEATURES], [{"account_id": key}])
    return {name: values[0] for name, values in found.items()}


def test_feasts_client_gets_what_the_stream_computed(shop: Service) -> None:
    """Counts, means, lists, booleans, times and nulls, by keys of one column and of two; a key that nobody wrote has nothing."""
    write = open_windows_for_writing(shop)
    assert write("account_orders", [row(NOW, 4), WindowRow((2,), NOW, 1, None, (0, None, [], None, None))]) == 2
    assert write("product_orders", [WindowRow(("a b", 7), NOW, 0, NOW + HOUR, (3, 9.25))]) == 1
    assert account(shop) == {
        "count_price": 4,
        "mean_price": 4 / 3,
        "last_3_price": [1.5, 2.0, 4.0],
        "last_gift": True,
        "last_at": NOW,
        "valid_until": NOW + HOUR,
    }
    assert account(shop, 2) == {**dict.fromkeys(FEATURES), "count_price": 0, "last_3_price": []}
    assert account(shop, 3) == dict.fromkeys(FEATURES)
    products = ["product_orders:count_price", "product_orders:max_price"]
    found = read(shop, products, [{"shop": "a b", "product": 7}, {"shop": "a b", "product": 8}])
    assert found == {"count_price": [3, None], "max_price": [9.25, None]}


def test_a_row_past_its_time_is_not_served(shop: Service) -> None:
    """When the next row has left a window the values are others, so there are none; only when that was is there to read."""
    write = open_windows_for_writing(shop)
    write("account_orders", [row(NOW - HOUR, 4, until=NOW - 1), row(NOW, 5, key=(2,))])
    assert account(shop) == {**dict.fromkeys(FEATURES), "valid_until": NOW - 1}
    counts = read(shop, ["account_orders:count_price"], [{"account_id": 1}, {"account_id": 2}])
    assert counts == {"count_price": [None, 5]}


def test_no_older_row_comes_over_a_newer_one(shop: Service) -> None:
    """Rows in any order, a millisecond apart, in one batch and in several; of one millisecond the later offset counts."""
    write, chance = open_windows_for_writing(shop), random.Random(7)
    rows = [row(NOW + n // 3, n, offset=n) for n in range(60)]
    chance.shuffle(rows)
    for first in range(0, len(rows), 7):
        write("account_orders", rows[first : first + 7])
    assert account(shop)["count_price"] == 59
    assert write("account_orders", rows) == 1  # the newest again, which a restart may bring
    assert write("account_orders", [row(NOW + 18, 1, offset=10**9)]) == 0
    assert account(shop)["count_price"] == 59


@pytest.mark.parametrize("kind", ["sqlite", "redis"], indirect=True)
def test_several_writers_at_once_leave_the_newest(shop: Service) -> None:
    """Four writers with connections of their own, over the same keys: each key ends with its newest row."""
    keys, rows = 40, 40
    errors: list[BaseException] = []

    def work(seed: int, write: Callable[..., int]) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(15):
                some = [(chance.randrange(keys), chance.randrange(rows)) for _ in range(60)]
                write("account_orders", [row(NOW + n, n, key=(key,), offset=n) for key, n in some])
            write("account_orders", [row(NOW + rows + seed, rows + seed, key=(key,)) for key in range(keys)])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed, open_windows_for_writing(shop))) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    found = read(shop, ["account_orders:count_price"], [{"account_id": key} for key in range(keys)])
    assert found["count_price"] == [rows + 3] * keys


@pytest.mark.parametrize("kind", ["sqlite", "redis"], indirect=True)
def test_feasts_plain_store_says_until_when(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client without our store reads the same rows, and sees from `valid_until` that they are over."""
    service = _shop(kind, kind, tmp_path, request, monkeypatch)
    open_windows_for_writing(service)("account_orders", [row(NOW - HOUR, 4, until=NOW - 1)])
    assert {name: account(service)[name] for name in ("count_price", "valid_until")} == {"count_price": 4, "valid_until": NOW - 1}


@pytest.mark.parametrize("kind", ["sqlite", "redis"], indirect=True)
def test_rows_are_cleared_for_a_replay(shop: Service) -> None:
    """After clearing, rows of the past are written again: nothing of the newer ones is left to keep them out."""
    write = open_windows_for_writing(shop)
    write("account_orders", [row(NOW, 9)])
    write("account_gifts", [WindowRow((1,), NOW, 0, None, (9,))])
    clear_online(shop)
    assert account(shop) == dict.fromkeys(FEATURES)
    assert open_windows_for_writing(shop)("account_orders", [row(NOW - HOUR // 2, 3)]) == 1
    assert account(shop)["count_price"] == 3


def test_a_view_may_have_the_name_of_an_entity(tmp_path: Path) -> None:
    """Rows are of the view, cleared and written, whatever else has its name."""
    folder = make_shop(tmp_path / "shop", SQLITE.format(kind="sqlite"))
    text = (folder / "definitions.py").read_text().replace('Entity(name="account",', 'Entity(name="account_orders",')
    (folder / "definitions.py").write_text(text)
    service = load(folder).service("shop")
    clear_online(service)
    open_windows_for_writing(service)("account_orders", [row(NOW, 4)])
    assert account(service)["count_price"] == 4


def test_sqlite_needs_no_package_of_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed the SQLite store is there, and the Redis store says what is missing."""
    monkeypatch.setitem(sys.modules, "redis", None)
    for name in ("feast.infra.online_stores.redis", "features.feast.online_redis", "features.feast.online_stores"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    stores = importlib.import_module("features.feast.online_stores")
    assert stores.FreshSqliteOnlineStore.__module__ == stores.__name__
    with pytest.raises(FeastError, match="redis"):
        stores.FreshRedisOnlineStore  # noqa: B018


def test_a_view_that_is_not_online_is_not_written(tmp_path: Path) -> None:
    """`online=False` on a view keeps it out of the store."""
    from features.feast.online_windows import online_views

    folder = make_shop(tmp_path / "shop", SQLITE.format(kind="sqlite"))
    text = (folder / "definitions.py").read_text().replace('name="product_orders",', 'name="product_orders", online=False,')
    (folder / "definitions.py").write_text(text)
    service = load(folder).service("shop")
    assert [online_views(service, stage) for stage in service.plan.windows] == [("account_orders", "account_gifts"), ()]
