"""Models of scikit-learn, XGBoost and LightGBM, added and loaded: streamed scores are the library's own, and the batch's."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.errors import SettingError
from features.feast.keys import Key
from features.feast.online import Row
from features.plan import BatchView
from schemas import Prediction
from serving.models.admit import admit
from serving.models.manifest import Model
from serving.models.registry import Registry
from serving.models.session import load_model
from serving.predict.message import UnscorableError
from tests.support.libraries import FITTED, three_classes
from tests.support.orders import PLAN
from tests.support.streamed import streamed

pytestmark = pytest.mark.slow

FUNCTIONS = {"derived": lambda given: {"half": [None if price is None else price / 2 for price in given["price"]]}}
LISTS = [f"recent__last_3_price_{place}" for place in (1, 2, 3)]


def events(count: int, nulls: bool) -> list[dict[str, Any]]:
    """Rows of a stream; where there are ``nulls``, in a tenth of the values, and lists of any length."""
    random_ = random.Random(count)

    def maybe(value: Any) -> Any:
        return None if nulls and random_.random() < 0.1 else value

    def number() -> float:
        return random_.gauss(3, 2)

    return [
        {
            "id": event,
            "at": 1_714_550_400_000 + event,
            "shop": event,
            "price": maybe(number()),
            "tax": 1.25,
            "size": 1,
            "web": True,
            "kind": "a",
            "recent__sum_price": maybe(number() * 3),
            "recent__count": maybe(random_.randrange(50)),
            "recent__last_tax": maybe(number()),
            "recent__last_size": maybe(random_.randrange(1000)),
            "recent__last_web": maybe(random_.random() < 0.5),
            "recent__last_kind": maybe(random_.choice(["new", "used", "é"])),
            "recent__last_3_price": [number() for _ in range(random_.randrange(4) if nulls else 3)],
            "recent__last_at": 0,
        }
        for event in range(count)
    ]


def profiles(view: BatchView, keys: Sequence[Key]) -> list[Row | None]:
    """The batch view's rows: every seventh shop has none."""
    return [Row(0, (1.5, ("north", "south", None)[int(shop) % 3])) if int(shop) % 7 else None for (shop,) in keys]


def computed(rows: list[dict[str, Any]]) -> pa.Table:
    """The same rows as a table of history."""
    table = pa.Table.from_pylist([{name: value for name, value in row.items() if "__" in name or name == "id"} for row in rows])
    found = profiles(PLAN.batch[0], [(row["shop"],) for row in rows])
    half = FUNCTIONS["derived"]({"price": [row["price"] for row in rows]})["half"]
    table = table.append_column("derived__half", pa.array(half, pa.float64()))
    table = table.append_column("profile__mean", pa.array([row and row.values[0] for row in found]))
    return table.append_column("profile__region", pa.array([row and row.values[1] for row in found]))


def as_frame(table: pa.Table) -> pd.DataFrame:
    """A table for a library: the list as its columns."""
    frame = table.to_pandas()
    lists = [[None] * (3 - len(values)) + list(values) for values in frame.pop("recent__last_3_price")]
    return frame.join(pd.DataFrame(lists, columns=LISTS, dtype=float))


@pytest.fixture(scope="module")
def past() -> pd.DataFrame:
    """What the models learn from."""
    return as_frame(computed(events(600, nulls=False)))


def added(folder: Path, onnx: bytes, **options: Any) -> Model:
    """The model in a registry."""
    registry = Registry(folder)
    return registry.get("orders", registry.register(admit(onnx, PLAN, name="orders", created_at=0, **options)).version)


@pytest.mark.parametrize("name", FITTED)
def test_streamed_scores_are_the_librarys(name: str, past: pd.DataFrame, tmp_path: Path) -> None:
    """Within the stated tolerance, nulls too where the model takes them; where it takes none, both paths say the same of why."""
    fitted = FITTED[name](past)
    model = added(tmp_path, fitted.onnx)
    for nulls in (False, True):
        rows = events(150, nulls)
        table = computed(rows)
        found = streamed(model, PLAN, rows, FUNCTIONS, profiles)
        batch = load_model(model).score_table(table, PLAN)
        reasons = [str(one) if isinstance(one, UnscorableError) else None for one in found]
        assert reasons == batch.unscorable.to_pylist()
        scored = [place for place, reason in enumerate(reasons) if reason is None]
        assert len(scored) == 150 if fitted.takes_nulls or not nulls else 10 < len(scored) < 150
        scores = [one.score for one in found if isinstance(one, Prediction)]
        expected = np.asarray(fitted.expected(as_frame(table.take(scored)).infer_objects()), np.float64)
        np.testing.assert_allclose(scores, expected, rtol=fitted.apart, atol=fitted.apart)
        apart = np.abs(batch.scores.drop_null().to_numpy() - np.array(scores))
        assert apart.max() == 0 if fitted.is_tree else apart.max() <= 2e-6


@pytest.mark.parametrize("name", FITTED)
def test_the_manifest_says_within_what_a_score_is_repeated(name: str, past: pd.DataFrame) -> None:
    """Of trees to the bit, whatever the size of the batch; of dense models within a few of float32's last bits."""
    fitted = FITTED[name](past)
    golden = admit(fitted.onnx, PLAN, name="orders", created_at=0).manifest.golden
    assert golden.rows == 256
    assert golden.spread == 0 if fitted.is_tree else golden.spread < 1e-5


@pytest.mark.parametrize("zipmap", [True, False])
def test_three_classes_are_scored_by_the_one_that_is_named(zipmap: bool, past: pd.DataFrame, tmp_path: Path) -> None:
    """Which one has to be said; the prediction has the label and the others beside it, on the stream as in a file."""
    onnx = three_classes(past, options={"zipmap": zipmap})
    with pytest.raises(SettingError, match=r"one number that is the score.*got .*probabilit.*; say which with --score"):
        admit(onnx, PLAN, name="orders", created_at=0)
    output, key = ("output_probability", "never") if zipmap else ("probabilities", "2")
    model = added(tmp_path, onnx, score=f"{output}:{key}")
    assert model.manifest.task == "classification"
    rows = events(20, nulls=False)
    batch = load_model(model).score_table(computed(rows), PLAN)
    assert batch.outputs is not None
    for prediction, beside in zip(streamed(model, PLAN, rows, FUNCTIONS, profiles), batch.outputs.to_pylist(), strict=True):
        assert isinstance(prediction, Prediction)
        assert isinstance(prediction.outputs, dict)
        assert prediction.outputs == beside
        shares = prediction.outputs[output]
        assert isinstance(shares, dict)
        assert shares[key] == prediction.score
        assert math.isclose(sum(map(float, shares.values())), 1, abs_tol=1e-5)  # type: ignore[arg-type]
        label = prediction.outputs["output_label" if zipmap else "label"]
        assert label in ("early", "late", "never")
