"""Callbacks of fit, evaluate and predict, as in `keras.callbacks`."""

from weft import _names
from weft.callbacks.callback import Callback, CallbackList, History, LambdaCallback
from weft.callbacks.early_stopping import EarlyStopping
from weft.callbacks.files import CSVLogger, ModelCheckpoint
from weft.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from weft.callbacks.progress import ProgressBar
from weft.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgressBar",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]


_names.explain_missing(__name__)
