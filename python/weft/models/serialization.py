"""Configurations as JSON, with the functions and classes of one's own that they name."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from weft import _names, activations, layers, losses, metrics, ops, optimizers
from weft.models.sequential import Sequential

_MODULES = (losses, activations, ops)  # whose functions stand in files by their names alone
# These are made by a `deserialize` that knows things of one's own. Objects of other classes of
# one's own (initializers, schedules) are made as soon as they are read.
_MADE_LATER = (layers.Layer, losses.Loss, metrics.Metric, optimizers.Optimizer)


# Objects that stand where others have functions: a layer as activation, a loss as metric.
_OBJECTS: dict[str, tuple[Any, Any]] = {
    "layer object": (layers.Layer, layers.deserialize),
    "loss object": (losses.Loss, losses.deserialize),
}


class ConfigWriter:
    """Writes JSON and collects what it names.

    Attributes:
        objects: The functions and classes of one's own by name.
    """

    def __init__(self) -> None:
        """Has written nothing yet."""
        self.objects: dict[str, Any] = {}
        self._classes: dict[str, type] = {}

    def write(self, thing: Any) -> str:
        """JSON of dicts, lists, tuples, arrays, functions, and objects with `get_config`."""
        return json.dumps(self._plain(thing))

    def note(self, thing: Any) -> None:
        """Takes note of an object's class.

        Raises:
            ValueError: There are two classes of its name, or it has arguments of which it tells
                nothing.
        """
        kind = type(thing)
        name, is_own = kind.__name__, not kind.__module__.startswith("weft.")
        other = self._classes.setdefault(name, kind)
        if other is not kind and other.__module__.startswith("weft.") and not is_own:
            return  # weft's loss and metric of one name
        if other is not kind or name in self._functions():
            raise ValueError(
                f"Files and copies tell classes apart by name, and two things are called {name!r}; "
                "rename yours."
            )
        if not is_own:
            return
        if not isinstance(thing, Sequential):  # whose configuration holds its layers
            _check_config(thing)
        self.objects[name] = kind

    def note_layers(self, layer: Any, seen: list[Any] | None = None) -> None:
        """Takes note of a layer, what it consists of, and its initializers and regularizers."""
        seen = [] if seen is None else seen
        if any(layer is each for each in seen):
            raise ValueError(
                f"{layer} occurs twice in the model, which files and copies cannot describe; use "
                "save_weights, and load_weights of a model made by the same code."
            )
        seen.append(layer)
        self.note(layer)
        for attribute in vars(layer).values():
            if hasattr(attribute, "get_config") and not isinstance(attribute, (type, layers.Layer)):
                self.note(attribute)
        for inner in layer._sublayers():
            self.note_layers(inner, seen)

    def _functions(self) -> set[str]:
        return {name for name, value in self.objects.items() if not isinstance(value, type)}

    def _plain(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, Mapping):
            return {key: self._plain(each) for key, each in value.items()}
        if isinstance(value, tuple):
            return {"class_name": "tuple", "config": [self._plain(each) for each in value]}
        if isinstance(value, list):
            return [self._plain(each) for each in value]
        if isinstance(value, (np.ndarray, np.generic)):
            return value.tolist()
        if hasattr(value, "get_config") and not isinstance(value, type):
            self.note(value)
            kinds = [name for name, (kind, _) in _OBJECTS.items() if isinstance(value, kind)]
            return {
                "class_name": kinds[0] if kinds else "object",
                "config": self._plain(_names.serialize(value)),
            }
        if callable(value):
            return self._function(value)
        raise ValueError(f"{value!r} cannot be written to a file.")

    def _function(self, function: Any) -> dict[str, str]:
        name = original = getattr(function, "__name__", type(function).__name__)
        if any(getattr(module, name, None) is function for module in _MODULES):
            return {"class_name": "weft function", "config": name}
        count = 0
        while name in self._classes or self.objects.setdefault(name, function) is not function:
            count += 1
            name = f"{original}_{count}"
        return {"class_name": "function", "config": name}


def _check_config(thing: Any) -> None:
    """ValueError if a class of one's own has arguments, but no get_config that tells of them."""
    kind = type(thing)
    own = [
        not str(getattr(method, "__module__", "weft.")).startswith("weft.")
        for method in (kind.__init__, kind.get_config)
    ]
    if own != [True, False]:
        return
    known = thing.get_config()
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        starred = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if name != "self" and not starred and name not in known:
            raise ValueError(
                f"{kind.__name__} has the argument {name!r}, of which its get_config does not "
                "tell; define get_config(self)."
            )


def read_config(text: str, objects: Mapping[str, Any], source: str) -> Any:
    """What a `ConfigWriter` wrote.

    Args:
        text: The JSON.
        objects: Functions and classes of one's own by name.
        source: What messages call the place that it is from.

    Raises:
        ValueError: It is no JSON, or a function is missing.
    """

    def decode(value: dict[str, Any]) -> Any:
        kind, content = value.get("class_name"), value.get("config")
        if kind == "tuple":
            return tuple(content or ())
        if kind in _OBJECTS:
            return _OBJECTS[kind][1](content or {}, objects)
        if kind == "object":  # made already, if its class is one's own
            return content
        if kind == "weft function":
            name = str(content)
            found = [vars(module)[name] for module in _MODULES if name in module.__all__]
            if not found:
                raise ValueError(f"{source} needs weft's function {content!r}, which is not there.")
            return found[0]
        if kind == "function":
            if content not in objects:
                raise ValueError(
                    f"{source} needs your function {content!r}; pass "
                    f"custom_objects={{{content!r}: ...}}."
                )
            return objects[str(content)]
        own = objects.get(str(kind))
        if isinstance(own, type) and not issubclass(own, _MADE_LATER):
            return _names.deserialize("object", value, {}, objects)
        return value

    try:
        return json.loads(text, object_hook=decode)
    except json.JSONDecodeError:
        raise ValueError(f"{source} is damaged: its header is no JSON.") from None
