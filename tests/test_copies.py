"""Copies between the host's memory and a device's: any size, through pinned buffers and without."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from native import negative

from weft import _core

RNG = np.random.default_rng(3)
PIECE = 2 << 20  # bytes of a pinned buffer
SIZES = (3, 1 << 14, (1 << 14) + 16, PIECE // 4 - 16, PIECE // 4, PIECE // 4 + 16, PIECE + 48)


@pytest.mark.parametrize("way", ["staged", "direct"])
@pytest.mark.parametrize("size", SIZES)
def test_copies_of_any_size_come_and_go(device, size, way, monkeypatch):
    monkeypatch.setenv("WEFT_CUDA_COPIES", way)
    array = RNG.random(size, dtype=np.float32)
    variable = _core.Variable(array, "v")
    np.testing.assert_array_equal(variable.numpy(), array)
    variable.assign(-array)
    np.testing.assert_array_equal(variable.numpy(), -array)


def test_an_unknown_way_of_copies_is_refused(device, monkeypatch):
    monkeypatch.setenv("WEFT_CUDA_COPIES", "sideways")
    with pytest.raises(RuntimeError, match="must be staged or direct, got 'sideways'"):
        _core.Variable(np.zeros(1 << 15, np.float32), "v")


def rows_at(held, plan, rows):
    """Some rows of a DeviceArray, (n, 7) uint8."""
    results = np.zeros((len(rows), 7), np.float32)
    assert plan.run(_core.StepState(0), [held], rows, 0, 1, [results]) == 1
    return -results


@pytest.mark.parametrize("pieces", [1, 2, 5])
@pytest.mark.parametrize("beyond", [-1, 0, 3])
@pytest.mark.parametrize("ordered", [True, False])
def test_gathered_rows_may_be_cut_between_pieces(pieces, beyond, ordered):
    """No piece ends where a row of 7 bytes ends."""
    count = pieces * PIECE // 7 + beyond
    data = RNG.integers(0, 256, (count + 10, 7), dtype=np.uint8)
    order = RNG.permutation(count + 10).astype(np.int32) if ordered else None
    plan = negative((64, 7))
    held = _core.DeviceArray.room(data, count + 5, plan)
    held.gather(data, order, 4, count + 4)
    borders = [i * PIECE // 7 for i in range(pieces + 1)]
    near = [row + i for row in borders for i in range(-3, 4)]
    near = [row for row in near if 0 <= row < count]
    near += RNG.integers(0, count, 64 - len(near)).tolist()
    expected = data[4 : count + 4] if order is None else data[order[4 : count + 4]]
    rows = np.array(near, np.int32)
    np.testing.assert_array_equal(rows_at(held, plan, rows), expected[rows])
    beyond_them = np.full(64, count + 4, np.int32)
    np.testing.assert_array_equal(rows_at(held, plan, beyond_them), 0)


def test_rows_gathered_into_one_array_leave_a_run_over_another_alone():
    plan = negative((4, 7))
    data = RNG.integers(0, 256, (800, 7), dtype=np.uint8)
    first, second = (_core.DeviceArray.room(data, 800, plan) for _ in range(2))
    first.gather(data, None, 0, 800)
    large = RNG.integers(0, 256, (PIECE, 7), dtype=np.uint8)
    third = _core.DeviceArray.room(large, PIECE, plan)
    helper = threading.Thread(target=third.gather, args=(large, None, 0, PIECE))
    helper.start()
    results = np.zeros((800, 7), np.float32)
    plan.run(_core.StepState(0), [first], None, 0, 200, [results])
    second.gather(data[::-1].copy(), None, 0, 800)
    helper.join()
    np.testing.assert_array_equal(-results, data)
    plan.run(_core.StepState(0), [second], None, 0, 200, [results])
    np.testing.assert_array_equal(-results, data[::-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"array": np.zeros((9, 4), np.float32)},
            r"those of shape \(5, 3\), got shape \(9, 4\)",
        ),
        ({"array": np.zeros((9, 3), np.float64)}, "the type that the room is for, got float64"),
        (
            {"array": np.zeros(9, np.float32)},
            r"those of shape \(5, 3\), got shape \(9,\)",
        ),
        ({"array": np.zeros((9, 6), np.float32)[:, ::2]}, "must be C-contiguous"),
        ({"end": 10}, "there are no rows 0 to 10 of 9"),
        ({"begin": -1}, "there are no rows -1 to 5 of 9"),
        ({"begin": 6}, "there are no rows 6 to 5 of 9"),
        ({"end": 6}, "there is room for 5 rows, not for 6"),
        ({"order": np.zeros(3, np.int32)}, "there are no rows 0 to 5 of 3"),
        ({"order": np.zeros(9, np.int64)}, "order must be a contiguous int32 vector"),
        ({"order": np.full(9, 9, np.int32)}, "order names row 9 of 9"),
        ({"order": np.full(9, -1, np.int32)}, "order names row -1 of 9"),
    ],
)
def test_rows_that_are_not_there_are_refused(change, message):
    plan = negative((2, 3))
    held = _core.DeviceArray.room(np.zeros((9, 3), np.float32), 5, plan)
    arguments = {"array": np.ones((9, 3), np.float32), "order": None, "begin": 0, "end": 5}
    with pytest.raises(ValueError, match=message):
        held.gather(**(arguments | change))
    held.gather(**arguments)


def test_without_pinned_memory_copies_go_directly(emulated, request):
    """In a process of its own: buffers that are there already stay."""
    program = """
import sys
sys.path[:0] = sys.argv[1:]
import cuda_on_cpu
import numpy as np
import test_copies
from weft import _core
_core.set_device(_core.add_device(cuda_on_cpu.device(0)))
array = np.arange(1 << 20, dtype=np.float32)
np.testing.assert_array_equal(_core.Variable(array, "v").numpy(), array)
data = np.arange(7 << 20, dtype=np.uint8).reshape(-1, 7)
plan = test_copies.negative((2, 7))
held = _core.DeviceArray.room(data, len(data), plan)
held.gather(data, None, 0, len(data))
rows = np.array([5, len(data) - 1], np.int32)
np.testing.assert_array_equal(test_copies.rows_at(held, plan, rows), data[rows])
"""
    folders = [os.path.dirname(__file__), request.config.getoption("--module-path")]
    environment = {**os.environ, "CUDA_ON_CPU_PINNED": "4096"}
    subprocess.run(
        [sys.executable, "-c", program, *folders], env=environment, check=True, timeout=200
    )
