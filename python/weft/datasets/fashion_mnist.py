"""Fashion-MNIST: 70,000 pictures of clothes of 28 x 28 pixels in ten classes (MIT licence).

Source: Han Xiao, Kashif Rasul, Roland Vollgraf, https://github.com/zalandoresearch/fashion-mnist.
It does not travel inside the package: it is looked for on this machine, then downloaded once.
"""

from __future__ import annotations

import io
import os
import warnings

from weft.datasets._cache import Array, Dataset, cache_folder, data_folders, download, read_npz
from weft.datasets.idx import idx_header, read_idx, read_idx_stream

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""The name of each label, 0 to 9."""

# SHA-256 of the four files after gunzip, so that it does not matter who gzipped them, and when.
_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

_MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)


def load_data() -> Dataset:
    """Loads Fashion-MNIST.

    It is looked for in the folder that the environment variable `WEFT_DATA` names, in weft's and
    Keras's caches and in the folder of Debian's package dataset-fashion-mnist, as
    `fashion_mnist.npz` or as the four published IDX files, gzipped or not. Where there is none,
    it is downloaded (30 MB) into weft's cache. Whatever its way here, its SHA-256 is checked.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 (60000, 28, 28) and (10000, 28, 28);
        labels uint8 (60000,) and (10000,), indices into `CLASS_NAMES`.

    Raises:
        ValueError: A file found on this machine is damaged or holds something else.
        OSError: It is not on this machine and no mirror served it; the message says how to place
            the files by hand.
    """
    for folder in data_folders("fashion-mnist"):
        if (found := _find(folder)) is not None:
            return found
    folder = os.path.join(cache_folder(), "fashion-mnist")
    x_train, y_train, x_test, y_test = (_fetch(name, folder) for name in _SHA256)
    return (x_train, y_train), (x_test, y_test)


def _find(folder: str) -> Dataset | None:
    """Reads the data set from a folder of this machine; None where it is not (all) there."""
    npz = os.path.join(folder, "fashion_mnist.npz")
    if os.path.isfile(npz):
        (x_train, y_train), (x_test, y_test) = read_npz(npz)
        for name, array in zip(_SHA256, (x_train, y_train, x_test, y_test), strict=True):
            _check(name, array, npz)
        return (x_train, y_train), (x_test, y_test)

    paths = []
    for name in _SHA256:
        candidates = (os.path.join(folder, name + ending) for ending in ("", ".gz"))
        path = next((path for path in candidates if os.path.isfile(path)), None)
        if path is None:
            return None
        paths.append(path)
    arrays = [read_idx(path) for path in paths]
    for name, array, path in zip(_SHA256, arrays, paths, strict=True):
        _check(name, array, path)
    return (arrays[0], arrays[1]), (arrays[2], arrays[3])


def _check(name: str, array: Array, where: str) -> None:
    """Raises ValueError unless the array, written as an IDX file, has the published SHA-256."""
    import hashlib

    if array.dtype != "uint8":
        raise ValueError(f"{where} holds no Fashion-MNIST: expected uint8, got {array.dtype}.")
    digest = hashlib.sha256(idx_header(array))
    digest.update(array.tobytes())
    if digest.hexdigest() != _SHA256[name]:
        raise ValueError(
            f"{where} does not hold Fashion-MNIST's {name}: expected SHA-256 "
            f"{_SHA256[name]}, got {digest.hexdigest()}."
        )


def _fetch(name: str, folder: str) -> Array:
    """Reads one of the four files from `folder`, or downloads it there from a mirror."""
    kept = os.path.join(folder, name + ".gz")
    if os.path.isfile(kept):  # from a download that was interrupted between two files
        array = read_idx(kept)
        _check(name, array, kept)
        return array

    failures = []
    for mirror in _MIRRORS:
        url = f"{mirror}{name}.gz"
        try:
            print(f"Downloading {url}")
            data = download(url)
            array = read_idx_stream(io.BytesIO(data), url)
            _check(name, array, url)
        except (OSError, ValueError) as error:
            failures.append(f"  {url}: {error}")
            continue
        _keep(kept, data)
        return array
    raise OSError(
        f"Fashion-MNIST is not on this machine and none of {len(_MIRRORS)} mirrors served it.\n"
        + "\n".join(failures)
        + f"\nTo place it by hand, put {', '.join(f'{name}.gz' for name in _SHA256)} into {folder}"
        ", or set WEFT_DATA to a folder that holds them (or fashion_mnist.npz)."
    )


def _keep(path: str, data: bytes) -> None:
    from weft.saving.atomic import write_atomically

    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomically(path, [data])
    except OSError as error:
        # The data is here all the same; only the next call will have to download it again.
        warnings.warn(f"Fashion-MNIST could not be kept in the cache: {error}.", stacklevel=4)
