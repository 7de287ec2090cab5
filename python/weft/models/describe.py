"""The table of `model.describe_plan()`: what the native core does in one step."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import _core
from weft.models.data import Data, check_integer, is_sparse
from weft.models.plans import StepPlan, build_predict_plan, build_step_plan

_COLUMNS = ("step", "phase", "kernel", "layer", "shape", "bytes", "offset", "flops", "tiles")
_TEXTS = ("kernel", "layer", "shape")


def plan_text(model: Any, batch_size: int, mode: str, fuse: bool | None) -> str:
    """The text that `Model.describe_plan` prints; see there."""
    batch = check_integer(batch_size, 1, "describe_plan", "batch_size")
    if mode not in ("train", "test", "predict"):
        raise ValueError(f"describe_plan expects mode 'train', 'test' or 'predict', got {mode!r}.")
    if not model.built:
        raise ValueError(f"{model} has no plan yet: build it or call it on data first.")
    fused = model.fuse if fuse is None else bool(fuse)
    before = model._fuse
    model._fuse = fused  # not by the property, which would forget all plans
    try:
        plan = _plan(model, batch, mode).plan
    finally:
        model._fuse = before
    return _text(model, plan, batch, mode, fused)


def _plan(model: Any, batch: int, mode: str) -> StepPlan:
    if mode == "predict":
        return build_predict_plan(model, batch, model.input_shape[1:])
    compiled = model._require_compiled("describe_plan")
    output = tuple(model.output_shape[1:])
    y = None
    if compiled.loss is not None:
        labels = np.zeros((batch, *output[:-1]), np.int32)
        y = labels if is_sparse(compiled.loss) else np.zeros((batch, *output), np.float32)
    x = np.zeros((batch, *model.input_shape[1:]), np.float32)
    known = compiled.metrics
    try:
        return build_step_plan(model, compiled, mode, batch, Data(x, y, None))
    finally:
        # The real y may have another shape, by which "accuracy" means something else.
        compiled.metrics = known


def _text(model: Any, plan: _core.Plan, batch: int, mode: str, fuse: bool) -> str:
    steps = plan.describe()
    columns = [name for name in _COLUMNS if any(name in step for step in steps)]
    cells = [columns, *([_cell(step.get(name, "")) for name in columns] for step in steps)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    lines = [
        f"{model} in mode {mode!r}, batch size {batch}, fuse={fuse}: {len(steps)} kernel calls, "
        f"{plan.flops:,} FLOPs in matrix products, {plan.arena_bytes:,} bytes"
    ]
    for row in cells:
        parts = [
            f"{cell:{'<' if name in _TEXTS else '>'}{width}}"
            for cell, name, width in zip(row, columns, widths, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
