"""The settings of training: one place for defaults and bounds, the same keys everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from features.errors import SettingError
from infra.settings import load_settings
from jobs.training.config import TrainConfig

pytestmark = pytest.mark.slow

SECTION = '[train.orders]\nlabel = "returns.returned"\n'


def written(project: Path, text: str) -> TrainConfig:
    """What training is given where headrace.toml is ``text``."""
    (project / "headrace.toml").write_text(text)
    return load_settings(project).train["orders"].config


def test_a_label_is_enough(tmp_path: Path) -> None:
    """All else has a default: no group, nothing left out, XGBoost with the numbers that its trainer has."""
    assert written(tmp_path, SECTION) == TrainConfig(
        label="returns.returned",
        task="classification",
        group=None,
        group_top=100,
        leave_out_known_positives=False,
        segments=(),
        trainer="xgboost",
        parameters={},
    )


def test_every_key_can_be_written(tmp_path: Path) -> None:
    """What headrace.toml says is what training is given."""
    more = 'group = "account_id"\ngroup_top = 5\nleave_out_known_positives = true\nsegments = ["orders__amount"]\n'
    model = 'trainer = "lightgbm"\ntrees = 7\ndepth = 2\nlearning_rate = 0.1\nregularization = 2\nseed = 3\n'
    assert written(tmp_path, SECTION + more + model) == TrainConfig(
        label="returns.returned",
        task="classification",
        group="account_id",
        group_top=5,
        leave_out_known_positives=True,
        segments=("orders__amount",),
        trainer="lightgbm",
        parameters={"trees": 7, "depth": 2, "learning_rate": 0.1, "regularization": 2.0, "seed": 3},
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "leave_out_known_positives = true",
            "leave_out_known_positives leaves out rows of groups; name the group's column in group",
        ),
        (
            'task = "regression"\ngroup = "account_id"',
            "group ranks events that are labelled 1, which a regression has none of",
        ),
        ('task = "ranking"', "train.orders.task: input should be 'classification' or 'regression'; got 'ranking'"),
        ("group_top = 0", "train.orders.group_top: input should be greater than or equal to 1; got 0"),
        ("learning_rate = 0", "train.orders.learning_rate: input should be greater than 0; got 0"),
        ("trees = 0", "train.orders.trees: input should be greater than or equal to 1; got 0"),
        ("buds = 3", "'train.orders.buds' is no setting"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path, line: str, message: str) -> None:
    """The line says the key, the rule and what came."""
    with pytest.raises(SettingError, match=re.escape(message)) as caught:
        written(tmp_path, SECTION + line)
    assert "\n" not in str(caught.value)


def test_a_bare_column_is_no_label(tmp_path: Path) -> None:
    """A label names its source."""
    with pytest.raises(SettingError, match=r"train.orders.label: .*got 'returned'"):
        written(tmp_path, '[train.orders]\nlabel = "returned"\n')
