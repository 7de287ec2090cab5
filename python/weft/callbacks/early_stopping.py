"""Stopping when a value no longer gets better."""

from __future__ import annotations

from weft.callbacks.callback import Logs
from weft.callbacks.monitor import MonitorCallback


class EarlyStopping(MonitorCallback):
    """Stops training when a value has not become better for some epochs, as in Keras 3.

    Args:
        monitor: The value's name in the logs, such as "val_loss".
        min_delta: Improvements that are smaller do not count.
        patience: How many epochs without improvement to wait.
        verbose: 1 to print when it acts.
        mode: "min", "max", or "auto", which goes by the name.
        baseline: If given, only improvements beyond it end the waiting.
        restore_best_weights: Whether to go back, at the end of training, to the weights of the
            best epoch; also when training was not stopped early.
        start_from_epoch: Epochs before this one are not looked at.

    Attributes:
        stopped_epoch: The epoch after which training was stopped, from 0; 0 if it was not.
        best: The best value. best_epoch: Its epoch. best_weights: The weights after it.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        """Has seen no value yet."""
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._restart()

    def _restart(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[object] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Starts afresh, so that one object may serve several fits."""
        super().on_train_begin(logs)
        self._restart()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Looks at the value, and asks the model to stop when patience has run out."""
        current = self._monitored(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            # Even if the value is NaN and never gets better, there must be something to restore.
            self._keep_weights(epoch)
        self.wait += 1
        if self.is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._keep_weights(epoch)
            if self.baseline is None or self.is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restores the best weights, if asked to."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print(
                    "Restoring model weights from the end of the best epoch: "
                    f"{self.best_epoch + 1}."
                )
            self.model.set_weights(self.best_weights)

    def _keep_weights(self, epoch: int) -> None:
        self.best_epoch = epoch
        self.best_weights = self.model.get_weights()
