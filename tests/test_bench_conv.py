"""bench.conv's own arithmetic, and that the native yardstick runs. Nothing is timed here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# bench/ belongs to the checkout, not to the installed package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import conv

from weft import _core

pytestmark = pytest.mark.cpu


def test_shapes() -> None:
    for shape in conv.SHAPES:
        assert conv.parse_shape(str(shape)) == shape
    assert conv.parse_shape("3to8_9x10_valid_k5") == conv.Shape(3, 8, 9, 10, 5, "valid")
    for bad in ("3to8", "0to8_9x9_same", "3to8_9x9_full", "3to8_2x2_valid"):
        with pytest.raises(ValueError, match=bad):
            conv.parse_shape(bad)


def test_useful_flops() -> None:
    assert conv.Shape(1, 32, 28, 28, 3, "same").flops(2) == 2 * 2 * 28 * 28 * 9 * 32
    assert conv.Shape(2, 3, 5, 6, 3, "valid").flops(1) == 2 * 3 * 4 * 9 * 2 * 3


def test_table() -> None:
    rates = {
        "forward": [96.0] * 3, "grad_input": [97.0] * 3, "grad_kernel": [80.0] * 3,
        "torch forward channels_last": [40.0] * 3, "torch forward contiguous_format": [50.0] * 3,
    }  # fmt: skip
    result = {"gflops": {"1to2_3x3_same b4": rates}, "clean": {}, "peak": 100.0}
    text = conv.to_markdown({"threads": 1, "pool": 2, "isa": {"avx2": result}})
    assert "| 1to2_3x3_same b4 | 96.0 | 97.0 | 80.0 | 50.0 | - | - |" in text
    assert "2x2 max-pooling" in text


@pytest.mark.parametrize("role", conv.ROLES)
@pytest.mark.parametrize("pool", [1, 2])
def test_native_yardstick_runs(role: str, pool: int) -> None:
    assert _core.bench_conv(role, 2, 6, 7, 3, 5, 3, True, threads=2, seconds=0.001, pool=pool) > 0


def test_native_yardstick_refuses() -> None:
    with pytest.raises(ValueError, match="role must be forward, grad_input or grad_kernel"):
        _core.bench_conv("backward", 1, 4, 4, 1, 1)
    with pytest.raises(ValueError, match="does not fit"):
        _core.bench_conv("forward", 1, 2, 2, 1, 1)
