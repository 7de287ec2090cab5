"""Models, as in `keras.models`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft import _names
from weft.models.model import Model
from weft.models.sequential import Sequential
from weft.saving import load_model, save_model

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def clone_model(model: Sequential) -> Sequential:
    """A model of the same structure with new weights.

    Raises:
        ValueError: It is no `Sequential`, or has layers of one's own (use `from_config`).
    """
    if not isinstance(model, Sequential):
        raise ValueError(f"clone_model expects a Sequential, got {model}.")
    return Sequential.from_config(model.get_config())


def model_from_json(
    json_string: str, custom_objects: Mapping[str, Any] | None = None
) -> Sequential:
    """The model that `model.to_json` described, with new weights.

    Args:
        json_string: The description.
        custom_objects: Classes of one's own by name.

    Raises:
        ValueError: It is no such description, or a class is unknown.
    """
    import json

    described = json.loads(json_string)
    if not isinstance(described, Mapping) or described.get("class_name") != "Sequential":
        raise ValueError("model_from_json expects the description of a Sequential.")
    return Sequential.from_config(described["config"], custom_objects)


_names.explain_missing(__name__)
