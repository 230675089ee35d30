"""Reloads of the web configuration: when files are checked, and which changes need a restart."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exporter.files.reload import STILL_IN_USE
from exporter.webconfig.config import read
from exporter.webconfig.reload import CHECK_SECONDS, WebFile
from tests.certificates import MUTUAL, Folder, hashed
from tests.clocks import MovedClock


@dataclass
class Watched:
    """A folder, its current configuration, and what was reported."""

    folder: Folder
    file: WebFile
    clock: MovedClock
    log: pytest.LogCaptureFixture
    changes: list[bool] = field(default_factory=list)

    def check(self) -> list[str]:
        """Move the clock to the next check, and return its messages."""
        self.log.clear()
        self.clock.now += CHECK_SECONDS
        self.file.newest()
        return self.log.messages

    @property
    def hint(self) -> str:
        """The hint of the last record."""
        return str(vars(self.log.records[-1])["hint"])


Watch = Callable[..., Watched]


@pytest.fixture
def watch(tmp_path: Path, clock: MovedClock, caplog: pytest.LogCaptureFixture) -> Watch:
    """Watches a file with the given sections."""
    caplog.set_level(logging.INFO)

    def start(**sections: Any) -> Watched:
        folder, changes = Folder(tmp_path), list[bool]()
        file = WebFile(read(folder.write(**sections)), clock, changes.append)
        return Watched(folder, file, clock, caplog, changes)

    return start


def test_checks_are_rare(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks the files at most once a second, however many requests there are."""
    watched = watch(basic_auth_users={"a": hashed()})
    checks: list[Path] = []
    stat = Path.stat

    def counted(path: Path) -> os.stat_result:
        checks.append(path)
        return stat(path)

    monkeypatch.setattr(Path, "stat", counted)
    for _ in range(10):
        watched.clock.now += CHECK_SECONDS / 4
        watched.file.newest()

    assert 2 == len(checks)


def test_reload(watch: Watch) -> None:
    """A reload does not wait for the next check, and logs its result."""
    watched = watch(basic_auth_users={"a": hashed()})
    watched.file.reload()
    watched.folder.write(basic_auth_users={"b": hashed()})
    watched.file.reload()

    assert ["Web config unchanged", "Web config reloaded"] == watched.log.messages
    assert ["b"] == list(watched.file.newest().users)


def test_certificate_before_its_key(watch: Watch) -> None:
    """Rejects a new certificate until its key is there, although the file itself is unchanged."""
    watched = watch(tls={})
    before = watched.file.newest()
    old = (watched.folder.path / "server.key").read_bytes()
    watched.folder.renew()
    new = (watched.folder.path / "server.key").read_bytes()
    watched.folder.replace("server.key", old)

    assert (["Web config not reloaded"], True) == (watched.check(), before is watched.file.newest())
    assert (
        f"{STILL_IN_USE} tls_server_config.key_file does not belong to the certificate in "
        "tls_server_config.cert_file."
    ) == watched.hint

    watched.folder.replace("server.key", new)
    assert (["Web config reloaded"], [False, True]) == (watched.check(), watched.changes)
    assert before.tls is not watched.file.newest().tls


def test_broken_file(watch: Watch) -> None:
    """Logs every problem of a new file once for each content, without a hash."""
    watched = watch(basic_auth_users={"a": hashed()})
    broken = hashed()[:-1]
    for count in (1, 2):
        watched.folder.write(basic_auth_users={"b": broken}, rate_limit={"interval": f"{count}"})

        assert (["Web config not reloaded"], ["a"]) == (watched.check(), list(watched.file.newest().users))
        assert "basic_auth_users.b is not a bcrypt hash" in watched.hint
        assert "rate_limit.interval must be a duration" in watched.hint
        assert broken not in watched.hint
        assert [] == watched.check()


@pytest.mark.parametrize("content", [b"a: b: c", b""])
def test_partly_written_file(watch: Watch, content: bytes) -> None:
    """A file that is being written does not remove access control."""
    watched = watch(basic_auth_users={"a": hashed()})
    watched.folder.replace("web.yml", content)

    assert (["Web config not reloaded"], ["a"]) == (watched.check(), list(watched.file.newest().users))


@pytest.mark.parametrize("name", ["web.yml", "server.key"])
def test_pipe(watch: Watch, name: str) -> None:
    """A pipe without a writer does not block, and is a problem."""
    watched = watch(tls={})
    (watched.folder.path / name).unlink()
    os.mkfifo(watched.folder.path / name)

    assert ["Web config not reloaded"] == watched.check()
    assert "cannot be read: Not a regular file." in watched.hint


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
def test_weaker_file(watch: Watch, before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> None:
    """A change that weakens access control, or turns TLS on or off, needs a restart."""
    watched = watch(**before)
    config = watched.file.newest()
    watched.folder.write(**after)

    assert (["Web config not reloaded"], True) == (watched.check(), config is watched.file.newest())
    assert f"{name} cannot be " in watched.hint
    assert watched.hint.endswith("while the exporter runs: restart the exporter, or undo the change.")
    assert [False] == watched.changes


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
def test_stricter_file(watch: Watch, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """A change that adds access control needs no restart."""
    watched = watch(**before)
    watched.folder.write(**after)

    assert ("Web config reloaded", []) == (watched.check()[0], watched.changes)


def test_warnings(watch: Watch) -> None:
    """Logs the warnings that a new file adds, as at startup."""
    watched = watch()
    watched.folder.write(**USERS)

    assert ["Web config reloaded", "Questionable setting"] == watched.check()
    assert "passwords travel unencrypted" in watched.hint
    watched.folder.write(basic_auth_users={"b": hashed()})
    assert ["Web config reloaded"] == watched.check()
