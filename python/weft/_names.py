"""Names: of layers ("dense", "dense_1"), and of things looked up by name."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_counts: dict[str, int] = {}

_SIMILAR = 0.75  # how much of two names must be equal for one to be suggested for the other
_SHORT = 8  # names in a table that an error lists


class Missing:
    """An attribute that Keras has and weft has not: reading it says what to use instead.

    Subclasses and objects may have one of this name all the same.
    """

    def __init__(self, instead: str) -> None:
        self._instead = instead

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        thing = owner.__name__ if instance is None else instance
        raise AttributeError(f"{thing} has no {self._name!r}: {self._instead}")


def snake_case(name: str) -> str:
    """`LeakyReLU` -> `leaky_re_lu`, as Keras names layers after their classes."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(prefix: str) -> str:
    """`prefix` at first, then `prefix_1`, `prefix_2`, ... until `reset_names`."""
    count = _counts.get(prefix, 0)
    _counts[prefix] = count + 1
    return prefix if count == 0 else f"{prefix}_{count}"


def reset_names() -> None:
    """Starts numbering afresh, as `backend.clear_session` promises."""
    _counts.clear()


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """`; did you mean 'relu'?` for 'rellu': the name that is meant, or "" if none is similar."""
    import difflib  # only errors need it

    written = str(name).lower()
    by_lower = {each.lower(): each for each in reversed(list(known))}  # the first of equal ones
    near = difflib.get_close_matches(written, by_lower, 1, _SIMILAR)
    if near and re.findall(r"\dd", near[0]) != re.findall(r"\dd", written):
        near = []  # Conv3D is no misspelt Conv2D
    if not near and len(written) > 2:  # the beginning of a name
        near = sorted(each for each in by_lower if each.startswith(written))
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def unknown_argument(what: object, unknown: Iterable[str], known: Iterable[str]) -> TypeError:
    """The error for keyword arguments that `what` has not, with a similar one that it has."""
    names = list(unknown)
    hint = did_you_mean(names[0], known) if len(names) == 1 else ""
    return TypeError(f"{what} got an unknown argument: {', '.join(map(repr, names))}{hint or '.'}")


def unknown_name(kind: str, name: object, known: Mapping[str, Any]) -> ValueError:
    """The error for a name that is not in a table, with a similar one or all of a short table."""
    hint = did_you_mean(name, known)
    if not hint:
        hint = f"; there are: {', '.join(known)}." if 0 < len(known) <= _SHORT else "."
    return ValueError(f"Unknown {kind} {name!r}{hint}")


def lookup(kind: str, name: str, table: Mapping[str, Any]) -> Any:
    """`table[name]`, or a ValueError that names the nearest valid name.

    Example: `Unknown loss 'categorical_crosentropy'; did you mean 'categorical_crossentropy'?`
    """
    try:
        return table[name]
    except KeyError:
        raise unknown_name(kind, name, table) from None


def deserialize(
    kind: str,
    config: Mapping[str, Any],
    table: Mapping[str, Any],
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """Builds an object from what `serialize` gives, `{"class_name": ..., "config": {...}}`.

    Raises:
        ValueError: The class is unknown, or `config` has another form.
    """
    name = config.get("class_name")
    if not isinstance(name, str):
        raise ValueError(f"A {kind}'s config needs a 'class_name', got {dict(config)!r}.")
    entry = (custom_objects or {}).get(name)
    if entry is None:
        entry = lookup(kind, name, table)
    arguments = config.get("config") or {}
    from_config: Callable[..., Any] | None = getattr(entry, "from_config", None)
    if from_config is None:
        return entry(**arguments)
    if "custom_objects" in inspect.signature(from_config).parameters:  # for what is inside
        return from_config(arguments, custom_objects=custom_objects)
    return from_config(arguments)


def serialize(thing: Any) -> dict[str, Any]:
    """`{"class_name": ..., "config": {...}}` of anything with `get_config`."""
    return {"class_name": type(thing).__name__, "config": thing.get_config()}


def public_names(module: str) -> list[str]:
    """The names that a module offers: `__all__`, or without it the public ones defined there."""
    offered = vars(sys.modules[module])
    if "__all__" in offered:
        return sorted(offered["__all__"])
    return sorted(
        name
        for name, value in offered.items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    )


def explain_missing(module: str) -> None:
    """Lets a module say what weft has instead of a name that it has not, and list what it offers.

    `dir` then leaves out what the module imports for itself.
    """

    def look_up(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        known = [each for each in public_names(module) if not each.startswith("_")]
        hint = did_you_mean(name, known) or ": weft does not have all of Keras."
        raise AttributeError(f"{module} has no {name!r}{hint}")

    # Not by assignments in the module, which would make type checkers believe in any name there.
    namespace = vars(sys.modules[module])
    namespace["__getattr__"] = look_up
    namespace["__dir__"] = lambda: public_names(module)
