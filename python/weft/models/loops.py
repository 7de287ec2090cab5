"""Running plans over a data set: whole epochs in one native call where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from weft import _core
from weft.callbacks import CallbackList, ProgressBar
from weft.graph import Array
from weft.models import streaming
from weft.models.data import Data
from weft.models.plans import StepPlan
from weft.models.streaming import ChunkedData, gathered

# Which rows make up a pass: these, or what the device shuffles; None is their own order.
Order = Array | _core.Shuffle | None

_REDRAW_SECONDS = 0.1
_WATCHED_ROWS = 4096  # of predict, between two redraws


class NonFiniteLossError(FloatingPointError):
    """The loss became NaN or infinite; `step` counts from 0. No weight was changed by that step."""

    def __init__(self, message: str, step: int) -> None:
        """Keeps the step."""
        super().__init__(message)
        self.step = step


class Runner:
    """Runs steps of training or evaluation over one data set.

    Args:
        state: The counters and sums of the model.
        data: The samples.
        batch: Samples of a step; the last step has what is left.
        plan: Gives the plan for a batch size.
        optimizer: For training; None for evaluation.
        scale: How many of the batches that were asked for make up a step.

    Attributes:
        steps: Steps of a whole pass.
    """

    def __init__(
        self,
        state: _core.StepState,
        data: Data,
        batch: int,
        plan: Callable[[int], StepPlan],
        optimizer: Any = None,
        scale: int = 1,
    ) -> None:
        """Builds the plans."""
        self.state = state
        self.scale = scale
        self.batch = batch
        self.rows = len(data.x)
        self._inputs: list[Any] = data.arrays
        self._chunks: ChunkedData | None = None
        self._full_steps, rest = divmod(self.rows, batch)
        self.steps = self._full_steps + (rest > 0)
        self._full = plan(batch) if self._full_steps else None
        self._tail = plan(rest) if rest else None
        self._optimizer = optimizer

    def keep_data_on_device(self) -> None:
        """Copies the data to where the plans run, once for all passes to come.

        Data that are too large for the device stay where they are and go there in chunks.

        Raises:
            MemoryError: Not even the chunks fit.
        """
        plan = self._any.plan
        if plan.device == "cpu":
            return
        try:
            self._inputs = [_core.DeviceArray(array, plan) for array in self._inputs]
        except MemoryError:
            self._chunks = ChunkedData(self._inputs, self.batch, plan)

    def reset(self) -> None:
        """Sets the sums, and the variables of metrics written in Keras's way, to 0."""
        self.state.reset_sums()
        for entry, _, _ in self._any.metrics:
            if entry.metric.variables:
                entry.metric.reset_state()

    def logs(self) -> dict[str, float]:
        """The loss and metrics of the steps since the sums were last reset."""
        return self._any.logs(self.state)

    @property
    def _any(self) -> StepPlan:
        plan = self._full or self._tail
        assert plan is not None
        return plan

    def shuffled(self, seed: int, epoch: int) -> Order:
        """The rows in an order that depends on the arguments alone, for `run`."""
        if self._chunks is not None:  # they are gathered here
            return _core.shuffled(self.rows, seed, epoch)
        return _core.Shuffle(seed, epoch)

    def run(self, order: Order, begin: int, steps: int, epoch: int | None = None) -> None:
        """Runs some steps of a pass.

        Args:
            order: Which rows make up the pass: from `shuffled`, or rows, or None.
            begin: The first step, from 0.
            steps: How many.
            epoch: The epoch, for messages; None outside of `fit`.

        Raises:
            NonFiniteLossError: The loss became NaN or infinite.
        """
        full = min(steps, self._full_steps - begin)
        if full > 0:
            assert self._full is not None
            done = self._run(self._full, order, begin * self.batch, full)
            if done < full:
                raise self._error(self._full, order, begin + done, epoch)
        if full < steps:
            assert self._tail is not None
            if self._run(self._tail, order, self._full_steps * self.batch, 1) < 1:
                raise self._error(self._tail, order, self._full_steps, epoch)

    def _run(self, step: StepPlan, order: Order, row: int, steps: int) -> int:
        state, optimizer = self.state, self._optimizer
        if optimizer is None:
            return self._run_plan(step, order, row, steps)
        # The optimizer owns the count of its updates: it may come from another model.
        state.iteration = optimizer._iterations
        try:
            return self._run_plan(step, order, row, steps)
        finally:
            optimizer._iterations = state.iteration

    def _run_plan(self, step: StepPlan, order: Order, row: int, steps: int) -> int:
        def run(inputs: list[Any], row: int, steps: int, order: Order = None) -> int:
            rates = None
            if self._optimizer is not None:
                rates = self._optimizer.learning_rates(self.state.iteration, steps)
            return step.plan.run(self.state, inputs, order, row, steps, (), rates)

        if self._chunks is None:
            return run(self._inputs, row, steps, order)
        assert not isinstance(order, _core.Shuffle)
        return self._chunks.run(run, order, row, steps, step.batch)

    def _error(
        self, plan: StepPlan, order: Order, step: int, epoch: int | None
    ) -> NonFiniteLossError:
        row = step * self.batch
        inputs = self._inputs
        if self._chunks is not None:
            assert not isinstance(order, _core.Shuffle)
            inputs, order, row = gathered(inputs, order, row, row + plan.batch), None, 0
        found = plan.plan.find_nonfinite(self.state, inputs, order, row)
        layer = found.partition(" (")[0]  # the kernel follows
        place = f"layer {layer!r}" if layer not in ("", "loss") else "the loss itself"
        when = "" if epoch is None else f" at epoch {epoch + 1}, step {step + 1}"
        return NonFiniteLossError(
            f"The loss became NaN or infinite{when}: first in {place}. The weights are those from "
            "before that step.",
            step,
        )


def run_pass(
    model: Any,
    mode: str,
    runner: Runner,
    callbacks: CallbackList,
    progress: ProgressBar | None,
    order: Order = None,
    begin: int = 0,
    steps: int | None = None,
    epoch: int | None = None,
) -> dict[str, float]:
    """Runs the steps of an epoch (mode "train") or of an evaluation ("test").

    Args:
        model: Its `stop_training` ends the pass when a callback sets it.
        mode: Which methods of the callbacks are for its batches.
        runner: What to run.
        callbacks: If one overrides a method for batches, steps are run one by one.
        progress: Redrawn about ten times a second, without stopping at every step.
        order, begin, steps, epoch: As of `Runner.run`; all steps by default.

    Returns:
        The loss and metrics of these steps.
    """
    steps = runner.steps - begin if steps is None else steps
    runner.reset()
    if callbacks.wants_batches(mode):
        for step in range(steps):
            callbacks.call(f"on_{mode}_batch_begin", step)
            runner.run(order, begin + step, 1, epoch)
            logs = runner.logs()
            callbacks.call(f"on_{mode}_batch_end", step, dict(logs))
            if progress is not None:
                progress.advance(step + 1, logs)
            if mode == "train" and model.stop_training:
                break
    elif progress is None or progress.verbose != 1:
        runner.run(order, begin, steps, epoch)
    else:
        done, chunk = 0, 1
        while done < steps:
            count = min(chunk, steps - done)
            started = time.perf_counter()
            runner.run(order, begin + done, count, epoch)
            seconds = max(time.perf_counter() - started, 1e-9)
            done += count
            # The next redraw is due after as many steps as take the time between two of them.
            chunk = max(1, int(count * _REDRAW_SECONDS / seconds))
            if done < steps:
                progress.advance(done * runner.scale, runner.logs())
    return runner.logs()


def run_outputs(
    state: _core.StepState,
    x: Array,
    at_once: int,
    plan: Callable[[int], StepPlan],
    watch: Callable[[int], None] | None = None,
) -> Array:
    """The outputs for x.

    Args:
        state: The counters of the model.
        x: Inputs (N, ...).
        at_once: Rows of a step; results do not depend on it.
        plan: Gives the plan for a number of rows.
        watch: Called now and then with the number of rows that are done.
    """
    full, rest = divmod(len(x), at_once)
    # Both plans before anything runs: a failure then leaves the states of layers alone.
    first = plan(at_once if full else rest)
    last = plan(rest) if rest else first
    outputs = np.empty((len(x), *first.output_shape[1:]), first.output_dtype)
    part = _steps_of_a_run(first, x, outputs)
    if watch is not None:
        part = min(part, max(1, _WATCHED_ROWS // at_once))
    for begin in range(0, full, part):
        steps = min(part, full - begin)
        first.plan.run(state, [x], None, begin * at_once, steps, [outputs])
        if watch is not None:
            watch((begin + steps) * at_once)
    if rest:
        last.plan.run(state, [x], None, full * at_once, 1, [outputs])
    return outputs


def _steps_of_a_run(step: StepPlan, x: Array, outputs: Array) -> int:
    """As many as there are, or as a device with memory of its own takes in and gives at once."""
    steps = max(1, len(x) // step.batch)
    if step.plan.device == "cpu":
        return steps
    step_bytes = (x[:1].nbytes + outputs[:1].nbytes) * step.batch
    return min(steps, max(1, streaming.CHUNK_BYTES // step_bytes))


def run_output_batches(
    state: _core.StepState,
    x: Array,
    batch: int,
    plan: Callable[[int], StepPlan],
    callbacks: CallbackList,
    progress: ProgressBar | None,
) -> Array:
    """As `run_outputs`, telling callbacks of every batch."""
    full, rest = divmod(len(x), batch)
    first = plan(batch if full else rest)
    last = plan(rest) if rest else first
    outputs = np.empty((len(x), *first.output_shape[1:]), first.output_dtype)
    for step in range(full + (rest > 0)):
        begin, end = step * batch, min((step + 1) * batch, len(x))
        callbacks.call("on_predict_batch_begin", step)
        (first if step < full else last).plan.run(state, [x], None, begin, 1, [outputs])
        callbacks.call("on_predict_batch_end", step, {"outputs": outputs[begin:end]})
        if progress is not None:
            progress.advance(step + 1, {})
    return outputs
