"""Valid and invalid certificates, created when they are needed."""

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
    """The certificate and the requirements of a TLS server."""

    GOOD = auto()
    EXPIRED = auto()
    WRONG_NAME = auto()
    UNTRUSTED = auto()
    WANTS_CERTIFICATE_1_2 = auto()
    WANTS_CERTIFICATE_1_3 = auto()


@cache
def trusted_authority() -> trustme.CA:
    """Return the CA that the exporter trusts."""
    return trustme.CA()


def write_authority(path: Path) -> Path:
    """Write the CA's certificate, for REQUESTS_CA_BUNDLE."""
    trusted_authority().cert_pem.write_to_path(path)
    return path


@cache
def server_contexts() -> Mapping[Tls, ssl.SSLContext]:
    """Return the context of each server; cached, because keys take long to create."""
    authority = trusted_authority()
    expired = authority.issue_cert(HOST, not_before=YESTERDAY - timedelta(days=1), not_after=YESTERDAY)
    others = {
        Tls.EXPIRED: expired,
        Tls.WRONG_NAME: authority.issue_cert("another.example"),
        Tls.UNTRUSTED: trustme.CA().issue_cert(HOST),
    }
    good, contexts = authority.issue_cert(HOST), {}
    for kind in Tls:
        contexts[kind] = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        others.get(kind, good).configure_cert(context)
        if kind in (Tls.WANTS_CERTIFICATE_1_2, Tls.WANTS_CERTIFICATE_1_3):
            authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        if kind is Tls.WANTS_CERTIFICATE_1_2:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
    return contexts
