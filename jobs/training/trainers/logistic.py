"""scikit-learn's logistic regression."""

from __future__ import annotations

from typing import Literal

from sklearn.linear_model import LogisticRegression

from features.inputs.matrix import Floats
from jobs.training.fitted import Fitted, Labels
from jobs.training.scikit import fit_pipeline

AGREEMENT = 1e-6
"""Both compute in doubles; a score is a float32."""
NO_START = "it is solved anew, wherever it starts"


def fit(x: Floats, labels: Labels, task: Literal["classification"], *, regularization: float = 1.0) -> Fitted:
    """``regularization`` is what scikit-learn has the inverse of, as ``C``. A null is the median, and a column of its own."""
    model = LogisticRegression(C=1 / regularization, max_iter=1000)
    return fit_pipeline(x, labels, task, model, scaled=True, agreement=AGREEMENT)
