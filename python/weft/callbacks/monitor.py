"""What EarlyStopping, ModelCheckpoint and ReduceLROnPlateau share: watching one value."""

from __future__ import annotations

import re
import warnings
from typing import Any

from weft import _names
from weft.callbacks.callback import Callback, Logs

# Names whose values are better when larger; losses and errors are better when smaller.
_UP = ("acc", "accuracy", "precision", "recall", "auc", "top_k", "iou", "f1", "fbeta", "r2_score")
_DOWN = (
    *("loss", "error", "entropy", "mse", "mae", "rmse", "mape", "msle"),
    *("hinge", "poisson", "divergence", "kld", "huber", "cosh"),
)


class MonitorCallback(Callback):
    """Compares a value with the best one so far.

    Args:
        monitor: The value's name in the logs, such as "val_loss".
        mode: "min", "max", or "auto", which goes by the name.
        min_delta: Changes that are smaller do not count.

    Raises:
        ValueError: `mode` is "auto" and the name does not tell (raised when training begins).
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", min_delta: float = 0.0
    ) -> None:
        """Has seen no value yet."""
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__} expects mode 'auto', 'min' or 'max', got {mode!r}; "
                "'auto' is used.",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self.best: float | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Refuses a name that does not tell what is better, before anything is trained."""
        self._larger_is_better()

    def is_improvement(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than `reference` by more than `min_delta`."""
        if reference is None:
            return True
        if self._larger_is_better():
            return value - self.min_delta > reference
        return value + self.min_delta < reference

    def _larger_is_better(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return False
        metrics = {metric.name: metric for metric in getattr(self.model, "metrics", ())}
        # The second metric of a name has a number in the logs.
        metric = metrics.get(name) or metrics.get(re.sub(r"_\d+$", "", name))
        direction = getattr(metric, "_direction", None)
        if direction is not None:
            return bool(direction == "up")
        if any(part in name for part in _UP):
            return True
        if any(part in name for part in _DOWN):
            return False
        message = (
            f"{type(self).__name__} cannot tell whether {self.monitor!r} should grow or shrink; "
            "pass mode='max' or mode='min'"
        )
        known = list(getattr(self.model, "metrics_names", ()))
        if known and name not in known:
            names = [*known, *(f"val_{each}" for each in known)]
            message += f", or one of: {', '.join(names)}{_names.did_you_mean(self.monitor, names)}"
        raise ValueError(message if message.endswith("?") else f"{message}.")

    def _monitored(self, logs: Logs | None) -> Any:
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(
                f"{type(self).__name__} watches {self.monitor!r}, which is not available; "
                f"there are: {', '.join(logs)}.",
                stacklevel=3,
            )
        return value
