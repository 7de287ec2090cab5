"""Whole models: structure, weights, and what `compile` was given, as tensors and texts.

`model.save` writes them to one safetensors file, which holds numbers and JSON and cannot execute
code: weights as `save_weights` names them behind "weights/", the optimizer's slots behind
"optimizer/", and the configuration in the header. Copies and pickles of models hold the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from weft import _names, activations, losses, metrics, ops, optimizers
from weft.graph import Array
from weft.layers.layer import Layer
from weft.models import weights
from weft.models.sequential import Sequential
from weft.saving import save_file

FORMAT = "weft model"
_WEIGHTS, _OPTIMIZER = "weights/", "optimizer/"
_MODULES = (losses, activations, ops)  # whose functions stand in files by name
# What is made by a deserialize that knows classes of one's own; other such classes (initializers,
# schedules) are made as soon as they are read.
_DESERIALIZED = (Layer, losses.Loss, metrics.Metric, optimizers.Optimizer)


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
    """All of a model that is built.

    Raises:
        ValueError: Its optimizer's learning rate is a function, which cannot be described.
    """
    own: dict[str, Any] = {}
    named = weights.named_weights(model)
    tensors = {_WEIGHTS + name: variable.numpy() for name, variable in named.items()}
    texts = {"format": FORMAT, "model": _to_json(_names.serialize(model), own)}
    _collect_classes(model, own)
    compiled = model._compiled
    if compiled is not None:
        optimizer = compiled.optimizer
        described: dict[str, Any] = {
            "optimizer": optimizers.serialize(optimizer),
            "loss": None if compiled.loss is None else losses.serialize(compiled.loss),
            "fuse": model.fuse,
        }
        described |= compiled.describe_metrics()
        for thing in (optimizer, optimizer.schedule, compiled.loss, *compiled.metric_objects):
            _collect_class(thing, own)
        if include_optimizer:
            described["iterations"] = optimizer.iterations
            described["random"] = model._random_state()
            names = {variable: name for name, variable in named.items()}
            slots = optimizer.slots_by_name(names)
            described["slots"] = sorted(slots)
            tensors |= {_OPTIMIZER + name: value for name, value in slots.items()}
        texts["compile"] = _to_json(described, own)
    return Described(tensors, texts, own)


def restore(described: Described, source: str = "The copy", compile: bool = True) -> Sequential:
    """The model of a description.

    Args:
        described: What `describe` gave; `objects` are its `custom_objects`.
        source: What messages call it.
        compile: Whether to compile it as it was.

    Raises:
        ValueError: A class or function is missing, or tensors do not fit the configuration.
    """
    tensors, texts, objects = described
    entry = _from_json(texts, "model", objects, source)
    kind = (objects or {}).get(entry.get("class_name"), Sequential)
    model: Sequential = kind.from_config(entry["config"], objects)
    values = without_prefix(tensors, _WEIGHTS)
    weights.assign(model, values, source)
    if not compile or "compile" not in texts:
        return model
    wanted = _from_json(texts, "compile", objects, source)
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
    if "iterations" in wanted:
        slots = without_prefix(tensors, _OPTIMIZER)
        if sorted(slots) != wanted["slots"]:
            raise ValueError(f"{source} is damaged: it lacks slots of the optimizer.")
        optimizer.set_slots(weights.named_weights(model), slots, int(wanted["iterations"]))
        model._set_random_state(wanted["random"])
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
    tensors, texts, objects = describe(model, include_optimizer)
    unnamed = [name for name in objects if not name.isidentifier()]
    if unnamed:
        raise ValueError(
            f"{model} uses a function without a name of its own ({unnamed[0]}), which load_model "
            "could not find again; define it with def."
        )
    save_file(tensors, filepath, texts)


def load(
    filepath: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None, compile: bool
) -> Sequential:
    """See `weft.models.load_model`."""
    path = os.fspath(filepath)
    tensors, texts = weights.read(filepath)
    if texts.get("format") != FORMAT:
        raise ValueError(
            f"{path} holds tensors but no model; make the model by its code and call "
            "load_weights(path)."
        )
    try:
        return restore(Described(tensors, texts, dict(custom_objects or {})), path, compile)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} describes no model that weft can make: {error!r}.") from error


def without_prefix(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The tensors whose names begin with `prefix`, by the rest of their names."""
    return {
        name.removeprefix(prefix): array
        for name, array in tensors.items()
        if name.startswith(prefix)
    }


def weights_of(tensors: dict[str, Array], texts: Mapping[str, str]) -> dict[str, Array]:
    """The weights in a file that holds nothing else, or a whole model."""
    return without_prefix(tensors, _WEIGHTS) if texts.get("format") == FORMAT else tensors


def _to_json(thing: Any, own: dict[str, Any]) -> str:
    """JSON in which functions stand by name; they are put into `own`."""

    def encode(value: Any) -> Any:
        if isinstance(value, (np.ndarray, np.generic)):
            return value.tolist()
        if hasattr(value, "get_config"):
            _collect_class(value, own)
            return _names.serialize(value)
        if callable(value):
            name = original = getattr(value, "__name__", type(value).__name__)
            if any(getattr(module, name, None) is value for module in _MODULES):
                return {"class_name": "weft function", "config": name}
            count = 0
            while own.setdefault(name, value) is not value:
                count += 1
                name = f"{original}_{count}"
            return {"class_name": "function", "config": name}
        raise TypeError(f"{value!r} cannot be written to a file.")

    return json.dumps(thing, default=encode)


def _from_json(texts: Mapping[str, str], key: str, objects: Mapping[str, Any], source: str) -> Any:
    def decode(value: dict[str, Any]) -> Any:
        kind = objects.get(str(value.get("class_name")))
        if isinstance(kind, type) and not issubclass(kind, _DESERIALIZED):
            return _names.deserialize("object", value, {}, objects)
        name = str(value.get("config"))
        if value.get("class_name") == "weft function":
            found = [vars(module)[name] for module in _MODULES if name in module.__all__]
            if not found:
                raise ValueError(f"{source} needs weft's function {name!r}, which is not there.")
            return found[0]
        if value.get("class_name") != "function":
            return value
        if name not in objects:
            raise ValueError(
                f"{source} needs your function {name!r}; pass custom_objects={{{name!r}: ...}}."
            )
        return objects[name]

    try:
        found = json.loads(texts[key], object_hook=decode)
    except (KeyError, json.JSONDecodeError):
        raise ValueError(f"{source} is damaged: its header describes no {key}.") from None
    return found


def _collect_classes(layer: Any, own: dict[str, Any]) -> None:
    _collect_class(layer, own)
    for attribute in vars(layer).values():  # initializers and regularizers
        if hasattr(attribute, "get_config"):
            _collect_class(attribute, own)
    for inner in layer._sublayers():
        _collect_classes(inner, own)


def _collect_class(thing: Any, own: dict[str, Any]) -> None:
    kind = type(thing)
    if thing is not None and not kind.__module__.startswith("weft."):
        own[kind.__name__] = kind
