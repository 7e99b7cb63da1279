"""What a method of compression takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from features.errors import SettingError
from features.inputs.matrix import Floats
from features.inputs.signature import Task
from jobs.training.fitted import Labels
from jobs.training.networks import Sequences


class RefusedError(SettingError):
    """A method that this model cannot gain by, said with the reason; nothing was changed."""


class Learnt(msgspec.Struct, frozen=True):
    """The rows of the training days, in the order of time: what methods calibrate, distil and fine-tune on.

    Rows of the test are never among them.
    """

    x: Floats
    """[rows, inputs], NaN is null."""
    labels: Labels
    """[rows]; NaN where none is known."""
    task: Task
    teachers: tuple[bytes, ...] = ()
    """Further models whose scores a student is taught, in the mean with the candidate's; ONNX, with its input and outputs."""
    sequences: Sequences = ()
    """The service's lists, as a convolution takes them; none where it has none, or they are of several lengths."""


class Candidate(msgspec.Struct, frozen=True):
    """A model, and what was done to it."""

    onnx: bytes
    """One float32 input [n, inputs], and the outputs of the original."""
    steps: tuple[tuple[str, Mapping[str, str]], ...] = ()
    """The methods that made it, first to last, each with all its parameters; none: the original."""


Method = Callable[[Candidate, Learnt], Candidate]
"""A method whose parameters are bound. Raises `RefusedError`."""
