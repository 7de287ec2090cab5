"""Callbacks that write files: models of good epochs, and a table of all values."""

from __future__ import annotations

import os
import warnings
from typing import IO, Any

from weft.callbacks.callback import Callback, Logs
from weft.callbacks.monitor import MonitorCallback


class ModelCheckpoint(MonitorCallback):
    """Saves the model (`model.save`) or its weights after epochs or every so many batches.

    Args:
        filepath: The file; may hold fields such as `{epoch:02d}` and `{val_loss:.2f}`.
        monitor: The value that tells which epoch is best.
        verbose: 1 to print when it saves.
        save_best_only: Whether to save only when the value became better.
        save_weights_only: Whether to save the weights alone (`model.save_weights`). So are those of
            a model that cannot be saved whole, of which a warning tells.
        mode: "min", "max", or "auto", which goes by the name.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: If given, only values that are better than this are saved.

    Raises:
        ValueError: `save_freq` is something else.
        KeyError: `filepath` has a field that the logs do not (raised when saving).
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        """Has saved nothing yet."""
        super().__init__(monitor, mode)
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            raise ValueError(
                f"ModelCheckpoint expects save_freq 'epoch' or a number of batches, "
                f"got {save_freq!r}."
            )
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.best = initial_value_threshold
        self._epoch = 0
        self._batches = 0
        self._whole = False
        if isinstance(save_freq, int):
            # Only now, because a method for batches makes fit run batch by batch.
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Checks the monitored name, if it is going to be used, and what can be saved."""
        if self.save_best_only:
            super().on_train_begin(logs)
        self._whole = not self.save_weights_only and self._can_save_model()

    def _can_save_model(self) -> bool:
        from weft.models import Sequential, files  # which import the callbacks

        reason = "only a Sequential can be saved whole"
        if isinstance(self.model, Sequential):
            try:
                files.check_savable(self.model)
                return True
            except (NotImplementedError, ValueError) as error:
                reason = str(error).rstrip(".")
        warnings.warn(
            f"ModelCheckpoint saves the weights of {self.model} alone, which model.load_weights "
            f"reads: {reason}. Pass save_weights_only=True.",
            stacklevel=2,
        )
        return False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Takes note of the epoch for the file's name."""
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Saves, if this is the time."""
        if self.save_freq == "epoch":
            self._save({"epoch": epoch + 1, **(logs or {})}, logs or {})

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches >= int(self.save_freq):
            self._batches = 0
            fields = {"epoch": self._epoch + 1, "batch": batch + 1, **(logs or {})}
            self._save(fields, logs or {})

    def _save(self, fields: dict[str, Any], logs: Logs) -> None:
        try:
            path = self.filepath.format(**fields)
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint's file name {self.filepath!r} has the field {error}; "
                f"there are: {', '.join(fields)}."
            ) from None
        before = f"\nEpoch {self._epoch + 1}: "
        if self.save_best_only:
            current = self._monitored(logs)
            if current is not None:
                if not self.is_improvement(current, self.best):
                    if self.verbose > 0:
                        print(f"{before}{self.monitor} did not improve from {self.best:.5f}")
                    return
                if self.verbose > 0:
                    old = "None" if self.best is None else f"{self.best:.5f}"
                    before += f"{self.monitor} improved from {old} to {current:.5f}, "
                self.best = current
        if self.verbose > 0:
            print(f"{before}saving model to {path}")
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        save = self.model.save if self._whole else self.model.save_weights
        save(path, overwrite=True)


class CSVLogger(Callback):
    """Writes the values of each epoch as a line of a CSV file.

    Args:
        filename: The file.
        separator: What stands between the columns.
        append: Whether to keep what the file holds already.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        """Opens nothing yet."""
        super().__init__()
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._file: IO[str] | None = None
        self._names: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Opens the file."""
        self._close()
        self._names = []
        # newline="" leaves the ends of lines to the csv module.
        self._file = open(self.filename, "a" if self.append else "w", newline="")  # noqa: SIM115

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes a line, and before the first one the names of the columns."""
        import csv

        if self._file is None:
            return
        logs = logs or {}
        writer = csv.writer(self._file, delimiter=self.separator)
        if not self._names:
            self._names = sorted(logs)
            if not any(name.startswith("val_") for name in self._names):
                self._names += [f"val_{name}" for name in self._names]
            if self._file.tell() == 0:
                writer.writerow(["epoch", *self._names])
        writer.writerow([epoch, *(logs.get(name, "NA") for name in self._names)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Closes the file."""
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
