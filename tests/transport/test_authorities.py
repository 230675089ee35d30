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


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "SSL_CERT_FILE cannot be read: No such file or directory."),
        (b"", "SSL_CERT_FILE names a file without a PEM certificate."),
        (b"\x30\x82\x01", "SSL_CERT_FILE names a file without a PEM certificate."),
        (b"-----BEGIN CERTIFICATE-----\n!\n", "SSL_CERT_FILE names a file without a PEM certificate."),
    ],
    ids=["missing", "empty", "binary", "broken"],
)
def test_invalid(tmp_path: Path, content: bytes | None, expected: str) -> None:
    """The problem names the variable and what is expected, not the path."""
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)

    assert f"{expected} {WANTED}" == Authorities("SSL_CERT_FILE", tmp_path / "ca.pem").problem()


def test_long_path() -> None:
    """A path that is too long for the system is a problem."""
    problem = Authorities("SSL_CERT_FILE", Path("9" * 5000)).problem()

    assert f"SSL_CERT_FILE cannot be read: File name too long. {WANTED}" == problem


def test_pipe(tmp_path: Path) -> None:
    """A pipe without a writer does not block."""
    os.mkfifo(tmp_path / "pipe")

    problem = Authorities("SSL_CERT_FILE", tmp_path / "pipe").problem()

    assert f"SSL_CERT_FILE cannot be read: Not a regular file. {WANTED}" == problem


def test_several_directories(tmp_path: Path) -> None:
    """A list of directories, which other programs support, is a problem of its own."""
    path = Path(f"{tmp_path}{os.pathsep}{tmp_path}")

    assert f"SSL_CERT_DIR names several directories. {WANTED}" == Authorities("SSL_CERT_DIR", path).problem()
