"""What runs a model better than the defaults wins; noise does not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from features.errors import SettingError
from features.inputs.onnx import Onnx
from features.inputs.outputs import signature
from features.inputs.running import open_model
from features.inputs.session import DEFAULT, Execution, free_rows, open_session, providers
from features.inputs.signature import Signature, Tensor
from jobs.compress.tune import AGAIN, Measured, Ratio, ratio, settings, tune
from jobs.training.trainers import random_forest

pytestmark = pytest.mark.slow

NAMES = ("v__a", "v__b", "v__c")
MODES = [
    DEFAULT,
    Execution(level="off"),
    Execution(threads=2),
    Execution(threads=2, spinning=True),
    Execution(binding=True),
    Execution(rows_at_once=7),
    Execution(rows_at_once=7, binding=True, fixed=(1, 7)),
    Execution(fixed=(1, 50)),
]


def model(rows: str | None = "rows") -> tuple[bytes, Signature, dict[str, Any]]:
    """A small forest, what it takes and gives, and 50 rows; ``rows`` is the name of its first dimension."""
    generator = np.random.default_rng(3)
    x = generator.normal(size=(50, 3)).astype(np.float32)
    made = onnx.load_model_from_string(random_forest.fit(x, (x[:, 0] > 0).astype(float), "classification", trees=5).onnx)
    if rows:
        made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = rows
    content = made.SerializeToString()
    taken = (Tensor("inputs", "float", NAMES, matrix=True),)
    return content, signature(open_session(content), taken, {"inputs": x}), {"inputs": x}


class Clock:
    """A clock that goes on by itself, by an amount that no setting has a part in."""

    def __init__(self, steps: Iterator[float]) -> None:
        self._now, self._steps = 0.0, steps

    def __call__(self) -> float:
        """Seconds."""
        self._now += next(self._steps)
        return self._now


def measured(execution: Execution, *ratios: tuple[float, float, float]) -> Measured:
    """A setting with these ratios at batches of 1, 2, …"""
    found = {size: Ratio(*one) for size, one in enumerate(ratios, 1)}
    return Measured("one", execution, dict.fromkeys(found, 1.0), found)


@pytest.mark.parametrize("execution", MODES)
def test_however_a_model_runs_it_scores_the_same(execution: Execution) -> None:
    """At each size, of a fixed shape or not, in parts or at once: trees give the same bits."""
    content, found, fed = model()
    usual, other = open_model(content, found), open_model(content, found, execution)
    for rows in (1, 7, 20, 50):
        part = {"inputs": fed["inputs"][:rows]}
        assert other.run(part) == usual.run(part)


def test_a_provider_that_is_not_installed_is_refused() -> None:
    """With those that are."""
    content, found, _ = model()
    with pytest.raises(SettingError, match=r"got NoProvider; there are .*CPUExecutionProvider"):
        open_model(content, found, Execution(provider="NoProvider"))


def test_a_shape_is_fixed_where_the_rows_have_a_name() -> None:
    """A session of that shape takes no other; a model without the name runs as it is, and tune says why it tries none."""
    content, found, fed = model()
    assert free_rows(open_session(content)) == "rows"
    fixed = open_session(content, DEFAULT, ("rows", 7))
    assert fixed.get_inputs()[0].shape == [7, 3]
    nameless, _, _ = model(None)
    assert free_rows(open_session(nameless)) is None
    assert open_model(nameless, found, Execution(fixed=(1,))).run(fed) == open_model(content, found).run(fed)
    tried, untried = settings(nameless, found, 1, (1, 2000))
    assert "fixed shapes" not in tried
    assert untried["fixed shapes"] == "the model's first dimension has no name by which to fix it"
    assert untried["threads"] == "one is the most here"


def test_everything_that_is_there_is_tried() -> None:
    """Each setting alone, beside the defaults and the same again."""
    content, found, _ = model()
    tried, untried = settings(content, found, 4, (1, 256))
    threads = ("2 threads", "2 threads, spinning", "4 threads", "4 threads, spinning")
    others = [name for name in providers() if name != "CPUExecutionProvider"]
    levels = ("level off", "level basic", "level extended")
    assert list(tried) == ["defaults", AGAIN, *levels, *threads, *others, "IO binding", "64 rows at once", "fixed shapes"]
    assert set(untried) == (set() if others else {"providers"})


def test_where_time_is_noise_nothing_wins() -> None:
    """A clock that goes on at random: in three measurements of ten settings and two sizes none is kept."""
    content, found, fed = model()
    kept = 0
    for seed in range(3):
        generator = random.Random(seed)
        clock = Clock(iter(lambda of=generator: of.lognormvariate(0, 0.3), None))  # type: ignore[misc]
        result = tune(content, found, fed, cores=2, sizes=(1, 32), clock=clock)
        kept += result.won is not None
        assert [one.name for one in result.first][:2] == ["defaults", AGAIN]
    assert kept == 0


def test_what_is_faster_wins_and_is_measured_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that takes half the time, and one that takes a tenth less: both are kept, together."""
    content, found, fed = model()
    generator, now = random.Random(5), [0.0]

    class Slow:
        """A model whose runs take the time that its setting says."""

        def __init__(self, execution: Execution) -> None:
            self._seconds = 0.01 * (0.5 if execution.binding else 1) * (0.9 if execution.level == "off" else 1)
            self._seconds *= 3 if execution.threads > 1 else 1

        def run(self, fed: Any) -> None:
            """Takes its time, which varies by a fiftieth."""
            now[0] += self._seconds * generator.gauss(1, 0.02)

    monkeypatch.setattr("jobs.compress.tune.open_model", lambda _, __, execution: Slow(execution))
    result = tune(content, found, fed, cores=2, sizes=(1, 32), clock=lambda: now[0])
    assert result.won is not None
    assert result.won.execution == Execution(binding=True, level="off")
    assert result.won.ratios[1].median == pytest.approx(0.45, rel=0.05)
    verdicts = {one.name: (one.wins, any(each.worse for each in one.ratios.values())) for one in result.first[1:]}
    assert verdicts["2 threads"] == (False, True)
    assert verdicts[AGAIN] == (False, False)


def test_a_setting_that_is_worse_at_one_size_does_not_win() -> None:
    """However much better it is at another; nor does one whose interval has the defaults in it, or that gains too little."""
    fast, slow, same, little = (0.5, 0.4, 0.6), (1.1, 1.05, 1.2), (0.9, 0.8, 1.01), (0.98, 0.97, 0.99)
    assert measured(Execution(binding=True), fast, same).wins
    assert not measured(Execution(binding=True), fast, slow).wins
    assert not measured(Execution(binding=True), same).wins
    assert not measured(Execution(binding=True), little).wins


def test_a_setting_that_changes_scores_is_not_measured() -> None:
    """It is among what was not tried, with what was said of it."""
    content, found, fed = model()

    def check(onnx: Onnx) -> None:
        if onnx._run_session.__name__ == "run" and onnx._run_session.__qualname__.startswith("_bound"):
            raise SettingError("got score 2 for 1")

    result = tune(content, found, fed, cores=1, sizes=(1,), rounds=8, check=check)
    assert "IO binding" not in {one.name for one in result.first}
    assert result.untried["IO binding"] == "got score 2 for 1"


@hypothesis_settings(deadline=None)
@given(st.lists(st.floats(0.1, 10), min_size=8, max_size=60), st.integers(0, 2**32 - 1))
def test_an_interval_holds_its_median_and_moves_with_it(seconds: list[float], seed: int) -> None:
    """Whatever the times; twice the times are twice the ratios."""
    others = np.random.default_rng(seed).uniform(0.1, 10, len(seconds)).tolist()
    one, twice = ratio(seconds, others), ratio([2 * each for each in seconds], others)
    assert one.low <= one.median <= one.high
    assert (twice.low, twice.median, twice.high) == pytest.approx((2 * one.low, 2 * one.median, 2 * one.high))


def test_intervals_miss_the_median_as_seldom_as_they_say() -> None:
    """Of 2,000 intervals of pairs alike at most one in a hundred leaves 1 out, with room for chance."""
    generator = np.random.default_rng(7)
    missed = 0
    for _ in range(2000):
        times = generator.lognormal(size=(2, 21))
        found = ratio(times[0].tolist(), times[1].tolist())
        missed += not found.low <= 1 <= found.high
    assert missed <= 2000 * 0.01 + 3 * (2000 * 0.01) ** 0.5


@pytest.mark.parametrize(
    ("given", "said"),
    [({"sizes": (0, 1)}, "got 0, 1"), ({"sizes": ()}, "got none"), ({"rounds": 7}, "8 rounds or more; got 7")],
)
def test_what_gives_no_interval_is_refused(given: dict[str, Any], said: str) -> None:
    """With what to give."""
    content, found, fed = model()
    with pytest.raises(SettingError, match=said):
        tune(content, found, fed, cores=1, **given)
