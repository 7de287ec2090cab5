"""Whole models: structure, weights, and what `compile` was given, as tensors and texts.

`model.save` writes them to one safetensors file, which holds numbers and JSON and cannot execute
code: weights as `save_weights` names them behind "weights/", the optimizer's slots behind
"optimizer/", and the configuration in the header. Copies and pickles of models hold the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from weft import _names, config, losses, metrics, optimizers
from weft.graph import Array
from weft.models import weights
from weft.models.sequential import Sequential
from weft.models.serialization import ConfigWriter, read_config
from weft.models.weights import FORMAT, WEIGHTS, without_prefix
from weft.saving import save_file

_OPTIMIZER = "optimizer/"


class Described(NamedTuple):
    """A model apart from the code that makes it.

    Attributes:
        tensors: Weights and the optimizer's slots by name.
        texts: The configuration, what a file's header holds.
        objects: The functions and classes of one's own that it needs, by name.
    """

    tensors: dict[str, Array]
    texts: dict[str, str]
    objects: dict[str, Any]


def describe(model: Sequential, include_optimizer: bool = True) -> Described:
    """All of a model.

    Raises:
        ValueError: A part cannot be described: a learning rate that is a function, a layer that
            occurs twice, a class of one's own with arguments but without get_config.
        NotImplementedError: A schedule of one's own has no get_config.
    """
    writer = ConfigWriter()
    writer.note_layers(model)
    named = weights.named_weights(model)
    tensors = {WEIGHTS + name: variable.numpy() for name, variable in named.items()}
    structure = {
        **_names.serialize(model),
        "trainable": [layer._trainable for layer in _all_layers(model)],
    }
    written = {"format": FORMAT, "model": writer.write(structure)}
    compiled = model._compiled
    if compiled is not None:
        optimizer = compiled.optimizer
        for thing in (optimizer, compiled.loss, *compiled.metric_objects):
            if thing is not None:
                writer.note(thing)
        if hasattr(optimizer.schedule, "get_config"):
            writer.note(optimizer.schedule)
        names = {variable: name for name, variable in named.items()}
        described = {
            "optimizer": optimizers.serialize(optimizer),
            "loss": None if compiled.loss is None else losses.serialize(compiled.loss),
            "fuse": model.fuse,
            "trained": [names[variable] for variable in compiled.trained_of(model)],
            "undecayed": [names[variable] for variable in optimizer.undecayed(list(names))],
            **compiled.describe_metrics(),
        }
        if include_optimizer:
            slots = optimizer.slots_by_name(names)
            tensors |= {_OPTIMIZER + name: value for name, value in slots.items()}
            described["state"] = {
                "iterations": optimizer.iterations,
                "slots": sorted(slots),
                "random": model._random_state(),
            }
        written["compile"] = writer.write(described)
    written["own"] = writer.write(sorted(writer.objects))
    return Described(tensors, written, writer.objects)


def restore(described: Described, source: str = "the copy", compile: bool = True) -> Sequential:
    """The model of a description.

    Args:
        described: What `describe` gave; `objects` are its `custom_objects`.
        source: What messages call it.
        compile: Whether to compile it as it was.

    Raises:
        ValueError: A class or function is missing, or tensors do not fit the configuration.
    """
    tensors, written, given = described
    # Nothing else, so that a class of one's own does not take the place of weft's of its name.
    objects = {key: given[key] for key in read_config(written["own"], {}, source) if key in given}
    structure = read_config(written["model"], objects, source)
    with config._seeds.kept():  # the initializers' draws are not what comes next
        model: Sequential = _names.lookup(
            "model", structure["class_name"], {"Sequential": Sequential, **objects}
        ).from_config(structure["config"], objects)
    weights.assign(model, without_prefix(tensors, WEIGHTS), source)
    for layer, trainable in zip(_all_layers(model), structure["trainable"], strict=True):
        layer._trainable = trainable
    if not compile or "compile" not in written:
        return model
    wanted = read_config(written["compile"], objects, source)
    classes = {
        "FunctionLoss": losses.FunctionLoss, "MeanMetricWrapper": metrics.MeanMetricWrapper,
        **objects,
    }  # fmt: skip

    def metric(item: Any) -> Any:
        return metrics.deserialize(item, classes) if isinstance(item, Mapping) else item

    optimizer = optimizers.deserialize(wanted["optimizer"], classes)
    model.compile(
        optimizer,
        None if wanted["loss"] is None else losses.deserialize(wanted["loss"], classes),
        metrics=[metric(item) for item in wanted["metrics"]],
        weighted_metrics=[metric(item) for item in wanted["weighted_metrics"]],
        fuse=wanted["fuse"],
    )
    named = weights.named_weights(model)
    assert model._compiled is not None
    if model.built:
        model._compiled.set_trained(model, [named[name] for name in wanted["trained"]])
    if wanted["undecayed"]:
        optimizer.exclude_from_weight_decay([named[name] for name in wanted["undecayed"]])
    if "state" in wanted:
        state, slots = wanted["state"], without_prefix(tensors, _OPTIMIZER)
        if sorted(slots) != state["slots"]:
            raise ValueError(f"{source} lacks slots of the optimizer.")
        optimizer.set_slots(named, slots, _count(state["iterations"]))
        model._set_random_state([_count(number) for number in state["random"]])
    return model


def save(
    model: Any, filepath: str | os.PathLike[str], overwrite: bool, include_optimizer: bool
) -> None:
    """See `Model.save`."""
    if not isinstance(model, Sequential):
        raise ValueError(
            f"save describes Sequential models; of {model} call save_weights(path), and "
            "load_weights(path) of a model made by the same code."
        )
    weights.check_target(model, filepath, overwrite)
    tensors, written, _ = check_savable(model, include_optimizer)
    save_file(tensors, filepath, written)


def check_savable(model: Sequential, include_optimizer: bool = True) -> Described:
    """The model's description, if a file of it could be loaded.

    Raises:
        ValueError: As `describe`, or a function has no name to be found by.
    """
    described = describe(model, include_optimizer)
    unnamed = [name for name in described.objects if not name.isidentifier()]
    if unnamed:
        raise ValueError(
            f"{model} uses a function without a name of its own ({unnamed[0]}), which load_model "
            "could not find again; define it with def."
        )
    return described


def load(
    filepath: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None, compile: bool
) -> Sequential:
    """See `weft.models.load_model`."""
    path, objects = os.fspath(filepath), dict(custom_objects or {})
    tensors, written = weights.read(filepath)
    if written.get("format") != FORMAT:
        raise ValueError(
            f"{path} holds tensors but no model; make the model by its code and call "
            "load_weights(path)."
        )
    try:
        return restore(Described(tensors, written, objects), path, compile)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
        raise ValueError(f"{path} describes no model that weft can make: {error!r}.") from error
    except ValueError as error:
        text = str(error)
        own = "; pass classes of your own as custom_objects" if "Unknown" in text else ""
        text = text if path in text else f"{path} cannot be loaded: {text}"
        raise ValueError(f"{text.rstrip('.')}{own}.") from error


def _all_layers(layer: Any) -> Iterator[Any]:
    yield layer
    for inner in layer._sublayers():
        yield from _all_layers(inner)


def _count(number: Any) -> int:
    if not isinstance(number, int) or not 0 <= number < 1 << 63:
        raise ValueError(f"a count or seed is {number!r}")
    return number
