"""From a model and the shapes of a batch to a compiled plan, and the cache of these plans.

A plan has a fixed batch size: an epoch needs one for its full batches and one for the last,
smaller batch. All plans of a model share its variables.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from weft import _core
from weft.graph import Array, Shape, Tensor, Trace
from weft.models.compiled import Compiled, MetricEntry
from weft.models.data import Data, is_sparse

# Limits for one model; the oldest plan goes first. Two stay in any case: an epoch needs as many.
_MAX_PLANS = 32
_MAX_BYTES = 256 << 20
_MAX_SLOTS = 128  # kMaxAccumulators of csrc/core/step_state.h


class StepPlan(NamedTuple):
    """A plan and what its results mean."""

    plan: _core.Plan
    batch: int
    output_shape: Shape  # (batch, ...) of what `predict` gives; () in the other modes
    output_dtype: Any
    metrics: tuple[tuple[MetricEntry, int, int], ...]  # metric, its first slot, number of pairs
    slots: int

    def logs(self, state: _core.StepState) -> dict[str, float]:
        """The loss and metrics that the state has added up, in alphabetical order as in Keras."""
        sums = state.sums[: self.slots].tolist()
        result = {"loss": sums[0] / sums[1] if sums[1] else 0.0}
        for entry, first, pairs in self.metrics:
            slots = range(first, first + 2 * pairs, 2)
            result[entry.name] = entry.metric.result_from([(sums[i], sums[i + 1]) for i in slots])
        return dict(sorted(result.items()))


class PlanCache:
    """The plans of one model by mode, batch size and shapes.

    Attributes:
        rows: Plans for `predict_on_batch` by the shape of its argument, the shortest way to them.
    """

    def __init__(self) -> None:
        """Starts empty."""
        self._plans: dict[Any, StepPlan] = {}
        self.rows: dict[Shape, StepPlan] = {}
        _caches.add(self)

    def clear(self) -> None:
        """Forgets all plans."""
        self._plans.clear()
        self.rows.clear()

    def get(self, key: Any, build: Callable[[], StepPlan]) -> StepPlan:
        """The plan of a key, built if there is none."""
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = build()
            while len(self._plans) > 2 and (
                len(self._plans) > _MAX_PLANS
                or sum(each.plan.arena_bytes for each in self._plans.values()) > _MAX_BYTES
            ):
                self._plans.pop(next(iter(self._plans)))
                self.rows.clear()
        return plan


_caches: weakref.WeakSet[PlanCache] = weakref.WeakSet()


def forget_all_plans() -> None:
    """Forgets the plans of all models: one that may be a part of others has changed."""
    for cache in _caches:
        cache.clear()


def step_key(mode: str, batch: int, data: Data) -> tuple[Any, ...]:
    """What a plan for `data` depends on."""
    y = data.y
    return (
        mode,
        batch,
        data.x.shape[1:],
        None if y is None else (y.shape[1:], y.dtype.kind == "f"),
        data.weights is not None,
    )


def build_predict_plan(model: Any, batch: int, sample: Shape, training: bool = False) -> StepPlan:
    """A plan that computes the model's outputs for inputs (batch, *sample)."""
    with Trace(training=training) as trace:
        x = trace.input((batch, *sample), model.input_dtype, "x")
        outputs = model.record_outputs(trace, x)
        _check_outputs(model, outputs, batch)
        trace.record_assigns()  # of a stateful layer; others assign in training only
    plan = _core.Plan(trace.graph, [outputs.id], model.fuse)
    return StepPlan(plan, batch, outputs.shape, np.dtype(outputs.dtype), (), 0)


def build_step_plan(model: Any, compiled: Compiled, mode: str, batch: int, data: Data) -> StepPlan:
    """A plan for steps of training (mode "train") or evaluation ("test").

    Args:
        model: What to run.
        compiled: Its loss, metrics and optimizer.
        mode: "train" or "test".
        batch: Samples of a step.
        data: Arrays of the types and shapes that the plan will be fed.

    Raises:
        ValueError: A shape does not fit; the message names the layer.
    """
    training = mode == "train"
    with Trace(training=training) as trace:
        x = trace.input((batch, *data.x.shape[1:]), model.input_dtype, "x")
        y = None
        if data.y is not None:
            labels = _wants_labels(data.y, compiled.loss, model.output_shape)
            dtype = "int32" if labels else "float32"
            y = trace.input((batch, *data.y.shape[1:]), dtype, "y")
        weights = None
        if data.weights is not None:
            weights = trace.input((batch,), "float32", "sample_weight")
        outputs = model.record_outputs(trace, x)
        _check_outputs(model, outputs, batch)
        trace.layers.append("loss")
        loss = compiled.record_loss(trace, y, outputs, weights)
        if training:
            # Before anything is added up or changed, so that a step can end without a trace of it.
            trace.effect("check_finite", [loss])
        # The epoch's loss is the mean over samples: each batch counts by its size.
        size = trace.constant(float(batch))
        trace.effect("accumulate", [loss, size], {"slot": 0})
        metrics, slots = _record_metrics(trace, compiled, y, outputs, weights)
        trace.record_assigns()
        if training:
            variables = compiled.trained_variables(model)
            gradients = trace.gradients(loss, variables)
            compiled.optimizer.record(trace, variables, gradients)
        trace.layers.pop()
    plan = _core.Plan(trace.graph, [], model.fuse)
    return StepPlan(plan, batch, (), None, metrics, slots)


def _record_metrics(
    trace: Trace,
    compiled: Compiled,
    y: Tensor | None,
    outputs: Tensor,
    weights: Tensor | None,
) -> tuple[tuple[tuple[MetricEntry, int, int], ...], int]:
    slot = 2
    recorded = []
    if y is not None:
        for entry in compiled.resolve_metrics(y.shape, outputs.shape):
            trace.layers[-1] = entry.name
            pairs = entry.metric.record(y, outputs, weights if entry.weighted else None)
            recorded.append((entry, slot, len(pairs)))
            for values, factors in pairs:
                if slot + 2 > _MAX_SLOTS:
                    raise ValueError(
                        f"The metrics need more than {_MAX_SLOTS // 2 - 1} sums; use fewer "
                        "metrics or thresholds."
                    )
                inputs = [values] if factors is None else [values, factors]
                trace.effect("accumulate", inputs, {"slot": slot})
                slot += 2
    return tuple(recorded), slot


def _wants_labels(y: Array, loss: Any, output_shape: tuple[int | None, ...]) -> bool:
    """Whether y is fed as class indices (int32) rather than as numbers."""
    if is_sparse(loss):
        return True
    # A loss that a user wrote: integers, one per row of several outputs, are meant as indices.
    several = len(output_shape) > 1 and output_shape[-1] != 1
    one_each = y.ndim == len(output_shape) - 1 or (y.ndim > 1 and y.shape[-1] == 1)
    return y.dtype.kind != "f" and several and one_each


def _check_outputs(model: Any, outputs: Any, batch: int) -> None:
    if not isinstance(outputs, Tensor):
        raise ValueError(f"{model} must have one output, got {type(outputs).__name__}.")
    if not outputs.shape or outputs.shape[0] != batch:
        raise ValueError(
            f"{model} must keep the batch axis first: {batch} samples gave outputs of shape "
            f"{outputs.shape}."
        )
