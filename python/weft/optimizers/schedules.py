"""Learning rates that change with the optimizer's step, as in `keras.optimizers.schedules`.

A schedule is called with the number of updates made so far and returns the learning rate of the
next one. Formulas are those of Keras 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from weft import _names


class LearningRateSchedule:
    """Base of schedules; a subclass defines `__call__(step)` and, to be saved, `get_config`."""

    def __call__(self, step: int) -> float:
        """The learning rate after `step` updates."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step).")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal schedule."""
        raise NotImplementedError(f"{type(self).__name__} must define get_config(self).")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LearningRateSchedule:
        """The schedule that `get_config` described."""
        return cls(**config)


class _RateDecay(LearningRateSchedule):
    """See ExponentialDecay."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(decay_steps, type(self).__name__)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name or type(self).__name__

    def _time(self, step: int) -> float:
        time = step / self.decay_steps
        return math.floor(time) if self.staircase else time

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class ExponentialDecay(_RateDecay):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Args:
        initial_learning_rate: The learning rate at step 0.
        decay_steps: Steps, above 0, after which it has been multiplied by `decay_rate` once.
        decay_rate: The factor.
        staircase: Whether to round `step / decay_steps` down.
        name: Kept for `get_config`.
    """

    def __call__(self, step: int) -> float:
        """The learning rate after `step` updates."""
        return float(self.initial_learning_rate * self.decay_rate ** self._time(step))


class InverseTimeDecay(_RateDecay):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Args: as of `ExponentialDecay`.
    """

    def __call__(self, step: int) -> float:
        """The learning rate after `step` updates."""
        return float(self.initial_learning_rate / (1 + self.decay_rate * self._time(step)))


class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[0]` up to and including step `boundaries[0]`, then `values[1]`, and so on.

    Args:
        boundaries: Steps in increasing order.
        values: Learning rates, one more than boundaries.
        name: Kept for `get_config`.

    Raises:
        ValueError: The number of values is not the number of boundaries plus one.
    """

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ) -> None:
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"PiecewiseConstantDecay expects {len(boundaries) + 1} values for "
                f"{len(boundaries)} boundaries, got {len(values)}."
            )
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    def __call__(self, step: int) -> float:
        """The learning rate after `step` updates."""
        for boundary, value in zip(self.boundaries, self.values, strict=False):
            if step <= boundary:
                return float(value)
        return float(self.values[-1])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal schedule."""
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


class PolynomialDecay(LearningRateSchedule):
    """From `initial_learning_rate` to `end_learning_rate` along `(1 - step/decay_steps)**power`.

    Args:
        initial_learning_rate: The learning rate at step 0.
        decay_steps: Steps, above 0, until the end is reached.
        end_learning_rate: The learning rate from there on.
        power: The exponent; 1 is a straight line.
        cycle: Whether to start over with twice, three times ... the steps, instead of staying.
        name: Kept for `get_config`.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(decay_steps, "PolynomialDecay")
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: int) -> float:
        """The learning rate after `step` updates."""
        steps: float = self.decay_steps
        if self.cycle:
            steps *= max(math.ceil(step / steps), 1)
        left = 1 - min(step, steps) / steps
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * left**self.power + self.end_learning_rate)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


class CosineDecay(LearningRateSchedule):
    """A half wave from the initial (or warmed-up) learning rate to `alpha` times it.

    Source: Loshchilov and Hutter, SGDR, ICLR 2017, arXiv:1608.03983.

    Args:
        initial_learning_rate: The learning rate at step 0.
        decay_steps: Steps, above 0, of the half wave.
        alpha: The fraction that is left at the end.
        name: Kept for `get_config`.
        warmup_target: If given, the learning rate first rises to it in a straight line.
        warmup_steps: Steps of that rise; the half wave follows.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(decay_steps, "CosineDecay")
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        """The learning rate after `step` updates."""
        top, position = self.initial_learning_rate, float(step)
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return float(top + (self.warmup_target - top) * step / self.warmup_steps)
            top, position = self.warmup_target, step - self.warmup_steps
        done = min(position, self.decay_steps) / self.decay_steps
        wave = 0.5 * (1 + math.cos(math.pi * done))
        return float(top * ((1 - self.alpha) * wave + self.alpha))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal schedule."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


_SCHEDULES: dict[str, type[LearningRateSchedule]] = {
    "ExponentialDecay": ExponentialDecay,
    "InverseTimeDecay": InverseTimeDecay,
    "PiecewiseConstantDecay": PiecewiseConstantDecay,
    "PolynomialDecay": PolynomialDecay,
    "CosineDecay": CosineDecay,
}


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """The schedule as `{"class_name": ..., "config": {...}}`."""
    return _names.serialize(learning_rate_schedule)


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> LearningRateSchedule:
    """The schedule that `serialize` described.

    Raises:
        ValueError: The class is unknown.
    """
    schedule: LearningRateSchedule = _names.deserialize(
        "learning rate schedule", config, _SCHEDULES, custom_objects
    )
    return schedule


def _positive(steps: float, schedule: str) -> float:
    if not steps > 0:
        raise ValueError(f"{schedule} expects decay_steps above 0, got {steps}.")
    return steps


_names.explain_missing(__name__)
