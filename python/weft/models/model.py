"""What Sequential and models of one's own share: being called, weights, files, descriptions."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from weft import _names
from weft.graph import Array, Tensor, Trace
from weft.layers.layer import Layer, PartialShape
from weft.models.trainer import Trainer

_TENSORS = (
    "weft keeps no tensors between calls; the shapes are input_shape and output_shape, and "
    "weft.Sequential(model.layers[:n]) is a model of the first n layers, with their weights."
)


class Model(Trainer, Layer):
    """A layer that can be trained. Most programs use `Sequential`.

    A model of one's own makes its layers in `__init__` and defines `call`:

        class Residual(weft.Model):
            def __init__(self):
                super().__init__()
                self.inner = weft.layers.Dense(64, activation="relu")
                self.outer = weft.layers.Dense(10)

            def call(self, inputs, training=False):
                return self.outer(inputs + self.inner(inputs))

    Args:
        trainable: Whether optimizers may update its weights.
        name: A name; made from the class's name when left out.

    Raises:
        TypeError: Inputs and outputs were given: Keras's functional form is not supported.
    """

    def __init__(self, *args: Any, trainable: bool = True, name: str | None = None, **kwargs: Any):
        if args or "inputs" in kwargs or "outputs" in kwargs:
            raise TypeError(
                "Model(inputs, outputs) is not supported; use Sequential, or derive from Model "
                "and define call()."
            )
        super().__init__(trainable=trainable, name=name, **kwargs)
        self._init_training()
        self._input_shape: PartialShape | None = None
        self._output_shape: PartialShape | None = None

    export = _names.Missing("weft trains and predicts; model.save(path) keeps the model in a file.")
    inputs = _names.Missing(_TENSORS)
    outputs = _names.Missing(_TENSORS)

    # Running

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Records the model on a tensor, or runs it on an array (N, ...).

        Args:
            inputs: The batch.
            *args, **kwargs: As of `call`; `training=True` makes dropout active.

        Raises:
            ValueError: The shape does not fit.
        """
        if isinstance(inputs, (Tensor, Layer)) or Trace.current() is not None:
            return super().__call__(inputs, *args, **kwargs)
        training = kwargs.pop("training", False)
        if args or kwargs:
            return super().__call__(inputs, *args, training=training, **kwargs)
        return self._run_batch_of(inputs, True) if training else self.predict_on_batch(inputs)

    def record_outputs(self, trace: Trace, x: Tensor) -> Tensor:
        """Records the model on a batch."""
        outputs: Tensor = self._record(trace, x, (), {})
        return outputs

    def _build_for(self, x: Array) -> Array:
        shape = (None, *x.shape[1:])
        if shape != self._input_shape:
            self._output_shape = self.compute_output_shape(shape)
            self._input_shape = shape
        return x

    @property
    def input_shape(self) -> PartialShape:
        """The shape (None, ...) of the inputs.

        Raises:
            AttributeError: It is not known yet.
        """
        if self._input_shape is None:
            raise AttributeError(f"{self} has no input shape yet: build it or call it on data.")
        return self._input_shape

    @property
    def output_shape(self) -> PartialShape:
        """The shape (None, ...) of the outputs.

        Raises:
            AttributeError: It is not known yet.
        """
        if self._output_shape is None:
            raise AttributeError(f"{self} has no output shape yet: build it or call it on data.")
        return self._output_shape

    def layer_shape(self, layer: Layer) -> PartialShape | None:
        """The output shape of one of the layers, where it is known."""
        return None

    # Layers and weights

    @property
    def layers(self) -> list[Layer]:
        """The layers that this model consists of."""
        return self._sublayers()

    @property
    def stateful(self) -> bool:  # type: ignore[override]
        """Whether a layer keeps its state from one batch to the next."""
        return any(getattr(layer, "stateful", False) for layer in self.layers)

    def reset_states(self) -> None:
        """Sets the states of the stateful layers to zeros."""
        for layer in self.layers:
            if getattr(layer, "stateful", False):
                layer.reset_states()  # type: ignore[attr-defined]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or position.

        Raises:
            ValueError: There is none, or not exactly one of the two was given.
        """
        layers = self.layers
        if (name is None) == (index is None):
            raise ValueError("get_layer expects either a name or an index.")
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"{self} has {len(layers)} layers, got index {index}.")
            return layers[index]
        layer: Layer = _names.lookup("layer", str(name), {each.name: each for each in layers})
        return layer

    def __reduce__(self) -> Any:
        """Refuses copies and pickles; a Sequential has them."""
        raise TypeError(
            f"{self} is no Sequential and cannot be copied or pickled; make another one by the "
            "same code and call set_weights(model.get_weights())."
        )

    def save(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        include_optimizer: bool = True,
    ) -> None:
        """Writes a Sequential with all that `weft.models.load_model` needs to a safetensors file.

        That is its structure, its weights, and what `compile` was given, whatever the file's name
        ends in. Training that goes on in the loaded model takes the steps that it would have
        taken in this one (but the states of stateful layers begin anew).

        Args:
            filepath: The file.
            overwrite: Whether it may exist already.
            include_optimizer: Whether to keep the optimizer's state, too.

        Raises:
            ValueError: The model is not built, is no Sequential, uses a lambda, a function as
                learning rate, or a layer twice, or a class of one's own has arguments but no
                get_config.
            OSError: The file cannot be written (FileExistsError: it must not be overwritten);
                what was there is unharmed.
        """
        from weft.models import files

        files.save(self, filepath, overwrite, include_optimizer)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Writes the weights to a safetensors file, whatever its name ends in.

        Tensors are named after classes and positions ("dense/kernel", "dense_1/kernel"), so that
        the file fits every model of the same structure, however its layers are named.

        Args:
            filepath: The file.
            overwrite: Whether it may exist already.

        Raises:
            ValueError: The model is not built.
            OSError: The file cannot be written (FileExistsError: it must not be overwritten);
                what was there is unharmed.
        """
        from weft.models import weights

        weights.save(self, filepath, overwrite)

    def load_weights(self, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
        """Reads weights that `save_weights` or `save` wrote.

        Args:
            filepath: The file.
            skip_mismatch: Whether to leave out weights that are missing or differ in shape.

        Raises:
            ValueError: The model is not built, or the file does not fit it or is damaged;
                no weight has changed then.
            OSError: The file cannot be read.
        """
        from weft.models import weights

        weights.load(self, filepath, skip_mismatch)

    # Descriptions

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: tuple[str, str] | None = None,
    ) -> None:
        """Prints a table of the layers with their output shapes and numbers of weights.

        Args:
            line_length: The table's width; what the terminal has, up to 88, by default.
            positions: Where the columns end, as fractions of the width.
            print_fn: What is called with the text instead of `print`.
            expand_nested: Whether to list the layers of models inside.
            show_trainable: Whether to add a column that tells which layers are trained.
            layer_range: Names of the first and last layer to show.
        """
        from weft.models.summary import summary_text

        text = summary_text(
            self, line_length, positions, expand_nested, show_trainable, layer_range
        )
        (print_fn or print)(text)

    def describe_plan(
        self,
        batch_size: int = 32,
        mode: str = "train",
        fuse: bool | None = None,
        print_fn: Callable[[str], Any] | None = None,
    ) -> None:
        """Prints what the native core does in one step: a line for each kernel call.

        Args:
            batch_size: Samples of the step.
            mode: "train", "test" or "predict"; only the last needs no `compile`.
            fuse: Whether ops are fused; as the attribute `fuse` by default.
            print_fn: What is called with the text instead of `print`.

        Raises:
            ValueError: The model is not built (or not compiled), or the mode is unknown.
        """
        from weft.models.describe import plan_text

        (print_fn or print)(plan_text(self, batch_size, mode, fuse))

    def to_json(self, **options: Any) -> str:
        """The model's structure as JSON; see `weft.models.model_from_json`.

        Args:
            **options: As of `json.dumps`.
        """
        import json

        return json.dumps(_names.serialize(self), **options)
