"""Learners of river on a stream whose labels come late, in a process of ``.venv-bench``; imports nothing of Headrace.

    .venv-bench/bin/python -m bench.streaming LEARNER IN.npz OUT.npz

IN has, in order of time, ``x``, [rows, inputs], ``time`` and ``known_at``, UTC milliseconds, when a row was there and when its
label was, ``label``, 0 or 1, and ``scored``, which rows a score is wanted of. OUT has ``scores``, [rows], NaN where none was
wanted, and ``seconds``, of CPU. Before a row is scored the learner has learnt from each row whose label is known by then, in the
order in which they became known, and from no other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def logistic() -> Any:
    """A logistic regression, with river's defaults."""
    from river.linear_model import LogisticRegression
    from river.preprocessing import StandardScaler

    return StandardScaler() | LogisticRegression()


def forest() -> Any:
    """An adaptive random forest, with river's defaults.

    Rows labelled 0 are thinned out until a tenth is labelled 1: it learns from 800 rows/s, and all would take half an hour.
    """
    from river.forest import ARFClassifier
    from river.imblearn import RandomUnderSampler

    return RandomUnderSampler(ARFClassifier(seed=0), {0: 0.9, 1: 0.1}, seed=0)


LEARNERS: dict[str, Callable[[], Any]] = {"logistic": logistic, "forest": forest}


def main() -> None:
    """Learn and score."""
    learner, given, out = sys.argv[1:]
    with np.load(given) as stream:
        began = time.process_time()
        scores = learnt_and_scored(LEARNERS[learner](), **{name: stream[name] for name in stream.files})
    np.savez(Path(out), scores=scores, seconds=time.process_time() - began)


def learnt_and_scored(model: Any, x: Any, time: Any, known_at: Any, label: Any, scored: Any) -> Any:
    """The scores, [rows]; see above."""
    names = [str(place) for place in range(x.shape[1])]
    rows = x.astype(np.float64)
    order = np.argsort(known_at, kind="stable").tolist()
    known, labels = known_at[order].tolist(), label.astype(int).tolist()
    scores, learnt = np.full(len(x), np.nan), 0
    for place in np.flatnonzero(scored).tolist():
        while learnt < len(order) and known[learnt] <= time[place]:
            other = order[learnt]
            model.learn_one(dict(zip(names, rows[other].tolist(), strict=True)), labels[other])
            learnt += 1
        chances = model.predict_proba_one(dict(zip(names, rows[place].tolist(), strict=True)))
        scores[place] = chances.get(1, 0.0)
    return scores


if __name__ == "__main__":
    main()
