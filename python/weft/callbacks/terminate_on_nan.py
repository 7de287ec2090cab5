"""Ending training without an error when the loss is no longer a number."""

from __future__ import annotations

from weft.callbacks.callback import Callback


class TerminateOnNaN(Callback):
    """Makes `fit` end as usual, instead of raising, when the loss becomes NaN or infinite.

    The weights are those from before the step in which it did.

    Args:
        raise_error: Whether to raise after all (a FloatingPointError, as without this callback).
    """

    def __init__(self, raise_error: bool = False) -> None:
        """Keeps the choice; `fit` looks for it."""
        super().__init__()
        self.raise_error = raise_error
