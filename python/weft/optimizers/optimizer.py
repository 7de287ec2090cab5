"""What all optimizers share: the learning rate, clipping, weight decay, and their state.

An optimizer holds numbers and state (its slots, one set per variable); the arithmetic is the
native core's `update` op, of which it records one per variable into a training plan.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from weft._names import unique_name
from weft.graph import Array, Tensor, Trace, Variable
from weft.optimizers import schedules
from weft.optimizers.schedules import LearningRateSchedule

LearningRateLike: TypeAlias = float | LearningRateSchedule | Callable[..., float]

# Arguments of Keras's optimizers that weft does not have, with the only values it takes.
_UNSUPPORTED: dict[str, Any] = {
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


class Rule(NamedTuple):
    """An update rule of the core, see `csrc/ops/update.h`; `slots` are named in its order."""

    name: str
    p0: float = 0.0
    p1: float = 0.0
    epsilon: float = 0.0
    slots: tuple[str, ...] = ()
    initial: float = 0.0  # of the slots


class LearningRate(float):
    """A learning rate that can also be read and set as Keras's variable can."""

    _optimizer: Optimizer

    def numpy(self) -> np.float32:
        """The value as NumPy's float32."""
        return np.float32(self)

    def assign(self, value: float) -> None:
        """Sets the optimizer's learning rate."""
        self._optimizer.learning_rate = value


class Optimizer:
    """Base of the optimizers.

    Args:
        learning_rate: A number of at least 0, a `LearningRateSchedule`, or a function of the step.
        weight_decay: If given, `w -= learning_rate * weight_decay * w` before each step.
        clipnorm: If given, each variable's gradient is scaled down to at most this L2 norm.
        clipvalue: If given, each element of the gradients is clipped to plus or minus this.
        global_clipnorm: If given, all gradients are scaled together to at most this L2 norm.
        name: A name; the class's in lower case by default.
        **legacy: `lr` and `decay` of Keras 2, and the arguments of Keras that weft does not have,
            which must keep their defaults.

    Raises:
        ValueError: An argument is out of range, unknown or unsupported, or more than one kind of
            clipping is asked for.
    """

    def __init__(
        self,
        learning_rate: LearningRateLike,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **legacy: Any,
    ) -> None:
        kind = type(self).__name__
        if "lr" in legacy:
            _warn_deprecated(kind, "lr", "learning_rate")
            learning_rate = legacy.pop("lr")
        decay = legacy.pop("decay", None)
        if decay:
            _warn_deprecated(kind, "decay", "schedules.InverseTimeDecay as learning_rate")
            learning_rate = schedules.InverseTimeDecay(
                check_range(learning_rate, 0, None, kind, "learning_rate"), 1, decay
            )
        for argument, value in legacy.items():
            if argument not in _UNSUPPORTED:
                raise ValueError(f"{kind} has no argument {argument!r}.")
            if value != _UNSUPPORTED[argument]:
                raise ValueError(
                    f"{kind} does not support {argument} yet; expected "
                    f"{_UNSUPPORTED[argument]}, got {value!r}."
                )
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [argument for argument, value in clips.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{kind} expects at most one kind of clipping, got {given}.")
        for argument in given:
            check_range(clips[argument], 0, None, kind, argument)
        if weight_decay is not None:
            check_range(weight_decay, 0, None, kind, "weight_decay")
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.weight_decay = weight_decay
        self.name = name or unique_name(kind.lower())
        self.learning_rate = learning_rate
        self._iterations = 0
        self._slots: dict[Variable, list[Variable]] = {}  # in the order of their recording
        self._undecayed: set[Variable] = set()
        self._undecayed_names: list[str] = []

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next step; may be set at any time, to a number or a schedule."""
        rate = LearningRate(self._current_rate())
        rate._optimizer = self
        return rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule) or (
            callable(value) and not hasattr(value, "__float__")
        ):
            self._schedule: Callable[..., float] | None = value
            self._takes_step = isinstance(value, LearningRateSchedule) or _takes_argument(value)
            self._rate = 0.0
            return
        self._rate = check_range(value, 0, None, type(self).__name__, "learning_rate")
        self._schedule = None

    lr = learning_rate

    @property
    def schedule(self) -> Callable[..., float] | None:
        """What the learning rate follows, None if it is a number."""
        return self._schedule

    @property
    def iterations(self) -> int:
        """Updates made so far."""
        return self._iterations

    @property
    def built(self) -> bool:
        """Whether the slots have been made, which the first training step does."""
        return bool(self._slots)

    @property
    def variables(self) -> list[Variable]:
        """The slots of all variables, e.g. momenta."""
        return [slot for slots in self._slots.values() for slot in slots]

    def learning_rates(self, iteration: int, steps: int) -> Array:
        """The rates of some steps, (steps,) float32; `iteration` updates were made before.

        A schedule is called for all of these steps before the first of them is made.
        """
        if self._schedule is None:
            return np.full(steps, self._rate, np.float32)
        before = self._iterations
        rates = np.empty(steps, np.float32)
        try:
            for i in range(steps):
                self._iterations = iteration + i  # a schedule without an argument may look at it
                rates[i] = self._current_rate()
        finally:
            self._iterations = before
        return rates

    def record(
        self,
        trace: Trace,
        variables: Sequence[Variable],
        gradients: Sequence[Tensor | None],
    ) -> None:
        """Records the update of each variable by its gradient.

        Args:
            trace: The training trace that holds the gradients.
            variables: What to train.
            gradients: One tensor for each variable, None where the loss does not depend on it.

        Raises:
            ValueError: There is no gradient for any variable.
        """
        pairs = [(v, g) for v, g in zip(variables, gradients, strict=True) if g is not None]
        missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
        if not pairs:
            raise ValueError(
                f"{type(self).__name__} got no gradient: the loss depends on no trainable weight."
            )
        if missing:
            warnings.warn(
                f"The loss does not depend on {', '.join(missing)}, which will not be trained.",
                stacklevel=2,
            )
        rule = self._rule()
        scales = self._record_scales(trace, [gradient for _, gradient in pairs])
        for (variable, gradient), scale in zip(pairs, scales, strict=True):
            inputs = [trace.variable(variable), gradient]
            inputs += [trace.variable(slot) for slot in self._slots_of(variable, rule)]
            if scale is not None:
                inputs.append(scale)
            trace.effect(
                "update",
                inputs,
                {
                    "rule": rule.name,
                    "p0": rule.p0,
                    "p1": rule.p1,
                    "epsilon": rule.epsilon,
                    "weight_decay": self._decay_of(variable),
                    "clip_value": self.clipvalue or 0.0,
                    "l1": 0.0,
                    "l2": 0.0,
                    "has_grad_scale": scale is not None,
                },
            )

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Spares variables from weight decay; to be called before training.

        Args:
            var_list: The variables themselves.
            var_names: Texts; a variable whose name holds one of them is spared, e.g. "bias".
        """
        if self.built:
            raise ValueError("exclude_from_weight_decay must be called before the first step.")
        self._undecayed = set(var_list or ())
        self._undecayed_names = list(var_names or ())

    def undecayed(self, variables: Iterable[Variable]) -> list[Variable]:
        """Those of the variables that `exclude_from_weight_decay` spares."""
        return [
            variable
            for variable in variables
            if variable in self._undecayed
            or any(name in variable.path for name in self._undecayed_names)
        ]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal optimizer, with no state."""
        rate: Any = self._rate
        if isinstance(self._schedule, LearningRateSchedule):
            rate = schedules.serialize(self._schedule)
        elif self._schedule is not None:
            raise ValueError(
                f"{type(self).__name__}'s learning rate is a function, which get_config cannot "
                "describe; derive it from LearningRateSchedule."
            )
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            **_UNSUPPORTED,
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Optimizer:
        """The optimizer that `get_config` described."""
        arguments = dict(config)
        if isinstance(arguments.get("learning_rate"), dict):
            arguments["learning_rate"] = schedules.deserialize(
                arguments["learning_rate"], custom_objects
            )
        return cls(**arguments)

    def get_weights(self) -> list[Array]:
        """Copies of the slots."""
        return [slot.numpy() for slot in self.variables]

    def slots_by_name(self, names: Mapping[Variable, str]) -> dict[str, Array]:
        """Copies of the slots of some variables, e.g. "dense/kernel/momentum"."""
        kinds = self._rule().slots
        return {
            f"{names[variable]}/{kind}": slot.numpy()
            for variable, slots in self._slots.items()
            if variable in names and len(slots) == len(kinds)
            for kind, slot in zip(kinds, slots, strict=True)
        }

    def set_slots(
        self, variables: Mapping[str, Variable], tensors: Mapping[str, Array], iterations: int
    ) -> None:
        """Goes on from the state that `slots_by_name` and `iterations` gave.

        Raises:
            ValueError: A slot has another shape than its variable.
            KeyError: A slot is missing.
        """
        rule = self._rule()
        for name, variable in variables.items():
            names = [f"{name}/{kind}" for kind in rule.slots]
            if names and names[0] in tensors:  # else it is not trained
                for slot, each in zip(self._slots_of(variable, rule), names, strict=True):
                    slot.assign(tensors[each])
        self._iterations = iterations

    def _rule(self) -> Rule:
        raise NotImplementedError(f"{type(self).__name__} must define _rule(self).")

    def _current_rate(self) -> float:
        if self._schedule is None:
            return self._rate
        rate = float(self._schedule(self._iterations) if self._takes_step else self._schedule())
        return check_range(rate, 0, None, type(self).__name__, "the schedule's learning_rate")

    def _slots_of(self, variable: Variable, rule: Rule) -> list[Variable]:
        slots = self._slots.get(variable)
        if slots is None:
            value = np.full(variable.shape, rule.initial, np.float32)
            slots = [
                Variable(value, trainable=False, name=f"{variable.path.replace('/', '_')}_{slot}")
                for slot in rule.slots
            ]
            self._slots[variable] = slots
        return slots

    def _decay_of(self, variable: Variable) -> float:
        return 0.0 if self.undecayed([variable]) else float(self.weight_decay or 0.0)

    def _record_scales(self, trace: Trace, gradients: list[Tensor]) -> list[Tensor | None]:
        if self.clipnorm:
            limit = trace.constant(float(self.clipnorm))
            return [_record_scale(trace, _record_square(trace, g), limit) for g in gradients]
        if self.global_clipnorm:
            limit = trace.constant(float(self.global_clipnorm))
            total = _record_square(trace, gradients[0])
            for gradient in gradients[1:]:
                square = _record_square(trace, gradient)
                total = trace.op("binary", [total, square], {"fn": "add"})
            return [_record_scale(trace, total, limit)] * len(gradients)
        return [None] * len(gradients)


def _record_square(trace: Trace, gradient: Tensor) -> Tensor:
    squares = trace.op("unary", [gradient], {"fn": "square"})
    return trace.op("reduce", [squares], {"fn": "sum", "axes": [], "keepdims": False})


def _record_scale(trace: Trace, square: Tensor, limit: Tensor) -> Tensor:
    """limit / max(norm, limit): 1 for a gradient that is short enough, also for a zero one."""
    norm = trace.op("unary", [square], {"fn": "sqrt"})
    longest = trace.op("binary", [norm, limit], {"fn": "maximum"})
    return trace.op("binary", [limit, longest], {"fn": "divide"})


def check_range(
    value: Any, low: float, high: float | None, kind: str, argument: str, below: bool = False
) -> float:
    """`value` as a float, if it is a finite number from `low` to `high` (`below`: to below it).

    Raises:
        ValueError: It is not.
    """
    try:
        number = float(value) if not isinstance(value, (str, bool)) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    inside = low <= number and (high is None or number < high or (number == high and not below))
    if not inside or math.isinf(number):
        if high is None:
            span = f"a number of at least {low}"
        else:
            span = f"a number from {low} to {'below ' if below else ''}{high}"
        raise ValueError(f"{kind} expects {argument} to be {span}, got {value!r}.")
    return number


def _takes_argument(function: Callable[..., Any]) -> bool:
    import inspect  # only for learning rates that are plain functions

    try:
        return bool(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return True


def _warn_deprecated(kind: str, old: str, new: str) -> None:
    warnings.warn(
        f"{kind}({old}=) is Keras 2's spelling; use {new}.", DeprecationWarning, stacklevel=4
    )
