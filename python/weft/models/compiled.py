"""What `compile` fixes: the optimizer, the loss, the metrics, and which variables are trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from weft import losses, metrics, optimizers
from weft.graph import Shape, Tensor, Trace, Variable

# Metrics that mean different things for different shapes of y and outputs.
_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")


class MetricEntry(NamedTuple):
    """A metric, the name of its values, and whether sample weights count in it."""

    name: str
    metric: Any
    weighted: bool


class Compiled:
    """The arguments of `compile`, checked and looked up.

    Attributes:
        optimizer: An `Optimizer`.
        loss: A `Loss`, or None if only `add_loss` and regularizers count.
        metrics: The metrics with their names; known once `resolve_metrics` has seen the shapes.
    """

    def __init__(
        self,
        optimizer: Any,
        loss: Any,
        metric_names: Any,
        weighted_metric_names: Any,
    ) -> None:
        """Looks everything up.

        Raises:
            ValueError: A name is unknown.
        """
        self.optimizer = optimizers.get(optimizer)
        if isinstance(loss, (list, tuple)) and len(loss) == 1:
            loss = loss[0]
        if isinstance(loss, (list, tuple, Mapping)):
            raise ValueError("compile expects one loss, because a Sequential has one output.")
        self.loss: Any = None if loss is None else losses.get(loss)
        if self.loss is not None and getattr(self.loss, "reduction", "") in (None, "none"):
            raise ValueError("compile expects a loss with a reduction, got reduction 'none'.")
        self._wanted = [(wanted, False) for wanted in _flat(metric_names)]
        self._wanted += [(wanted, True) for wanted in _flat(weighted_metric_names)]
        if any(wanted == "acc" for wanted, _ in self._wanted):
            warnings.warn(
                "'acc' is Keras 2's name for 'accuracy'.", DeprecationWarning, stacklevel=3
            )
        self._made = [
            None if _is_by_shape(wanted) else metrics.get(wanted) for wanted, _ in self._wanted
        ]
        self.metrics: list[MetricEntry] | None = [] if not self._wanted else None
        self._trained: list[Variable] = []
        self._known: set[Variable] = set()

    def trained_variables(self, model: Any) -> list[Variable]:
        """What is trained of the model's variables.

        That is fixed when this first sees them, in `compile` or in the first step after they were
        made: changing `trainable` takes effect with the next `compile`, as Keras documents it.
        """
        self._trained = self.trained_of(model)
        self._known |= set(model.weights)
        return self._trained

    def trained_of(self, model: Any) -> list[Variable]:
        """What `trained_variables` would give now, without fixing it."""
        present = set(model.weights)
        kept = [variable for variable in self._trained if variable in present]
        return kept + [each for each in model.trainable_variables if each not in self._known]

    def resolve_metrics(self, y: Shape, outputs: Shape) -> list[MetricEntry]:
        """The metrics for targets and outputs of these shapes (N, ...)."""
        if self.metrics is not None:
            return self.metrics
        entries: list[MetricEntry] = []
        taken: dict[str, int] = {"loss": 0}
        for (wanted, weighted), metric in zip(self._wanted, self._made, strict=True):
            if metric is None:
                full_name = "accuracy" if wanted == "acc" else str(wanted)
                metric = metrics.resolve_accuracy(full_name, y, outputs)
            if isinstance(wanted, str):
                metric.name = wanted
            name = metric.name
            if name in taken:
                taken[name] += 1
                name = f"{name}_{taken[name]}"
            else:
                taken[name] = 0
            entries.append(MetricEntry(name, metric, weighted))
        self.metrics = entries
        return entries

    @property
    def names(self) -> list[str]:
        """The names of the loss and the metrics, in the order in which they were given."""
        if self.metrics is not None:
            return ["loss", *(entry.name for entry in self.metrics)]
        named = zip(self._wanted, self._made, strict=True)
        return ["loss", *(getattr(metric, "name", str(wanted)) for (wanted, _), metric in named)]

    @property
    def metric_objects(self) -> list[Any]:
        """The metrics that are known so far."""
        if self.metrics is not None:
            return [entry.metric for entry in self.metrics]
        return [metric for metric in self._made if metric is not None]

    def describe_metrics(self) -> dict[str, list[Any]]:
        """The arguments of `compile`: names, and the configurations of other metrics."""
        described: dict[str, list[Any]] = {"metrics": [], "weighted_metrics": []}
        for (wanted, weighted), made in zip(self._wanted, self._made, strict=True):
            item = wanted if isinstance(wanted, str) or made is None else metrics.serialize(made)
            described["weighted_metrics" if weighted else "metrics"].append(item)
        return described

    def set_trained(self, model: Any, variables: list[Variable]) -> None:
        """Fixes what is trained of the model's variables, as it was when they were saved."""
        self._trained, self._known = list(variables), set(model.weights)

    def record_loss(
        self, trace: Trace, y: Tensor | None, outputs: Tensor, weights: Tensor | None
    ) -> Tensor:
        """The scalar to minimize: the loss plus regularizers and `add_loss`.

        Raises:
            ValueError: There is nothing to minimize, or a loss of the user's is no scalar.
        """
        total: Tensor | None = None
        if self.loss is not None:
            total = self.loss(y, outputs, sample_weight=weights)
            if not isinstance(total, Tensor) or total.shape != ():
                got = f"shape {total.shape}" if isinstance(total, Tensor) else repr(total)
                raise ValueError(f"The loss must be a scalar tensor, got {got}.")
        for penalty in trace.losses:
            total = penalty if total is None else total + penalty
        if total is None:
            raise ValueError("There is nothing to minimize: compile the model with a loss.")
        return total


def _is_by_shape(wanted: Any) -> bool:
    return isinstance(wanted, str) and wanted.lower() in _BY_SHAPE


def _flat(wanted: Any) -> list[str | Callable[..., Any] | Any]:
    """Metrics from Keras's ways to write them for one output: x, [x, y], [[x, y]], {"out": x}."""
    if wanted is None:
        return []
    if isinstance(wanted, Mapping):
        wanted = list(wanted.values())
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return [item for part in wanted for item in _flat(part)]
    return [wanted]
