"""get_historical_features of Feast's own client over our offline store, after a round trip through its registry."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import SettingError
from tests.support.shop import HOUR, MS, NOON, definitions, shop_project, write_offers

if TYPE_CHECKING:
    from feast import FeatureStore

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose definitions are applied."""
    from feast import FeatureStore

    folder = shop_project(tmp_path_factory.mktemp("feast") / "the shop")
    FeatureStore(repo_path=str(folder)).apply(definitions(folder))
    return folder


@pytest.fixture
def store(folder: Path) -> FeatureStore:
    """A client that knows the project from its registry alone."""
    from feast import FeatureStore

    return FeatureStore(repo_path=str(folder))


def rows(*times: Any, **columns: Any) -> pd.DataFrame:
    """Entity rows of buyer 1 and tea at ``times``."""
    given = {"buyer_id": 1, "product": "tea"} | columns
    return pd.DataFrame({"event_timestamp": list(times), **{name: [value] * len(times) for name, value in given.items()}})


def test_windows_are_as_of_each_row(store: FeatureStore) -> None:
    """A row sees what is up to and with its millisecond, without what is exactly as old as the window (rule 1)."""
    found = store.get_historical_features(rows(NOON - MS, NOON, NOON + MS), ["spend:price", "spend:count"]).to_df()
    assert found["price"].tolist() == [3.30, 12.10, 16.50]
    assert found["count"].tolist() == [2, 3, 3]


def test_an_aggregation_may_be_named_like_its_column(store: FeatureStore) -> None:
    """It is the aggregation that is given, not the column's last value."""
    found = store.get_historical_features(rows(NOON), ["spend:price"]).to_df()
    assert found["price"].tolist() == [12.10]


def test_int64_keeps_its_bits(store: FeatureStore) -> None:
    """Beyond 2^53 too, beside nulls."""
    found = store.get_historical_features(rows(NOON - MS, NOON - 2 * HOUR), ["spend:size"]).to_df()
    assert found["size"][0] == 2**60 + 1
    assert found["size"].isna().tolist() == [False, True]


def test_float32_comes_back_as_itself(store: FeatureStore) -> None:
    """A view's types are those of its schema, in Arrow and in pandas."""
    job = store.get_historical_features(rows(NOON), ["offers:price", "offers:stock"])
    found = job.to_df()
    assert found["price"].dtype == np.float32
    assert found["price"].tolist() == [np.float32(0.1)]
    assert found["stock"].tolist() == [2**60 + 1]
    assert str(job.to_arrow().schema.field("price").type) == "float"


def test_the_frame_comes_back_as_it_was(store: FeatureStore) -> None:
    """Unsorted and duplicate rows, and columns of any kind, in their order."""
    given = rows(NOON + MS, NOON - HOUR, NOON + MS)
    given["label"] = pd.Categorical(["b", "a", "b"])
    given["more"] = [{"x": 1}, [2], None]
    given.index = [7, 7, 3]
    before = given.copy(deep=True)
    found = store.get_historical_features(given, ["spend:count"]).to_df()
    assert found["count"].tolist() == [3, 1, 3]
    pd.testing.assert_frame_equal(found[given.columns], before.reset_index(drop=True))
    pd.testing.assert_frame_equal(given, before)


def test_an_empty_frame_has_typed_features(store: FeatureStore) -> None:
    """Whatever its own columns' types are."""
    features = ["spend:count", "spend:price", "offers:price", "spend:times"]
    for given in (rows(NOON).iloc[:0], pd.DataFrame(columns=["event_timestamp", "buyer_id", "product"])):
        table = store.get_historical_features(given, features, full_feature_names=True).to_arrow()
        kinds = [str(table.schema.field(name.replace(":", "__")).type) for name in features]
        assert kinds == ["int64", "double", "float", "list<item: int64>"]
        assert table.num_rows == 0


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_times_of_any_zone_and_unit(store: FeatureStore, unit: str, zone: str | None) -> None:
    """A time without a zone is UTC; the column keeps its type."""
    column = pd.to_datetime(pd.Series([NOON, NOON - HOUR])).dt.as_unit(unit)
    column = column.dt.tz_convert(zone) if zone else column.dt.tz_localize(None)
    given = pd.DataFrame({"event_timestamp": column, "buyer_id": 1})
    found = store.get_historical_features(given, ["spend:count"]).to_df()
    assert found["count"].tolist() == [3, 1]
    pd.testing.assert_series_equal(found["event_timestamp"], column, check_names=False)


def test_times_as_texts_and_objects(store: FeatureStore) -> None:
    """Mixed zones are of one moment."""
    local = NOON.astimezone(ZoneInfo("Asia/Kolkata"))
    for time in (local, str(local), NOON.isoformat()):
        given = pd.DataFrame({"event_timestamp": pd.Series([time, NOON], dtype=object), "buyer_id": 1})
        assert store.get_historical_features(given, ["spend:count"]).to_df()["count"].tolist() == [3, 3], time


def test_digits_below_a_millisecond_are_cut_off(store: FeatureStore) -> None:
    """Times are whole milliseconds: the order of the next one does not count yet."""
    given = rows(pd.Timestamp(NOON) + pd.Timedelta(999_999, "ns"))
    assert store.get_historical_features(given, ["spend:count"]).to_df()["count"].tolist() == [3]


def test_a_row_without_key_or_time_has_no_features(store: FeatureStore) -> None:
    """It is nobody's, and its features are null; those of the others are theirs."""
    given = rows(NOON, NOON, pd.NaT)
    given["buyer_id"] = pd.array([1, None, 1], "Int64")
    found = store.get_historical_features(given, ["spend:count"]).to_df()
    assert found["count"][0] == 3
    assert found["count"].isna().tolist() == [False, True, True]


def test_an_unknown_key_has_empty_windows(store: FeatureStore) -> None:
    """Nothing counted, and null where there is no value (rule 4)."""
    found = store.get_historical_features(rows(NOON, buyer_id=9), ["spend:count", "spend:mean_weight", "spend:times"]).to_df()
    assert found["count"].tolist() == [0]
    assert found["mean_weight"].isna().tolist() == [True]
    assert list(found["times"][0]) == []


def test_a_view_of_two_keys(store: FeatureStore) -> None:
    """Both are columns of the rows."""
    found = store.get_historical_features(rows(NOON), ["sales:count"]).to_df()
    assert found["count"].tolist() == [2]


def test_full_names(store: FeatureStore) -> None:
    """Features of one name are told apart by their views."""
    found = store.get_historical_features(rows(NOON), ["spend:count", "sales:count"], full_feature_names=True).to_df()
    assert (found["spend__count"][0], found["sales__count"][0]) == (3, 2)


def test_names_and_keys_of_a_service(store: FeatureStore) -> None:
    """One view twice, for two columns of the rows; an on-demand view under another name, too."""
    given = pd.DataFrame({"event_timestamp": [NOON], "giver_id": [1], "taker_id": [2], "price": [4.0], "at": [NOON]})
    found = store.get_historical_features(given, store.get_feature_service("both"), full_feature_names=True).to_df()
    assert found.iloc[0][["giver__price", "giver__count", "taker__count", "dear__twice"]].tolist() == [12.10, 3, 1, 8.0]


def test_on_demand_functions_have_times_as_milliseconds(store: FeatureStore) -> None:
    """As in the stream; a null that a function gives leaves its column one of whole numbers."""
    given = rows(NOON, NOON - HOUR, price=1.0)
    given["at"] = given["event_timestamp"]
    table = store.get_historical_features(given, ["rhythm:pause"]).to_arrow()
    assert table["pause"].to_pylist() == [0, None]
    assert str(table["pause"].type) == "int64"


def test_a_feature_is_not_called_like_a_column(store: FeatureStore) -> None:
    """One of the two would be lost; with full names they differ."""
    given = rows(NOON, price=1.0)
    with pytest.raises(SettingError, match=r"got 'price'.*full_feature_names=True"):
        store.get_historical_features(given, ["spend:price"])
    found = store.get_historical_features(given, ["spend:price"], full_feature_names=True).to_df()
    assert (found["price"][0], found["spend__price"][0]) == (1.0, 12.10)


@pytest.mark.parametrize(
    ("at", "price"),
    [
        (NOON - MS, None),
        (NOON, 2.0),
        (NOON + HOUR - MS, 2.0),
        (NOON + HOUR, 3.0),
        (NOON + 2 * HOUR, 3.0),
        (NOON + 2 * HOUR + MS, None),
    ],
)
def test_the_newest_row_within_the_ttl(store: FeatureStore, folder: Path, at: datetime, price: float | None) -> None:
    """A row of the very millisecond counts, so does one exactly as old as the ttl; of equal times what was created last."""
    later = NOON + HOUR
    offers = [
        (NOON, NOON, "tea", 1.0, 1),
        (NOON, later, "tea", 2.0, 1),
        (NOON, NOON - HOUR, "tea", 9.0, 1),
        (later, NOON, "tea", 3.0, 1),
        (NOON, later, "ink", 8.0, 1),
    ]
    write_offers(folder, offers)
    try:
        found = store.get_historical_features(rows(at), ["offers:price"]).to_df()["price"]
    finally:
        write_offers(folder, [(NOON - HOUR, NOON, "tea", 0.1, 2**60 + 1)])
    assert found.replace({np.nan: None}).tolist() == [price]


def test_files_of_a_view_have_one_type(store: FeatureStore, folder: Path) -> None:
    """A folder of files is one view; DuckDB would have made 4 of a later file's 3.7."""
    file = folder / "data" / "offers.parquet"
    table = pq.read_table(file)
    file.unlink()
    file.mkdir()
    try:
        pq.write_table(table, file / "a.parquet")
        pq.write_table(table.slice(0, 0), file / "b.parquet")
        assert store.get_historical_features(rows(NOON), ["offers:stock"]).to_df()["stock"].tolist() == [2**60 + 1]
        place = table.schema.get_field_index("stock")
        pq.write_table(table.set_column(place, "stock", pa.array([3.7])), file / "b.parquet")
        with pytest.raises(
            SettingError, match=r"one type in all files of a view; got 'stock' of types BIGINT, DOUBLE, .*b\.parquet"
        ):
            store.get_historical_features(rows(NOON), ["offers:stock"]).to_df()
        assert store.get_historical_features(rows(NOON), ["offers:price"]).to_df()["price"].tolist() == [np.float32(0.1)]
        with pytest.raises(SettingError, match="got 'stock' of types BIGINT, DOUBLE"):
            store.get_historical_features("SELECT product, since AS event_timestamp FROM offers_file", ["offers:price"])
    finally:
        shutil.rmtree(file)
        pq.write_table(table, file)


def test_rows_by_sql(store: FeatureStore) -> None:
    """A SELECT over the project's sources, in its order; files are named from the project's folder."""
    sql = "SELECT buyer_id, orders.at AS event_timestamp, order_id FROM orders WHERE size IS NOT NULL ORDER BY order_id DESC"
    found = store.get_historical_features(sql, ["spend:count"]).to_df()
    assert found["order_id"].tolist() == [5, 4, 3, 1, 0]
    assert found["count"].tolist() == [3, 3, 3, 2, 1]
    of_file = "SELECT 1 AS buyer_id, max(o.at) AS event_timestamp FROM read_parquet('data/orders.parquet') AS o"
    assert store.get_historical_features(of_file, ["spend:count"]).to_df()["count"].tolist() == [3]


@pytest.mark.parametrize(
    ("given", "features", "message"),
    [
        (None, ["spend:count"], "as of entity rows; got entity_df=None"),
        ("SELECT nothing", ["spend:count"], "it says.*nothing.*fix the SQL"),
        (pd.DataFrame({"buyer_id": [1]}), ["spend:count"], "'event_timestamp'.*got no column of times"),
        (rows(NOON).drop(columns="buyer_id"), ["spend:count"], "got no column 'buyer_id'.*'spend'"),
        (rows(NOON, buyer_id="1"), ["spend:count"], "the key 'buyer_id' of 'spend' is int64; got string"),
        (rows(NOON, buyer_id=1.5), ["spend:count"], "the key 'buyer_id' of 'spend' is int64; got double"),
        (rows(1_714_550_400_000), ["spend:count"], "column 'event_timestamp' has times; got integer numbers.*unit='ms'"),
        (rows(1_714_550_400_000, "2024-05-01T08:00:00Z"), ["spend:count"], "'event_timestamp' has times; got mixed-integer"),
        (rows("yesterday"), ["spend:count"], "column 'event_timestamp' has times; got object"),
        ("SELECT 1 AS buyer_id, now() AS event_timestamp", ["rhythm:pause"], "columns of its request source; got no 'at'"),
        (rows(NOON), ["habits:orders"], "habits.parquet; got no such file.*headrace batch-views"),
    ],
)
def test_what_does_not_fit_is_one_line(store: FeatureStore, given: Any, features: list[str], message: str) -> None:
    """It says the rule, what came and what to do."""
    with pytest.raises(SettingError, match=message) as refused:
        store.get_historical_features(given, features).to_df()
    assert "\n" not in str(refused.value)


def test_a_saved_dataset(store: FeatureStore, folder: Path) -> None:
    """What was retrieved is kept as Parquet and read again."""
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    job = store.get_historical_features(rows(NOON, NOON + MS), ["spend:count"])
    store.create_saved_dataset(job, "kept", SavedDatasetFileStorage("data/kept.parquet"))
    assert (folder / "data" / "kept.parquet").is_file()
    assert store.get_saved_dataset("kept").to_df()["count"].tolist() == [3, 3]


def test_rows_of_a_view_in_a_span_of_times(store: FeatureStore, folder: Path) -> None:
    """What `feast materialize` and saved datasets call for: the newest row of each key, or all, both ends included."""
    write_offers(folder, [(NOON + n * HOUR, NOON, "tea", float(n), n) for n in range(4)])
    try:
        store.materialize(NOON, NOON + 2 * HOUR, ["offers"])
    finally:
        write_offers(folder, [(NOON - HOUR, NOON, "tea", 0.1, 2**60 + 1)])
    found = store.get_online_features(["offers:price", "offers:stock"], [{"product": "tea"}]).to_dict()
    assert (found["price"], found["stock"]) == ([2.0], [2])


def test_writes_are_refused(store: FeatureStore) -> None:
    """Histories are other programs' files."""
    given = pd.DataFrame({"product": ["tea"], "since": [NOON], "created": [NOON], "px": [1.0], "stock": [1]})
    with pytest.raises(SettingError, match="histories are written by whoever records the stream; got 1 new rows of 'offers'"):
        store.write_to_offline_store("offers", given, allow_registry_cache=False, reorder_columns=False)
