"""RMSprop: each gradient divided by a running root mean square of its own."""

from __future__ import annotations

from typing import Any

from weft.optimizers.optimizer import LearningRateLike, Optimizer, Rule, check_range


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, Coursera lecture 6.5, 2012; the details are Keras's).

    `v = rho*v + (1-rho)*g**2; w -= lr*g / sqrt(v + epsilon)`. Centered, the variance takes the
    place of v: `a = rho*a + (1-rho)*g` and `sqrt(v - a**2 + epsilon)`. With momentum the step is
    `m = momentum*m + step; w -= m`.

    Args:
        learning_rate: A number or a schedule.
        rho: How much of the running mean is kept, from 0 to 1.
        momentum: From 0 to 1.
        epsilon: Added inside of the root.
        centered: Whether to divide by the root of the variance.
        **options: As of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.

    Raises:
        ValueError: An argument is out of range or unknown.
    """

    def __init__(
        self,
        learning_rate: LearningRateLike = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = check_range(rho, 0, 1, "RMSprop", "rho")
        self.momentum = check_range(momentum, 0, 1, "RMSprop", "momentum")
        self.epsilon = check_range(epsilon, 0, None, "RMSprop", "epsilon")
        self.centered = bool(centered)

    def _rule(self) -> Rule:
        # The order of the slots is the core's: velocity, average gradient, momentum.
        name, slots = "rmsprop", ["velocity"]
        if self.centered:
            name += "_centered"
            slots.append("average_gradient")
        if self.momentum > 0:
            name += "_momentum"
            slots.append("momentum")
        return Rule(name, p0=self.rho, p1=self.momentum, epsilon=self.epsilon, slots=tuple(slots))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal optimizer."""
        return super().get_config() | {
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }
