"""Neural networks as ONNX graphs: built of layers, evaluated and trained with JAX, which the extra ``networks`` installs.

The graph is the network: what is trained are its initializers, so nothing is converted, and a graph from elsewhere is tuned alike.
"""

from __future__ import annotations

from importlib.util import find_spec

from features.errors import SettingError

PACKAGES = ("jax", "optax")


def check_extra(what: str) -> None:
    """Raises `SettingError` where the extra is not installed that ``what`` needs."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise SettingError(f"{what} needs the extra: pip install 'headrace[networks]' (missing: {', '.join(missing)})")
