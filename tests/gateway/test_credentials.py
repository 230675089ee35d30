"""The current admin key, from a variable or a file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.config.adminkey import read_key
from exporter.files.reload import STILL_IN_USE
from exporter.gateway.credentials import AdminKey
from tests.keys import fixed_key

OLD, NEW = "hush-hush-key", "hush-hush-hush"


@dataclass
class KeyFile:
    """A file, its key, and what was reported."""

    path: Path
    changes: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start with the old key."""
        self.path.write_text(OLD, encoding="utf-8")
        self.key = AdminKey(read_key(self.path), self.path, self.changes.append)

    @property
    def current(self) -> str:
        """The text of the current key."""
        return self.key.current().reveal()


@pytest.fixture
def file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[KeyFile]:
    """A file with the old key; no record may contain a key, valid or not."""
    caplog.set_level(logging.INFO)
    yield KeyFile(tmp_path / "key")
    text = "".join(str(vars(record)) for record in caplog.records)
    assert [] == [key for key in (OLD, NEW) if key in text]


def test_key_without_a_file(caplog: pytest.LogCaptureFixture) -> None:
    """A key of a variable never changes, and a reload logs nothing."""
    caplog.set_level(logging.INFO)
    key = fixed_key(OLD)
    key.reload()

    assert ([OLD, OLD], []) == ([key.current().reveal(), key.current().reveal()], caplog.messages)


def test_unchanged_file(file: KeyFile, caplog: pytest.LogCaptureFixture) -> None:
    """Returns the same object and logs nothing while the file has the same key, however it is written."""
    key = file.key.current()
    file.path.write_text(f"{OLD}\n", encoding="utf-8")

    assert key is file.key.current()
    assert ([], []) == (caplog.messages, file.changes)


@pytest.mark.parametrize("atomic", [False, True], ids=["in place", "renamed"])
def test_new_key(file: KeyFile, caplog: pytest.LogCaptureFixture, atomic: bool) -> None:
    """Returns a new key with the next request, and logs it once; a reload is logged in any case."""
    path = file.path.with_suffix(".new") if atomic else file.path
    path.write_text(f"{NEW}\n", encoding="utf-8")
    os.replace(path, file.path)

    assert [NEW, NEW] == [file.current, file.current]
    file.key.reload()
    assert (["Admin key reloaded", "Admin key unchanged"], []) == (caplog.messages, file.changes)


def test_same_time_and_size(file: KeyFile) -> None:
    """Detects a new key whose file has the time and the size of the old one."""
    before = file.path.stat()
    file.path.write_text("x" * len(OLD), encoding="utf-8")
    os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert "x" * len(OLD) == file.current


def test_invalid_file(file: KeyFile, caplog: pytest.LogCaptureFixture) -> None:
    """Returns the last valid key while the file is invalid, and logs each reason once."""
    keys = []
    for content in (b"", b" \n", b"\xff", f"{NEW} {OLD}".encode(), f'"{NEW}"\n'.encode()):
        file.path.write_bytes(content)
        keys += [file.current, file.current]

    assert [OLD] * 10 == keys
    assert [
        f"{STILL_IN_USE} ADMIN_KEY_FILE names an empty file.",
        f"{STILL_IN_USE} ADMIN_KEY_FILE cannot be read: not UTF-8 text.",
        f"{STILL_IN_USE} ADMIN_KEY, or its file, must be printable ASCII without whitespace.",
        f"{STILL_IN_USE} ADMIN_KEY, or its file, is in quotes, which would be part of the key: remove them.",
    ] == [vars(record)["hint"] for record in caplog.records]
    assert ({"Admin key not reloaded"}, [False]) == (set(caplog.messages), file.changes)
