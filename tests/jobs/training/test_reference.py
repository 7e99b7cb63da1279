"""The reference of a trained version: what it holds, and limits that hold where rows are not independent."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pytest

from features.errors import SettingError
from features.inputs.bins import number_bins
from features.inputs.drift import p_value, psi
from features.inputs.reference import SCORE
from features.service import Service
from features.times import DAY_MS
from infra.models import registering
from infra.train_settings import TrainSettings
from jobs.training.reference import MOST_SEGMENTS, blocks_of, entity_of, key_of_input, limits
from jobs.training.split import Split
from jobs.training.train import train
from serving.models.manifest import REFERENCE, read_reference
from serving.models.registry import Registry

pytestmark = pytest.mark.slow

CONFIG = TrainSettings(label="labels.is_fraud", trees=5).config
SPLIT = Split(date(2018, 4, 20), days=7, delay_days=7, test_days=7)
KEYS, DAYS, EACH = 400, 7, 5


def _stream(random: np.random.Generator, days: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of keys that differ from each other, and on each day again: (key, day, value) of each row."""
    key, day = (np.repeat(np.arange(KEYS), days * EACH), np.tile(np.repeat(np.arange(days), EACH), KEYS))
    own, of_day = random.normal(0, 1, KEYS), random.normal(0, 0.5, (KEYS, days))
    return key, day, own[key] + of_day[key, day] + random.normal(0, 0.2, len(key))


def test_limits_hold_where_rows_of_a_key_are_alike() -> None:
    """Of stationary days at most about 5 % pass the limit of 5 %; as if rows were independent, most of them would."""
    passed, would = 0, 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        key, day, values = _stream(random, DAYS)
        bins = number_bins("n", values)
        cells, trained = bins.cells(values), bins.count(values)
        (own,) = limits(cells[:, None], [bins.size], key, day)
        (naive,) = limits(cells[:, None], [bins.size], blocks_of({}, len(key)), np.zeros(len(key), np.int64))
        for _ in range(5):
            _, _, later = _stream(random, 1)  # other keys, of the same kind
            index = psi(trained, bins.count(later))
            passed += p_value(own, len(later), index) < 0.05
            would += p_value(naive, len(later), index) < 0.05
    assert passed <= 6
    assert would >= 30


def test_limits_hold_for_windows_that_are_smaller_than_any_drawn() -> None:
    """A share of the traffic: some of the keys, far fewer than the smallest draw has."""
    passed, windows = 0, 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        key, day, values = _stream(random, DAYS)
        bins = number_bins("n", values)
        (own,) = limits(bins.cells(values)[:, None], [bins.size], key, day)
        later_key, _, later = _stream(random, 1)
        for few in np.split(later[np.argsort(later_key, kind="stable")], KEYS // 8):
            assert len(few) < own[0].rows / 2
            passed += p_value(own, len(few), psi(bins.count(values), bins.count(few))) < 0.05
            windows += 1
    assert passed <= 0.07 * windows


def test_rows_without_a_key_are_a_block() -> None:
    """As any key's."""
    assert blocks_of({"k": np.array(["a", None, "a", None], object)}, 4).tolist() == [0, 1, 0, 1]


def test_a_moved_mean_is_beyond_the_limit() -> None:
    """Half a deviation of all keys is found at once."""
    random = np.random.default_rng(1)
    key, day, values = _stream(random, DAYS)
    bins = number_bins("n", values)
    (own,) = limits(bins.cells(values)[:, None], [bins.size], key, day)
    moved = values[day == 3] + 0.5 * values.std()
    assert p_value(own, len(moved), psi(bins.count(values), bins.count(moved))) < 1e-3


def test_one_key_alone_has_no_limit() -> None:
    """Nothing says then how far windows are apart."""
    cells = np.zeros((100, 1), np.intp)
    assert limits(cells, [6], np.zeros(100, np.int64), np.arange(100) // 50) == [()]


def test_a_trained_version_keeps_its_reference(small: Service, tmp_path: Path) -> None:
    """Beside its manifest, which has its sha256: each input of all training rows, and the scores of later rows."""
    registry = Registry(tmp_path)
    manifests = [train(small, CONFIG, SPLIT, register=registering(registry), clock=lambda: 5.0).manifest for _ in range(2)]
    reference = read_reference(registry.get("handbook", 1))
    assert reference is not None
    assert [histogram.name for histogram in reference.histograms] == [*small.plan.inputs, SCORE]
    assert manifests[0].reference == manifests[1].reference
    assert (reference.trained_from // DAY_MS, reference.trained_until // DAY_MS) == (SPLIT.first_day, SPLIT.first_day + 6)
    rows = [sum(histogram.counts) for histogram in reference.histograms]
    assert set(rows[:-1]) == {manifests[0].metrics["rows"]}
    assert reference.scored_from >= (SPLIT.first_day + SPLIT.days) * DAY_MS
    assert rows[-1] >= manifests[0].metrics["test_rows"]
    assert all(histogram.limits["day"] for histogram in reference.histograms)
    registry.remove("handbook", 1, who="test")
    assert not (tmp_path / "handbook" / "1" / REFERENCE).exists()


def test_a_changed_reference_is_refused(small: Service, tmp_path: Path) -> None:
    """As every other file of a version; and one of before there were any has none."""
    registry = Registry(tmp_path)
    train(small, CONFIG, SPLIT, register=registering(registry))
    file = tmp_path / "handbook" / "1" / REFERENCE
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(Exception, match=r"its reference\.json has"):
        read_reference(registry.get("handbook", 1))
    manifest = tmp_path / "handbook" / "1" / "manifest.json"
    lines = [line for line in manifest.read_text().splitlines() if '"reference"' not in line]
    lines[-2] = lines[-2].rstrip(",")
    manifest.write_text("\n".join(lines))
    assert read_reference(registry.get("handbook", 1)) is None


def test_the_keys_of_an_input_are_those_of_its_windows(small: Service) -> None:
    """What depends on no window goes by the key of predictions."""
    plan = small.plan
    assert {key_of_input(plan, name) for name in plan.inputs} == {("customer_id",), ("terminal_id",)}
    assert entity_of(plan) == ("customer_id",)


def test_segments_are_parts_of_training(small: Service, tmp_path: Path) -> None:
    """Of each input, the counters of all segments add up to those of training; segments are few, and have limits of their own."""
    config = msgspec.structs.replace(CONFIG, segments=("customer_spend__mean_7d", "transaction_flags__weekend"))
    registry = Registry(tmp_path)
    train(small, config, SPLIT, register=registering(registry))
    reference = read_reference(registry.get("handbook", 1))
    assert reference is not None
    whole = {one.name: one for one in reference.histograms}
    numbers, flags = reference.segments
    assert (numbers.column, len(numbers.names)) == ("customer_spend__mean_7d", 1)  # no bin of so few rows is a segment
    assert flags.names == ("0", "1", "(others)")
    for segments in reference.segments:
        assert len(segments.names) <= MOST_SEGMENTS + 1
        for own in zip(*segments.histograms, strict=True):
            assert np.sum([one.counts for one in own], axis=0).tolist() == list(whole[own[0].name].counts)
        assert segments.column not in [one.name for one in segments.histograms[0]]
    assert all(one.limits["day"] for one in flags.histograms[0])
    assert all(one.limits == {} for one in flags.histograms[2])


@pytest.mark.parametrize("name", ["country", "transaction_id", "event_time"])
def test_a_segment_is_an_input_or_a_column_of_the_events(small: Service, name: str) -> None:
    """Not what tells no events apart: their id and time. It is refused before anything is computed."""
    config = msgspec.structs.replace(CONFIG, segments=("customer_id", name))
    rule = f"a segment is an input of the model, or a column of transactions but its time and id; got '{name}' in segments"
    with pytest.raises(SettingError, match=f"{rule}; there are transaction_amount.*, customer_id, terminal_id, amount$"):
        train(small, config, SPLIT, register=lambda *given, **known: None)
