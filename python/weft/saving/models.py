"""save_model and load_model, which `weft.models` offers, too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft.models import Model, Sequential


def save_model(
    model: Model,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    include_optimizer: bool = True,
) -> None:
    """As `model.save`."""
    model.save(filepath, overwrite, include_optimizer)


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Sequential:
    """The model that `model.save` wrote, ready to predict and to train on.

    Args:
        filepath: The file.
        custom_objects: Classes and functions of one's own by name.
        compile: Whether to compile it as it was, with the optimizer's state.
        safe_mode: Accepted as in Keras; no file can execute code here.

    Raises:
        ValueError: It is no such file, is damaged, or needs a class or function that
            `custom_objects` does not have.
        OSError: The file cannot be read.
    """
    from weft.models import files

    return files.load(filepath, custom_objects, compile)
