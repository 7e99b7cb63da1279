"""Models as scikit-learn, XGBoost and LightGBM make and export them, of the plan in `tests.support.orders`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from skl2onnx.common.data_types import BooleanTensorType, DoubleTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.data_types import FloatTensorType as SklearnFloats
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from features.inputs.columns import input_columns
from tests.support.orders import PLAN

COLUMNS = list(input_columns(PLAN, PLAN.inputs))
"""Of a model of one matrix."""
NAMED = {
    "recent__sum_price": SklearnFloats([None, 1]),
    "derived__half": SklearnFloats([None, 1]),
    "recent__last_size": Int64TensorType([None, 1]),
    "recent__last_web": BooleanTensorType([None, 1]),
    "recent__last_kind": StringTensorType([None, 1]),
    "profile__region": StringTensorType([None, 1]),
}
"""Of a model that takes its inputs by name."""


class Fitted(NamedTuple):
    """A model of a library, and what that library says."""

    onnx: bytes
    expected: Callable[[pd.DataFrame], Any]
    """The library's own scores of rows, whose columns are the model's inputs."""
    apart: float
    """How far a score may be from the library's, in relation to it where it is above 1."""
    is_tree: bool
    takes_nulls: bool


def floats(frame: pd.DataFrame) -> Any:
    """The matrix that a model learns from, as Headrace makes it."""
    return frame[COLUMNS].to_numpy(np.float32)


def _matrix_model(model: Any, frame: pd.DataFrame, y: Any, *, takes_nulls: bool, is_tree: bool, **options: Any) -> Fitted:
    model.fit(floats(frame), y)
    onnx = to_onnx(model, floats(frame)[:1], **options).SerializeToString()
    proba = getattr(model, "predict_proba", None)
    score = (lambda rows: proba(floats(rows))[:, 1]) if proba else lambda rows: model.predict(floats(rows)).reshape(-1)
    return Fitted(onnx, score, 1e-5, is_tree, takes_nulls)


def logistic(frame: pd.DataFrame) -> Fitted:
    """scikit-learn's default export: a label, and ZipMap's maps."""
    return _matrix_model(LogisticRegression(), frame, _late(frame), takes_nulls=False, is_tree=False)


def forest(frame: pd.DataFrame) -> Fitted:
    """With an imputer: of a forest, skl2onnx 1.20 sends NaN another way than scikit-learn does."""
    model = make_pipeline(SimpleImputer(), RandomForestClassifier(20, random_state=0))
    return _matrix_model(model, frame, _late(frame), takes_nulls=True, is_tree=True)


def boosted(frame: pd.DataFrame) -> Fitted:
    """scikit-learn's trees that take missing values themselves."""
    return _matrix_model(HistGradientBoostingClassifier(max_iter=20), frame, _late(frame), takes_nulls=True, is_tree=True)


def network(frame: pd.DataFrame) -> Fitted:
    """Two dense layers; probabilities as a tensor."""
    model = make_pipeline(StandardScaler(), MLPClassifier((16, 8), max_iter=50, random_state=0, tol=1))
    return _matrix_model(model, frame, _late(frame), takes_nulls=False, is_tree=False, options={"zipmap": False})


def doubles(frame: pd.DataFrame) -> Fitted:
    """A regression of doubles: what float32 would round is exact."""
    x = frame[COLUMNS].to_numpy(np.float64)
    model = LinearRegression().fit(x, _amount(frame))
    onnx = to_onnx(model, initial_types=[("x", DoubleTensorType([None, len(COLUMNS)]))]).SerializeToString()
    return Fitted(onnx, lambda rows: model.predict(rows[COLUMNS].to_numpy(np.float64)).reshape(-1), 1e-12, False, False)


def forest_of_amounts(frame: pd.DataFrame) -> Fitted:
    """A regression by trees."""
    model = make_pipeline(SimpleImputer(), RandomForestRegressor(10, random_state=0, max_depth=6))
    return _matrix_model(model, frame, _amount(frame), takes_nulls=True, is_tree=True)


def xgboost_classifier(frame: pd.DataFrame) -> Fitted:
    """A label, and probabilities as a tensor."""
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1).fit(floats(frame), _late(frame))
    onnx = convert_xgboost(model, initial_types=[("x", FloatTensorType([None, len(COLUMNS)]))]).SerializeToString()
    return Fitted(onnx, lambda rows: model.predict_proba(floats(rows))[:, 1], 1e-5, True, True)


def lightgbm_classifier(frame: pd.DataFrame) -> Fitted:
    """A label, and ZipMap's maps."""
    model = lightgbm.LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1).fit(floats(frame), _late(frame))
    onnx = convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, len(COLUMNS)]))]).SerializeToString()
    return Fitted(onnx, lambda rows: model.predict_proba(floats(rows))[:, 1], 1e-5, True, True)


def pipeline(frame: pd.DataFrame, without: str = "") -> Fitted:
    """Inputs by name, of every type, with texts of the stream and of a batch view."""
    inputs = {name: kind for name, kind in NAMED.items() if name != without}
    numbers, texts = list(inputs)[:3], list(inputs)[4:]
    columns = [
        ("numbers", StandardScaler(), numbers),
        ("web", "passthrough", ["recent__last_web"]),
        ("texts", OneHotEncoder(handle_unknown="ignore"), texts),
    ]
    model = make_pipeline(ColumnTransformer(columns), LogisticRegression()).fit(_typed(frame), _late(frame))
    onnx = to_onnx(model, initial_types=list(inputs.items())).SerializeToString()
    return Fitted(onnx, lambda rows: model.predict_proba(_typed(rows))[:, 1], 1e-5, False, False)


def three_classes(frame: pd.DataFrame, **options: Any) -> bytes:
    """A label of text, and three probabilities."""
    y = np.array(["early", "late", "never"])[np.digitize(_amount(frame), (2, 8))]
    model = RandomForestClassifier(5, random_state=0, max_depth=4).fit(floats(frame), y)
    onnx: bytes = to_onnx(model, floats(frame)[:1], **options).SerializeToString()
    return onnx


FITTED: Mapping[str, Callable[[pd.DataFrame], Fitted]] = {
    fit.__name__: fit
    for fit in (logistic, forest, boosted, network, doubles, forest_of_amounts, xgboost_classifier, lightgbm_classifier, pipeline)
}


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[list(NAMED)].fillna({"recent__last_kind": "", "profile__region": ""})


def _amount(frame: pd.DataFrame) -> Any:
    return (frame["recent__sum_price"].fillna(1) + frame["recent__count"].fillna(3) % 5).to_numpy(np.float64)


def _late(frame: pd.DataFrame) -> Any:
    return (_amount(frame) > 6).astype(np.int64)
