"""Both examples through Feast's client: its values are those of history, to the bit."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.common import EXAMPLE
from tests.support.data import fraud_project
from tests.support.demand import demand_project

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")]


def projects(folder: Path) -> list[tuple[Path, str, date, date]]:
    """Each example with little data, its service, and the days that are asked about."""
    return [
        (fraud_project(folder / "cards", customers=60, terminals=200, days=40), EXAMPLE.name, date(2018, 5, 1), date(2018, 5, 6)),
        (demand_project(folder / "bikes", stations=6, days=8), "demand", date(2026, 2, 6), date(2026, 2, 10)),
    ]


def test_get_historical_features_gives_what_history_gives(tmp_path: Path) -> None:
    """Windows, batch rows and on-demand functions of every event of some days, asked for in another order."""
    from feast import FeatureStore

    from features.definitions.load import load
    from features.times import day_ms
    from jobs.history.batch_views import materialize
    from jobs.history.compute import compute

    for folder, name, first, last in projects(tmp_path):
        service = load(folder).service(name)
        materialize(service, first, last)
        spine = service.plan.spine_source
        expected = compute(service, start_ms=day_ms(first), end_ms=day_ms(last)).to_pandas()
        events = pd.read_parquet(folder / spine.history, columns=[column.name for column in spine.columns])
        events = events[events[spine.event_id].isin(expected[spine.event_id])].sample(frac=1, random_state=1)
        assert len(events) == len(expected) > 100
        store = FeatureStore(repo_path=str(folder))
        store.apply(list(service.objects))
        found = FeatureStore(repo_path=str(folder)).get_historical_features(
            events, store.get_feature_service(name), full_feature_names=True
        )
        frame = found.to_df()
        assert frame[spine.event_id].tolist() == events[spine.event_id].tolist()
        expected = expected.set_index(spine.event_id).loc[frame[spine.event_id]]
        for feature in service.plan.inputs:
            one, other = (f[feature].to_numpy(dtype=float, na_value=np.nan) for f in (frame, expected))
            np.testing.assert_array_equal(one, other, err_msg=feature)
