"""TLS on real sockets: handshakes, protocols, timeouts and reloads."""

from __future__ import annotations

import contextlib
import datetime
import logging
import socket
import ssl
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from exporter.web import server
from exporter.webconfig import tls
from exporter.webconfig.config import read
from tests.certificates import MUTUAL, Folder, hashed
from tests.webserver import GOOD, PATIENCE, WebServer, serve

SHORT = 0.5
"""Replaces the timeouts of the server."""
IF_GIVEN = {**MUTUAL, "client_auth_type": "VerifyClientCertIfGiven"}
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""Start of a client hello."""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A directory with new certificates."""
    return Folder(tmp_path)


def with_uri(folder: Folder, uri: str) -> str:
    """Return the path of a client certificate whose only name is a URI."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.load_pem_x509_certificate(folder.clients.cert_pem.bytes())
    signer = serialization.load_pem_private_key(folder.clients.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(
        authority.subject,
        x509.Name([]),
        key.public_key(),
        x509.random_serial_number(),
        authority.not_valid_before_utc,
        authority.not_valid_after_utc,
    )
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    certificate = (
        builder.add_extension(names, True).add_extension(issuer, False).sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder.path / "uri.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return str(path)


# Client certificates


def test_server_certificate(folder: Folder) -> None:
    """Without client certificates every client is accepted, over HTTP/1.1."""
    with serve(folder, tls={}) as web:
        context = ssl.create_default_context(cafile=folder.ca_path)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with context.wrap_socket(web.connect(), server_hostname="localhost") as connection:
            protocol = connection.selected_alpn_protocol()

        assert ("http/1.1", "ok") == (protocol, web.get().text)
        with pytest.raises(requests.exceptions.SSLError):
            web.get(verify=True)


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/-/ready"])
def test_required_certificates(folder: Folder, path: str) -> None:
    """Required certificates protect every route, also the health routes."""
    good, wrong = folder.client("prometheus"), folder.client("prometheus", by=trustme.CA())
    with serve(folder, tls=MUTUAL) as web:
        assert "ok" == web.get(path, cert=good).text
        assert [True, True] == [web.refuses(path=path, cert=cert) for cert in (None, wrong)]
        assert [path] == web.asked


def test_optional_certificates(folder: Folder) -> None:
    """An optional certificate can be absent, but not invalid."""
    good, wrong = folder.client("prometheus"), folder.client("prometheus", by=trustme.CA())
    with serve(folder, tls=IF_GIVEN) as web:
        assert ["ok", "ok"] == [web.get(cert=cert).text for cert in (None, good)]
        assert web.refuses(cert=wrong)


def test_authority_of_the_server(folder: Folder) -> None:
    """The authority of the server's certificate is not trusted for clients."""
    with serve(folder, tls=MUTUAL) as web:
        assert web.refuses(cert=folder.client("prometheus", by=folder.authority))


def test_intermediate_authority(folder: Folder) -> None:
    """An intermediate authority in the file is enough, as in Go; its siblings are not trusted."""
    trusted, other = folder.clients.create_child_ca(), folder.clients.create_child_ca()
    folder.replace("clients.pem", trusted.cert_pem.bytes())
    with serve(folder, tls=MUTUAL) as web:
        assert "ok" == web.get(cert=folder.client("prometheus", by=trusted)).text
        assert web.refuses(cert=folder.client("prometheus", by=other))


@pytest.mark.parametrize("name", ["prometheus.example", "192.0.2.7", "2001:db8::7", "ops@example.com"])
def test_allowed_names(folder: Folder, name: str) -> None:
    """A certificate needs one of the allowed names, and a trusted authority."""
    good, wrong = folder.client("other.example", name), folder.client("other.example", "192.0.2.8")
    with serve(folder, tls={**MUTUAL, "client_allowed_sans": ["x", name]}) as web:
        assert "ok" == web.get(cert=good).text
        assert [True, True] == [web.refuses(cert=cert) for cert in (wrong, None)]
        assert ["/"] == web.asked


def test_allowed_uri(folder: Folder) -> None:
    """A URI is a name, too."""
    uri = "spiffe://example.com/prometheus"
    with serve(folder, tls={**MUTUAL, "client_allowed_sans": [uri]}) as web:
        assert "ok" == web.get(cert=with_uri(folder, uri)).text
        assert web.refuses(cert=with_uri(folder, f"{uri}/other"))


@pytest.mark.parametrize(
    ("text", "written"),
    [("2001:DB8:0:0:0:0:0:7", "2001:db8::7"), ("192.0.2.7", "192.0.2.7"), ("<invalid>", "<invalid>")],
)
def test_short_addresses(text: str, written: str) -> None:
    """OpenSSL's long form of an address becomes the short one."""
    assert written == tls._address(text)


# Protocols


def cipher(web: WebServer, version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> str | None:
    """Return the cipher of a handshake of one version, None if the server rejects it."""
    context = ssl.create_default_context(cafile=web.folder.ca_path)
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    assert outgoing.read(), "the client does not support it"
    try:
        with context.wrap_socket(web.connect(), server_hostname="localhost") as connection:
            used = connection.cipher()
            return used[0] if used else None
    except OSError:
        return None


@pytest.mark.parametrize(
    ("tls", "accepted"),
    [
        ({}, ["TLSv1_2", "TLSv1_3"]),
        ({"min_version": "TLS13"}, ["TLSv1_3"]),
        ({"max_version": "TLS12"}, ["TLSv1_2"]),
    ],
)
def test_versions(folder: Folder, tls: Mapping[str, str], accepted: list[str]) -> None:
    """TLS 1.0 and 1.1 are always rejected, TLS 1.2 and 1.3 by the file."""
    with serve(folder, tls=tls) as web:
        versions = ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3")
        assert accepted == [name for name in versions if cipher(web, ssl.TLSVersion[name])]


def test_ciphers(folder: Folder) -> None:
    """TLS 1.2 uses the suites of the file, by default in its order."""
    names = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
    small, large = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
    for preferred, first in ((True, large), (False, small)):
        tls = {"cipher_suites": names, "prefer_server_cipher_suites": preferred}
        with serve(folder, tls=tls) as web:
            assert first == cipher(web, ssl.TLSVersion.TLSv1_2, f"{small}:{large}")
            assert cipher(web, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305") is None


def test_curve(folder: Folder) -> None:
    """Clients without the curve of the file are rejected."""
    with serve(folder, tls={"curve_preferences": ["CurveP521"]}) as web:
        seen = []
        for curve in ("secp521r1", "prime256v1"):
            context = ssl.create_default_context(cafile=folder.ca_path)
            context.set_ecdh_curve(curve)
            try:
                context.wrap_socket(web.connect(), server_hostname="localhost").close()
                seen.append(curve)
            except OSError:
                pass

        assert ["secp521r1"] == seen


# Timeouts


@pytest.fixture
def impatient(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A server with TLS and short timeouts."""
    monkeypatch.setattr(server, "REQUEST_SECONDS", SHORT)
    monkeypatch.setattr(server, "RESPONSE_SECONDS", SHORT)
    with serve(folder, tls={}) as web:
        yield web


def until_closed(connection: socket.socket) -> bytes:
    """Return the received bytes until the server closes or resets the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while part := connection.recv(65_536):
            received += part
    return received


@pytest.mark.parametrize("sent", [b"", HELLO], ids=["nothing", "partial hello"])
def test_silence_in_the_handshake(impatient: WebServer, sent: bytes) -> None:
    """A silent client is disconnected during the handshake."""
    with impatient.connect() as connection:
        connection.sendall(sent)

        assert b"" == until_closed(connection)


def test_slow_handshake(impatient: WebServer) -> None:
    """Single bytes do not extend the timeout of the handshake."""
    started = time.monotonic()
    with impatient.connect() as connection, contextlib.suppress(OSError):
        connection.sendall(HELLO)
        while time.monotonic() - started < PATIENCE:
            connection.send(b"\0")
            time.sleep(SHORT / 10)

    assert time.monotonic() - started < PATIENCE


def test_silence_after_the_handshake(impatient: WebServer) -> None:
    """A client without a complete request is disconnected after the handshake."""
    with impatient.handshake() as connection:
        connection.sendall(b"GET / HT")

        assert b"" == until_closed(connection)


def test_silence_after_the_response(impatient: WebServer) -> None:
    """A client that does not close its side of TLS is disconnected."""
    connection = impatient.handshake()
    connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert until_closed(connection).endswith(b"\r\n\r\nok")

    with socket.socket(fileno=connection.detach()) as plain:
        plain.settimeout(PATIENCE)
        assert b"" == until_closed(plain)


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\0" * 100, b"", HELLO],
    ids=["plain HTTP", "zeros", "nothing", "half"],
)
def test_invalid_handshakes(impatient: WebServer, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    """Invalid handshakes are closed without a response or a log record, and others are served."""
    caplog.set_level(logging.WARNING)
    with impatient.connect() as connection:
        connection.sendall(sent)
        assert b"HTTP" not in until_closed(connection)

    assert "ok" == impatient.get().text
    assert [] == [record.getMessage() for record in caplog.records]


# Reloads


def certificate(web: WebServer) -> bytes | None:
    """Return the server's certificate."""
    with web.handshake() as connection:
        return connection.getpeercert(binary_form=True)


def test_new_certificate(folder: Folder) -> None:
    """New connections get the new certificate; open ones continue."""
    with serve(folder, tls={}) as web, requests.Session() as session:
        session.trust_env, session.verify = False, folder.ca_path
        url = f"https://localhost:{web.port}/"
        assert "ok" == session.get(url, timeout=PATIENCE).text
        before = certificate(web)

        folder.renew()
        assert before == certificate(web)
        web.check()

        assert before != certificate(web)
        assert "ok" == session.get(url, timeout=PATIENCE).text


def test_new_authority_of_clients(folder: Folder) -> None:
    """Clients of the old authority are rejected, also with old sessions."""
    newcomers = trustme.CA()
    old, new = folder.client("prometheus"), folder.client("prometheus", by=newcomers)
    with serve(folder, tls=MUTUAL) as web:
        context = ssl.create_default_context(cafile=folder.ca_path)
        context.load_cert_chain(old)
        with context.wrap_socket(web.connect(), server_hostname="localhost") as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert until_closed(connection).endswith(b"ok")
            session = connection.session

        folder.replace("clients.pem", newcomers.cert_pem.bytes())
        web.check()

        assert "ok" == web.get(cert=new).text
        assert web.refuses(cert=old)
        raw = context.wrap_socket(
            web.connect(), server_hostname="localhost", do_handshake_on_connect=False, session=session
        )
        with raw, contextlib.suppress(OSError):
            raw.do_handshake()
            raw.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert b"" == until_closed(raw)
        assert 2 == len(web.asked)


def test_expiry(folder: Folder) -> None:
    """The expiry of a file is the first of its certificates, also of client authorities."""
    soon = datetime.datetime(2031, 4, 5, 6, 7, 8, tzinfo=datetime.UTC)
    folder.renew(soon)
    own = folder.path.joinpath("server.crt").read_bytes()
    folder.replace("server.crt", own + folder.clients.cert_pem.bytes())
    (authority,) = x509.load_pem_x509_certificates(folder.clients.cert_pem.bytes())
    folder.write(tls=MUTUAL)
    context = read(folder.file).config.tls

    assert context is not None
    assert {
        "cert_file": soon.timestamp(),
        "client_ca_file": authority.not_valid_after_utc.timestamp(),
    } == dict(context.expiry)


def test_certificate_name_and_password(folder: Folder) -> None:
    """Certificate, name and password can be required together."""
    cert = folder.client("prometheus")
    tls = {**MUTUAL, "client_allowed_sans": ["prometheus"]}
    with serve(folder, tls=tls, basic_auth_users={"prometheus": hashed()}) as web:
        assert [200, 401] == [web.get(cert=cert, auth=auth).status_code for auth in (GOOD, None)]
        assert web.refuses(auth=GOOD)
