"""Names: of layers ("dense", "dense_1"), and of things looked up by name."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

_counts: dict[str, int] = {}


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


def unknown_name(kind: str, name: object, known: Mapping[str, Any]) -> ValueError:
    """The error for a name that is not in a table, with the nearest one that is."""
    import difflib  # only errors need it

    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)
    hint = f"; did you mean {near[0]!r}?" if near else ""
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


def missing_from(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module: says what weft has instead of a name that it has not."""

    def look_up(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        import difflib  # only errors need it

        known = [known for known in vars(sys.modules[module]) if not known.startswith("_")]
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ": weft does not have all of Keras."
        raise AttributeError(f"{module} has no {name!r}{hint}")

    return look_up
