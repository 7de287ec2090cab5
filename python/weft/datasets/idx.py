"""Reader for IDX files, the format of MNIST and its relatives, gzipped or not.

An IDX file is: two zero bytes, a type code, the number of dimensions, each dimension as a
big-endian uint32, then the values, big-endian, last dimension fastest
(http://yann.lecun.com/exdb/mnist/).
"""

from __future__ import annotations

import math
import os
import struct
from typing import Any, BinaryIO, cast

import numpy as np

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """Reads one IDX file.

    Args:
        path: The file; whether it is gzipped is seen from its first bytes, not from its name.

    Returns:
        An array of the file's shape and type, in the machine's byte order, writable.

    Raises:
        ValueError: The file is damaged, too short, too long, or no IDX file at all.
        OSError: The file cannot be opened.
    """
    with open(path, "rb") as file:
        return read_idx_stream(file, os.fspath(path))


def read_idx_stream(file: BinaryIO, name: str) -> np.ndarray[Any, Any]:
    """Reads an IDX file, gzipped or not, from an open, seekable binary file.

    Args:
        file: The open file, read from its current position to its end.
        name: What to call the file in error messages.

    Returns and raises: as `read_idx`.
    """
    start = file.tell()
    zipped = file.read(2) == _GZIP_MAGIC
    file.seek(start)
    if not zipped:
        return _parse(file, name)

    import gzip
    import zlib

    try:
        with gzip.GzipFile(fileobj=file) as unzipped:
            return _parse(cast(BinaryIO, unzipped), name)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{name} is a damaged gzip file: {error}.") from error


def idx_header(array: np.ndarray[Any, Any]) -> bytes:
    """Returns the IDX header of a uint8 array; header and values together make the whole file.

    Raises:
        ValueError: The array is not uint8.
    """
    if array.dtype != np.uint8:
        raise ValueError(f"idx_header expects a uint8 array, got {array.dtype}.")
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 0x08, array.ndim, *array.shape)


def _parse(file: BinaryIO, name: str) -> np.ndarray[Any, Any]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or magic[3] == 0:
        raise ValueError(
            f"{name} is no IDX file: expected it to begin with two zero bytes, a type code and a "
            f"number of dimensions, got {magic.hex(' ') or 'nothing'}."
        )
    dtype, ndim = np.dtype(_DTYPES[magic[2]]), magic[3]
    sizes = file.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise ValueError(
            f"{name} is cut short: expected {ndim} dimensions of 4 bytes each, "
            f"got {len(sizes)} bytes."
        )
    shape = struct.unpack(f">{ndim}I", sizes)
    expected = math.prod(shape) * dtype.itemsize
    # One byte more than announced is asked for, to notice a file that goes on.
    data = _read_at_most(file, expected + 1)
    if len(data) != expected:
        came = f"{len(data):,} bytes" if len(data) < expected else "more"
        raise ValueError(
            f"{name} does not match its own header: expected {expected:,} bytes of values for "
            f"shape {shape}, got {came}."
        )
    values = np.frombuffer(data, dtype=dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _read_at_most(file: BinaryIO, count: int) -> bytearray:
    # In pieces, because read(count) would allocate whatever a damaged header asks for.
    data = bytearray()
    while len(data) < count:
        piece = file.read(min(_CHUNK, count - len(data)))
        if not piece:
            break
        data += piece
    return data
