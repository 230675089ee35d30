"""Certificates that are made when they are needed, good ones and bad ones."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import cache
from pathlib import Path

import trustme

HOST = "127.0.0.1"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


class Tls(Enum):
    """What a TLS server is like."""

    GOOD = auto()
    EXPIRED = auto()
    WRONG_NAME = auto()
    UNTRUSTED = auto()
    WANTS_CERTIFICATE_1_2 = auto()
    WANTS_CERTIFICATE_1_3 = auto()


@cache
def trusted_authority() -> trustme.CA:
    """The authority that the exporter is told to trust."""
    return trustme.CA()


def write_authority(path: Path) -> Path:
    """Write the authority's certificate, for REQUESTS_CA_BUNDLE."""
    trusted_authority().cert_pem.write_to_path(path)
    return path


@cache
def server_contexts() -> Mapping[Tls, ssl.SSLContext]:
    """Return what a server needs to be like this; made once in a process, since keys take their time."""
    good, stranger = trusted_authority(), trustme.CA()
    certificate = good.issue_cert(HOST)
    contexts = {
        Tls.GOOD: certificate,
        Tls.EXPIRED: good.issue_cert(HOST, not_before=YESTERDAY - timedelta(days=1), not_after=YESTERDAY),
        Tls.WRONG_NAME: good.issue_cert("another.example"),
        Tls.UNTRUSTED: stranger.issue_cert(HOST),
        Tls.WANTS_CERTIFICATE_1_2: certificate,
        Tls.WANTS_CERTIFICATE_1_3: certificate,
    }
    return {kind: _context(kind, leaf, good) for kind, leaf in contexts.items()}


def _context(kind: Tls, leaf: trustme.LeafCert, authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    if kind in (Tls.WANTS_CERTIFICATE_1_2, Tls.WANTS_CERTIFICATE_1_3):
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    if kind is Tls.WANTS_CERTIFICATE_1_2:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context
