"""One seed for everything that draws random numbers."""

from __future__ import annotations

import operator


def set_random_seed(seed: int) -> None:
    """Seeds Python's `random`, NumPy's global generator and weft's own.

    With the same seed, weft draws the same initial weights, batches and dropout masks on every
    device, instruction set and number of threads.

    Args:
        seed: An integer from 0 to 2**32 - 1.

    Raises:
        ValueError: The seed is no integer or out of range.
    """
    import random

    import numpy as np

    from weft import config

    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**32:
        raise ValueError(f"set_random_seed expects an integer from 0 to 2**32 - 1, got {seed!r}.")
    random.seed(number)
    np.random.seed(number)
    config._set_seed(number)
