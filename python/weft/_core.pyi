"""The native core: variables, the tape of ops, and plans that run them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

class Variable:
    """A trainable or state array in the device's memory, in the device's own layout."""

    def __init__(self, value: ArrayLike, name: str = "") -> None:
        """Copies `value` (float32 after conversion)."""
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def device(self) -> str: ...
    name: str
    def numpy(self) -> NDArray[np.float32]:
        """A copy in Python's layout, e.g. (inputs, units)."""
    def assign(self, value: ArrayLike) -> None:
        """Overwrites the value; ValueError if the shape differs, and then nothing has changed."""

class StepState:
    """What changes from step to step: counters, the learning rate, the epoch's sums."""

    def __init__(self, seed: int = 0) -> None: ...
    iteration: int  # optimizer updates made so far
    learning_rate: float
    seed: int  # key of the random numbers
    draw: int  # counts training steps for the random numbers
    @property
    def sums(self) -> NDArray[np.float64]:
        """A writable view of the accumulators: slot s holds a weighted sum, s + 1 the sum of weights."""
    @property
    def aborted(self) -> bool:
        """A loss was not finite; the step stopped before it changed any variable."""
    def reset_sums(self) -> None: ...

class Graph:
    """A tape of ops on values with static shapes. Values are small integers."""

    def __init__(self) -> None: ...
    def input(self, shape: Sequence[int], dtype: str = "float32", name: str = "") -> int:
        """A batch that is gathered from an array at run time; dtype "float32" or "int32".

        The array bound to it may have any numeric dtype and is converted while it is gathered.
        """
    def variable(self, variable: Variable) -> int: ...
    def constant(self, value: ArrayLike) -> int:
        """A float32 or int32 array (a scalar has shape ())."""
    def op(
        self, kind: str, inputs: Sequence[int], attrs: dict[str, Any] | None = None, layer: str = ""
    ) -> int:
        """Records one op and returns its value (-1 for ops without one); ValueError names `layer`.

        kind                   inputs -> value, attrs
        dense                  x (M, K), w (K, N)[, bias (N)] -> (M, N)
        matmul                 a (M, K), b (K, N) -> (M, N); b any value
        conv2d                 x (N, H, W, C), w (KH, KW, C, F)[, bias (F)] -> (N, OH, OW, F); strides, dilation (lists
                               of an int per spatial axis), padding (before and after each); without H and KH likewise
        conv2d_transpose       x (N, OH, OW, F), w (KH, KW, C, F)[, bias (C)] -> (N, H, W, C); attrs of the conv2d whose
                               gradient it is, and size [H, W]
        lstm                   xp (N*T, 4H), u (H, 4H)[, bias (4H)][, h0, c0 (N, H)][, mask (N, H)] -> (N, H), or with
                               return_sequences (N*T, H), row n*T + t; steps (T), has_bias, has_state, has_mask,
                               go_backwards, activation, recurrent_activation. Its second result is the last c.
        gru                    xp (N*T, 3H), u (H, 3H)[, bias (2, 3H)][, h0 (N, H)][, mask (N, H)]; as lstm. Its second
                               result is the last h.
        simple_rnn             xp (N*T, H), u (H, H)[, bias (H)][, h0 (N, H)][, mask (N, H)]; as gru
        embedding              ids int32 (N, ...), table (V, D) -> (N, ..., D); NaN for an id that is not from 0 to V-1
        unary                  x; fn: a name of UNARY_FUNCTIONS, and its parameters a, b, c (floats)
        binary                 a, b broadcast; fn: add subtract multiply divide maximum minimum power
                               floor_divide mod equal not_equal less less_equal greater greater_equal
                               logical_and logical_or (comparisons give float 1 or 0)
        select                 condition, a, b broadcast -> where(condition != 0, a, b)
        dropout                x; rate, stream (an int of its own for each dropout layer)
        random                 (none); shape, fn: uniform (a <= y < b) or normal (mean a, deviation b), a, b, stream
        affine_transform       x (N, H, W, C), matrices (N, 6)[, displacement (N, 2, OH, OW)] -> (N, OH, OW, C);
                               interpolation: bilinear nearest, fill_mode: constant nearest reflect wrap, fill_value,
                               size [OH, OW] (default: as x); see csrc/ops/image.h. No gradient of the map.
        gaussian_filter        x (N, planes, H, W); over the last two axes; sigma, radius, scale
        batch_norm             x (..., C), gamma (C), beta (C) -> y as x, mean (C), variance (C), 1/sqrt(variance +
                               epsilon) (C); moments over all axes but the last; epsilon
        batch_norm_inference   x (..., C), gamma (C), beta (C), mean (C), variance (C) -> y as x; epsilon
        layer_norm             x (..., C), gamma (C), beta (C) -> y as x, and mean and 1/sqrt(variance + epsilon) of
                               each position, flat; moments over the last axis; epsilon
        reduce                 x; fn: sum mean max min prod, axes (list of ints; [] = all), keepdims
        argmax                 x (..., N) -> int32 (...); over the last axis; smallest: bool for argmin
        softmax                x; over the last axis; log: bool
        softmax_cross_entropy  logits (M, C), labels int32 (M,) or targets (M, C) -> (M,); smoothing
        reshape                x; shape (no -1)
        transpose              x; axes
        broadcast_to           x; shape
        concatenate            x1, x2, ...; axis
        slice                  x; begin, size, strides (lists of one int per axis)
        slice_grad             x; shape, begin, strides -> zeros of that shape with x where such a slice would be taken
        cast                   x; dtype: float32 or int32
        one_hot                labels int32 (M,) -> (M, depth); depth
        in_top_k               scores (M, C), labels int32 (M,) -> (M,) of 1 and 0; k
        stop_gradient          x
        accumulate             values[, weights of the same shape] -> none; slot: sums[slot] += sum(values*weights),
                               sums[slot+1] += sum(weights) (or the count of values)
        check_finite           loss () -> none; a non-finite loss ends the step before any variable changes
        assign                 variable, value -> none
        update                 variable, gradient, slots...[, grad_scale () if has_grad_scale] -> none; rule: sgd
                               momentum nesterov rmsprop rmsprop_momentum rmsprop_centered rmsprop_centered_momentum
                               adam amsgrad adagrad; p0, p1, epsilon (see csrc/ops/update.h), weight_decay,
                               clip_value, l1, l2, has_grad_scale. The learning rate is StepState.learning_rate.
        """
    def shape(self, value: int) -> tuple[int, ...]: ...
    def dtype(self, value: int) -> str: ...
    def results(self, value: int) -> list[int]:
        """All results of the op that made `value`; only the first has a gradient."""
    def gradients(self, loss: int, values: Sequence[int]) -> list[int]:
        """Records the backward ops of scalar `loss` and returns d loss / d value for each; -1 where none."""

class Shuffle:
    """The order `shuffled(n, seed, epoch)` of the n rows of a plan's inputs, drawn where the plan runs."""

    def __init__(self, seed: int, epoch: int) -> None:
        """From 0 to 2**64 - 1 each; TypeError for others."""
    @property
    def seed(self) -> int: ...
    @property
    def epoch(self) -> int: ...

class DeviceArray:
    """A copy of an array in the memory of a plan's device, for plans that read it in many runs."""

    def __init__(self, array: NDArray[Any], plan: Plan) -> None:
        """MemoryError if there is no room; ValueError for an array that is not C-contiguous."""
    @staticmethod
    def room(array: NDArray[Any], rows: int, plan: Plan) -> DeviceArray:
        """Zeros: so many rows like those of an array. MemoryError if there is no room."""
    def gather(
        self, array: NDArray[Any], order: NDArray[np.int32] | None, begin: int, end: int
    ) -> None:
        """Fills the first rows with those of an array that `order[begin:end]` names (None: its own).

        order: (n,). Rows from end - begin on keep what they held. ValueError for an array with other rows or another
        type, rows that are not there, or more rows than there is room for.
        The GIL is released meanwhile, and a plan that reads other arrays may run.
        """
    @property
    def shape(self) -> tuple[int, ...]: ...

class Plan:
    """A compiled graph: a flat list of kernel calls over one arena, run without Python."""

    def __init__(self, graph: Graph, outputs: Sequence[int] = (), fuse: bool = True) -> None:
        """`outputs` are values whose rows are stored into arrays at run time."""
    def run(
        self,
        state: StepState,
        inputs: Sequence[NDArray[Any] | DeviceArray],
        order: NDArray[np.int32] | Shuffle | None,
        start: int,
        steps: int,
        outputs: Sequence[NDArray[Any]] = (),
        learning_rates: NDArray[np.float32] | None = None,
    ) -> int:
        """Runs `steps` steps from row `start` of the epoch and returns how many were completed.

        inputs: one C-contiguous array per graph input, in the order they were recorded, shape (n, ...).
        order: which rows make up the epoch, (n,), or a Shuffle of all of them, or None for 0..n-1. outputs: one
        C-contiguous array per output, (n, ...) float32 or int32; step i writes rows start + i*batch onwards.
        Scalar and other outputs whose first axis is not the batch are written once per step at row i.
        learning_rates: of each step, (steps,), or None for state.learning_rate in all of them.
        Fewer steps than asked for: state.aborted. Ctrl-C raises KeyboardInterrupt between steps.
        The GIL is released meanwhile. Advances state.draw once per step, and state.iteration if the plan updates.
        """
    def find_nonfinite(
        self,
        state: StepState,
        inputs: Sequence[NDArray[Any] | DeviceArray],
        order: NDArray[np.int32] | Shuffle | None,
        start: int,
    ) -> str:
        """Runs the steps before any update, one at a time, and names the first layer with NaN or inf ('' if none)."""
    def describe(self) -> list[dict[str, Any]]:
        """A dict per kernel call: step, phase, kernel, layer, shape, bytes, offset, flops, tiles."""
    def profile(
        self,
        state: StepState,
        inputs: Sequence[NDArray[Any] | DeviceArray],
        order: NDArray[np.int32] | Shuffle | None,
        repeats: int,
    ) -> list[float]:
        """Median seconds of each kernel call on the calling thread alone; variables change as in training."""
    @property
    def device(self) -> str: ...
    @property
    def arena_bytes(self) -> int: ...
    @property
    def flops(self) -> int:
        """Useful floating-point operations of matrix products in one step."""

UNARY_FUNCTIONS: tuple[str, ...]
# identity relu leaky_relu(a=slope) elu(a) selu sigmoid tanh softplus softsign exp hard_sigmoid relu6 step gelu
# gelu_tanh silu hard_silu log_sigmoid mish relu_general(a=slope, b=max_value, c=threshold) negative abs sign square
# sqrt rsqrt reciprocal log log1p expm1 sin cos floor ceil round erf log_cosh is_nan is_finite logical_not
# pow_scalar(a) clip(a, b) affine(a*x + b) reverse_divide(a / x)

def add_device(capsule: Any) -> str:
    """Takes a device that another module has made, in a capsule named "weft::Device"; returns its name."""

def set_device(name: str) -> None:
    """Sets where new variables live; ValueError for a device that was not added."""

def set_matmul_precision(precision: str) -> None:
    """In what products multiply on devices that have tensor cores; ValueError for an unknown name."""

def get_device() -> str: ...
def shuffled(n: int, seed: int, epoch: int) -> NDArray[np.int32]:
    """A permutation of 0..n-1 that depends on nothing but its arguments: on every device the same.

    ValueError for n below 0 or from 2**31 on.
    """

def all_finite(array: NDArray[Any]) -> bool:
    """Whether a float array holds no NaN or inf."""

def set_num_threads(threads: int) -> None:
    """0 chooses: the CPUs this process may use, capped by the container's quota."""

def get_num_threads() -> int: ...
def cpu_info() -> dict[str, Any]:
    """isas_built, isas_found, isa, isa_reason, threads, threads_reason, compiler, flags, build_type, cpu_name,
    cuda_build (what CUDA was built for, or why it was not)."""

def fma_peak(threads: int = 1, seconds: float = 0.05, isa: str | None = None) -> float:
    """GFLOP/s of a register-only FMA loop."""

def round_trip() -> float:
    """Nanoseconds in which a cache line goes to another thread and back."""

def bench_dense(role: str, m: int, k: int, n: int, threads: int = 1, seconds: float = 0.2) -> float:
    """GFLOP/s of the dense kernel in role forward, grad_input or grad_kernel."""

def bench_conv(
    role: str,
    n: int,
    h: int,
    w: int,
    c: int,
    f: int,
    kernel: int = 3,
    padding_same: bool = False,
    threads: int = 1,
    seconds: float = 0.2,
    pool: int = 1,
) -> float:
    """GFLOP/s of a convolution (square kernel, stride 1) with relu and pool x pool max-pooling behind it.

    role: forward, grad_input (with flipping the kernel) or grad_kernel. Images (n, h, w, c), f filters.
    """

__version__: str
