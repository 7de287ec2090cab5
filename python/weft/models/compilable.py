"""compile, and what every way to run a model needs: checked data, plans, runners."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from weft import _core, _names, config
from weft.callbacks import History
from weft.graph import Array, Shape, Tensor, Trace
from weft.layers.layer import Layer, undone_on_failure
from weft.models import data as checks
from weft.models.compiled import Compiled
from weft.models.data import Data
from weft.models.loops import Runner
from weft.models.plans import PlanCache, StepPlan, build_predict_plan, build_step_plan, step_key

_EVALUATE_ROWS = 256  # at once, where results do not depend on it
_PREDICT_ROWS_PER_THREAD = 48  # at once: few enough that a convnet's activations stay in its cache

# What models of one's own may override in Keras, and what to do in weft.
_OWN_STEPS = {
    "train_step": "call train_on_batch in a loop of your own, or compile with a loss of your own",
    "test_step": "call test_on_batch in a loop of your own, or compile with a metric of your own",
    "predict_step": "call predict_on_batch in a loop of your own",
    "compute_loss": "compile with a loss function of your own, or call add_loss in call()",
    "compute_metrics": "compile with metrics of your own",
}


def rows_at_once() -> int:
    """How many rows `predict` takes at once, where results do not depend on it."""
    return _PREDICT_ROWS_PER_THREAD * max(config.get_num_threads(), 2)


class Compilable:
    """The part of a model that holds what `compile` sets, and makes and keeps plans.

    Attributes:
        stop_training: A callback may set it; `fit` then ends.
        last_fit_mode: "epoch" or "batch": whether the last `fit` ran whole epochs in one native
            call, or stopped after every batch because a callback asked for it.
        history: The `History` of the last `fit`.
    """

    # What `Layer` and `Model` add.
    name: str
    built: bool
    input_shape: Any
    output_shape: Any
    input_dtype: Any
    stateful: bool
    trainable_variables: Any
    _checks_values: Any
    _keeps_rows_apart: Any

    def _init_training(self) -> None:
        seed = config._next_seed()
        self._seed = seed
        self._state = _core.StepState(seed)
        # Evaluations draw from a state of their own, so that they never change a training run.
        self._test_state = _core.StepState(seed)
        self._passes = 0  # over training data, each shuffled differently
        self._plans = PlanCache()
        self._compiled: Compiled | None = None
        self._fuse = True
        self.stop_training = False
        self.last_fit_mode: str | None = None
        self.history: History | None = None

    def _random_state(self) -> list[int]:
        """What the order of samples and the random numbers go on from."""
        return [self._seed, self._passes, self._state.draw, self._test_state.draw]

    def _set_random_state(self, state: Sequence[int]) -> None:
        self._seed, self._passes, draw, test_draw = state
        self._state = _core.StepState(self._seed)
        self._test_state = _core.StepState(self._seed)
        self._state.draw, self._test_state.draw = draw, test_draw

    def record_outputs(self, trace: Trace, x: Tensor) -> Tensor:
        """Records the model on a batch."""
        raise NotImplementedError

    def _build_for(self, x: Array) -> Array:
        """Builds the model for inputs like x, or checks that they fit; returns x as it is fed."""
        raise NotImplementedError

    # Compiling

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: None = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        fuse: bool | None = None,
        **unknown: Any,
    ) -> None:
        """Sets how the model is trained.

        Args:
            optimizer: A name or an `Optimizer`.
            loss: A name, a `Loss`, or a function (y_true, y_pred) of `weft.ops`.
            loss_weights: Not supported: there is one output.
            metrics: Names, `Metric` objects or functions; sample weights do not count in them.
            weighted_metrics: The same, with sample weights.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: Accepted as in Keras;
                they change nothing here.
            fuse: Whether ops are fused; see the attribute `fuse`.

        Raises:
            ValueError: A name is unknown; the model is then as before.
            TypeError: An argument is unknown.
            NotImplementedError: The class defines a step of its own, such as `train_step`.
        """
        if unknown:
            known = inspect.signature(Compilable.compile).parameters
            raise _names.unknown_argument("compile", unknown, known)
        if loss_weights is not None:
            raise ValueError(
                "compile expects no loss_weights (the third argument), because there is one "
                "output; write metrics as metrics=[...]."
            )
        for method in _OWN_STEPS:
            self._refuse_own(method)
        compiled = Compiled(optimizer, loss, metrics, weighted_metrics)
        if self.built:
            compiled.trained_variables(self)
        self._compiled = compiled
        if fuse is not None:
            self._fuse = bool(fuse)
        self._forget_plans()

    @property
    def compiled(self) -> bool:
        """Whether `compile` has been called."""
        return self._compiled is not None

    @property
    def optimizer(self) -> Any:
        """The optimizer; None before `compile`."""
        return None if self._compiled is None else self._compiled.optimizer

    @property
    def loss(self) -> Any:
        """The loss; None before `compile`."""
        return None if self._compiled is None else self._compiled.loss

    @property
    def metrics(self) -> list[Any]:
        """The metrics given to `compile` ("accuracy" only once the shapes of y are known)."""
        return [] if self._compiled is None else self._compiled.metric_objects

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns."""
        return ["loss"] if self._compiled is None else self._compiled.names

    @property
    def fuse(self) -> bool:
        """Whether ops are fused into fewer kernels; results are equal up to rounding."""
        return self._fuse

    @fuse.setter
    def fuse(self, value: bool) -> None:
        self._fuse = bool(value)
        self._forget_plans()

    def _refuse_own(self, method: str) -> None:
        """Raises NotImplementedError if the class defines a method that only Keras would call."""
        if hasattr(self, method):
            raise NotImplementedError(
                f"{type(self).__name__} defines {method}(), which weft does not call; "
                f"{_OWN_STEPS[method]}."
            )

    def _forget_plans(self) -> None:
        self._plans.clear()

    def _require_compiled(self, method: str) -> Compiled:
        if self._compiled is None:
            raise ValueError(f"{method} needs a compiled model: call compile(...) first.")
        return self._compiled

    # Data and plans

    def _prepare(
        self,
        method: str,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Mapping[int, float] | None = None,
    ) -> Data:
        compiled = self._require_compiled(method)
        x = checks.as_samples(x, method, "x")
        if y is None and compiled.loss is not None:
            raise ValueError(f"{method} expects y, because the model has a loss.")
        checks.refuse_several(y, len(x), method)
        y = None if y is None else checks.as_samples(y, method, "y")
        weights = None if sample_weight is None else checks.check_weights(sample_weight, method)
        if class_weight is not None:
            if weights is not None:
                raise ValueError(f"{method} expects class_weight or sample_weight, got both.")
            if y is None:
                raise ValueError(f"{method} expects y with class_weight.")
            weights = checks.class_weights(y, class_weight, method)
        checks.check_lengths(Data(x, y, weights), method)
        checks.check_finite(x, method, "x")
        assert isinstance(self, Layer)
        with contextlib.nullcontext() if self.built else undone_on_failure([self]):
            x = self._build_for(x)
            if y is not None:
                y = checks.check_targets(y, self.output_shape, compiled.loss, method)
        return Data(x, y, weights)

    def _step_plan(self, mode: str, batch: int, data: Data) -> StepPlan:
        compiled = self._compiled
        assert compiled is not None
        return self._plans.get(
            step_key(mode, batch, data),
            lambda: build_step_plan(self, compiled, mode, batch, data),
        )

    def _predict_plan(self, batch: int, sample: Shape, training: bool = False) -> StepPlan:
        if training:  # not kept: what a layer records then may depend on its `trainable`
            return build_predict_plan(self, batch, sample, training)
        return self._plans.get(
            ("predict", batch, sample), lambda: build_predict_plan(self, batch, sample)
        )

    def _train_runner(self, data: Data, batch: int) -> Runner:
        compiled = self._compiled
        assert compiled is not None
        return Runner(
            self._state,
            data,
            min(batch, len(data.x)),
            lambda size: self._step_plan("train", size, data),
            compiled.optimizer,
        )

    def _test_runner(self, data: Data, batch: int, exact: bool) -> Runner:
        """A runner for evaluation; `exact` is whether somebody looks at every batch."""
        scale = 1
        if not exact and self._outputs_ignore_batches() and self._independent_rows(data):
            scale = max(1, _EVALUATE_ROWS // batch)
        size = min(batch * scale, len(data.x))
        return Runner(
            self._test_state,
            data,
            size,
            lambda size: self._step_plan("test", size, data),
            None,
            scale,
        )

    def _outputs_ignore_batches(self) -> bool:
        """Whether outputs do not depend on which rows make up a batch."""
        return not self.stateful and bool(self._keeps_rows_apart())

    def _independent_rows(self, data: Data) -> bool:
        """Whether the loss and metrics of a data set do not depend on the batch size."""
        compiled = self._compiled
        assert compiled is not None
        if compiled.loss is not None:
            # A function of the user's may mix the rows of a batch, so its batches are as asked for.
            if not checks.is_builtin(compiled.loss):
                return False
            if compiled.loss.reduction != "sum_over_batch_size" and data.weights is not None:
                return False
            if compiled.loss.reduction == "sum":
                return False
        return all(checks.is_builtin(metric) for metric in compiled.metric_objects)
