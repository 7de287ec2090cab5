"""Layers around other layers: Bidirectional and TimeDistributed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft import _names, ops
from weft.graph import Array
from weft.layers.checks import PartialShape
from weft.layers.layer import Layer
from weft.layers.recurrent_base import Recurrent
from weft.ops.recurrent import reverse_time

_MERGES = ("concat", "sum", "mul", "ave")


class _Wrapper(Layer):
    """A layer with a layer inside, which its configuration holds."""

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ValueError(f"{self} expects a layer, got {layer!r}.")

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """A layer from what `get_config` gave, with the layers inside."""
        from weft import layers  # which imports this module

        inside = {
            key: layers.deserialize(value, custom_objects)
            for key, value in config.items()
            if key in ("layer", "backward_layer") and value is not None
        }
        return cls(**{**config, **inside})


class Bidirectional(_Wrapper):
    """A recurrent layer that reads sequences from both ends.

    Args:
        layer: A SimpleRNN, LSTM or GRU. Two layers like it are made, forward_... and backward_....
        merge_mode: How the two outputs of each time step become one: "concat", "sum", "mul" or
            "ave" (their mean). Keras's None, for a list of two, is not supported.
        weights: Not supported, must be None.
        backward_layer: The layer to use backwards, with go_backwards=True; one like `layer` by
            default.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        layer: Layer,
        merge_mode: str | None = "concat",
        weights: None = None,
        backward_layer: Layer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(layer, **kwargs)
        for given in (layer, *([backward_layer] if backward_layer is not None else [])):
            if not isinstance(given, Recurrent):
                raise ValueError(f"{self} expects a SimpleRNN, LSTM or GRU, got {given}.")
        if merge_mode not in _MERGES:
            raise ValueError(f"{self} expects merge_mode to be one of {_MERGES}, got {merge_mode}.")
        if weights is not None:
            raise ValueError(f"{self} takes no weights; use set_weights.")
        assert isinstance(layer, Recurrent)
        if self._batch_shape is None:
            self._batch_shape = layer._batch_shape
        self.merge_mode = merge_mode
        self._backward_given = backward_layer is not None
        self.forward_layer = _like(layer, "forward_", layer.go_backwards)
        self.backward_layer = _like(layer, "backward_", not layer.go_backwards)
        if isinstance(backward_layer, Recurrent):
            self.backward_layer = backward_layer
            if backward_layer.go_backwards == layer.go_backwards:
                raise ValueError(f"{self} expects layers that go in different directions.")
            for name in ("return_sequences", "stateful"):
                if getattr(layer, name) != getattr(backward_layer, name):
                    raise ValueError(f"{self} expects layers with the same {name}.")
        self.return_sequences = layer.return_sequences
        self.stateful = layer.stateful

    def build(self, input_shape: PartialShape) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            layer._ensure_built(input_shape)
        self.built = True

    def reset_state(self) -> None:
        """As of the layers inside."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def call(self, inputs: Any, training: bool = False) -> Any:
        a = self.forward_layer(inputs, training=training)
        b = self.backward_layer(inputs, training=training)
        if self.return_sequences:
            b = reverse_time(b)
        if self.merge_mode == "concat":
            return ops.concatenate([a, b], axis=-1)
        if self.merge_mode == "mul":
            return a * b
        return a + b if self.merge_mode == "sum" else (a + b) * 0.5

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        self._ensure_built(input_shape)
        *sizes, features = self.forward_layer.compute_output_shape(input_shape)
        assert features is not None
        other = self.backward_layer.units if self.merge_mode == "concat" else 0
        return (*sizes, features + other)

    def get_config(self) -> dict[str, Any]:
        inside = _names.serialize(self.forward_layer)
        inside["config"]["name"] = self.forward_layer.name.removeprefix("forward_")
        config = {**super().get_config(), "layer": inside, "merge_mode": self.merge_mode}
        if self._backward_given:
            config["backward_layer"] = _names.serialize(self.backward_layer)
        return config


def _like(layer: Recurrent, prefix: str, go_backwards: bool) -> Recurrent:
    config = {**layer.get_config(), "name": prefix + layer.name, "go_backwards": go_backwards}
    return type(layer).from_config(config)


class TimeDistributed(_Wrapper):
    """A layer applied to every time step on its own: (N, T, ...) in, (N, T, ...) out.

    Args:
        layer: The layer, with the same weights in every step.
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.layer = layer

    @property
    def input_dtype(self) -> str:  # type: ignore[override]
        """As of the layer inside."""
        return self.layer.input_dtype

    def check_values(self, x: Array) -> None:
        """Raises ValueError for values that the layer inside rejects."""
        self.layer.check_values(x)

    @property
    def _checks_values(self) -> bool:
        return self.layer._checks_values

    def _as_input(self, x: Any) -> Array:
        return self.layer._as_input(x)

    def _inside(self, input_shape: PartialShape) -> PartialShape:
        if len(input_shape) < 3:
            raise ValueError(
                f"{self} expects inputs of shape (None, time steps, ...), got shape {input_shape}"
            )
        return (None, *input_shape[2:])

    def build(self, input_shape: PartialShape) -> None:
        self.layer._ensure_built(self._inside(input_shape))
        self.built = True

    def check_input(self, input_shape: PartialShape) -> None:
        self.layer.check_input(self._inside(input_shape))

    def call(self, inputs: Any, training: bool = False) -> Any:
        n, steps, *sizes = inputs.shape
        y = self.layer(ops.reshape(inputs, (n * steps, *sizes)), training=training)
        outputs = ops.reshape(y, (n, steps, *y.shape[1:]))
        if y.logits is not None:  # for cross-entropies, as without the reshape
            outputs.logits = ops.reshape(y.logits, outputs.shape)
            outputs.logits_kind = y.logits_kind
        return outputs

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        inside = self._inside(input_shape)
        self._ensure_built(input_shape)
        return (*input_shape[:2], *self.layer.compute_output_shape(inside)[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": _names.serialize(self.layer)}
