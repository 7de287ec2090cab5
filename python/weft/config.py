"""Settings of the whole process: threads, devices, the number type, and the seed of everything."""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Iterator
from typing import Any

from weft import _core, _names
from weft.devices import get_device, list_devices, set_device

__all__ = [
    "epsilon",
    "floatx",
    "get_device",
    "get_matmul_precision",
    "get_num_threads",
    "image_data_format",
    "list_devices",
    "set_device",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_matmul_precision",
    "set_num_threads",
]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: the increment of SplitMix64


class _SeedStream:
    """Sub-seeds drawn one after the other from a global seed (SplitMix64, Steele et al. 2014)."""

    def __init__(self) -> None:
        # Without a seed, every process draws other numbers, as in Keras.
        self._state = int.from_bytes(os.urandom(8), "little")

    def restart(self, seed: int) -> None:
        self._state = seed & _MASK

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """What is drawn inside is not missing afterwards."""
        before = self._state
        try:
            yield
        finally:
            self._state = before

    def next(self) -> int:
        self._state = (self._state + _GOLDEN) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) >> 1  # 63 bits, so that it fits any integer type


_seeds = _SeedStream()


def _set_seed(seed: int) -> None:
    """Starts the stream of sub-seeds again; see `weft.utils.set_random_seed`."""
    _seeds.restart(seed)


def _next_seed() -> int:
    """The next sub-seed, from 0 to 2**63 - 1; each model and each initializer draws its own."""
    return _seeds.next()


def set_num_threads(threads: int) -> None:
    """Sets how many CPU threads weft uses; results do not depend on it.

    Args:
        threads: The number, or 0 for as many CPUs as this process may use.

    Raises:
        ValueError: The number is negative or no integer.
    """
    try:
        number = operator.index(threads)
    except TypeError:
        number = -1
    if number < 0 or isinstance(threads, bool):
        raise ValueError(f"set_num_threads expects an integer of at least 0, got {threads!r}.")
    _core.set_num_threads(number)


def get_num_threads() -> int:
    """How many CPU threads weft uses."""
    return _core.get_num_threads()


_matmul_precision = "tf32"


def set_matmul_precision(precision: str) -> None:
    """Sets in what matrix products and convolutions multiply on a GPU; they always add in float32.

    Args:
        precision: "tf32", float32 rounded to 10 bits of mantissa, the default as in TensorFlow and
            JAX; "bfloat16", 7 bits; "float32"; or "tf32x3", as exact as float32 but for infinite
            numbers, which give NaN, on the tensor cores. The CPU, and a GPU before compute
            capability 8.0, always multiplies in float32.

    Raises:
        ValueError: Another name.
    """
    global _matmul_precision
    if precision not in ("float32", "tf32", "tf32x3", "bfloat16"):
        raise ValueError(
            "set_matmul_precision expects 'float32', 'tf32', 'tf32x3' or 'bfloat16', "
            f"got {precision!r}."
        )
    _core.set_matmul_precision(precision)
    _matmul_precision = precision


def get_matmul_precision() -> str:
    """What `set_matmul_precision` was told last."""
    return _matmul_precision


def floatx() -> str:
    """The number type of weights and activations: always "float32"."""
    return "float32"


def set_floatx(value: Any) -> None:
    """Accepts "float32", the only type that weft computes in.

    Raises:
        ValueError: Another type.
    """
    if str(value) != "float32":
        raise ValueError(f"set_floatx expects 'float32', the type weft computes in, got {value!r}.")


_epsilon = 1e-7


def epsilon() -> float:
    """The fuzz factor of losses and optimizers, 1e-7 unless set."""
    return _epsilon


def set_epsilon(value: float) -> None:
    """Sets what `epsilon` returns."""
    global _epsilon
    _epsilon = float(value)


def image_data_format() -> str:
    """The order of the axes of images: always "channels_last", (N, H, W, C)."""
    return "channels_last"


def set_image_data_format(data_format: str) -> None:
    """Accepts "channels_last", the only order that weft computes in.

    Raises:
        ValueError: Another order.
    """
    if data_format != "channels_last":
        raise ValueError(
            f"set_image_data_format expects 'channels_last', the order weft computes in, "
            f"got {data_format!r}."
        )


_names.explain_missing(__name__)
