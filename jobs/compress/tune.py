"""How a model runs best on this machine: settings of ONNX Runtime measured against the defaults, and what wins beyond noise."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import msgspec
import numpy as np

from features.errors import SettingError
from features.inputs.feeds import Feed
from features.inputs.onnx import Onnx
from features.inputs.running import open_model
from features.inputs.session import CPU, DEFAULT, LEVELS, Execution, free_rows, open_session, providers
from features.inputs.signature import Signature

SIZES = (1, 32, 256, 2000)
"""Rows of a batch: of a request, of a quiet stream, of a busy one, and what a scorer takes at most."""
PARTS = (64, 256, 1000)
"""How many rows at once are tried."""
AGAIN = "defaults again"
"""The same sessions' settings under another name: what differs here is noise."""
DOUBT = 0.01
"""How likely an interval of the median lies beside it, at most."""
LEAST = 0.03
"""What a setting has to gain at the least: less is not worth a setting."""
BLOCK_S = 0.004
"""How long the runs of a block take together at the least: the clock and one interruption weigh little."""
SEED = 20_240_501
KINDS = ("level", "threads", "provider", "binding", "rows_at_once", "fixed")
"""What of an `Execution` is tried; of each the best that wins is taken, spinning with its threads."""

Clock = Callable[[], float]
Check = Callable[[Onnx], None]
"""Raises `SettingError` where a model that runs so gives other scores than it should."""
Progress = Callable[[str, int, int], None]


class Ratio(msgspec.Struct, frozen=True):
    """The time of a batch in relation to that with the defaults, measured in turns."""

    median: float
    low: float
    high: float
    """An interval of the median, by order statistics."""

    @property
    def better(self) -> bool:
        """Whether it is less beyond noise."""
        return self.high < 1 and self.median <= 1 - LEAST

    @property
    def worse(self) -> bool:
        """Whether it is more beyond noise, by however little."""
        return self.low > 1


class Measured(msgspec.Struct, frozen=True):
    """A setting and its times, by rows of a batch."""

    name: str
    execution: Execution
    seconds: dict[int, float]
    """The median of a batch."""
    ratios: dict[int, Ratio]

    @property
    def wins(self) -> bool:
        """Whether it is better at some size, and worse at none."""
        return any(one.better for one in self.ratios.values()) and not any(one.worse for one in self.ratios.values())


class Result(msgspec.Struct, frozen=True):
    """What was measured, and what won."""

    first: tuple[Measured, ...]
    """Each setting alone; the defaults first, then the same once more."""
    second: tuple[Measured, ...]
    """What won alone, put together, measured anew; empty where nothing did."""
    untried: dict[str, str]
    """Settings that could not be tried, and why."""

    @property
    def won(self) -> Measured | None:
        """What is better, measured a second time; None: the defaults are as good as anything here."""
        last = self.second[-1] if self.second else None
        return last if last is not None and last.wins else None


def tune(
    content: bytes,
    signature: Signature,
    fed: Mapping[str, Feed],
    *,
    cores: int,
    sizes: Sequence[int] = SIZES,
    rounds: int = 21,
    check: Check = lambda onnx: None,
    clock: Clock = time.perf_counter,
    on_progress: Progress = lambda step, done, total: None,
) -> Result:
    """Measure a model's settings on rows that it is fed; each alone, and what wins together a second time.

    In each of ``rounds`` every setting runs a block of batches of each size, in a random order, so that what slows the machine
    down slows all of them; a setting's time is compared with the defaults' of the same round. It wins where the interval of the
    median ratio lies below 1 at some size, by 3 % or more, and above 1 at none. Of one kind, levels say, the best that wins is
    taken.

    A setting that the model can't run with, or that ``check`` refuses, is not measured.

    Raises `SettingError` for sizes or rounds that give no interval.
    """
    if not sizes or min(sizes) < 1:
        raise SettingError(
            f"a batch has 1 row or more; got {', '.join(map(str, sizes)) or 'none'}; give --batch 1 --batch 256, say"
        )
    if not _places(rounds):
        raise SettingError(f"an interval of the median needs 8 rounds or more; got {rounds}; give --rounds 21")
    batches = {size: _batch(fed, size) for size in dict.fromkeys(sizes)}
    tried, untried = settings(content, signature, cores, tuple(batches))
    opened = _opened(content, signature, tried, batches, untried, check)
    first = _measured(opened, batches, rounds, clock, lambda done: on_progress("Each setting alone", done, rounds))
    together = _together(first)
    if together is None:
        return Result(first, (), untried)
    pair = {"defaults": DEFAULT, AGAIN: DEFAULT, "together": together}
    opened = _opened(content, signature, pair, batches, untried, check)
    if "together" not in opened:
        return Result(first, (), untried)
    second = _measured(opened, batches, rounds, clock, lambda done: on_progress("What won, again", done, rounds))
    return Result(first, second, untried)


def settings(
    content: bytes, signature: Signature, cores: int, sizes: Sequence[int]
) -> tuple[dict[str, Execution], dict[str, str]]:
    """What is tried, by name, each one thing beside the defaults; and what can't be, with why."""
    tried, untried = {"defaults": DEFAULT, AGAIN: DEFAULT}, {}
    tried |= {f"level {level}": Execution(level=level) for level in LEVELS if level != DEFAULT.level}
    counts = [count for count in (2, 4, 8, 16, 32) if count <= cores]
    for count in counts:
        tried[f"{count} threads"] = Execution(threads=count)
        tried[f"{count} threads, spinning"] = Execution(threads=count, spinning=True)
    if not counts:
        untried["threads"] = "this process has one core"
    tried |= {name: Execution(provider=name) for name in providers() if name != CPU}
    if providers() == (CPU,):
        untried["providers"] = f"{CPU} alone is installed"
    if any(tensor.type == "string" for tensor in signature.inputs) or any(output.maps for output in signature.outputs):
        untried["IO binding"] = "the model takes strings or gives maps, which can't be bound"
    else:
        tried["IO binding"] = Execution(binding=True)
    tried |= {f"{rows} rows at once": Execution(rows_at_once=rows) for rows in PARTS if rows < max(sizes)}
    if free_rows(open_session(content)) is None:
        untried["fixed shapes"] = "the model's first dimension has no name by which to fix it"
    else:
        tried["fixed shapes"] = Execution(fixed=tuple(sizes))
    return tried, untried


def _opened(
    content: bytes,
    signature: Signature,
    tried: Mapping[str, Execution],
    batches: Mapping[int, Mapping[str, Feed]],
    untried: dict[str, str],
    check: Check,
) -> dict[str, tuple[Execution, Onnx]]:
    """The models that are measured, warm; a setting that it can't run with, or not as it should, is added to ``untried``."""
    found = {}
    for name, execution in tried.items():
        try:
            onnx = open_model(content, signature, execution)
            check(onnx)
            for fed in batches.values():
                onnx.run(fed)
        except Exception as error:  # ONNX Runtime's errors have no common type
            if execution == DEFAULT:
                raise
            untried[name] = " ".join(str(error).split())[:200]
        else:
            found[name] = execution, onnx
    return found


def _measured(
    opened: Mapping[str, tuple[Execution, Onnx]],
    batches: Mapping[int, Mapping[str, Feed]],
    rounds: int,
    clock: Clock,
    on_round: Callable[[int], None],
) -> tuple[Measured, ...]:
    generator = random.Random(SEED)  # noqa: S311 - nothing secret
    runs = {size: _runs(opened["defaults"][1], fed, clock) for size, fed in batches.items()}
    times: dict[tuple[str, int], list[float]] = {(name, size): [] for name in opened for size in batches}
    for done in range(1, rounds + 1):
        order = list(times)
        generator.shuffle(order)
        for name, size in order:
            times[name, size].append(_block(opened[name][1], batches[size], runs[size], clock))
        on_round(done)
    return tuple(
        Measured(
            name,
            execution,
            {size: median(times[name, size]) for size in batches},
            {size: ratio(times[name, size], times["defaults", size]) for size in batches if name != "defaults"},
        )
        for name, (execution, _) in opened.items()
    )


def ratio(seconds: Sequence[float], defaults: Sequence[float]) -> Ratio:
    """The median of the paired ratios, and its interval: from the k-th smallest to the k-th largest of them.

    k is the largest for which a binomial of n halves is below k, or above n - k, at most one time in a hundred (David & Nagaraja,
    "Order statistics", 2003, section 7.1): nothing is supposed of how times are distributed.

    >>> ratio([5.0, 7.5] * 10, [10.0] * 20)
    Ratio(median=0.625, low=0.5, high=0.75)
    """
    found = sorted(one / other for one, other in zip(seconds, defaults, strict=True))
    place = _places(len(found))
    return Ratio(median(found), found[place - 1], found[-place])


def _places(count: int) -> int:
    """k of `ratio`; 0 where there are too few for an interval.

    >>> [_places(count) for count in (7, 8, 15, 21)]
    [0, 1, 3, 5]
    """
    place, tail = 0, 0.0
    while 2 * (tail := tail + math.comb(count, place) / 2**count) <= DOUBT:
        place += 1
    return place


def _together(measured: Sequence[Measured]) -> Execution | None:
    """The best of each kind that wins, in one; None where nothing does."""
    execution = DEFAULT
    for kind in KINDS:
        of = [one for one in measured if one.wins and getattr(one.execution, kind) != getattr(DEFAULT, kind)]
        if not of:
            continue
        best = min(of, key=lambda one: math.prod(each.median for each in one.ratios.values()))
        changed = {kind: getattr(best.execution, kind)} | ({"spinning": best.execution.spinning} if kind == "threads" else {})
        execution = msgspec.structs.replace(execution, **changed)
    return None if execution == DEFAULT else execution


def _runs(onnx: Onnx, fed: Mapping[str, Feed], clock: Clock) -> int:
    """How many batches a block has: as many as take `BLOCK_S`."""
    one = min(_block(onnx, fed, 1, clock) for _ in range(5))
    return max(1, min(200, math.ceil(BLOCK_S / max(one, 1e-7))))


def _block(onnx: Onnx, fed: Mapping[str, Feed], runs: int, clock: Clock) -> float:
    """Seconds of one batch, in the mean over a block, after one that nobody times: the CPU's caches are the session's own."""
    onnx.run(fed)
    began = clock()
    for _ in range(runs):
        onnx.run(fed)
    return (clock() - began) / runs


def _batch(fed: Mapping[str, Feed], rows: int) -> dict[str, Feed]:
    """So many rows of what there is, over and over."""
    return {name: values[np.arange(rows) % len(values)] for name, values in fed.items()}
