"""The base class of layers: weights, building, calling, configuration."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from weft import _names, initializers, regularizers
from weft.graph import Array, Tensor, Trace, Variable, check_shape
from weft.layers.checks import PartialShape as PartialShape  # part of what subclasses need
from weft.layers.checks import sample_shape, training_position
from weft.ops.core import EagerPlan, remember

_CACHED_PLANS = 16
_TENSORS = (
    "weft keeps no tensors between calls; weft.Sequential(model.layers[:n]) computes the output "
    "of the first n layers."
)


class Layer:
    """A function of a batch, with weights.

    A layer of one's own defines `call` with functions of `weft.ops`, and `build` if it has
    weights:

        class Scale(weft.layers.Layer):
            def build(self, input_shape):
                self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")

            def call(self, inputs, training=False):
                return inputs * self.factor

    Called with a NumPy array, a layer runs at once and returns an array.

    Args:
        trainable: Whether optimizers may update its weights.
        name: A name that is unique in a model; made from the class's name when left out.
        dtype: "float32" or None.
        activity_regularizer: A penalty on the outputs; divided by the batch size, it is added to
            the loss.
        input_shape: The shape of one sample, for the first layer of a model.
        input_dim: Keras 2's spelling of `input_shape=(input_dim,)`.
        batch_size: The size of every batch, where it is fixed (only kept for the configuration).

    Raises:
        ValueError, TypeError: An argument is unknown or cannot be used.
    """

    input_dtype = "float32"  # "int32" for layers of indices
    input = _names.Missing(_TENSORS)
    output = _names.Missing(_TENSORS)

    def __init__(
        self,
        *,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        self.name = name or _names.unique_name(_names.snake_case(type(self).__name__))
        if not isinstance(self.name, str):
            raise ValueError(f"A layer's name must be a string, got {name!r}.")
        if isinstance(dtype, Mapping):
            dtype = dtype.get("config", {}).get("name")  # how Keras 3 writes it
        if dtype not in (None, "float32", np.float32):
            raise ValueError(f"{self} computes in float32, got dtype {dtype!r}.")
        self.dtype = "float32"
        self.built = False
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._trainable = bool(trainable)
        self._weights: list[Variable] = []
        self._eager_plans: dict[Any, EagerPlan] = {}
        self._build_shape: PartialShape | None = None
        self._batch_shape: PartialShape | None = None
        if kwargs:
            self._read_input_shape(kwargs)

    def _read_input_shape(self, kwargs: dict[str, Any]) -> None:
        batch_size = kwargs.pop("batch_size", None)
        for key in ("batch_shape", "batch_input_shape"):
            if key in kwargs:
                batch_size, *sizes = kwargs.pop(key)
                self._batch_shape = (batch_size, *sample_shape(sizes, self))
        if "input_dim" in kwargs:
            warnings.warn(
                "input_dim=n is deprecated, use input_shape=(n,)", DeprecationWarning, stacklevel=4
            )
            kwargs["input_shape"] = (kwargs.pop("input_dim"),)
        if kwargs.get("input_shape") is not None:
            self._batch_shape = (batch_size, *sample_shape(kwargs["input_shape"], self))
        kwargs.pop("input_shape", None)
        if kwargs:
            raise _names.unknown_argument(self, kwargs, self._argument_names())

    def _argument_names(self) -> list[str]:
        """What the class and its bases can be made with, by keyword."""
        names = ["input_shape"]
        for cls in type(self).__mro__:
            code = getattr(vars(cls).get("__init__"), "__code__", None)
            if code is not None:
                names += code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        return names

    def __str__(self) -> str:
        return f"{type(self).__name__} {getattr(self, 'name', '?')!r}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    # Weights

    def add_weight(
        self,
        first: Any = None,
        /,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        *,
        shape: Any = None,
        regularizer: Any = None,
        constraint: None = None,
        name: str | None = None,
        **options: Any,
    ) -> Variable:
        """Creates a weight.

        Args:
            first: The shape; or the name, as Keras 2 had it, and then the shape may come second.
            initializer: A name, an Initializer or a callable; "glorot_uniform" by default.
            dtype: "float32" or None.
            trainable: Whether optimizers may update it.
            shape: Its shape, () when left out.
            regularizer: A name, a Regularizer or a callable.
            constraint: Not supported, must be None.
            name: Its name in `summary` and weight files.

        Raises:
            ValueError: An argument cannot be used.
        """
        if isinstance(first, str):
            name = first
            if shape is None and isinstance(initializer, (tuple, list)):
                shape, initializer = initializer, None
        elif first is not None:
            shape = first
        if constraint is not None:
            raise ValueError(f"{self} got a weight with a constraint, which weft does not support.")
        options.pop("autocast", None)
        options.pop("aggregation", None)
        if options:
            raise TypeError(f"add_weight got an unknown argument: {', '.join(map(repr, options))}.")
        name = name or ("variable" if not self._weights else f"variable_{len(self._weights)}")
        made = initializers.get("glorot_uniform" if initializer is None else initializer)
        variable = Variable(
            made,
            check_shape(() if shape is None else shape, f"{self}, weight {name!r},"),
            dtype=dtype or "float32",
            trainable=trainable,
            name=name,
            regularizer=regularizers.get(regularizer),
            path=f"{self.name}/{name}",
        )
        self._weights.append(variable)
        return variable

    def _attributes(self, wanted: type[Any]) -> Iterator[Any]:
        """Attributes of a type, in order of creation; lists, tuples and dicts are looked into."""
        return _within([v for key, v in vars(self).items() if key != "_eager_plans"], wanted)

    def _sublayers(self) -> list[Layer]:
        """The layers that this one consists of."""
        return list(dict.fromkeys(self._attributes(Layer)))

    def _own_weights(self) -> list[Variable]:
        own = dict.fromkeys([*self._weights, *self._attributes(Variable)])
        return [v for v in own if v.trainable] + [v for v in own if not v.trainable]

    @property
    def weights(self) -> list[Variable]:
        """All variables: its own, trainable ones first, then those of the layers within."""
        found = dict.fromkeys(self._own_weights())
        for layer in self._sublayers():
            found.update(dict.fromkeys(layer.weights))
        return list(found)

    @property
    def trainable_weights(self) -> list[Variable]:
        """The variables that an optimizer updates; none if `trainable` is False."""
        if not self._trainable:
            return []
        found = {v: None for v in self._own_weights() if v.trainable}
        for layer in self._sublayers():
            found.update(dict.fromkeys(layer.trainable_weights))
        return list(found)

    @property
    def non_trainable_weights(self) -> list[Variable]:
        trainable = set(self.trainable_weights)
        return [v for v in self.weights if v not in trainable]

    @property
    def variables(self) -> list[Variable]:
        return self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        return self.non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether optimizers may update the weights; set on the layers within, too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        self._eager_plans.clear()  # what a layer records may depend on it
        for layer in self._sublayers():
            layer.trainable = value

    def get_weights(self) -> list[Array]:
        """Copies of all weights, in the order of `weights`."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Overwrites all weights.

        Raises:
            ValueError: The number or a shape differs; then nothing has changed.
        """
        variables = self.weights
        if len(weights) != len(variables):
            raise ValueError(f"{self} expects {len(variables)} weights, got {len(weights)}.")
        arrays = [np.asarray(value) for value in weights]
        for variable, array in zip(variables, arrays, strict=True):
            if array.shape != variable.shape or array.dtype.kind not in "fiub":
                raise ValueError(
                    f"{self} expects {variable.path!r} to be numbers of shape {variable.shape}, "
                    f"got {array.dtype} of shape {array.shape}."
                )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def count_params(self) -> int:
        """How many numbers the weights hold.

        Raises:
            ValueError: The layer is not built.
        """
        if not self.built:
            raise ValueError(f"{self} has no weights yet: build it or call it on data first.")
        return sum(int(np.prod(v.shape, dtype=np.int64)) for v in self.weights)

    # Building and calling

    def build(self, input_shape: PartialShape) -> None:
        """Creates the weights for inputs of a shape (None, ...)."""
        self.built = True

    def _ensure_built(self, input_shape: PartialShape) -> None:
        """Builds the layer unless it is built; a failed build leaves no weights behind."""
        if self.built:
            return
        with undone_on_failure([self]):
            self.build(input_shape)
        self.built = True
        self._build_shape = input_shape

    def check_input(self, input_shape: PartialShape) -> None:
        """Raises ValueError for a shape (None, ...) that the built layer cannot take."""

    def check_values(self, x: Array) -> None:
        """Raises ValueError for data (N, ...) that a model with this as its first layer rejects."""

    @property
    def _checks_values(self) -> bool:
        """Whether `check_values` looks at the data."""
        return type(self).check_values is not Layer.check_values

    def _keeps_rows_apart(self) -> bool:
        """Whether it is known that, outside of training, no row of a batch affects another one.

        It is not known of what users wrote. Layers with an `axis` work along it.
        """
        parts = [self, *(value for value in vars(self).values() if callable(value))]
        axis = getattr(self, "axis", ())
        axes = axis if isinstance(axis, (list, tuple)) else [axis]
        rank = len(self._build_shape or (None, None))
        return (
            all(_is_own(part) for part in parts)
            and not any(a == 0 or a <= -rank for a in axes)
            and all(layer._keeps_rows_apart() for layer in self._sublayers())
        )

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The layer's function, with `weft.ops`; subclasses define it.

        It may have an argument `training`: whether the call is part of training.
        """
        raise NotImplementedError(f"{self} does not define call().")

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Records the layer on a tensor, or runs it on an array (N, ...).

        Raises:
            ValueError: The shape does not fit.
        """
        first = inputs[0] if isinstance(inputs, (list, tuple)) and inputs else inputs
        if isinstance(first, Tensor):
            return self._record(first.trace, inputs, args, kwargs)
        if isinstance(first, Layer):
            raise TypeError(
                f"{self} was called on {first}; weft builds models as a Sequential list of layers."
            )
        trace = Trace.current()
        if trace is not None:  # a constant, or a variable, in the call of another layer
            return self._record(trace, trace.tensor(inputs), args, kwargs)
        return self._run_now(inputs, args, kwargs)

    def _record(
        self, trace: Trace, inputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if isinstance(inputs, Tensor):
            shape: PartialShape = (None, *inputs.shape[1:])
            self._ensure_built(shape)
            self.check_input(shape)
        elif not self.built:
            self._ensure_built([(None, *x.shape[1:]) for x in inputs])  # type: ignore[arg-type]
        position = training_position(self.call)
        if position is not None and 0 <= position < len(args):
            training = args[position]
            args = args[:position] + args[position + 1 :]
        else:
            training = kwargs.pop("training", None)
        training = trace.training if training is None else bool(training)
        if position is not None:
            kwargs["training"] = training
        outer, trace.training = trace.training, training
        trace.layers.append(self.name)
        try:
            outputs = self.call(inputs, *args, **kwargs)
            for variable in self._own_weights():
                if self._trainable and variable.trainable:
                    trace.regularize(variable)
            if self.activity_regularizer is not None:
                for output in outputs if isinstance(outputs, (list, tuple)) else [outputs]:
                    penalty = self.activity_regularizer(output)
                    trace.losses.append(trace.tensor(penalty * (1.0 / output.shape[0])))
        finally:
            trace.layers.pop()
            trace.training = outer
        return outputs

    def _run_now(self, inputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        several = isinstance(inputs, (list, tuple)) and any(hasattr(x, "shape") for x in inputs)
        arrays = [self._as_input(x) for x in (inputs if several else [inputs])]
        training = bool(kwargs.pop("training", None) or False)
        key = (several, training, tuple([(a.shape, a.dtype.char) for a in arrays]))
        plan = self._eager_plans.get(key) if not args and not kwargs else None
        if plan is None:
            plan = EagerPlan(
                lambda trace, x: self._record(trace, x if several else x[0], args, dict(kwargs)),
                arrays,
                training,
            )
            if not args and not kwargs:
                remember(self._eager_plans, key, plan, _CACHED_PLANS)
        return plan.run(arrays)

    def _as_input(self, x: Any) -> Array:
        array = np.asarray(x)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{self} expects numbers, got an array of dtype {array.dtype}.")
        if array.ndim == 0:
            raise ValueError(f"{self} expects a batch of inputs, got a single number.")
        return np.asarray(array, self.input_dtype, order="C")

    def add_loss(self, loss: Any) -> None:
        """Adds a scalar tensor to the loss of the model; to be called from `call`."""
        trace = Trace.current()
        if trace is not None:
            tensor = trace.tensor(loss)
            trace.losses.append(
                tensor.trace.op("reduce", [tensor], _SUM) if tensor.ndim else tensor
            )

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        """The shape (None, ...) of the output for inputs of shape (None, ...); builds the layer."""
        with Trace() as trace:
            x = trace.input([2, *sample_shape(input_shape[1:], self)], self.input_dtype)
            output = self._record(trace, x, (), {})
        return (None, *output.shape[1:])

    # Configuration

    def get_config(self) -> dict[str, Any]:
        """Arguments to make such a layer again (without its weights)."""
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": self.dtype,
        }
        if self._batch_shape is not None:
            config["batch_input_shape"] = list(self._batch_shape)
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A layer from what `get_config` gave."""
        return cls(**config)


@contextlib.contextmanager
def undone_on_failure(layers: Iterable[Layer]) -> Iterator[None]:
    """Takes weights back from layers that were built inside, if something failed there."""
    before = [(layer, dict(vars(layer)), list(layer._weights)) for layer in _unbuilt(layers)]
    try:
        yield
    except BaseException:
        for layer, attributes, weights in before:
            vars(layer).clear()
            vars(layer).update(attributes)
            layer._weights[:] = weights
        raise


def _unbuilt(layers: Iterable[Layer]) -> Iterator[Layer]:
    for layer in layers:
        if not layer.built:
            yield layer
        yield from _unbuilt(layer._sublayers())


def _within(values: Iterable[Any], wanted: type[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, wanted):
            yield value
        elif isinstance(value, dict):
            yield from _within(value.values(), wanted)
        elif isinstance(value, (list, tuple)):
            yield from _within(value, wanted)


def _is_own(part: Any) -> bool:
    """Whether a layer, or a function that it applies, is one of weft's own."""
    definition = part if hasattr(part, "__qualname__") else type(part)
    return str(getattr(definition, "__module__", "")).startswith("weft.")


_SUM: dict[str, Any] = {"fn": "sum", "axes": [], "keepdims": False}
