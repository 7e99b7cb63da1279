"""Neural networks as ONNX graphs: built of layers, evaluated and trained with JAX, which the extra ``networks`` installs.

The graph is the network: what is trained are its initializers, so nothing is converted, and other graphs are tuned alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from features.errors import SettingError
from features.inputs.columns import columns_of
from features.plan import Plan

PACKAGES = ("jax", "optax")
AGREEMENT = 1e-5
"""How far scores by JAX and by ONNX Runtime may be apart: they add float32s, not in the same order."""
Sequences = tuple[tuple[int, ...], ...]
"""For each list of a service, the places of its columns in the matrix, oldest first; all of one length."""


def check_extra(what: str) -> None:
    """Raises `SettingError` where the extra is not installed that ``what`` needs."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise SettingError(f"{what} needs the extra: pip install 'headrace[networks]' (missing: {', '.join(missing)})")


def sequences_of(plan: Plan, inputs: Sequence[str]) -> Sequences:
    """The lists among a model's ``inputs``, its columns, as a convolution takes them: those that it has whole.

    Raises `SettingError` where there is none, or they are of several lengths.
    """
    places = {name: place for place, name in enumerate(inputs)}
    lists = {name: columns for name, columns in columns_of(plan).items() if places.keys() >= set(columns)}
    if not lists:
        raise SettingError(
            f"a convolution takes lists; service '{plan.service}' has none; add a feature last_<n> (docs/definitions.md), or "
            "take trainer mlp"
        )
    lengths = {name: len(columns) for name, columns in lists.items()}
    if len(set(lengths.values())) > 1:
        came = ", ".join(f"{name} of {length}" for name, length in lengths.items())
        raise SettingError(f"lists that are the channels of one convolution have equal lengths; got {came}; give them one <n>")
    return tuple(tuple(places[column] for column in columns) for columns in lists.values())
