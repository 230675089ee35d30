"""Only what is a file and has an end is read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from exporter.files.read import MAX_BYTES, read_file, stamp


def test_content(tmp_path: Path) -> None:
    """A file is read as it is, by way of links as well, up to the limit."""
    (tmp_path / "file").write_bytes(b"x" * MAX_BYTES)
    (tmp_path / "link").symlink_to("file")

    assert b"x" * MAX_BYTES == read_file(tmp_path / "link")


def refused(path: Path) -> int | None:
    """Return the number of the error that a path brings."""
    with pytest.raises(OSError, match=r".") as caught:
        read_file(path)
    return caught.value.errno


def test_large_file(tmp_path: Path) -> None:
    """A file above the limit is refused, and not cut."""
    (tmp_path / "file").write_bytes(b"x" * (MAX_BYTES + 1))

    assert errno.EFBIG == refused(tmp_path / "file")


def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe without a writer, a device, a folder and nothing at all are errors at once."""
    os.mkfifo(tmp_path / "pipe")

    assert [errno.EINVAL, errno.EINVAL, errno.EISDIR, errno.ENOENT] == [
        refused(path) for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, tmp_path / "nothing")
    ]


def test_nothing_is_left_open(tmp_path: Path) -> None:
    """No descriptor is left behind, whatever was there."""
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))

    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, tmp_path / "nothing"):
        refused(path)

    assert before == len(os.listdir("/proc/self/fd"))


def test_stamp(tmp_path: Path) -> None:
    """A file that was changed, replaced or taken away has another stamp, one that was read the same."""
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
