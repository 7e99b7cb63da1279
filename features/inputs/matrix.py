"""Numbers as what a model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@np.errstate(over="ignore")  # as a decorator: entering it anew costs a microsecond
def matrix(rows: Sequence[Sequence[Any]] | npt.NDArray[np.float64], kind: type = np.float32) -> Any:
    """Input vectors as [n, inputs]: of each number the nearest double, and of that the nearest float32.

    None becomes NaN, true 1, and what is beyond float32 infinite. Integers may be of any size.

    >>> matrix([(1, None, 2**24 + 1), (True, 2.5, 1e300)]).tolist()
    [[1.0, nan, 16777216.0], [1.0, 2.5, inf]]
    """
    return np.array(rows, kind)
