"""Data sets: the real MNIST, IDX files whole and damaged, and Fashion-MNIST's ways to a machine.

Nothing here reaches the network: downloads come from a server on this machine's loopback.
"""

import gzip
import hashlib
import http.server
import os
import struct
import threading

import numpy as np
import pytest

from weft.datasets import fashion_mnist, mnist, read_idx
from weft.datasets.idx import idx_header

pytestmark = pytest.mark.cpu

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def test_mnist_is_complete_and_unchanged():
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert (x_train.shape, y_train.shape) == ((60000, 28, 28), (60000,))
    assert (x_test.shape, y_test.shape) == ((10000, 28, 28), (10000,))
    # MD5 of the four files as they were published.
    expected = (
        (x_train, "6bbc9ace898e44ae57da46a324031adb"),
        (y_train, "a25bea736e30d166cdddb491f175f624"),
        (x_test, "2646ac647ad5339dbf082846283269ea"),
        (y_test, "27ae3e4e09519cfbb04c329615203637"),
    )
    for array, digest in expected:
        assert array.dtype == np.uint8
        assert hashlib.md5(idx_header(array) + array.tobytes()).hexdigest() == digest


def test_mnist_path_is_keras_compatible(tmp_path):
    assert mnist.load_data(path="mnist.npz")[1][1].shape == (10000,)
    assert mnist.load_data("/no/such/folder/mnist.npz")[1][1].shape == (10000,)
    own = tmp_path / "own.npz"
    np.savez(own, x_train=[1], y_train=[2], x_test=[3], y_test=[4])
    assert mnist.load_data(str(own))[1][0] == [3]


@pytest.mark.parametrize("kind", ["missing array", "pickle", "npy", "text", "cut"])
def test_npz_files_that_hold_something_else(tmp_path, kind):
    path = tmp_path / "mnist.npz"
    if kind == "missing array":
        np.savez(path, x_train=[1])
    elif kind == "pickle":
        objects = np.array([{}], dtype=object)
        np.savez(path, x_train=objects, y_train=objects, x_test=objects, y_test=objects)
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif kind == "text":
        path.write_text("<html>404</html>")
    else:
        np.savez(path, x_train=np.zeros(1000))
        path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"is no data set: expected an \.npz file with x_train"):
        mnist.load_data(path)


@pytest.mark.parametrize(
    ("code", "dtype"),
    [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_types(tmp_path, code, dtype, zipped):
    array = np.arange(2 * 3 * 5).reshape(2, 3, 5).astype(dtype)
    data = struct.pack(">BBBB3I", 0, 0, code, 3, 2, 3, 5)
    data += array.astype(array.dtype.newbyteorder(">")).tobytes()
    path = tmp_path / "file"  # gzip is recognised by content, not by name
    path.write_bytes(gzip.compress(data) if zipped else data)
    back = read_idx(path)
    assert back.dtype == np.dtype(dtype)
    assert back.dtype.isnative
    assert back.flags.writeable
    np.testing.assert_array_equal(back, array)


def test_idx_header_and_reader_agree(tmp_path):
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    (tmp_path / "f").write_bytes(idx_header(array) + array.tobytes())
    np.testing.assert_array_equal(read_idx(tmp_path / "f"), array)
    with pytest.raises(ValueError, match="expects a uint8 array, got float32"):
        idx_header(np.zeros(2, np.float32))


GOOD = bytes([0, 0, 8, 1, 0, 0, 0, 4, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no IDX file: .* got nothing"),
        (b"PK\3\4....", "is no IDX file: .* got 50 4b 03 04"),
        (b"\0\0\x07\1" + GOOD[4:], "is no IDX file"),
        (b"\0\0\x08\0" + GOOD[4:], "is no IDX file"),
        (GOOD[:3], "is no IDX file"),
        (GOOD[:6], "is cut short: expected 1 dimensions of 4 bytes each, got 2 bytes"),
        (GOOD[:-1], r"expected 4 bytes of values for shape \(4,\), got 3 bytes"),
        (GOOD + b"\0", "expected 4 bytes of values .* got more"),
        # A size that no memory holds must be an error at once, not an attempt to allocate it.
        (b"\0\0\x0e\3" + b"\xff" * 12 + b"1234", "expected .* bytes of values .* got 4 bytes"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_damaged_idx(tmp_path, data, message, zipped):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "crc", "middle"])
def test_damaged_gzip(tmp_path, damage):
    data = bytearray(gzip.compress(idx_header(np.zeros(9999, np.uint8)) + bytes(9999)))
    if damage == "cut":
        del data[-9:]
    elif damage == "crc":
        data[-8] ^= 1
    else:
        data[15] ^= 255
    path = tmp_path / "file.gz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"damaged gzip file|does not match|no IDX"):
        read_idx(path)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Tiny stand-ins for the four files, their digests, and a machine that has none of them."""
    rng = np.random.default_rng(5)
    shapes = ((6, 28, 28), (6,), (3, 28, 28), (3,))
    arrays = [rng.integers(0, 10, shape, dtype=np.uint8) for shape in shapes]
    files = {
        name: idx_header(array) + array.tobytes() for name, array in zip(NAMES, arrays, strict=True)
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert tuple(fashion_mnist._SHA256) == NAMES
    monkeypatch.setattr(fashion_mnist, "_SHA256", digests)
    monkeypatch.setattr(fashion_mnist, "_MIRRORS", ())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("WEFT_DATA", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    # Debian's folder may exist on the machine that runs this.
    real_isdir = os.path.isdir
    monkeypatch.setattr(
        os.path, "isdir", lambda p: not str(p).startswith("/usr/share/datasets") and real_isdir(p)
    )
    return arrays, files


def check(arrays):
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    for got, expected in zip((x_train, y_train, x_test, y_test), arrays, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_class_names():
    assert len(fashion_mnist.CLASS_NAMES) == 10
    assert fashion_mnist.CLASS_NAMES[9] == "Ankle boot"


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    "place",
    [
        "data",
        "data/fashion-mnist",
        "cache/weft/fashion-mnist",
        "home/.keras/datasets/fashion-mnist",
    ],
)
def test_fashion_mnist_is_found_as_idx_files(small, monkeypatch, tmp_path, place, ending):
    arrays, files = small
    monkeypatch.setenv("WEFT_DATA", str(tmp_path / "data"))
    folder = tmp_path / place
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / (name + ending)).write_bytes(gzip.compress(data) if ending else data)
    check(arrays)


def test_fashion_mnist_is_found_as_npz(small, monkeypatch, tmp_path):
    arrays, _ = small
    monkeypatch.setenv("WEFT_DATA", str(tmp_path))
    names = ("x_train", "y_train", "x_test", "y_test")
    path = tmp_path / "fashion_mnist.npz"
    np.savez_compressed(path, **dict(zip(names, arrays, strict=True)))
    check(arrays)
    np.savez(path, **dict.fromkeys(names, arrays[1]))
    with pytest.raises(ValueError, match="does not hold Fashion-MNIST's train-images-idx3-ubyte"):
        fashion_mnist.load_data()
    np.savez(path, **dict.fromkeys(names, arrays[1] / 2))
    with pytest.raises(ValueError, match="expected uint8, got float64"):
        fashion_mnist.load_data()


def test_changed_idx_file_is_rejected(small, monkeypatch, tmp_path):
    arrays, files = small
    monkeypatch.setenv("WEFT_DATA", str(tmp_path))
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / NAMES[3]).write_bytes(idx_header(arrays[3]) + b"\7\7\7")
    with pytest.raises(
        ValueError, match=r"t10k-labels-idx1-ubyte: expected SHA-256 [0-9a-f]{64}, got"
    ):
        fashion_mnist.load_data()


@pytest.fixture
def server():
    """A web server on this machine that serves `server.files` and counts what it was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            body = self.server.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + self.server.missing))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked, server.missing = {}, [], 0
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_download_is_checked_and_kept(small, monkeypatch, server, tmp_path, capsys):
    arrays, files = small
    zipped = {name: gzip.compress(data) for name, data in files.items()}
    # The first mirror lacks every file, the second serves a damaged one, the third is good.
    server.files = {f"/good/{name}.gz": data for name, data in zipped.items()}
    server.files[f"/bad/{NAMES[0]}.gz"] = gzip.compress(files[NAMES[0]][:-1] + b"\xff")
    mirrors = tuple(server.url + part for part in ("none/", "bad/", "good/"))
    monkeypatch.setattr(fashion_mnist, "_MIRRORS", mirrors)
    check(arrays)
    assert f"Downloading {server.url}good/" in capsys.readouterr().out
    folder = tmp_path / "cache" / "weft" / "fashion-mnist"
    assert sorted(os.listdir(folder)) == sorted(f"{name}.gz" for name in NAMES)

    server.asked.clear()
    check(arrays)
    assert server.asked == []

    (folder / f"{NAMES[1]}.gz").unlink()  # as after an interruption: only this one is fetched
    check(arrays)
    assert server.asked == [f"/{part}/{NAMES[1]}.gz" for part in ("none", "bad", "good")]


def test_download_that_breaks_off(small, monkeypatch, server, tmp_path):
    _, files = small
    server.files = {f"/{name}.gz": gzip.compress(data) for name, data in files.items()}
    server.missing = 10
    monkeypatch.setattr(fashion_mnist, "_MIRRORS", (server.url,))
    with pytest.raises(OSError, match=r"expected [\d,]+ bytes, got"):
        fashion_mnist.load_data()
    assert not (tmp_path / "cache" / "weft" / "fashion-mnist").exists()


def test_failed_download_tells_what_to_do(small, monkeypatch, server, tmp_path):
    mirrors = (server.url, "http://127.0.0.1:1/")
    monkeypatch.setattr(fashion_mnist, "_MIRRORS", mirrors)
    with pytest.raises(OSError, match="none of 2 mirrors served it") as caught:
        fashion_mnist.load_data()
    text = str(caught.value)
    for part in (*mirrors, "404", "WEFT_DATA", str(tmp_path / "cache"), *NAMES):
        assert part in text


def test_download_survives_a_cache_that_cannot_be_written(small, monkeypatch, server, tmp_path):
    arrays, files = small
    server.files = {f"/{name}.gz": gzip.compress(data) for name, data in files.items()}
    monkeypatch.setattr(fashion_mnist, "_MIRRORS", (server.url,))
    (tmp_path / "cache").write_text("a file, where a folder should be")
    with pytest.warns(UserWarning, match="could not be kept in the cache"):
        check(arrays)
