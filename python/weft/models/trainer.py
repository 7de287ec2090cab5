"""fit, evaluate, predict and their single-batch forms, as Keras's models have them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from weft.callbacks import Callback, CallbackList, History, ProgressBar, TerminateOnNaN
from weft.graph import Array
from weft.models import data as checks
from weft.models.compilable import Compilable, rows_at_once
from weft.models.data import Data
from weft.models.loops import (
    NonFiniteLossError,
    Order,
    Runner,
    run_output_batches,
    run_outputs,
    run_pass,
)
from weft.models.plans import StepPlan


class Trainer(Compilable):
    """The part of a model that runs it over data; `Model` adds weights and files."""

    # Whole data sets

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str | bool = "auto",
        callbacks: Callback | Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Trains the model.

        Args:
            x: Inputs (N, ...), of any number type; uint8 images stay uint8 in memory. Neither x
                nor y nor weights may be changed while `fit` runs.
            y: Targets (N,) or (N, ...): class indices for sparse losses.
            batch_size: Samples of a step, 32 by default; the last step of an epoch has the rest.
            epochs: The number of the last epoch: `epochs - initial_epoch` are run.
            verbose: 0 silent, 1 or "auto" a progress bar, 2 a line per epoch.
            callbacks: Callbacks.
            validation_split: The fraction of the samples, taken from the end before shuffling,
                that is not trained on but measured after each epoch.
            validation_data: (x, y) or (x, y, sample_weight) to measure after each epoch instead.
            shuffle: Whether each epoch has an order of its own.
            class_weight: A weight for each class in the loss.
            sample_weight: A weight for each sample (N,) in the loss.
            initial_epoch: Epochs that have been run already.
            steps_per_epoch: Steps of an epoch, if fewer than a whole pass; the next epoch goes on
                where it ended.
            validation_steps: Batches of validation data to use.
            validation_batch_size: `batch_size` by default.
            validation_freq: Validate every so many epochs, or in these (counted from 1).

        Returns:
            The loss and metrics of each epoch: means over its samples, each batch measured
            before its own update.

        Raises:
            ValueError: An argument does not fit; nothing has changed then.
            FloatingPointError: The loss became NaN or infinite; the message names epoch, step and
                layer, and the weights are those from before that step.
            MemoryError: The device has no room for two batches.
        """
        self._require_compiled("fit")
        batch = _batch_size(batch_size, "fit")
        epochs = checks.check_integer(epochs, 0, "fit", "epochs")
        initial_epoch = checks.check_integer(initial_epoch, 0, "fit", "initial_epoch")
        bar = _verbosity(verbose, "fit")
        if not 0 <= validation_split < 1:
            raise ValueError(
                f"fit expects validation_split from 0 to below 1, got {validation_split!r}."
            )
        for name, count in (
            ("steps_per_epoch", steps_per_epoch),
            ("validation_steps", validation_steps),
        ):
            if count is not None:
                checks.check_integer(count, 1, "fit", name)
        validate = _validation_epochs(validation_freq)
        val_batch = batch
        if validation_batch_size is not None:
            val_batch = checks.check_integer(
                validation_batch_size, 1, "fit", "validation_batch_size"
            )
        data = self._prepare("fit", x, y, sample_weight, class_weight)
        val_data: Data | None = None
        if validation_data is not None:
            val_data = self._prepare("fit", *checks.unpack_validation(validation_data))
        elif validation_split > 0:
            data, val_data = checks.split_validation(data, validation_split)
            if class_weight is not None:  # as in Keras, classes are weighed in training only
                val_data = val_data._replace(weights=None)

        runner = self._train_runner(data, batch)
        if shuffle and runner.rows >= 1 << 31:
            raise ValueError(
                f"fit can shuffle fewer than 2^31 samples, got {runner.rows:,}; use shuffle=False."
            )
        steps = min(steps_per_epoch or runner.steps, runner.steps)
        if steps_per_epoch is not None and steps_per_epoch > steps:
            warnings.warn(
                f"fit was asked for {steps_per_epoch} steps per epoch, but a pass over the data "
                f"has only {steps}.",
                stacklevel=2,
            )
        history = History()
        progress = ProgressBar(bar, epochs, steps) if bar else None
        every: list[Callback] = list(CallbackList(callbacks).callbacks)
        every += [callback for callback in (progress, history) if callback is not None]
        params = {"verbose": bar, "epochs": epochs, "steps": steps}
        calls = CallbackList(every, self, params)
        self.last_fit_mode = "batch" if calls.wants_batches("train") else "epoch"
        val_runner: Runner | None = None
        if val_data is not None:
            if validation_steps is not None:
                val_data = val_data.rows(0, validation_steps * val_batch)
            val_runner = self._test_runner(val_data, val_batch, calls.wants_batches("test"))
        runner.keep_data_on_device()
        if val_runner is not None:
            val_runner.keep_data_on_device()

        self.stop_training = False
        self.history = history
        calls.call("on_train_begin")
        logs: dict[str, float] = {}
        order: Order = None
        begin = 0
        for epoch in range(initial_epoch, epochs):
            calls.call("on_epoch_begin", epoch)
            if begin == 0 and shuffle:
                order = runner.shuffled(self._seed, self._passes)
            if begin == 0:
                self._passes += 1
            part = min(steps, runner.steps - begin)
            try:
                logs = run_pass(self, "train", runner, calls, progress, order, begin, part, epoch)
            except NonFiniteLossError as error:
                if not any(isinstance(c, TerminateOnNaN) and not c.raise_error for c in every):
                    raise
                print(f"Batch {error.step}: Invalid loss, terminating training")
                logs = runner.logs() | {"loss": float("nan")}
                self.stop_training = True
            begin = (begin + part) % runner.steps
            if val_runner is not None and validate(epoch):
                measured = self._measure(val_runner, calls, None)
                logs |= {f"val_{name}": value for name, value in measured.items()}
            calls.call("on_epoch_end", epoch, logs)
            if self.stop_training:
                break
        calls.call("on_train_end", logs)
        return history

    def _measure(
        self,
        runner: Runner,
        calls: CallbackList,
        progress: ProgressBar | None,
    ) -> dict[str, float]:
        calls.call("on_test_begin")
        logs = run_pass(self, "test", runner, calls, progress)
        calls.call("on_test_end", logs)
        return logs

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str | bool = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and metrics for a data set.

        Args:
            x, y, sample_weight: As of `fit`.
            batch_size: Samples of a step, 32 by default.
            verbose: 0 silent, 1 or "auto" a progress bar, 2 a line.
            steps: Batches to use; all by default.
            callbacks: Callbacks.
            return_dict: Whether to return the values by name.

        Returns:
            The loss, or [loss, metric, ...], or a dict.

        Raises:
            ValueError: An argument does not fit.
            MemoryError: The device has no room for two batches.
        """
        self._require_compiled("evaluate")
        batch = _batch_size(batch_size, "evaluate")
        bar = _verbosity(verbose, "evaluate")
        if steps is not None:
            checks.check_integer(steps, 1, "evaluate", "steps")
        data = self._prepare("evaluate", x, y, sample_weight)
        if steps is not None:
            data = data.rows(0, steps * batch)
        count = -(-len(data.x) // batch)
        progress = ProgressBar(bar, 1, count) if bar else None
        every = [*CallbackList(callbacks).callbacks, *([progress] if progress else [])]
        calls = CallbackList(every, self, {"verbose": bar, "epochs": 1, "steps": count})
        runner = self._test_runner(data, batch, calls.wants_batches("test"))
        runner.keep_data_on_device()
        logs = self._measure(runner, calls, progress)
        return dict(logs) if return_dict else self._listed(logs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str | bool = "auto",
        steps: int | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
    ) -> Array:
        """The outputs for a data set.

        Args:
            x: Inputs (N, ...). NaN and infinity are passed through the layers, not refused.
            batch_size: 32 by default; results do not depend on it, unless a layer mixes the rows
                of a batch.
            verbose: 0 silent, 1 or "auto" a progress bar, 2 a line.
            steps: Batches to use; all by default.
            callbacks: Callbacks.

        Returns:
            Outputs (N, ...).

        Raises:
            ValueError: An argument does not fit.
            MemoryError: The device has no room for a part of x and its outputs (256 MiB).
            NotImplementedError: The class defines `predict_step`, see `compile`.
        """
        self._refuse_own("predict_step")
        batch = _batch_size(batch_size, "predict")
        bar = _verbosity(verbose, "predict")
        x = self._build_for(checks.as_samples(x, "predict", "x"))
        if steps is not None:
            x = x[: checks.check_integer(steps, 1, "predict", "steps") * batch]
        count = -(-len(x) // batch)
        progress = ProgressBar(bar, 1, count) if bar else None
        every = [*CallbackList(callbacks).callbacks, *([progress] if progress else [])]
        calls = CallbackList(every, self, {"verbose": bar, "epochs": 1, "steps": count})
        calls.call("on_predict_begin")
        if calls.wants_batches("predict"):
            outputs = run_output_batches(
                self._test_state, x, batch, self._planner(x), calls, progress
            )
        else:

            def watch(rows: int) -> None:
                if progress is not None:
                    progress.advance(rows // batch, {})

            rows = rows_at_once() if self._outputs_ignore_batches() else batch
            outputs = run_outputs(
                self._test_state, x, rows, self._planner(x), watch if bar == 1 else None
            )
        calls.call("on_predict_end")
        return outputs

    def _planner(self, x: Array) -> Callable[[int], StepPlan]:
        return lambda rows: self._predict_plan(rows, x.shape[1:])

    # Single batches

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step of training on all samples given; arguments, results, errors as `fit`'s.

        Returns:
            The loss before the update, or [loss, metric, ...], or a dict.
        """
        data = self._prepare("train_on_batch", x, y, sample_weight, class_weight)
        return self._run_batch("train", data, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """As `evaluate` on all samples in one batch."""
        data = self._prepare("test_on_batch", x, y, sample_weight)
        return self._run_batch("test", data, return_dict)

    def _run_batch(self, mode: str, data: Data, return_dict: bool) -> Any:
        rows = len(data.x)
        runner = (
            self._train_runner(data, rows)
            if mode == "train"
            else self._test_runner(data, rows, exact=True)
        )
        runner.reset()
        runner.run(None, 0, 1)
        logs = runner.logs()
        return logs if return_dict else self._listed(logs)

    def _listed(self, logs: dict[str, float]) -> Any:
        values = [logs[name] for name in self.metrics_names if name in logs]
        return values[0] if len(values) == 1 else values

    def predict_on_batch(self, x: Any) -> Array:
        """The outputs for all samples in one batch: `predict` without its preparations."""
        plan = self._plans.rows.get(x.shape) if type(x) is np.ndarray else None
        if plan is None or not x.flags.c_contiguous or x.dtype.str not in _FED_AS_THEY_ARE:
            return self._run_batch_of(x)
        outputs = np.empty(plan.output_shape, plan.output_dtype)
        plan.plan.run(self._test_state, (x,), None, 0, 1, (outputs,))
        return outputs

    def _run_batch_of(self, x: Any, training: bool = False) -> Array:
        x = self._build_for(checks.as_samples(x, str(self), "x"))
        rows = rows_at_once()
        parts = len(x) > rows and not training
        if parts and self._outputs_ignore_batches():  # so that no plan takes much memory
            return run_outputs(self._test_state, x, rows, self._planner(x))
        plan = self._predict_plan(len(x), x.shape[1:], training)
        if not training and not self._checks_values:  # which are looked at in each call
            self._plans.rows[x.shape] = plan
        outputs = np.empty(plan.output_shape, plan.output_dtype)
        plan.plan.run(self._test_state, (x,), None, 0, 1, (outputs,))
        return outputs

    def predict_classes(self, x: Any, batch_size: int | None = None, verbose: int = 0) -> Array:
        """Keras 2's argmax over (or, with one output, 0.5 as the threshold of) `predict`."""
        _warn_deprecated("predict_classes", "np.argmax(model.predict(x), axis=-1)")
        outputs = self.predict(x, batch_size, verbose)
        several = outputs.shape[-1] > 1
        classes: Array = outputs.argmax(axis=-1) if several else (outputs > 0.5).astype(np.int32)
        return classes

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: int = 0) -> Array:
        """Keras 2's other name of `predict`."""
        _warn_deprecated("predict_proba", "model.predict(x)")
        return self.predict(x, batch_size, verbose)


# Number types that a row may have on the fast path, where nothing is converted.
_FED_AS_THEY_ARE = frozenset(("<f4", "<f8", "|u1", "<i4", "<i8"))


def _batch_size(size: int | None, method: str) -> int:
    return 32 if size is None else checks.check_integer(size, 1, method, "batch_size")


def _verbosity(verbose: int | str | bool, method: str) -> int:
    if verbose == "auto":
        return 1
    if verbose in (0, 1, 2):
        return int(verbose)
    raise ValueError(f"{method} expects verbose 0, 1, 2 or 'auto', got {verbose!r}.")


def _validation_epochs(frequency: int | Sequence[int]) -> Callable[[int], bool]:
    if isinstance(frequency, Sequence):
        chosen = frozenset(frequency)
        return lambda epoch: epoch + 1 in chosen
    every = checks.check_integer(frequency, 1, "fit", "validation_freq")
    return lambda epoch: (epoch + 1) % every == 0


def _warn_deprecated(old: str, new: str) -> None:
    warnings.warn(f"{old} is Keras 2's; use {new}.", DeprecationWarning, stacklevel=3)
