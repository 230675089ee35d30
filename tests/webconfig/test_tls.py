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
from tests.webserver import GOOD, PATIENCE, WebServer, read_to_end, serve

SHORT = 0.5
"""Replaces the timeouts of the server."""
IF_GIVEN = {**MUTUAL, "client_auth_type": "VerifyClientCertIfGiven"}
CLOSE = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""Start of a client hello."""


def with_uri(folder: Folder, uri: str) -> str:
    """Return the path of a client certificate whose only name is a URI."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.load_pem_x509_certificate(folder.clients.cert_pem.bytes())
    signer = serialization.load_pem_private_key(folder.clients.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    dates = authority.not_valid_before_utc, authority.not_valid_after_utc
    number = x509.random_serial_number()
    builder = x509.CertificateBuilder(authority.subject, x509.Name([]), key.public_key(), number, *dates)
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    signed = builder.add_extension(names, True).add_extension(issuer, False).sign(signer, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder.path / "uri.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + signed.public_bytes(pem)
    )
    return str(path)


# Client certificates


def test_server_certificate(folder: Folder) -> None:
    """Without client certificates every client is accepted, over HTTP/1.1."""
    with serve(folder, tls={}) as web:
        client = web.client()
        client.set_alpn_protocols(["h2", "http/1.1"])
        with web.handshake(client) as connection:
            assert "http/1.1" == connection.selected_alpn_protocol()

        assert "ok" == web.get().text
        with pytest.raises(requests.exceptions.SSLError):
            web.get(verify=True)


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/-/ready"])
def test_required_certificates(folder: Folder, path: str) -> None:
    """Required certificates protect every route; the authority of the server is not trusted for clients."""
    good = folder.client("prometheus")
    wrong = [None, *(folder.client("prometheus", by=by) for by in (trustme.CA(), folder.authority))]
    with serve(folder, tls=MUTUAL) as web:
        assert "ok" == web.get(path, cert=good).text
        assert [True] * 3 == [web.refuses(path=path, cert=cert) for cert in wrong]
        assert [path] == web.asked


def test_optional_certificates(folder: Folder) -> None:
    """An optional certificate can be absent, but not invalid."""
    good, wrong = folder.client("prometheus"), folder.client("prometheus", by=trustme.CA())
    with serve(folder, tls=IF_GIVEN) as web:
        assert ["ok", "ok"] == [web.get(cert=cert).text for cert in (None, good)]
        assert web.refuses(cert=wrong)


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


def test_invalid_address() -> None:
    """A name that OpenSSL cannot print is not an address."""
    assert "<invalid>" == tls._address("<invalid>")


def cipher(web: WebServer, version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> str | None:
    """Return the cipher of a handshake of one version, None if the server rejects it."""
    client = web.client()
    client.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = client.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    assert outgoing.read(), "the client does not support it"
    try:
        with web.handshake(client) as connection:
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


@pytest.mark.parametrize(("preferred", "chosen"), [(None, 1), (True, 1), (False, 0), ("no", 0)])
def test_ciphers(folder: Folder, preferred: bool | str | None, chosen: int) -> None:
    """TLS 1.2 uses the suites of the file, by default in its order."""
    names = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
    offered = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384")
    with serve(folder, tls={"cipher_suites": names, "prefer_server_cipher_suites": preferred}) as web:
        assert offered[chosen] == cipher(web, ssl.TLSVersion.TLSv1_2, ":".join(offered))
        assert cipher(web, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305") is None


@pytest.mark.parametrize(("curve", "refused"), [("secp521r1", False), ("prime256v1", True)])
def test_curve(folder: Folder, curve: str, refused: bool) -> None:
    """Clients without the curve of the file are rejected."""
    with serve(folder, tls={"curve_preferences": ["CurveP521"]}) as web:
        client = web.client()
        client.set_ecdh_curve(curve)
        with pytest.raises((ssl.SSLError, ConnectionError)) if refused else contextlib.nullcontext():
            web.handshake(client).close()


# Timeouts


@pytest.fixture
def impatient(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A server with TLS and short timeouts."""
    monkeypatch.setattr(server, "REQUEST_SECONDS", SHORT)
    monkeypatch.setattr(server, "RESPONSE_SECONDS", SHORT)
    with serve(folder, tls={}) as web:
        yield web


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

        assert b"" == read_to_end(connection)


def test_silence_after_the_response(impatient: WebServer) -> None:
    """A client that does not close its side of TLS is disconnected."""
    connection = impatient.handshake()
    connection.sendall(CLOSE)
    assert read_to_end(connection).endswith(b"\r\n\r\nok")

    with socket.socket(fileno=connection.detach()) as plain:
        plain.settimeout(PATIENCE)
        assert b"" == read_to_end(plain)


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\0" * 100, b"", HELLO],
    ids=["plain HTTP", "zeros", "nothing", "half"],
)
def test_invalid_handshakes(impatient: WebServer, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    """Silent and invalid clients are disconnected without a response or a log record; others are served."""
    caplog.set_level(logging.WARNING)
    with impatient.connect() as connection:
        connection.sendall(sent)
        assert b"HTTP" not in read_to_end(connection)

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
        client = web.client()
        client.load_cert_chain(old)
        with web.handshake(client) as connection:
            connection.sendall(CLOSE)
            assert read_to_end(connection).endswith(b"ok")
            session = connection.session

        folder.replace("clients.pem", newcomers.cert_pem.bytes())
        web.check()

        assert "ok" == web.get(cert=new).text
        assert web.refuses(cert=old)
        raw = web.handshake(client, do_handshake_on_connect=False, session=session)
        with raw, contextlib.suppress(OSError):
            raw.do_handshake()
            raw.sendall(CLOSE)
            assert b"" == read_to_end(raw)
        assert 2 == len(web.asked)


def test_expiry(folder: Folder) -> None:
    """The expiry of a file is the first of its certificates, also of client authorities."""
    soon = datetime.datetime(2031, 4, 5, 6, 7, 8, tzinfo=datetime.UTC)
    folder.renew(soon)
    clients = folder.clients.cert_pem.bytes()
    folder.replace("server.crt", (folder.path / "server.crt").read_bytes() + clients)
    authority = x509.load_pem_x509_certificate(clients)
    folder.write(tls=MUTUAL)
    context = read(folder.file).config.tls
    expected = {"cert_file": soon, "client_ca_file": authority.not_valid_after_utc}

    assert context is not None
    assert {name: date.timestamp() for name, date in expected.items()} == dict(context.expiry)


def test_certificate_name_and_password(folder: Folder) -> None:
    """Certificate, name and password can be required together."""
    cert = folder.client("prometheus")
    tls = {**MUTUAL, "client_allowed_sans": ["prometheus"]}
    with serve(folder, tls=tls, basic_auth_users={"prometheus": hashed()}) as web:
        assert [200, 401] == [web.get(cert=cert, auth=auth).status_code for auth in (GOOD, None)]
        assert web.refuses(auth=GOOD)
