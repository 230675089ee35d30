"""A key shows itself to nobody, and one in a file may be exchanged while the exporter runs."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exporter.config.adminkey import check_key, read_key
from exporter.errors import SettingsError
from exporter.files.secret import Secret
from exporter.gateway.credentials import AdminKey
from tests.keys import fixed_key

OLD, NEW = "hush-hush-key", "hush-hush-hush"


@dataclass
class KeyFile:
    """A key that comes from a file, and what was told of the file."""

    path: Path
    told: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with the old key."""
        self.path.write_text(OLD, encoding="utf-8")
        self.key = AdminKey(read_key(self.path), self.path, self.told.append)


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    """A file with the old key in it."""
    return KeyFile(tmp_path / "key")


def test_secret_shows_a_mask() -> None:
    """A secret shows a mask that says nothing of its text, not even its length."""
    assert {"Secret(********)"} == {repr(Secret("a")), repr(Secret(OLD)), str(Secret(OLD)), f"{Secret(OLD)}"}


def test_secret_has_no_dictionary() -> None:
    """There is no dictionary through which a dump could find the text of a secret."""
    assert not hasattr(Secret(OLD), "__dict__")


def test_check_key() -> None:
    """What can be sent is the key."""
    assert OLD == check_key(OLD).reveal()


@pytest.mark.parametrize("text", [f"{OLD} {OLD}", f"{OLD}\n", f"{OLD}\r\nX-Other: 1", f"{OLD}\xe4"])
def test_check_key_that_cannot_be_sent(text: str) -> None:
    """What does not fit into a header is refused, and not shown."""
    with pytest.raises(SettingsError) as caught:
        check_key(text)

    assert (
        "ADMIN_KEY, or its file, has blanks or characters that are not printable ASCII.",
    ) == caught.value.problems


def test_no_regular_file() -> None:
    """A device in the file's place is refused, and with it what never ends."""
    with pytest.raises(SettingsError) as caught:
        read_key(Path("/dev/zero"))

    assert ("ADMIN_KEY_FILE cannot be read: Not a regular file.",) == caught.value.problems


def test_pipe_in_the_place_of_the_file(file: KeyFile) -> None:
    """A pipe that nobody writes to holds no thread, and a good file in its place is taken again."""
    file.path.unlink()
    os.mkfifo(file.path)
    held = file.key.current().reveal()
    file.path.unlink()
    file.path.write_text(NEW, encoding="utf-8")

    assert (OLD, NEW) == (held, file.key.current().reveal())
    assert [False, True] == file.told


def test_key_without_a_file() -> None:
    """A key of the environment stays what it is."""
    key = fixed_key(OLD)

    assert [OLD, OLD] == [key.current().reveal(), key.current().reveal()]


def test_same_file(file: KeyFile, caplog: pytest.LogCaptureFixture) -> None:
    """As long as the file says the same the key is the same, and nothing is logged."""
    with caplog.at_level(logging.INFO):
        assert file.key.current() is file.key.current()

    assert ([], []) == (caplog.messages, file.told)


@pytest.mark.parametrize("atomic", [False, True], ids=["written over", "renamed"])
def test_exchanged_file(file: KeyFile, caplog: pytest.LogCaptureFixture, atomic: bool) -> None:
    """A new key in the file is in force at once, however it came there, and that is logged once."""
    place = file.path.with_suffix(".new") if atomic else file.path
    place.write_text(f"{NEW}\n", encoding="utf-8")
    os.replace(place, file.path)

    with caplog.at_level(logging.INFO):
        keys = [file.key.current().reveal() for _ in range(2)]

    assert [NEW, NEW] == keys
    assert (["Admin key reloaded"], []) == (caplog.messages, file.told)


def test_same_time_and_size(file: KeyFile) -> None:
    """A new key of the same length within the same tick of the file system's clock is found, too."""
    before = file.path.stat()
    file.path.write_text("x" * len(OLD), encoding="utf-8")
    os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert "x" * len(OLD) == file.key.current().reveal()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "ADMIN_KEY_FILE cannot be read: No such file or directory."),
        (b"", "ADMIN_KEY_FILE names a file that is empty."),
        (b"\xff", "ADMIN_KEY_FILE cannot be read: not UTF-8 text."),
        (b"a b", "ADMIN_KEY, or its file, has blanks or characters that are not printable ASCII."),
    ],
    ids=["gone", "empty", "binary", "two words"],
)
def test_file_of_no_use(
    file: KeyFile, caplog: pytest.LogCaptureFixture, content: bytes | None, reason: str
) -> None:
    """While the file is of no use the last good key is in force; that is told once."""
    file.path.unlink()
    if content is not None:
        file.path.write_bytes(content)

    keys = [file.key.current().reveal() for _ in range(3)]

    assert [OLD] * 3 == keys
    (record,) = caplog.records
    assert ("Admin key not reloaded", "WARNING") == (record.message, record.levelname)
    assert f"{reason} The last good key is used." == record.__dict__["hint"]
    assert [False] == file.told


def test_file_that_gets_well(file: KeyFile, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is of use again is read again, and the next problem is told again."""
    for content in ("", OLD, "", NEW):
        file.path.write_text(content, encoding="utf-8")
        file.key.current()

    assert NEW == file.key.current().reveal()
    assert ["Admin key not reloaded"] * 2 == caplog.messages
    assert [False, True] * 2 == file.told


def test_file_that_gets_worse(file: KeyFile, caplog: pytest.LogCaptureFixture) -> None:
    """Another reason is another record, but not another change."""
    file.path.write_text("", encoding="utf-8")
    file.key.current()
    file.path.unlink()
    file.key.current()

    assert ["Admin key not reloaded"] * 2 == caplog.messages
    assert [False] == file.told


def test_key_is_in_no_record(file: KeyFile, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the old nor the new key nor a wrong one is in what is logged."""
    with caplog.at_level(logging.DEBUG):
        for content in (NEW, f"{NEW} {OLD}", ""):
            file.path.write_text(content, encoding="utf-8")
            file.key.current()

    text = "".join(str(record.__dict__) for record in caplog.records)
    assert 3 == len(caplog.records)
    assert [] == [key for key in (OLD, NEW) if key in text]


@pytest.mark.parametrize(
    ("content", "messages", "told"),
    [
        (OLD, ["Admin key unchanged"] * 2, []),
        (NEW, ["Admin key reloaded", "Admin key unchanged"], []),
        ("", ["Admin key not reloaded"] * 2, [False]),
    ],
    ids=["same", "new", "empty"],
)
def test_reload(
    file: KeyFile, caplog: pytest.LogCaptureFixture, content: str, messages: list[str], told: list[bool]
) -> None:
    """Each reload logs its outcome, also one that is known already."""
    file.path.write_text(content, encoding="utf-8")
    with caplog.at_level(logging.INFO):
        file.key.reload()
        file.key.reload()

    assert (messages, told) == (caplog.messages, file.told)
    assert (content or OLD) == file.key.current().reveal()


def test_reload_without_a_file(caplog: pytest.LogCaptureFixture) -> None:
    """A key of the environment is not read again."""
    with caplog.at_level(logging.INFO):
        fixed_key(OLD).reload()

    assert [] == caplog.messages


def test_two_threads(file: KeyFile, caplog: pytest.LogCaptureFixture) -> None:
    """Both fetch threads get the new key, and it is told once."""
    file.path.write_text(NEW, encoding="utf-8")
    keys: list[str] = []
    with caplog.at_level(logging.INFO):
        threads = [
            threading.Thread(target=lambda: keys.append(file.key.current().reveal())) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    assert [NEW] * 8 == keys
    assert ["Admin key reloaded"] == caplog.messages
