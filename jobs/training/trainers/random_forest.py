"""scikit-learn's random forests."""

from __future__ import annotations

from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from features.inputs.matrix import Floats
from features.inputs.signature import Task
from jobs.training.fitted import Fitted, Labels
from jobs.training.scikit import fit_pipeline

AGREEMENT = 1e-5
"""scikit-learn adds doubles, ONNX Runtime float32 leaves."""
NO_START = "its trees do not build on each other"


def fit(x: Floats, labels: Labels, task: Task, *, trees: int = 100, depth: int = 10, seed: int = 0) -> Fitted:
    """A null is the median, and a column of its own: of trees with missing values the converter makes others."""
    kind = RandomForestClassifier if task == "classification" else RandomForestRegressor
    model = kind(n_estimators=trees, max_depth=depth, random_state=seed, n_jobs=1)
    return fit_pipeline(x, labels, task, model, scaled=False, agreement=AGREEMENT)
