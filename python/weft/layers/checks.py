"""What layers check or find out about shapes and signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

PartialShape: TypeAlias = tuple[int | None, ...]  # the batch size is None


def training_position(call: Callable[..., Any]) -> int | None:
    """Where `training` stands among the arguments after the inputs: -1 by keyword, None nowhere."""
    code = getattr(getattr(call, "__func__", call), "__code__", None)
    if code is None:
        return None
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if "training" not in names:
        return -1 if code.co_flags & 0x08 else None  # **kwargs takes it
    position = names.index("training")
    return position - 2 if position < code.co_argcount else -1  # after self and the inputs


def sample_shape(shape: Any, layer: Any) -> tuple[int, ...]:
    """The shape of one sample as ints; ValueError unless all sizes are known and positive."""
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    for size in sizes:
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{layer} expects an input shape of positive integers, got {sizes}.")
    return tuple(int(size) for size in sizes)
