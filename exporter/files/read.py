"""Reads files that settings name, with a size limit and without blocking."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

Stamp = tuple[int, int, int, int] | None
"""State of a file: mtime and ctime in ns, size, inode; None if it is missing."""

MAX_BYTES = 1024 * 1024
"""Larger than any key, certificate or configuration."""


def read_file(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: Also for a pipe or device, which may never end, and for more than MAX_BYTES.
    """
    with open(path, "rb", opener=_open_nonblocking) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def stamp(path: Path) -> Stamp:
    """Return the state of a file, which differs after any change."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _open_nonblocking(path: str, flags: int) -> int:
    """Open without waiting for a pipe's writer."""
    return os.open(path, flags | os.O_NONBLOCK)
