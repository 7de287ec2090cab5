"""Adagrad: each gradient divided by the root of the sum of its squares so far."""

from __future__ import annotations

from typing import Any

from weft.optimizers.optimizer import LearningRateLike, Optimizer, Rule, check_range


class Adagrad(Optimizer):
    """Adagrad (Duchi et al., JMLR 2011): `a += g**2; w -= lr*g / sqrt(a + epsilon)`.

    Args:
        learning_rate: A number or a schedule.
        initial_accumulator_value: Where the sums start, at least 0.
        epsilon: Added inside of the root.
        **options: As of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.

    Raises:
        ValueError: An argument is out of range or unknown.
    """

    def __init__(
        self,
        learning_rate: LearningRateLike = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = check_range(
            initial_accumulator_value, 0, None, "Adagrad", "initial_accumulator_value"
        )
        self.epsilon = check_range(epsilon, 0, None, "Adagrad", "epsilon")

    def _rule(self) -> Rule:
        return Rule(
            "adagrad",
            epsilon=self.epsilon,
            slots=("accumulator",),
            initial=self.initial_accumulator_value,
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal optimizer."""
        return super().get_config() | {
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }
