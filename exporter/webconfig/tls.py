"""TLS of the listening socket: contexts of OpenSSL, made of what the web configuration file says."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from cryptography import x509

from exporter.errors import SettingsError
from exporter.files.read import read_file
from exporter.files.secret import Secret


@dataclass(frozen=True, slots=True)
class Pem:
    """Certificates or a key in PEM: a file, or the text itself."""

    name: str
    """Of the key in the web configuration file, for messages."""
    source: Path | Secret


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What the file says of TLS; names are those of OpenSSL."""

    certificate: Pem | None
    key: Pem | None
    """None, of both: a problem that is told already, and no context that could serve."""
    client_ca: Pem | None
    """None: certificates of clients are verified by the authorities that the system trusts, if at all."""
    client_auth: ssl.VerifyMode
    allowed_sans: frozenset[str]
    """Empty: every verified certificate will do."""
    minimum: ssl.TLSVersion
    maximum: ssl.TLSVersion
    ciphers: tuple[str, ...]
    """Of TLS 1.2; empty: those of OpenSSL."""
    prefer_own_ciphers: bool
    curve: str | None


def make_context(settings: TlsSettings) -> ServerContext:
    """Return the context of a server.

    Raises:
        SettingsError: With every problem of the certificates and the key; no text of theirs is in it.
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
    problems = [*_load_key_pair(context, settings), *_load_authorities(context, settings)]
    if problems:
        raise SettingsError(problems)
    context.expiry = MappingProxyType(dict(_expiries(settings)))
    return context


def knows_curve(name: str) -> bool:
    """Tell whether this Python can bind TLS to a curve: Debian's, 3.11.2, knows those of NIST alone."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve(name)
    except (ssl.SSLError, ValueError):
        return False
    return True


class ServerContext(ssl.SSLContext):
    """A context that can break off handshakes of clients whose verified certificate has no allowed name."""

    allowed_sans: frozenset[str]
    has_own_authorities: bool
    """Without them, certificates of every authority count that the system trusts."""
    expiry: Mapping[str, float] = MappingProxyType({})
    """Unix time at which the first certificate of each file expires, by the file's key in the web config."""

    def __new__(cls, allowed_sans: frozenset[str], has_own_authorities: bool) -> Self:
        """Make a context for the server's side."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, allowed_sans: frozenset[str], has_own_authorities: bool) -> None:
        """Look at names where there are any."""
        self.allowed_sans = allowed_sans
        self.has_own_authorities = has_own_authorities
        if allowed_sans:
            self.sslobject_class = _NamedClient


class _NamedClient(ssl.SSLObject):
    """A connection whose client has to have an allowed name."""

    def do_handshake(self) -> None:
        super().do_handshake()
        context = self.context
        if isinstance(context, ServerContext) and context.allowed_sans.isdisjoint(self._names()):
            raise ssl.SSLCertVerificationError("no allowed name in the client's certificate")

    def _names(self) -> Iterator[str]:
        """Yield the alternative names of the certificate, as the toolkit writes them."""
        try:
            certificate: Mapping[str, Any] = self.getpeercert() or {}
        except ValueError as error:
            raise ssl.SSLCertVerificationError(
                "a name in the client's certificate that is no text"
            ) from error
        for kind, name in certificate.get("subjectAltName", ()):
            yield _address(name) if kind == "IP Address" else name


def _address(text: str) -> str:
    """Return an address as people write it: OpenSSL writes every group of an IPv6 address."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text


class NewestContext(ssl.SSLContext):
    """Stands for the context in force at the moment at which a connection comes; asyncio keeps only one."""

    def __new__(cls, newest: Callable[[], ssl.SSLContext]) -> Self:
        """Make a context that is never used itself."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, newest: Callable[[], ssl.SSLContext]) -> None:
        """Ask `newest` for each connection."""
        self._newest = newest

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin the TLS of a connection by the context in force."""
        return self._newest().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def _load_key_pair(context: ssl.SSLContext, settings: TlsSettings) -> Sequence[str]:
    certificate, key = settings.certificate, settings.key
    problems = [problem for pem in (certificate, key) if pem for problem in _problems(pem)]
    if problems or certificate is None or key is None:
        return problems
    with _as_file(certificate) as certificate_path, _as_file(key) as key_path:
        if not _holds_certificates(certificate_path):
            return [f"{certificate.name} holds no certificate in PEM."]
        try:
            context.load_cert_chain(certificate_path, key_path, _refuse_password)
        except _PasswordNeededError:
            return [f"{key.name} is encrypted: nobody can type its password; store it without one."]
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                return [f"{key.name} does not belong to the certificate in {certificate.name}."]
            if error.reason is None:
                return [f"{key.name} holds no private key in PEM."]
            reason = error.reason.replace("_", " ").lower()
            return [f"{certificate.name} and {key.name} cannot be used: {reason}."]
    return []


def _load_authorities(context: ssl.SSLContext, settings: TlsSettings) -> Sequence[str]:
    if settings.client_auth is ssl.CERT_NONE:
        return []
    if settings.client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return []
    problems = _problems(settings.client_ca)
    if problems:
        return problems
    # Whatever is in the file is trusted, an intermediate authority or a client's own certificate as well.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with _as_file(settings.client_ca) as path:
        try:
            context.load_verify_locations(path)
        except ssl.SSLError:
            return [f"{settings.client_ca.name} holds no certificate in PEM."]
    return []


def _problems(pem: Pem) -> Sequence[str]:
    """Name what keeps it from being read."""
    try:
        _content(pem)
    except SettingsError as error:
        return error.problems
    return ()


def _content(pem: Pem) -> bytes:
    """Return what it holds.

    Raises:
        SettingsError: Without its path, which may be a key put into the wrong place.
    """
    if isinstance(pem.source, Secret):
        if hasattr(os, "memfd_create"):
            return pem.source.reveal().encode()
        raise SettingsError([f"{pem.name} cannot be given inline on this system: put it into a file."])
    try:
        return read_file(pem.source)
    except OSError as error:
        raise SettingsError([f"{pem.name} cannot be read: {error.strerror}."]) from error
    except ValueError as error:
        raise SettingsError([f"{pem.name} is no path."]) from error


def _expiries(settings: TlsSettings) -> Iterator[tuple[str, float]]:
    """Yield when the first certificate of each file expires."""
    authorities = settings.client_ca if settings.client_auth is not ssl.CERT_NONE else None
    for pem in filter(None, (settings.certificate, authorities)):
        # Some certificates are good enough for OpenSSL and not for the library: their end is not known.
        with suppress(ValueError):
            certificates = x509.load_pem_x509_certificates(_content(pem))
            yield (
                pem.name.rpartition(".")[2],
                min(each.not_valid_after_utc.timestamp() for each in certificates),
            )


def _holds_certificates(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except ssl.SSLError:
        return False
    return True


@contextmanager
def _as_file(pem: Pem) -> Iterator[str]:
    """Give a path to what OpenSSL reads from files only: one in memory, which nobody exchanges meanwhile."""
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
    """Keep OpenSSL from asking on the terminal."""
    raise _PasswordNeededError
