"""scikit-learn's linear regression with squared penalties, ridge regression."""

from __future__ import annotations

from typing import Literal

from sklearn.linear_model import Ridge

from features.inputs.matrix import Floats
from jobs.training.fitted import Fitted, Labels
from jobs.training.scikit import fit_pipeline

AGREEMENT = 1e-6
"""Both compute in doubles; a score is a float32."""
NO_START = "it is solved anew, wherever it starts"


def fit(x: Floats, labels: Labels, task: Literal["regression"], *, regularization: float = 1.0) -> Fitted:
    """``regularization`` is scikit-learn's ``alpha``. A null is the median, and a column of its own."""
    return fit_pipeline(x, labels, task, Ridge(alpha=regularization), scaled=True, agreement=AGREEMENT)
