"""Bounded reads of regular files, and their stamps."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from exporter.files.read import MAX_BYTES, read_file, stamp


def test_content(tmp_path: Path) -> None:
    """Returns the content of a file up to the limit, also through a link."""
    (tmp_path / "file").write_bytes(b"x" * MAX_BYTES)
    (tmp_path / "link").symlink_to("file")

    assert b"x" * MAX_BYTES == read_file(tmp_path / "link")


def refused(path: Path) -> int | None:
    """Return the errno of a read."""
    with pytest.raises(OSError, match=r".") as caught:
        read_file(path)
    return caught.value.errno


def test_unreadable(tmp_path: Path) -> None:
    """Anything but a regular file below the limit is an error at once, and no descriptor stays open."""
    (tmp_path / "large").write_bytes(b"x" * (MAX_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))

    assert [errno.EFBIG, errno.EINVAL, errno.EINVAL, errno.EISDIR, errno.ENOENT] == [
        refused(tmp_path / name) for name in ("large", "pipe", "/dev/zero", ".", "missing")
    ]
    assert before == len(os.listdir("/proc/self/fd"))


def test_stamp(tmp_path: Path) -> None:
    """A change, a replacement and a removal give another stamp, a read does not."""
    path = tmp_path / "file"
    path.write_text("a")
    stamps = [stamp(path)]
    path.read_text()
    assert stamps == [stamp(path)]

    os.utime(path, ns=(1, 1))
    stamps.append(stamp(path))
    (tmp_path / "other").write_text("b")
    (tmp_path / "other").replace(path)
    stamps.append(stamp(path))
    path.unlink()
    stamps.append(stamp(path))

    assert (4, None) == (len(set(stamps)), stamps[-1])
    assert None is stamp(tmp_path / "no\0file")
