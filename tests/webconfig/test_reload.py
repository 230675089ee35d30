"""The web configuration in force is the newest good one, and what is wrong with a newer one is told once."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exporter.webconfig.config import read
from exporter.webconfig.reload import LOOK_SECONDS, WebFile
from tests.certificates import MUTUAL, Folder, hashed
from tests.clocks import MovedClock


@dataclass
class Watched:
    """A folder, the configuration of it that is in force, and what was told."""

    folder: Folder
    file: WebFile
    clock: MovedClock
    log: pytest.LogCaptureFixture
    told: list[bool] = field(default_factory=list)

    def look(self) -> list[str]:
        """Let the next look come, and return the messages since the last one."""
        self.log.clear()
        self.clock.now += LOOK_SECONDS
        self.file.newest()
        return [record.getMessage() for record in self.log.records]

    def reload(self) -> list[str]:
        """Reload at once, and return the messages since the last time."""
        self.log.clear()
        self.file.reload()
        return [record.getMessage() for record in self.log.records]

    @property
    def hint(self) -> str:
        """What the last record says."""
        return str(vars(self.log.records[-1])["hint"])


Watch = Callable[..., Watched]


@pytest.fixture
def watch(tmp_path: Path, clock: MovedClock, caplog: pytest.LogCaptureFixture) -> Watch:
    """Begins to watch a file with the given sections."""
    caplog.set_level(logging.INFO)

    def begin(**sections: Any) -> Watched:
        folder = Folder(tmp_path)
        told: list[bool] = []
        file = WebFile(read(folder.write(**sections)), clock, told.append)
        return Watched(folder, file, clock, caplog, told)

    return begin


def test_nothing_changes(watch: Watch) -> None:
    """Without a change the configuration stays the very same."""
    watched = watch(tls=MUTUAL, basic_auth_users={"a": hashed()})
    before = watched.file.newest()

    assert [] == watched.look()
    assert before is watched.file.newest()


def test_new_users(watch: Watch) -> None:
    """A changed file is in force after the next look, and that is told."""
    watched = watch(basic_auth_users={"a": hashed()})
    watched.folder.write(basic_auth_users={"b": hashed()})

    assert ["Web config reloaded"] == watched.look()
    assert ["b"] == list(watched.file.newest().users)
    assert [] == watched.look()


def test_looks_are_rare(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections come, the files are looked at once a second at most."""
    watched = watch(basic_auth_users={"a": hashed()})
    looks: list[Path] = []
    stat = Path.stat

    def counted(path: Path) -> os.stat_result:
        looks.append(path)
        return stat(path)

    monkeypatch.setattr(Path, "stat", counted)
    for _ in range(10):
        watched.clock.now += LOOK_SECONDS / 4
        watched.file.newest()

    assert 2 == len(looks)


def test_new_certificate(watch: Watch) -> None:
    """A new certificate with its key is a new context, though the file itself is as it was."""
    watched = watch(tls={})
    before = watched.file.newest().tls
    watched.folder.renew()

    assert ["Web config reloaded"] == watched.look()
    assert before is not watched.file.newest().tls


def test_certificate_before_its_key(watch: Watch) -> None:
    """Half of a new pair changes nothing and is told; the other half makes it whole."""
    watched = watch(tls={})
    before = watched.file.newest()
    key = (watched.folder.path / "server.key").read_bytes()
    watched.folder.renew()
    fresh = (watched.folder.path / "server.key").read_bytes()
    watched.folder.replace("server.key", key)

    assert ["Web config not reloaded"] == watched.look()
    assert before is watched.file.newest()
    assert (
        "The last good one stays in force. tls_server_config.key_file does not belong to the certificate in "
        "tls_server_config.cert_file."
    ) == watched.hint

    watched.folder.replace("server.key", fresh)
    assert ["Web config reloaded"] == watched.look()


def test_broken_file_is_told_once(watch: Watch) -> None:
    """What is wrong with a new file is told once for each content, with all of it and no hash."""
    watched = watch(basic_auth_users={"a": hashed()})
    broken = hashed()[:-1]
    for count in (1, 2):
        watched.folder.write(basic_auth_users={"b": broken}, rate_limit={"interval": f"{count}"})

        assert ["Web config not reloaded"] == watched.look()
        assert "warning" == watched.log.records[0].levelname.lower()
        assert ["a"] == list(watched.file.newest().users)
        assert [False] == watched.told
        assert "basic_auth_users.b is no bcrypt hash" in watched.hint
        assert "rate_limit.interval must be a duration" in watched.hint
        assert broken not in watched.hint
        assert [] == watched.look()


@pytest.mark.parametrize("content", [b"a: b: c", b""])
def test_file_that_is_half_written(watch: Watch, content: bytes) -> None:
    """A file that is seen while it is written opens nothing, and is read when it is whole."""
    watched = watch(basic_auth_users={"a": hashed()})
    whole = watched.folder.file.read_bytes()
    watched.folder.replace("web.yml", content)

    assert ["Web config not reloaded"] == watched.look()
    assert ["a"] == list(watched.file.newest().users)

    watched.folder.replace("web.yml", whole)
    assert ["Web config reloaded"] == watched.look()
    assert [False, True] == watched.told


def test_file_that_vanishes(watch: Watch) -> None:
    """A file that is gone leaves the last good one in force, and may come back."""
    watched = watch(basic_auth_users={"a": hashed()})
    watched.folder.file.unlink()

    assert ["Web config not reloaded"] == watched.look()
    assert (
        "The last good one stays in force. the file cannot be read: No such file or directory."
        == watched.hint
    )
    assert [] == watched.look()

    watched.folder.write(basic_auth_users={"b": hashed()})
    assert ["Web config reloaded"] == watched.look()


USERS: Mapping[str, Any] = {"basic_auth_users": {"a": hashed()}}
NAMED = {**MUTUAL, "client_allowed_sans": ["x"]}


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        (USERS, {}, "basic_auth_users"),
        ({"tls": {}}, {}, "tls_server_config"),
        ({}, {"tls": {}}, "tls_server_config"),
        ({"tls": MUTUAL}, {"tls": {}}, "client_auth_type"),
        (
            {"tls": MUTUAL},
            {"tls": {**MUTUAL, "client_auth_type": "VerifyClientCertIfGiven"}},
            "client_auth_type",
        ),
        ({"tls": NAMED}, {"tls": MUTUAL}, "client_allowed_sans"),
        ({"tls": MUTUAL}, {"tls": {"client_auth_type": MUTUAL["client_auth_type"]}}, "client_ca"),
    ],
)
def test_no_door_is_opened(
    watch: Watch, before: Mapping[str, Any], after: Mapping[str, Any], name: str
) -> None:
    """What would let in more strangers, or turn TLS on or off, needs a restart, and says so."""
    watched = watch(**before)
    config = watched.file.newest()
    watched.folder.write(**after)

    assert ["Web config not reloaded"] == watched.look()
    assert config is watched.file.newest()
    assert f"{name} cannot " in watched.hint
    assert watched.hint.endswith("while the exporter runs: restart the exporter, or take it back.")
    assert [False] == watched.told


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, USERS),
        ({"tls": {}}, {"tls": MUTUAL}),
        ({"tls": MUTUAL}, {"tls": NAMED}),
        ({"tls": NAMED}, {"tls": {**NAMED, "client_allowed_sans": ["y"]}}),
        ({**USERS, "rate_limit": {"interval": "1s", "burst": 1}}, USERS),
    ],
)
def test_doors_can_be_closed(watch: Watch, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """What asks for more is in force without a restart."""
    watched = watch(**before)
    watched.folder.write(**after)

    assert "Web config reloaded" == watched.look()[0]
    assert [] == watched.told


def test_warnings_of_a_new_file(watch: Watch) -> None:
    """What is unwise in a new file is told as it is at the start."""
    watched = watch()
    watched.folder.write(**USERS)

    assert ["Web config reloaded", "Questionable setting"] == watched.look()
    assert "passwords travel unencrypted" in watched.hint


def test_change_that_keeps_time_and_size(watch: Watch) -> None:
    """A file that was changed in its place is found, though its time was put back."""
    watched = watch(rate_limit={"interval": "1s", "burst": 1})
    before = watched.folder.file.stat()
    watched.folder.file.write_bytes(watched.folder.file.read_bytes().replace(b"1s", b"9s"))
    os.utime(watched.folder.file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert ["Web config reloaded"] == watched.look()


def test_reload(watch: Watch) -> None:
    """A reload does not wait for the next look, and each one logs its outcome."""
    watched = watch(basic_auth_users={"a": hashed()})
    before = watched.file.newest()

    assert (["Web config unchanged"], True) == (watched.reload(), before is watched.file.newest())
    watched.folder.write(basic_auth_users={"b": hashed()})
    assert (["Web config reloaded"], ["b"]) == (watched.reload(), list(watched.file.newest().users))
    watched.folder.write()
    assert [["Web config not reloaded"]] * 2 == [watched.reload(), watched.reload()]
    assert "basic_auth_users cannot go while the exporter runs" in watched.hint
    assert ["b"] == list(watched.file.newest().users)


@pytest.mark.parametrize("name", ["web.yml", "server.key"])
def test_pipe_in_the_place_of_a_file(watch: Watch, name: str) -> None:
    """A pipe that nobody writes to holds nobody up, and is told like any file that is of no use."""
    watched = watch(tls={})
    (watched.folder.path / name).unlink()
    os.mkfifo(watched.folder.path / name)

    assert ["Web config not reloaded"] == watched.look()
    assert "cannot be read: Not a regular file." in watched.hint
