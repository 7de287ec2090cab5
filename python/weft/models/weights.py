"""Weight files: how tensors are named, and checking a file against a model before any change."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from weft import _names
from weft.graph import Array, Variable
from weft.saving import load_file, read_header, save_file

FORMAT, WEIGHTS = "weft model", "weights/"  # of files with whole models, and of weights in them


def named_weights(layer: Any, prefix: str = "") -> dict[str, Variable]:
    """The weights of a model by name: classes numbered in each model, e.g. "dense_1/kernel"."""
    named: dict[str, Variable] = {}
    for variable in layer._own_weights():
        _put(named, prefix + variable.name, variable)
    counts: dict[str, int] = {}
    for inner in layer._sublayers():
        kind = _names.snake_case(type(inner).__name__)
        count = counts.get(kind, 0)
        counts[kind] = count + 1
        path = f"{prefix}{kind}_{count}/" if count else f"{prefix}{kind}/"
        for name, variable in named_weights(inner, path).items():
            _put(named, name, variable)
    return named


def _put(named: dict[str, Variable], name: str, variable: Variable) -> None:
    if variable in named.values():
        return  # shared by two layers
    unique, count = name, 0
    while unique in named:
        count += 1
        unique = f"{name}_{count}"
    named[unique] = variable


def save(model: Any, filepath: str | os.PathLike[str], overwrite: bool) -> None:
    """See `Model.save_weights`."""
    check_target(model, filepath, overwrite)
    tensors = {name: variable.numpy() for name, variable in named_weights(model).items()}
    save_file(tensors, filepath, {"format": "weft weights"})


def check_target(model: Any, filepath: str | os.PathLike[str], overwrite: bool) -> None:
    """ValueError if nothing is there to save, FileExistsError if it may not be saved there."""
    if not model.built:
        raise ValueError(f"{model} has no weights to save: build it or call it on data first.")
    if not overwrite and os.path.exists(filepath):
        raise FileExistsError(f"{os.fspath(filepath)} exists already; pass overwrite=True.")


def load(model: Any, filepath: str | os.PathLike[str], skip_mismatch: bool) -> None:
    """See `Model.load_weights`."""
    if not model.built:
        raise ValueError(f"{model} has no weights to load into: build it or call it on data first.")
    tensors, texts = read(filepath)
    if texts.get("format") == FORMAT:
        tensors = without_prefix(tensors, WEIGHTS)
    assign(model, tensors, os.fspath(filepath), skip_mismatch)


def without_prefix(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The tensors whose names begin with `prefix`, by the rest of their names."""
    return {
        name.removeprefix(prefix): array
        for name, array in tensors.items()
        if name.startswith(prefix)
    }


# What other programs' files begin with.
_FOREIGN = {b"PK\x03\x04": "a zip archive, as Keras's .keras files are", b"\x89HDF": "an HDF5 file"}


def read(filepath: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors of a safetensors file and its header's texts.

    Raises:
        ValueError: It is no such file, or is damaged.
        OSError: It cannot be read.
    """
    with open(filepath, "rb") as file:
        foreign = _FOREIGN.get(file.read(4))
    if foreign:
        raise ValueError(
            f"{os.fspath(filepath)} is {foreign}; weft reads the safetensors files that its own "
            "save and save_weights write."
        )
    return load_file(filepath), read_header(filepath).metadata


def assign(model: Any, tensors: dict[str, Array], path: str, skip_mismatch: bool = False) -> None:
    """Sets a model's weights to tensors by name, all or none; `path` is where they are from."""
    wanted = named_weights(model)
    fitting = {}
    for name, variable in wanted.items():
        array = tensors.get(name)
        if array is None:
            fault = f"which {path} does not hold"
        elif array.shape != variable.shape:
            fault = f"got shape {array.shape} in {path}"
        elif array.dtype.kind not in "fiub":
            fault = f"got dtype {array.dtype} in {path}"
        else:
            fitting[name] = array
            continue
        if not skip_mismatch:
            raise ValueError(f"{model} expects {name!r} of shape {variable.shape}, {fault}.")
    unknown = [name for name in tensors if name not in wanted]
    if unknown and not skip_mismatch:
        raise ValueError(f"{path} holds {unknown[0]!r}, which {model} does not have.")
    for name, array in fitting.items():
        wanted[name].assign(array)
