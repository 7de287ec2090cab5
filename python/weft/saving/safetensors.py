"""Reading and writing safetensors files (https://github.com/huggingface/safetensors).

A file is: the header's length as a little-endian uint64, the header as JSON, then the values of
all tensors, little-endian, C order, without gaps. The header gives each tensor's dtype, shape and
byte range. Nothing in such a file can execute code, and nothing of it is believed unchecked.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from weft.saving.atomic import write_atomically

# The same limit as the reference implementation's.
_MAX_HEADER_BYTES = 100_000_000
_MAX_RANK = 64  # NumPy's
_METADATA = "__metadata__"

_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


class TensorInfo(NamedTuple):
    """What a header says of one tensor; its values are `[begin, end)` of the data section."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """A checked header: tensors by name, metadata, and where in the file the data begins."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]
    data_start: int


def save_file(
    tensors: Mapping[str, np.ndarray[Any, Any]],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes arrays to a safetensors file, all or nothing: see `write_atomically`.

    Args:
        tensors: The arrays by name, of dtype float64/32/16, int64 to int8, uint64 to uint8 or bool.
        path: The file to write or replace.
        metadata: Texts to keep in the header.

    Raises:
        ValueError: A dtype that the format (or this writer) does not have, or a reserved name.
        TypeError: A name or a metadata text that is no str, or a tensor that is no array.
        OSError: The file cannot be written; whatever was at `path` is still there.
    """
    import json

    header: dict[str, Any] = {}
    if metadata:
        for key, text in metadata.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise TypeError(f"Metadata expects str keys and values, got {key!r}: {text!r}.")
        header[_METADATA] = dict(metadata)
    for name, array in tensors.items():
        _check_tensor(name, array)

    # Wide types first, as the reference does, so that every tensor is aligned to its own type.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    offset = 0
    for name in names:
        array = tensors[name]
        header[name] = {
            "dtype": _CODES[array.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes

    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    if len(encoded) > _MAX_HEADER_BYTES:
        raise ValueError(
            f"A safetensors header holds at most {_MAX_HEADER_BYTES:,} bytes, got {len(encoded):,}."
        )

    def pieces() -> Iterator[Any]:
        yield len(encoded).to_bytes(8, "little")
        yield encoded
        for name in names:
            array = tensors[name]
            if array.nbytes:
                yield np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data

    write_atomically(path, pieces())


def load_file(path: str | os.PathLike[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Reads all tensors of a safetensors file.

    Returns:
        The arrays by name, in the order of the header, writable, in the machine's byte order.

    Raises:
        ValueError: The file is damaged or holds a dtype that NumPy lacks (bfloat16, float8); the
            whole header is checked before any memory is taken for tensors.
        OSError: The file cannot be opened.
    """
    tensors = {}
    with open(path, "rb") as file:
        header = _read_header(file, os.fspath(path))
        for name, info in header.tensors.items():
            file.seek(header.data_start + info.begin)
            tensors[name] = _read_tensor(file, info, f"{os.fspath(path)}: tensor {name!r}")
    return tensors


def read_header(path: str | os.PathLike[str]) -> Header:
    """Reads and checks the header of a safetensors file, and nothing else.

    Raises: as `load_file`.
    """
    with open(path, "rb") as file:
        return _read_header(file, os.fspath(path))


def _check_tensor(name: object, array: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"Tensor names are str, got {name!r}.")
    if name == _METADATA:
        raise ValueError(f"A tensor cannot be named {_METADATA!r}, which the format reserves.")
    if not isinstance(array, np.ndarray | np.generic):
        raise TypeError(f"Tensor {name!r} expects a NumPy array, got {type(array).__name__}.")
    if array.dtype.newbyteorder("<") not in _CODES:
        raise ValueError(
            f"Tensor {name!r} has dtype {array.dtype}, which cannot be saved; expected one of "
            f"{', '.join(dtype.name for dtype in _CODES)}."
        )


def _read_tensor(file: BinaryIO, info: TensorInfo, what: str) -> np.ndarray[Any, Any]:
    is_bool = info.dtype == np.bool_
    # A byte other than 0 and 1 makes no valid bool, so bools are read as bytes and looked at.
    dtype = np.dtype(np.uint8) if is_bool else info.dtype
    count = math.prod(info.shape)
    values = np.fromfile(file, dtype=dtype, count=count)
    if values.size != count:
        raise ValueError(f"{what} was cut short while it was read.")
    if is_bool:
        if values.size and values.max() > 1:
            raise ValueError(f"{what} is BOOL and holds bytes other than 0 and 1.")
        values = values.view(np.bool_)
    return values.reshape(info.shape).astype(info.dtype.newbyteorder("="), copy=False)


def _read_header(file: BinaryIO, name: str) -> Header:
    try:
        return _parse_header(file)
    except _InvalidError as error:
        raise ValueError(f"{name} is no valid safetensors file: {error}.") from None


class _InvalidError(Exception):
    """Why a file is rejected, as the end of a sentence."""


def _parse_header(file: BinaryIO) -> Header:
    import json

    file_size = os.fstat(file.fileno()).st_size
    if file_size < 8:
        raise _InvalidError(f"expected at least 8 bytes, got {file_size}")
    length = int.from_bytes(file.read(8), "little")
    if length > _MAX_HEADER_BYTES:
        raise _InvalidError(
            f"expected a header of at most {_MAX_HEADER_BYTES:,} bytes, got {length:,}"
        )
    if length > file_size - 8:
        raise _InvalidError(f"expected a header of {length:,} bytes, got {file_size - 8:,}")
    text = file.read(length)
    if not text.startswith(b"{"):
        raise _InvalidError("its header does not begin with '{'")
    try:
        entries = json.loads(text.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _InvalidError(f"its header is no JSON ({error})") from None

    metadata = entries.pop(_METADATA, {})
    if not isinstance(metadata, dict) or any(not isinstance(v, str) for v in metadata.values()):
        raise _InvalidError(f"{_METADATA} is no table of texts")
    tensors = {name: _parse_tensor(name, entry) for name, entry in entries.items()}
    _check_offsets(tensors, file_size - 8 - length)
    return Header(tensors, metadata, 8 + length)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _InvalidError(f"its header has the key {key!r} more than once")
        result[key] = value
    return result


def _parse_tensor(name: str, entry: Any) -> TensorInfo:
    what = f"tensor {name!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _InvalidError(f"{what} expects dtype, shape and data_offsets, got {_brief(entry)}")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if code == "BF16":
        raise _InvalidError(f"{what} is BF16, which NumPy does not have; convert it to F32 first")
    if not isinstance(code, str) or code not in _DTYPES:
        raise _InvalidError(f"{what} expects a dtype of {', '.join(_DTYPES)}, got {_brief(code)}")
    dtype = _DTYPES[code]
    if not _is_sizes(shape) or len(shape) > _MAX_RANK:
        raise _InvalidError(f"{what} expects a list of sizes as its shape, got {_brief(shape)}")
    # Sizes of 0 are counted as 1, because NumPy multiplies the others and must not overflow.
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize >= 2**63:
        raise _InvalidError(f"{what} has shape {_brief(shape)}, which no memory can hold")
    if not _is_sizes(offsets) or len(offsets) != 2:
        raise _InvalidError(f"{what} expects two data_offsets, got {_brief(offsets)}")
    begin, end = offsets
    expected = math.prod(shape) * dtype.itemsize
    if end - begin != expected:
        raise _InvalidError(
            f"{what} of dtype {code} and shape {tuple(shape)} expects {expected:,} bytes, "
            f"got data_offsets {_brief(offsets)}"
        )
    return TensorInfo(dtype, tuple(shape), begin, end)


def _check_offsets(tensors: dict[str, TensorInfo], data_size: int) -> None:
    """Each byte after the header belongs to exactly one tensor."""
    reached = 0
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if info.begin != reached:
            fault = "overlaps the one before it" if info.begin < reached else "leaves a hole"
            raise _InvalidError(
                f"tensor {name!r} {fault}: expected offset {reached}, got {info.begin}"
            )
        reached = info.end
    if reached != data_size:
        raise _InvalidError(f"expected {reached:,} bytes of values, got {data_size:,}")


def _is_sizes(value: Any) -> bool:
    # bool is an int in Python and JSON's true must not pass for 1.
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
