"""Creates TLS contexts for the web configuration."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from cryptography import x509

from exporter.errors import SettingsError
from exporter.files.problems import Problems
from exporter.files.read import read_file
from exporter.files.secret import Secret


@dataclass(frozen=True, slots=True)
class Pem:
    """Certificates or a key in PEM, in a file or inline."""

    name: str
    """Path of the key in the web configuration file, for messages."""
    source: Path | Secret


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The TLS section of the file, with OpenSSL's names."""

    certificate: Pem | None
    key: Pem | None
    """None for either is a problem that is already reported."""
    client_ca: Pem | None
    """None: the system's authorities verify client certificates."""
    client_auth: ssl.VerifyMode
    allowed_sans: frozenset[str]
    """Empty: every verified certificate is accepted."""
    minimum: ssl.TLSVersion
    maximum: ssl.TLSVersion
    ciphers: tuple[str, ...]
    """Of TLS 1.2; empty: OpenSSL's defaults."""
    prefer_own_ciphers: bool
    curve: str | None


def make_context(settings: TlsSettings) -> ServerContext:
    """Return a server context.

    Raises:
        SettingsError: With all problems of the certificates and the key, without their content.
    """
    context = ServerContext(settings.allowed_sans, settings.client_ca is not None)
    context.minimum_version, context.maximum_version = settings.minimum, settings.maximum
    context.set_alpn_protocols(["http/1.1"])
    if settings.ciphers:
        context.set_ciphers(":".join(settings.ciphers))
    if not settings.prefer_own_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if settings.curve:
        context.set_ecdh_curve(settings.curve)
    context.verify_mode = settings.client_auth
    problems = Problems()
    with problems.collect():
        _load_key_pair(context, settings)
    with problems.collect():
        _load_authorities(context, settings)
    problems.raise_any()
    context.expiry = MappingProxyType(dict(_expiries(settings)))
    return context


def knows_curve(name: str) -> bool:
    """Return whether this Python supports a curve: Python 3.11.2 of Debian supports those of NIST only."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve(name)
    except (ssl.SSLError, ValueError):
        return False
    return True


class ServerContext(ssl.SSLContext):
    """A context that rejects client certificates without an allowed name."""

    allowed_sans: frozenset[str]
    has_own_authorities: bool
    """False: the system's authorities are trusted."""
    expiry: Mapping[str, float] = MappingProxyType({})
    """Unix time of the first expiry in each file, by the file's key in the web configuration."""

    def __new__(cls, allowed_sans: frozenset[str], has_own_authorities: bool) -> Self:
        """Create a server context."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, allowed_sans: frozenset[str], has_own_authorities: bool) -> None:
        """Check names if any are set."""
        self.allowed_sans = allowed_sans
        self.has_own_authorities = has_own_authorities
        if allowed_sans:
            self.sslobject_class = _NameCheckingObject


class _NameCheckingObject(ssl.SSLObject):
    """Checks the names of the client's certificate after the handshake."""

    def do_handshake(self) -> None:
        super().do_handshake()
        context = self.context
        if isinstance(context, ServerContext) and context.allowed_sans.isdisjoint(self._names()):
            raise ssl.SSLCertVerificationError("no allowed name in the client's certificate")

    def _names(self) -> Iterator[str]:
        """Yield the alternative names of the certificate, in the toolkit's format."""
        try:
            certificate: Mapping[str, Any] = self.getpeercert() or {}
        except ValueError as error:
            raise ssl.SSLCertVerificationError("an invalid name in the client's certificate") from error
        for kind, name in certificate.get("subjectAltName", ()):
            yield _address(name) if kind == "IP Address" else name


def _address(text: str) -> str:
    """Return an address in its short form: OpenSSL writes all groups of an IPv6 address."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text


class ReloadingContext(ssl.SSLContext):
    """Delegates each new connection to the current context: asyncio uses one context for a server."""

    def __new__(cls, newest: Callable[[], ssl.SSLContext]) -> Self:
        """Create a context that is never used itself."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, newest: Callable[[], ssl.SSLContext]) -> None:
        """Call `newest` for each connection."""
        self._newest = newest

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Wrap a connection with the current context."""
        return self._newest().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def _load_key_pair(context: ssl.SSLContext, settings: TlsSettings) -> None:
    certificate, key = settings.certificate, settings.key
    problems = Problems()
    for pem in filter(None, (certificate, key)):
        with problems.collect():
            _content(pem)
    problems.raise_any()
    if certificate is None or key is None:
        return
    with _as_file(certificate) as certificate_path, _as_file(key) as key_path:
        if not _has_certificates(certificate_path):
            raise SettingsError([f"{certificate.name} contains no certificate in PEM."])
        try:
            context.load_cert_chain(certificate_path, key_path, _refuse_password)
        except _PasswordNeededError as error:
            problem = f"{key.name} is encrypted, which is not supported: store the key without a password."
            raise SettingsError([problem]) from error
        except ssl.SSLError as error:
            raise SettingsError([_problem(error, certificate.name, key.name)]) from error


def _problem(error: ssl.SSLError, certificate: str, key: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{key} does not belong to the certificate in {certificate}."
    if error.reason is None:
        return f"{key} contains no private key in PEM."
    return f"{certificate} and {key} cannot be used: {error.reason.replace('_', ' ').lower()}."


def _load_authorities(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.client_auth is ssl.CERT_NONE:
        return
    if settings.client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    # As in Go: every certificate in the file is trusted, also an intermediate or a client's own.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with _as_file(settings.client_ca) as path:
        try:
            context.load_verify_locations(path)
        except ssl.SSLError as error:
            raise SettingsError([f"{settings.client_ca.name} contains no certificate in PEM."]) from error


def _content(pem: Pem) -> bytes:
    """Return the content.

    Raises:
        SettingsError: Without the path, which can be a key in the wrong setting.
    """
    if isinstance(pem.source, Secret):
        if hasattr(os, "memfd_create"):
            return pem.source.reveal().encode()
        raise SettingsError([f"{pem.name} cannot be inline on this system: use a file."])
    try:
        return read_file(pem.source)
    except OSError as error:
        raise SettingsError([f"{pem.name} cannot be read: {error.strerror}."]) from error
    except ValueError as error:
        raise SettingsError([f"{pem.name} is not a valid path."]) from error


def _expiries(settings: TlsSettings) -> Iterator[tuple[str, float]]:
    """Yield the name of each file, and when its first certificate expires."""
    authorities = settings.client_ca if settings.client_auth is not ssl.CERT_NONE else None
    for pem in filter(None, (settings.certificate, authorities)):
        # OpenSSL accepts some certificates that cryptography rejects: they have no expiry here.
        with suppress(ValueError):
            certificates = x509.load_pem_x509_certificates(_content(pem))
            first = min(certificate.not_valid_after_utc for certificate in certificates)
            yield pem.name.rpartition(".")[2], first.timestamp()


def _has_certificates(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except ssl.SSLError:
        return False
    return True


@contextmanager
def _as_file(pem: Pem) -> Iterator[str]:
    """Yield a path for OpenSSL, which reads files only: an in-memory copy, which cannot change meanwhile."""
    content = _content(pem)
    if not hasattr(os, "memfd_create"):
        yield str(pem.source)
        return
    with open(os.memfd_create("pem"), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


class _PasswordNeededError(Exception):
    """The key is encrypted."""


def _refuse_password() -> str:
    """Prevent a prompt of OpenSSL on the terminal."""
    raise _PasswordNeededError
