"""The base class of callbacks, the list that calls them, and the history that `fit` returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

Logs: TypeAlias = dict[str, Any]


class Callback:
    """What `fit`, `evaluate` and `predict` tell of their progress; a subclass overrides methods.

    Overriding a method for single batches makes `fit` run batch by batch, which is slower for
    small networks: `model.last_fit_mode` is then "batch" instead of "epoch".

    Attributes:
        model: The model that is trained.
        params: A dict with `verbose`, `epochs` and `steps`.
    """

    def __init__(self) -> None:
        """Belongs to no model yet."""
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_params(self, params: dict[str, Any]) -> None:
        """Takes `verbose`, `epochs` and `steps`."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Takes the model that is about to run."""
        self.model = model

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch and its validation, with all of their values."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called when `fit` begins."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called when `fit` ends, with the values of the last epoch."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when an evaluation begins, also that of validation data."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when an evaluation ends, with its values."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when `predict` begins."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when `predict` ends."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """An old name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """An old name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a training batch, counted from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a training batch, with the means of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of an evaluation, with the means so far."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of `predict`, with its `outputs`."""


class History(Callback):
    """The values of each epoch; `fit` returns it.

    Attributes:
        epoch: The epochs run, counted from 0.
        history: A list of values per epoch for each name: loss, metrics, and these with `val_`.
    """

    def __init__(self) -> None:
        """Starts empty."""
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets the epochs of an earlier `fit`; the values are kept, as in Keras."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Appends the epoch's values."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        on_epoch_begin, on_epoch_end: Called with (epoch, logs).
        on_train_begin, on_train_end: Called with (logs).
        on_train_batch_begin, on_train_batch_end: Called with (batch, logs).
        **functions: Any other method of `Callback`, by name.

    Raises:
        ValueError: There is no method of that name.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **functions: Callable[..., Any],
    ) -> None:
        """Puts the functions in the methods' places."""
        super().__init__()
        functions |= {
            name: function
            for name, function in (
                ("on_epoch_begin", on_epoch_begin),
                ("on_epoch_end", on_epoch_end),
                ("on_train_begin", on_train_begin),
                ("on_train_end", on_train_end),
                ("on_train_batch_begin", on_train_batch_begin),
                ("on_train_batch_end", on_train_batch_end),
            )
            if function is not None
        }
        for name, function in functions.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise ValueError(f"LambdaCallback has no argument {name!r}.")
            setattr(self, name, function)


_BATCH_METHODS = {
    "train": ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


class CallbackList:
    """Calls all callbacks in their order.

    Args:
        callbacks: A callback, several of them, or None.
        model: The model that is about to run.
        params: What `Callback.set_params` is given.

    Raises:
        TypeError: One is no `Callback`.
    """

    def __init__(
        self,
        callbacks: Callback | Iterable[Callback] | None,
        model: Any = None,
        params: dict[str, Any] | None = None,
    ) -> None:
        """Tells each callback its model and parameters."""
        if callbacks is None:
            callbacks = ()
        elif isinstance(callbacks, Callback):
            callbacks = (callbacks,)
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"callbacks expects instances of weft.callbacks.Callback, got {callback!r}."
                )
        for callback in self.callbacks:
            callback.set_params(params or {})
            if model is not None:
                callback.set_model(model)

    def wants_batches(self, mode: str) -> bool:
        """Whether a callback overrides a method for batches of `mode`: train, test, predict."""
        return any(
            getattr(getattr(callback, name), "__func__", None) is not getattr(Callback, name)
            for callback in self.callbacks
            for name in _BATCH_METHODS[mode]
        )

    def call(self, method: str, *arguments: Any) -> None:
        """Calls one method of every callback."""
        for callback in self.callbacks:
            getattr(callback, method)(*arguments)
