"""Sequential: a stack of layers, each fed with the output of the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from weft import layers as layer_classes
from weft.graph import Array, Tensor, Trace
from weft.layers import InputLayer, Layer
from weft.layers.layer import PartialShape, undone_on_failure
from weft.models import data as checks
from weft.models.model import Model
from weft.models.plans import forget_all_plans


class Sequential(Model):
    """A stack of layers.

    The shape of the inputs is given by an `Input` at the start or by the first layer's
    `input_shape`; then weights are made as layers are added. Without it they are made when the
    model first sees data.

    Args:
        layers: Layers (or models) to begin with.
        trainable: Whether optimizers may update the weights.
        name: A name; "sequential", "sequential_1", ... when left out.

    Raises:
        ValueError: As of `add`.
    """

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(trainable=trainable, name=name)
        self._input: InputLayer | None = None
        self._stack: list[Layer] = []
        self._shapes: list[PartialShape] = []  # of the input, then after each layer, once built
        self._recorded = False
        if isinstance(layers, Layer):
            layers = [layers]
        for layer in layers or ():
            self.add(layer)

    # The stack

    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Adds a layer on top.

        Args:
            layer: A layer, a model, or `Input` at the very start.
            rebuild: Accepted as in Keras.

        Raises:
            ValueError: It is no layer, its name is taken, or it does not fit on the layers
                below; the model is then as before.
        """
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise ValueError(f"{self} expects a layer, got the class; write {layer.__name__}(...).")
        if not isinstance(layer, Layer):
            raise ValueError(f"{self} expects a layer, got {layer!r}.")
        if isinstance(layer, InputLayer):
            if self._input is not None or self._stack:
                raise ValueError(f"{self} expects an Input only at the start.")
            self._input = layer
            return
        if layer is self or any(layer.name == each.name for each in self._stack):
            raise ValueError(
                f"{self} expects layers with different names, but there is already one named "
                f"{layer.name!r}."
            )
        shapes = self._shapes
        if not self._stack:
            shape = self._first_shape(layer)
            shapes = [] if shape is None else [shape]
        if shapes:
            with undone_on_failure([layer]):
                shapes = [*shapes, _build_layer(layer, shapes[-1])]
        self._stack.append(layer)
        self._take_shapes(shapes)

    def pop(self, rebuild: bool = True) -> Layer:
        """Removes the topmost layer and returns it.

        Raises:
            ValueError: There is none.
        """
        if not self._stack:
            raise ValueError(f"{self} has no layers to remove.")
        layer = self._stack.pop()
        self._take_shapes(self._shapes[:-1] if self._stack else [])
        return layer

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the `Input`."""
        return list(self._stack)

    def _first_shape(self, layer: Layer) -> PartialShape | None:
        if self._input is not None:
            return self._input.batch_shape
        if layer._batch_shape is not None:
            return layer._batch_shape
        if isinstance(layer, Model) and layer.built:
            return layer._input_shape
        return None

    def _take_shapes(self, shapes: list[PartialShape]) -> None:
        self._shapes = shapes
        self._input_shape = shapes[0] if shapes else None
        self._output_shape = shapes[-1] if shapes else None
        self.built = bool(shapes)
        if self._recorded:  # perhaps as a part of other models
            forget_all_plans()
            self._recorded = False

    # Building and running

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Makes the weights for inputs of a shape (None, ...).

        Raises:
            ValueError: There are no layers, or the shape does not fit; the model is then as before.
        """
        if input_shape is None:
            if self._input is None:
                raise ValueError(f"{self} needs an input shape to be built.")
            input_shape = self._input.batch_shape
        shape = tuple(input_shape)
        if not self._stack:
            raise ValueError(f"{self} has no layers.")
        if self._input_shape is not None and shape[1:] != self._input_shape[1:]:
            raise ValueError(
                f"{self} expects inputs of shape {(None, *self._input_shape[1:])}, "
                f"got shape {(None, *shape[1:])}."
            )
        shapes: list[PartialShape] = [shape]
        with undone_on_failure(self._stack):
            for layer in self._stack:
                shapes.append(_build_layer(layer, shapes[-1]))
        self._take_shapes(shapes)

    def _build_for(self, x: Array) -> Array:
        if not self.built:
            shape = self._input.batch_shape if self._input is not None else None
            x = checks.fit_shape(x, shape, str(self))
            self.build((None, *x.shape[1:]))
        else:
            x = checks.fit_shape(x, self._input_shape, str(self))
        self.check_values(x)
        return x

    def check_values(self, x: Array) -> None:
        """Raises ValueError for inputs (N, ...) that the first layer cannot take."""
        if self._stack:
            self._stack[0].check_values(x)

    @property
    def _checks_values(self) -> bool:
        if type(self).check_values is not Sequential.check_values:
            return True
        return bool(self._stack) and self._stack[0]._checks_values

    def check_input(self, input_shape: PartialShape) -> None:
        """Raises ValueError for a shape (None, ...) that the built model cannot take."""
        if self._input_shape is not None and input_shape[1:] != self._input_shape[1:]:
            raise ValueError(
                f"{self} expects inputs of shape {(None, *self._input_shape[1:])}, "
                f"got shape {input_shape}."
            )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Applies the layers one after the other."""
        self._recorded = True
        for layer in self._stack:
            inputs = layer(inputs)
        return inputs

    def record_outputs(self, trace: Trace, x: Tensor) -> Tensor:
        """Records the model on a batch."""
        # Not as a layer, whose name would come before that of every layer in messages.
        outputs: Tensor = self.call(x)
        return outputs

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        """The shape (None, ...) of the output for inputs of shape (None, ...); builds the model."""
        self._ensure_built(tuple(input_shape))
        self.check_input(tuple(input_shape))
        return self.output_shape

    @property
    def input_dtype(self) -> str:  # type: ignore[override]
        """In which type inputs are fed: "float32", or "int32" for indices."""
        if self._input is not None:
            return self._input.input_dtype
        return self._stack[0].input_dtype if self._stack else "float32"

    def layer_shape(self, layer: Layer) -> PartialShape | None:
        """The output shape of one of the layers, where it is known."""
        if not self._shapes:
            return None
        return self._shapes[1 + self._stack.index(layer)]

    # Copies and configuration

    def __reduce__(self) -> Any:
        """For `copy.deepcopy` and `pickle`."""
        from weft.models import files

        return files.restore, (files.describe(self),)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal model, without its weights."""
        entries = ([self._input] if self._input is not None else []) + self._stack
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "layers": [layer_classes.serialize(layer) for layer in entries],
        }
        if self._input_shape is not None:
            config["build_input_shape"] = list(self._input_shape)
        return config

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Sequential:
        """The model that `get_config` described, with new weights.

        Args:
            config: The description.
            custom_objects: Classes of one's own by name.

        Raises:
            ValueError: A class is unknown; the message has the nearest one.
        """
        # Not by a class's own __init__, which may add layers of its own.
        model = cls.__new__(cls)
        Sequential.__init__(model, name=config.get("name"))
        known = {"Sequential": Sequential, **(custom_objects or {})}
        for entry in config["layers"]:
            model.add(layer_classes.deserialize(entry, known))
        shape = config.get("build_input_shape")
        if shape and not model.built and model._stack:
            model.build(shape)
        if not config.get("trainable", True):
            model.trainable = False
        return model


def _build_layer(layer: Layer, shape: PartialShape) -> PartialShape:
    layer._ensure_built(shape)
    layer.check_input(shape)
    return tuple(layer.compute_output_shape(shape))
