"""Adam, and AdamW with its decoupled weight decay."""

from __future__ import annotations

from typing import Any

from weft.optimizers.optimizer import LearningRateLike, Optimizer, Rule, check_range


class Adam(Optimizer):
    """Adam (Kingma and Ba, arXiv:1412.6980, the form before its section 2.1, as in Keras).

    `m += (1-b1)*(g-m); v += (1-b2)*(g**2-v)` and in step t, counted from 1,
    `w -= lr * sqrt(1-b2**t)/(1-b1**t) * m / (sqrt(v) + epsilon)`.

    Args:
        learning_rate: A number or a schedule.
        beta_1: How much of the running mean is kept, from 0 to below 1.
        beta_2: How much of the running mean square is kept, from 0 to below 1.
        epsilon: Added to the root.
        amsgrad: Whether to divide by the largest v so far (Reddi et al., arXiv:1904.09237).
        **options: As of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, name.

    Raises:
        ValueError: An argument is out of range or unknown.
    """

    def __init__(
        self,
        learning_rate: LearningRateLike = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        kind = type(self).__name__
        self.beta_1 = check_range(beta_1, 0, 1, kind, "beta_1", below=True)
        self.beta_2 = check_range(beta_2, 0, 1, kind, "beta_2", below=True)
        self.epsilon = check_range(epsilon, 0, None, kind, "epsilon")
        self.amsgrad = bool(amsgrad)

    def _rule(self) -> Rule:
        name, slots = "adam", ("momentum", "velocity")
        if self.amsgrad:
            name, slots = "amsgrad", (*slots, "velocity_hat")  # type: ignore[assignment]
        return Rule(name, p0=self.beta_1, p1=self.beta_2, epsilon=self.epsilon, slots=slots)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal optimizer."""
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


class AdamW(Adam):
    """Adam with `w -= lr*weight_decay*w` before each step (Loshchilov, Hutter, arXiv:1711.05101).

    Args: As of `Adam`, and
        weight_decay: The decay, 0.004 as in Keras.

    Raises:
        ValueError: An argument is out of range or unknown.
    """

    def __init__(
        self,
        learning_rate: LearningRateLike = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        if weight_decay is None:
            raise ValueError("AdamW expects weight_decay to be a number, got None.")
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
            weight_decay=weight_decay,
            **options,
        )
