"""Where data sets lie on this machine, and how they get here."""

from __future__ import annotations

import io
import os
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
Dataset: TypeAlias = tuple[tuple[Array, Array], tuple[Array, Array]]

_TIMEOUT_S = 30.0
_CHUNK = 1 << 16


def read_npz(path: str) -> Dataset:
    """Reads `x_train`, `y_train`, `x_test` and `y_test` from an .npz file, without unpickling.

    Raises:
        ValueError: The file is damaged, or one of the four arrays is missing.
    """
    import zipfile
    import zlib

    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            x_train, y_train, x_test, y_test = (
                arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")
            )
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = error.args[0] if error.args else type(error).__name__
        raise ValueError(
            f"{path} is no data set: expected an .npz file with x_train, y_train, x_test and "
            f"y_test, but {reason}."
        ) from error
    return (x_train, y_train), (x_test, y_test)


def cache_folder() -> str:
    """The folder weft keeps its downloads in: `$XDG_CACHE_HOME/weft`, or `~/.cache/weft`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "weft")


def data_folders(name: str) -> list[str]:
    """The existing folders that may hold the data set `name`, in the order to look into them.

    `$WEFT_DATA` and its folder `name`, weft's cache, Keras's cache (`$KERAS_HOME` or `~/.keras`),
    and the place of Debian's package `dataset-<name>`.
    """
    folders = []
    if chosen := os.environ.get("WEFT_DATA"):
        chosen = os.path.expanduser(chosen)
        folders += [chosen, os.path.join(chosen, name)]
    keras_home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    folders += [
        os.path.join(cache_folder(), name),
        os.path.join(keras_home, "datasets", name),
        os.path.join("/usr/share/datasets", name),
    ]
    return [folder for folder in folders if os.path.isdir(folder)]


def download(url: str) -> bytes:
    """Fetches one file into memory, with a progress bar on the standard output.

    Raises:
        OSError: The server cannot be reached, answers with an error, or stops half way.
    """
    import http.client
    import urllib.request

    from weft.utils.progbar import Progbar

    data = io.BytesIO()
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            bar = Progbar(None if total is None else -(-total // 1024), unit_name="KB")
            while piece := response.read(_CHUNK):
                data.write(piece)
                bar.update(-(-data.tell() // 1024))
            if total is None:
                bar.update(-(-data.tell() // 1024), finalize=True)
    except http.client.HTTPException as error:
        raise OSError(f"the transfer broke off ({type(error).__name__})") from error
    if total is not None and data.tell() != total:
        raise OSError(f"expected {total:,} bytes, got {data.tell():,}")
    return data.getvalue()
