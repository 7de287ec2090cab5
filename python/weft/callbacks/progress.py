"""The progress bar of fit, evaluate and predict."""

from __future__ import annotations

from typing import Any

from weft.callbacks.callback import Callback, Logs
from weft.utils.progbar import Progbar


class ProgressBar(Callback):
    """Shows Keras's progress bar. It needs no call per batch: `advance` is called now and then.

    Args:
        verbose: 1 for a bar, 2 for a line per epoch.
        epochs: The number of the last epoch, for "Epoch 1/10".
        steps: Steps of an epoch.
    """

    def __init__(self, verbose: int, epochs: int, steps: int) -> None:
        """Draws nothing yet."""
        super().__init__()
        self.verbose = verbose
        self.epochs = epochs
        self.steps = steps
        self._bar: Any = None
        self._fitting = False

    def advance(self, steps: int, logs: Logs) -> None:
        """Redraws after `steps` steps of the epoch."""
        if self._bar is not None and self.verbose == 1:
            self._bar.update(steps, list(logs.items()), finalize=False)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Notes that evaluations are now validation, which is silent."""
        self._fitting = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Starts a bar."""
        if self.epochs > 1:
            print(f"Epoch {epoch + 1}/{self.epochs}")
        self._start()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Completes it."""
        self._finish(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Starts a bar, unless this is validation."""
        if not self._fitting:
            self._start()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Completes it."""
        if not self._fitting:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Starts a bar."""
        self._start()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Completes it."""
        self._finish(None)

    def _start(self) -> None:
        # An empty list of averaged names: the values are means already, and are shown as they come.
        self._bar = Progbar(
            self.steps, verbose=self.verbose, unit_name="step", stateless_metrics=[]
        )

    def _finish(self, logs: Logs | None) -> None:
        if self._bar is not None:
            self._bar.update(self.steps, list((logs or {}).items()), finalize=True)
            self._bar = None
