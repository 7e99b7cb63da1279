"""Which columns of a model's input are lists, for a convolution."""

from __future__ import annotations

import msgspec
import pytest

from features.definitions.load import load
from features.errors import SettingError
from features.inputs.columns import input_columns
from infra.settings import load_settings
from jobs.training.networks import sequences_of
from jobs.training.train import fitting
from tests.test_layers import ROOT

pytestmark = pytest.mark.slow


def test_lists_are_found_by_their_columns_oldest_first() -> None:
    """Two lists of twenty, behind what stands before them."""
    plan = load(ROOT / "examples" / "fraud").service("card_history").plan
    inputs = input_columns(plan, plan.inputs)
    found = sequences_of(plan, inputs)
    assert [[inputs[place] for place in (one[0], one[-1])] for one in found] == [
        ["customer_amounts__amounts_30d_1", "customer_amounts__amounts_30d_20"],
        ["terminal_labels__known_30d_1", "terminal_labels__known_30d_20"],
    ]
    assert all(len(one) == 20 for one in found)


def test_a_part_of_a_list_is_no_list() -> None:
    """A model may take some of its columns, the oldest or the newest: a convolution has the lists that are whole."""
    plan = load(ROOT / "examples" / "fraud").service("card_history").plan
    inputs = input_columns(plan, plan.inputs)
    amounts = [name for name in inputs if name.startswith("customer_amounts__amounts_30d_")]
    for gone in (amounts[0], amounts[-1]):
        some = tuple(name for name in inputs if name != gone)
        (found,) = sequences_of(plan, some)
        assert [some[place] for place in found] == [f"terminal_labels__known_30d_{number}" for number in range(1, 21)]


def test_a_service_without_lists_has_nothing_to_convolve() -> None:
    """It is refused before its rows are computed."""
    project = ROOT / "examples" / "fraud"
    config = load_settings(project, train={"handbook": {"trainer": "cnn"}}).train["handbook"].config
    with pytest.raises(SettingError, match=r"a convolution takes lists; service 'handbook' has none; add a feature last_<n>"):
        fitting(config, load(project).service("handbook").plan)


def test_lists_of_several_lengths_are_refused() -> None:
    """The channels of a convolution are as long as one another."""
    plan = load(ROOT / "examples" / "fraud").service("card_history").plan
    stage = plan.windows[0]
    features = tuple(
        msgspec.structs.replace(feature, function="last_5") if feature.function == "last_20" else feature
        for feature in stage.features
    )
    other = msgspec.structs.replace(plan, windows=(msgspec.structs.replace(stage, features=features), *plan.windows[1:]))
    with pytest.raises(SettingError, match=r"have equal lengths; got .* of 5, .* of 20; give them one <n>"):
        sequences_of(other, input_columns(other, other.inputs))
