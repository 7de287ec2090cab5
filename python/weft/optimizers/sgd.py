"""Stochastic gradient descent, plain, with momentum, or with Nesterov's."""

from __future__ import annotations

from typing import Any

from weft.optimizers.optimizer import LearningRateLike, Optimizer, Rule, check_range


class SGD(Optimizer):
    """Stochastic gradient descent.

    Without momentum `w -= lr*g`. With momentum `m = momentum*m - lr*g; w += m`, and with Nesterov's
    `w += momentum*m - lr*g` instead (Sutskever et al., ICML 2013; as in Keras).

    Args:
        learning_rate: A number or a schedule.
        momentum: From 0 to 1.
        nesterov: Whether to use Nesterov's momentum.
        **options: As of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.

    Raises:
        ValueError: An argument is out of range or unknown.
    """

    def __init__(
        self,
        learning_rate: LearningRateLike = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum = check_range(momentum, 0, 1, "SGD", "momentum")
        self.nesterov = bool(nesterov)

    def _rule(self) -> Rule:
        if self.momentum == 0:
            return Rule("sgd")
        name = "nesterov" if self.nesterov else "momentum"
        return Rule(name, p0=self.momentum, slots=("momentum",))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal optimizer."""
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}
