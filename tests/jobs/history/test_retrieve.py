"""The features of entity rows: what functions are given, and the types that come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.plan import OnDemand, WindowFeature
from features.sql.quoting import literal
from features.times import DAY_MS, EVENT_TIMES
from jobs.history.feast_views import Function, Named, Wanted, files_of
from jobs.history.files import connect
from jobs.history.point_in_time import Windows
from jobs.history.retrieve import retrieve
from tests.support.files import NOW, source_of

ORDERS = source_of("id long, at timestamp, account long, cents long", "orders")


def test_a_function_has_a_sum_beyond_64_bits_whole(tmp_path: Path) -> None:
    """As training and the scorer give it; as a feature of a view of doubles it is the nearest one."""
    cents = [2**62, 2**62, 2**62 + 1]
    rows = {"id": [1, 2, 3], "at": [NOW, NOW, NOW], "account": [7, 7, 7], "cents": cents}
    pq.write_table(pa.table(rows), tmp_path / "orders.parquet")
    total = WindowFeature("spend__total", "sum", "cents", DAY_MS)

    def odd(given: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"odd": [total % 2 for total in given["total"]]}

    wanted = Wanted(
        windows=(Windows(ORDERS, (("account", "account"),), (total,)),),
        joined=(),
        on_demand=(Function(OnDemand("own", (), (("total", "spend__total"),), ("odd",), ""), odd, None),),
        columns=(Named("odd", "own__odd", pa.int64()), Named("total", "spend__total", pa.float64())),
    )
    found = retrieve(tmp_path, wanted, pd.DataFrame({"account": [7]}), pa.array([NOW]), 1, EVENT_TIMES)
    assert found.to_pylist() == [{"odd": 1, "total": float(sum(cents))}]


def test_a_source_of_feasts_names_files(tmp_path: Path) -> None:
    """A file of the very name, also in a folder that looks like a glob, or all below a folder; a URL is as it is."""
    folder = tmp_path / "a[1]"
    (folder / "days" / "one").mkdir(parents=True)
    for number, path in enumerate(("x.parquet", "days/y.parquet", "days/one/z.parquet")):
        pq.write_table(pa.table({"number": [number]}), folder / path)
    found = {}
    with connect() as connection:
        for path in ("x.parquet", "days"):
            rows = connection.sql(f"SELECT number FROM read_parquet({literal(files_of(folder, path))}) ORDER BY number")
            found[path] = [number for (number,) in rows.fetchall()]
    assert found == {"x.parquet": [0], "days": [1, 2]}
    assert files_of(folder, "s3://bucket/x.parquet") == "s3://bucket/x.parquet"
