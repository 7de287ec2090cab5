"""What the ops of recurrent layers and embeddings mean, in plain float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

OPS: dict[str, Callable[[list[Array], dict[str, Any]], Array]] = {}
