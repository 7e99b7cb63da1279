"""What travels: one file per message, the codecs, and how topics are read. Nothing is imported from the other packages."""

from schemas.alarm import Alarm
from schemas.dead_letter import DeadLetter, Reason
from schemas.deployment import Deployment
from schemas.features import FeatureVector, Origin
from schemas.late_row import LateRow
from schemas.outcome import Outcome
from schemas.prediction import Prediction, Receipt
from schemas.stored_prediction import FetchedPrediction, StoredPrediction

__all__ = [
    "Alarm",
    "DeadLetter",
    "Deployment",
    "FeatureVector",
    "FetchedPrediction",
    "LateRow",
    "Origin",
    "Outcome",
    "Prediction",
    "Reason",
    "Receipt",
    "StoredPrediction",
]
