"""MNIST: 70,000 handwritten digits of 28 x 28 pixels (CC BY-SA 3.0, see NOTICE).

Source: Yann LeCun, Corinna Cortes, Christopher J. C. Burges, http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import os

from weft.datasets._cache import Dataset, read_npz


def load_data(path: str | os.PathLike[str] = "mnist.npz") -> Dataset:
    """Loads MNIST. Needs no network: the data travels inside the package.

    Args:
        path: Kept for programs written for Keras, where it names the download's place in a cache.
            An absolute path of an existing .npz file with `x_train`, `y_train`, `x_test` and
            `y_test` is read instead of the package's own; any other value changes nothing.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 (60000, 28, 28) and (10000, 28, 28),
        0 is background and 255 is ink; labels uint8 (60000,) and (10000,), the digits 0 to 9.

    Raises:
        ValueError: The file that `path` names does not hold these four arrays.
    """
    path = os.fspath(path)
    if not (os.path.isabs(path) and os.path.isfile(path)):
        path = os.path.join(os.path.dirname(__file__), "mnist.npz")
    return read_npz(path)
