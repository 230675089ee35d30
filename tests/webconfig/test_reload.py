"""Reloads of the web configuration: when files are checked, and which changes need a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from exporter.files.reload import STILL_IN_USE
from exporter.webconfig.config import read
from exporter.webconfig.reload import CHECK_SECONDS, WebFile
from tests.certificates import MUTUAL, Folder, hashed
from tests.clocks import MovedClock


@dataclass
class Watched:
    """A folder, its current configuration, and the reports of reloads."""

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
    watched, stat = watch(basic_auth_users={"a": hashed()}), Mock(wraps=Path.stat)
    monkeypatch.setattr(Path, "stat", lambda path: stat(path))
    for _ in range(10):
        watched.clock.now += CHECK_SECONDS / 4
        watched.file.newest()

    assert 2 == stat.call_count


def test_certificate_before_its_key(watch: Watch) -> None:
    """Rejects a new certificate until its key is there, although the file itself is unchanged."""
    watched = watch(tls={})
    before = watched.file.newest()
    old = (watched.folder.path / "server.key").read_bytes()
    watched.folder.renew()
    new = (watched.folder.path / "server.key").read_bytes()
    watched.folder.replace("server.key", old)

    assert (["Web config not reloaded"], True) == (watched.check(), before is watched.file.newest())
    problem = "tls_server_config.key_file does not belong to the certificate in tls_server_config.cert_file."
    assert f"{STILL_IN_USE} {problem}" == watched.hint

    watched.folder.replace("server.key", new)
    assert (["Web config reloaded"], [False, True]) == (watched.check(), watched.changes)
    assert before.tls is not watched.file.newest().tls


USERS: Mapping[str, Any] = {"basic_auth_users": {"a": hashed()}}
NAMED = {**MUTUAL, "client_allowed_sans": ["x"]}
OPTIONAL = {**MUTUAL, "client_auth_type": "VerifyClientCertIfGiven"}


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        (USERS, {}, "basic_auth_users"),
        ({"tls": {}}, {}, "tls_server_config"),
        ({}, {"tls": {}}, "tls_server_config"),
        ({"tls": MUTUAL}, {"tls": {}}, "client_auth_type"),
        ({"tls": MUTUAL}, {"tls": OPTIONAL}, "client_auth_type"),
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
    """Logs the warnings that a new file adds, as at startup; a reload does not wait for the next check."""
    watched = watch()
    watched.folder.write(**USERS)

    assert ["Web config reloaded", "Questionable setting"] == watched.check()
    assert "passwords travel unencrypted" in watched.hint
    watched.folder.write(basic_auth_users={"b": hashed()})
    watched.file.reload()
    assert "Web config reloaded" == watched.log.messages[-1]
