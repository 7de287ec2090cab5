"""The safetensors format: round trips, the exact bytes, and every way a file can be damaged."""

import json
import os
import stat
import sys

import numpy as np
import pytest

from weft.saving import load_file, read_header, save_file

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]


def write_raw(path, header, data=b"", length=None):
    """Writes a file from a header (dict or bytes) that no correct writer would produce."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    path.write_bytes(length.to_bytes(8, "little") + text + data)
    return path


def entry(begin, end, shape=None, dtype="F32"):
    shape = [(end - begin) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 0, 2), (2, 3, 5)])
def test_round_trip(tmp_path, dtype, shape):
    rng = np.random.default_rng(3)
    array = rng.integers(0, 2, shape).astype(dtype)
    save_file({"x": array}, tmp_path / "f")
    back = load_file(tmp_path / "f")["x"]
    assert back.dtype == array.dtype
    assert back.shape == shape
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


def test_many_tensors_keep_their_values_and_are_aligned(tmp_path):
    rng = np.random.default_rng(4)
    arrays = {f"layer/{i} ü": rng.normal(size=i + 1).astype(DTYPES[i % 7]) for i in range(20)}
    save_file(arrays, tmp_path / "f", metadata={"format": "weft", "note": "größer"})
    back = load_file(tmp_path / "f")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
    header = read_header(tmp_path / "f")
    assert header.metadata == {"format": "weft", "note": "größer"}
    assert header.data_start % 8 == 0
    assert all(info.begin % info.dtype.itemsize == 0 for info in header.tensors.values())


def test_the_bytes_are_those_of_the_format(tmp_path):
    save_file({"a": np.array([[1, 2]], np.int16)}, tmp_path / "f")
    text = b'{"a":{"dtype":"I16","shape":[1,2],"data_offsets":[0,4]}}'
    text += b" " * (-len(text) % 8)
    expected = len(text).to_bytes(8, "little") + text + b"\1\0\2\0"
    assert (tmp_path / "f").read_bytes() == expected


def test_strided_and_foreign_endian_arrays(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {
        "t": base.T,
        "s": base[::2, ::-3],
        "b": base.astype(">f4"),
        "f": np.asfortranarray(base),
    }
    save_file(arrays, tmp_path / "f")
    for name, back in load_file(tmp_path / "f").items():
        np.testing.assert_array_equal(back, arrays[name])
        assert back.dtype == np.float32


def test_nan_and_infinities_keep_their_bits(tmp_path):
    array = np.array([np.nan, -np.inf, -0.0, 1e-45], np.float32)
    save_file({"x": array}, tmp_path / "f")
    assert load_file(tmp_path / "f")["x"].tobytes() == array.tobytes()


def test_empty_file(tmp_path):
    save_file({}, tmp_path / "f")
    assert load_file(tmp_path / "f") == {}


@pytest.mark.parametrize(
    ("tensors", "metadata", "error", "message"),
    [
        ({"x": [1, 2]}, None, TypeError, "Tensor 'x' expects a NumPy array, got list"),
        ({1: np.zeros(2)}, None, TypeError, "names are str, got 1"),
        ({"x": np.array([None])}, None, ValueError, "has dtype object, which cannot be saved"),
        ({"x": np.zeros(2, complex)}, None, ValueError, "dtype complex128"),
        ({"__metadata__": np.zeros(2)}, None, ValueError, "reserves"),
        ({}, {"epoch": 3}, TypeError, "Metadata expects str keys and values, got 'epoch': 3"),
    ],
)
def test_what_cannot_be_saved_leaves_the_old_file(tmp_path, tensors, metadata, error, message):
    save_file({"old": np.ones(3)}, tmp_path / "f")
    with pytest.raises(error, match=message):
        save_file(tensors, tmp_path / "f", metadata)
    assert list(load_file(tmp_path / "f")) == ["old"]
    assert os.listdir(tmp_path) == ["f"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    save_file({"old": np.ones(3)}, tmp_path / "f")

    def fail(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        save_file({"new": np.ones(3)}, tmp_path / "f")
    assert list(load_file(tmp_path / "f")) == ["old"]
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file modes and links")
def test_file_mode_follows_the_umask_and_links_are_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    old = os.umask(0o022)
    try:
        save_file({"x": np.ones(3)}, tmp_path / "link")
    finally:
        os.umask(old)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o644


DAMAGED = {
    "two tensors overlap": (
        {"a": entry(0, 8), "b": entry(4, 12)},
        b"\0" * 12,
        "tensor 'b' overlaps the one before it: expected offset 8, got 4",
    ),
    "two tensors share their bytes": (
        {"a": entry(0, 8), "b": entry(0, 8)},
        b"\0" * 8,
        "overlaps",
    ),
    "a hole between tensors": (
        {"a": entry(0, 4), "b": entry(8, 12)},
        b"\0" * 12,
        "tensor 'b' leaves a hole: expected offset 4, got 8",
    ),
    "a hole at the start": ({"a": entry(4, 8)}, b"\0" * 8, "leaves a hole"),
    "bytes after the last tensor": (
        {"a": entry(0, 4)},
        b"\0" * 8,
        "expected 4 bytes of values, got 8",
    ),
    "values cut short": ({"a": entry(0, 8)}, b"\0" * 4, "expected 8 bytes of values, got 4"),
    "a tensor of terabytes": (
        {"a": entry(0, 4 << 40)},
        b"\0" * 4,
        "expected 4,398,046,511,104 bytes of values, got 4",
    ),
    "offsets backwards": ({"a": entry(8, 0, [2])}, b"\0" * 8, "expects 8 bytes"),
    "offsets negative": ({"a": entry(-8, 0, [2])}, b"\0" * 8, "expects two data_offsets"),
    "offsets as fractions": ({"a": entry(0.0, 8.0, [2])}, b"\0" * 8, "expects two data_offsets"),
    "three offsets": (
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4, 8]}},
        b"\0" * 8,
        "expects two data_offsets",
    ),
    "shape against offsets": (
        {"a": entry(0, 8, [3])},
        b"\0" * 8,
        r"dtype F32 and shape \(3,\) expects 12 bytes",
    ),
    "dtype against offsets": ({"a": entry(0, 8, [2], "F64")}, b"\0" * 8, "expects 16 bytes"),
    "a negative size": ({"a": entry(0, 8, [-2])}, b"\0" * 8, "expects a list of sizes"),
    "a size that is true": ({"a": entry(0, 4, [True])}, b"\0" * 4, "expects a list of sizes"),
    "too many dimensions": ({"a": entry(0, 4, [1] * 65)}, b"\0" * 4, "expects a list of sizes"),
    "empty yet astronomically large": (
        {"a": entry(0, 0, [0, 2**40, 2**40])},
        b"",
        "which no memory can hold",
    ),
    "bfloat16": ({"a": entry(0, 4, [2], "BF16")}, b"\0" * 4, "is BF16, which NumPy does not have"),
    "an unknown dtype": ({"a": entry(0, 4, [1], "Q9")}, b"\0" * 4, "expects a dtype of .*got 'Q9'"),
    "a dtype that is a number": ({"a": entry(0, 4, [1], 32)}, b"\0" * 4, "expects a dtype"),
    "a missing key": ({"a": {"dtype": "F32", "shape": [1]}}, b"\0" * 4, "expects dtype, shape and"),
    "a key too many": ({"a": {**entry(0, 4), "code": "x"}}, b"\0" * 4, "expects dtype, shape and"),
    "a tensor that is a list": ({"a": [1]}, b"", "expects dtype, shape and"),
    "metadata of numbers": ({"__metadata__": {"a": 1}}, b"", "no table of texts"),
    "metadata that is a text": ({"__metadata__": "a"}, b"", "no table of texts"),
    "a tensor twice": (
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
        b"\0\0",
        "has the key 'a' more than once",
    ),
    "an inner key twice": (
        b'{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}',
        b"\0",
        "has the key 'dtype' more than once",
    ),
    "no JSON": (b'{"a": ', b"", "its header is no JSON"),
    "no UTF-8": (b'{"\xff": 1}', b"", "its header is no JSON"),
    "a list": (b"[]", b"", "does not begin with '{'"),
    "nested a million deep": (b'{"a":' + b"[" * 1_000_000, b"", "its header is no JSON"),
    "an empty header": (b"", b"", "does not begin with '{'"),
    "bools that are neither": ({"a": entry(0, 2, [2], "BOOL")}, b"\1\2", "other than 0 and 1"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files_are_rejected(tmp_path, case):
    header, data, message = DAMAGED[case]
    path = write_raw(tmp_path / "f", header, data)
    with pytest.raises(ValueError, match=message) as caught:
        load_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (2**64 - 1, "header of at most 100,000,000 bytes, got 18,446,744,073,709,551,615"),
        (100_000_001, "header of at most"),
        (3, "header of 3 bytes, got 2"),
    ],
)
def test_header_length_is_checked(tmp_path, length, message):
    with pytest.raises(ValueError, match=message):
        load_file(write_raw(tmp_path / "f", b"{}", length=length))


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "f"
    save_file({"a": np.arange(5, dtype=np.int32), "b": np.ones(3, bool)}, path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="no valid safetensors file"):
            load_file(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_file(tmp_path / "none")
