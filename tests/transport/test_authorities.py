"""Certificate authorities of the environment, and their problems."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from exporter.transport.authorities import AUTHORITIES, WANTED, Authorities, find_authorities


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        (dict.fromkeys(AUTHORITIES, "/x"), "REQUESTS_CA_BUNDLE"),
        (dict.fromkeys(AUTHORITIES[1:], "/x"), "CURL_CA_BUNDLE"),
        (dict.fromkeys(AUTHORITIES[2:], "/x"), "SSL_CERT_FILE"),
        ({"SSL_CERT_DIR": "/x"}, "SSL_CERT_DIR"),
        ({"REQUESTS_CA_BUNDLE": " ", "SSL_CERT_FILE": "/x"}, "SSL_CERT_FILE"),
        (dict.fromkeys(AUTHORITIES, ""), None),
    ],
)
def test_precedence(environ: Mapping[str, str], expected: str | None) -> None:
    """The first variable that is set is used; an empty one counts as unset."""
    found = find_authorities(environ)

    assert (Authorities(expected, Path("/x")) if expected else None) == found


def test_valid(tmp_path: Path) -> None:
    """A file of certificates with comments, and a directory, are valid."""
    pem = "# \N{LATIN SMALL LETTER U WITH DIAERESIS}\n".encode() + 2 * trustme.CA().cert_pem.bytes()
    (tmp_path / "ca.pem").write_bytes(pem)

    assert None is Authorities("SSL_CERT_FILE", tmp_path / "ca.pem").problem()
    assert None is Authorities("SSL_CERT_DIR", tmp_path).problem()


NO_PEM = "names a file without a PEM certificate"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", NO_PEM),
        (b"\x30\x82\x01", NO_PEM),
        (b"-----BEGIN CERTIFICATE-----\n!\n", NO_PEM),
    ],
    ids=["missing", "empty", "binary", "broken"],
)
def test_invalid(tmp_path: Path, content: bytes | None, expected: str) -> None:
    """The problem names the variable and what is expected, not the path."""
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)

    assert (
        f"SSL_CERT_FILE {expected}. {WANTED}" == Authorities("SSL_CERT_FILE", tmp_path / "ca.pem").problem()
    )


def test_unusual_paths(tmp_path: Path) -> None:
    """A long path, a pipe without a writer, and a list of directories are problems."""
    pipe, several = tmp_path / "pipe", Path(f"{tmp_path}{os.pathsep}{tmp_path}")
    os.mkfifo(pipe)

    for path, name, problem in (
        (Path("9" * 5000), "SSL_CERT_FILE", "cannot be read: File name too long"),
        (pipe, "SSL_CERT_FILE", "cannot be read: Not a regular file"),
        (several, "SSL_CERT_DIR", "names several directories"),
    ):
        assert f"{name} {problem}. {WANTED}" == Authorities(name, path).problem()
