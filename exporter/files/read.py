"""Files that people name in settings, read so that none can hold or fill the exporter."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

Stamp = tuple[int, int, int, int] | None
"""Of a file: times in ns of the last change of content and inode, size, inode; None where there is none."""

MAX_BYTES = 1024 * 1024
"""More than any key, certificate or configuration has."""


def read_file(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: Also for a pipe or a device, which may never end, and for a file above MAX_BYTES.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def stamp(path: Path) -> Stamp:
    """Return what tells one state of a file from another."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for somebody who writes to a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)
