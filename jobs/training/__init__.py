"""Training sets, models and metrics: the one package that needs what the extra ``train`` installs.

Importing it without the extra raises `SettingError`, so callers import it where they train.
"""

from importlib.util import find_spec

from features.errors import SettingError

_missing = [name for name in ("lightgbm", "onnx", "onnxmltools", "skl2onnx", "sklearn", "xgboost") if find_spec(name) is None]
if _missing:
    raise SettingError(f"training needs the extra: pip install 'headrace[train]' (missing: {', '.join(_missing)})")
