"""Writing a file so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any


def write_atomically(path: str | os.PathLike[str], pieces: Iterable[Any]) -> None:
    """Writes the pieces (bytes-like) one after the other to `path`, replacing what was there.

    They go to a temporary file in the same folder, which is flushed to the disk and then renamed;
    the folder is flushed too. A link is followed: what it points to is replaced.

    Raises:
        OSError: The file cannot be written; whatever was at `path` is still there.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name[:100]}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        # "x" rather than tempfile, whose files are readable by their owner alone.
        with open(temporary, "xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None:  # it names the temporary file
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        raise
    _flush_folder(folder)


def _flush_folder(folder: str) -> None:
    if os.name != "posix":
        return
    # Not every file system can flush a folder, and the new file is in place already.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
