"""Who gets through a TLS handshake, on real sockets, and what is in force after a file has changed."""

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
from typing import Any

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
from tests.doors import GOOD, PATIENCE, House, house

SHORT = 1.0
"""Seconds that stand for ten, and for thirty."""
IF_GIVEN = {**MUTUAL, "client_auth_type": "VerifyClientCertIfGiven"}
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""How a TLS client begins."""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with new certificates."""
    return Folder(tmp_path)


@contextlib.contextmanager
def opened(folder: Folder, tls: Mapping[str, Any], **sections: Any) -> Iterator[House]:
    """Open the doors with the given TLS section."""
    folder.write(tls=tls, **sections)
    with house(folder) as inside:
        yield inside


def with_uri(folder: Folder, uri: str) -> str:
    """Return the path of a client's certificate whose only name is a URI."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.load_pem_x509_certificate(folder.clients.cert_pem.bytes())
    signer = serialization.load_pem_private_key(folder.clients.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=authority.subject,
        subject_name=x509.Name([]),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(days=1),
        not_valid_after=now + datetime.timedelta(days=1),
    )
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    made = builder.add_extension(names, critical=True).add_extension(issuer, critical=False)
    pem = made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    path = folder.path / "uri.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + pem)
    return str(path)


# Who gets in


def test_tls_alone(folder: Folder) -> None:
    """With a certificate for the server alone everybody gets in, over HTTP/1.1."""
    with opened(folder, {}) as inside:
        context = ssl.create_default_context(cafile=folder.ca_path)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with context.wrap_socket(inside.connect(), server_hostname="localhost") as connection:
            spoken = connection.selected_alpn_protocol()

        assert ("http/1.1", "ok") == (spoken, inside.get().text)
        with pytest.raises(requests.exceptions.SSLError):
            inside.get(verify=True)


def test_texts_serve_as_well(folder: Folder) -> None:
    """A key and a certificate that stand in the file itself serve as those in files."""
    texts = {
        name: (folder.path / f"server.{end}").read_text() for name, end in (("cert", "crt"), ("key", "key"))
    }
    with opened(folder, {**texts, "cert_file": None, "key_file": None}) as inside:
        assert "ok" == inside.get().text


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/-/ready"])
def test_demanded_certificates(folder: Folder, path: str) -> None:
    """Where certificates are demanded, nobody else gets to any route, the health routes included."""
    good, wrong = folder.client("prometheus"), folder.client("prometheus", by=trustme.CA())
    with opened(folder, MUTUAL) as inside:
        assert "ok" == inside.get(path, cert=good).text
        assert [True, True] == [inside.refuses(path=path, cert=cert) for cert in (None, wrong)]
        assert [path] == inside.asked


def test_certificates_if_given(folder: Folder) -> None:
    """Where they are verified if given, none is good enough, and a wrong one is not."""
    good, wrong = folder.client("prometheus"), folder.client("prometheus", by=trustme.CA())
    with opened(folder, IF_GIVEN) as inside:
        assert ["ok", "ok"] == [inside.get(cert=cert).text for cert in (None, good)]
        assert inside.refuses(cert=wrong)


def test_server_certificates_do_not_count(folder: Folder) -> None:
    """The authority of the server's own certificate is not one of the clients."""
    with opened(folder, MUTUAL) as inside:
        assert inside.refuses(cert=folder.client("prometheus", by=folder.authority))


def test_intermediate_authority(folder: Folder) -> None:
    """An intermediate authority in the file is enough, as in Go; others below its root are not trusted."""
    trusted, other = folder.clients.create_child_ca(), folder.clients.create_child_ca()
    folder.replace("clients.pem", trusted.cert_pem.bytes())
    with opened(folder, MUTUAL) as inside:
        assert "ok" == inside.get(cert=folder.client("prometheus", by=trusted)).text
        assert inside.refuses(cert=folder.client("prometheus", by=other))


@pytest.mark.parametrize("name", ["prometheus.example", "192.0.2.7", "2001:db8::7", "ops@example.com"])
def test_allowed_names(folder: Folder, name: str) -> None:
    """A certificate needs one of the names, whatever else is in it; a right authority alone is not enough."""
    good, wrong = folder.client("other.example", name), folder.client("other.example", "192.0.2.8")
    with opened(folder, {**MUTUAL, "client_allowed_sans": ["x", name]}) as inside:
        assert "ok" == inside.get(cert=good).text
        assert [True, True] == [inside.refuses(cert=cert) for cert in (wrong, None)]
        assert ["/"] == inside.asked


def test_allowed_uri(folder: Folder) -> None:
    """A URI counts as a name, too."""
    uri = "spiffe://example.com/prometheus"
    with opened(folder, {**MUTUAL, "client_allowed_sans": [uri]}) as inside:
        assert "ok" == inside.get(cert=with_uri(folder, uri)).text
        assert inside.refuses(cert=with_uri(folder, f"{uri}/other"))


@pytest.mark.parametrize(
    ("text", "written"),
    [("2001:DB8:0:0:0:0:0:7", "2001:db8::7"), ("192.0.2.7", "192.0.2.7"), ("<invalid>", "<invalid>")],
)
def test_addresses_are_compared_as_people_write_them(text: str, written: str) -> None:
    """OpenSSL's spelling of an address becomes the usual one, and what is none stays what it is."""
    assert written == tls._address(text)


# What is spoken


def speaks(inside: House, version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> str | None:
    """Return the cipher of a handshake of exactly this version, None where the server ends it."""
    context = ssl.create_default_context(cafile=inside.folder.ca_path)
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    assert outgoing.read(), "the client cannot even ask for it"
    try:
        with context.wrap_socket(inside.connect(), server_hostname="localhost") as connection:
            used = connection.cipher()
            return used[0] if used else None
    except OSError:
        return None


@pytest.mark.parametrize(
    ("tls", "spoken"),
    [
        ({}, ["TLSv1_2", "TLSv1_3"]),
        ({"min_version": "TLS13"}, ["TLSv1_3"]),
        ({"max_version": "TLS12"}, ["TLSv1_2"]),
    ],
)
def test_versions(folder: Folder, tls: Mapping[str, str], spoken: list[str]) -> None:
    """TLS 1.0 and 1.1 are never spoken, and of the others those that the file allows."""
    with opened(folder, tls) as inside:
        versions = ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3")
        assert spoken == [name for name in versions if speaks(inside, ssl.TLSVersion[name])]


def test_ciphers(folder: Folder) -> None:
    """Of TLS 1.2 only the suites of the file are spoken, and by default in its order."""
    names = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
    small, large = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
    for preferred, first in ((True, large), (False, small)):
        tls = {"cipher_suites": names, "prefer_server_cipher_suites": preferred}
        with opened(folder, tls) as inside:
            assert first == speaks(inside, ssl.TLSVersion.TLSv1_2, f"{small}:{large}")
            assert speaks(inside, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305") is None


def test_curve(folder: Folder) -> None:
    """Clients that do not speak the one curve of the file do not get in."""
    with opened(folder, {"curve_preferences": ["CurveP521"]}) as inside:
        seen = []
        for curve in ("secp521r1", "prime256v1"):
            context = ssl.create_default_context(cafile=folder.ca_path)
            context.set_ecdh_curve(curve)
            try:
                context.wrap_socket(inside.connect(), server_hostname="localhost").close()
                seen.append(curve)
            except OSError:
                pass

        assert ["secp521r1"] == seen


# What strangers do


@pytest.fixture
def hurried(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A server with TLS, and all waits short."""
    for module, name in (
        (server, "REQUEST_SECONDS"),
        (server, "RESPONSE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, SHORT)
    with opened(folder, {}) as inside:
        yield inside


def until_closed(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes or resets."""
    received = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while part := connection.recv(65_536):
            received += part
    return received


@pytest.mark.parametrize("begun", [b"", HELLO], ids=["nothing", "half a hello"])
def test_silence_in_the_handshake(hurried: House, begun: bytes) -> None:
    """Who does not go on with the handshake is closed in time."""
    with hurried.connect() as connection:
        connection.sendall(begun)

        assert b"" == until_closed(connection)


def test_dripping_handshake(hurried: House) -> None:
    """Bytes that drip in do not prolong the time."""
    begun = time.monotonic()
    with hurried.connect() as connection, contextlib.suppress(OSError):
        connection.sendall(HELLO)
        while time.monotonic() - begun < PATIENCE:
            connection.send(b"\0")
            time.sleep(SHORT / 10)

    assert time.monotonic() - begun < PATIENCE


def test_silence_after_the_handshake(hurried: House) -> None:
    """Who has the handshake behind it has to send a request, as without TLS."""
    with hurried.handshake() as connection:
        connection.sendall(b"GET / HT")

        assert b"" == until_closed(connection)


def test_shutdown_that_is_not_answered(hurried: House) -> None:
    """Who takes the answer and does not end its side of TLS is closed in time."""
    connection = hurried.handshake()
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
def test_strangers_do_not_fill_the_log(hurried: House, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    """What is no TLS is closed without a word, on the wire and in the log, and others are served."""
    caplog.set_level(logging.WARNING)
    with hurried.connect() as connection:
        connection.sendall(sent)
        assert b"HTTP" not in until_closed(connection)

    assert "ok" == hurried.get().text
    assert [] == [record.getMessage() for record in caplog.records]


# What changes


def certificate(inside: House) -> bytes | None:
    """Return the certificate that the server shows."""
    with inside.handshake() as connection:
        return connection.getpeercert(binary_form=True)


def test_new_certificate(folder: Folder) -> None:
    """New connections see the new certificate; open ones go on."""
    with opened(folder, {}) as inside, requests.Session() as session:
        session.trust_env, session.verify = False, folder.ca_path
        url = f"https://localhost:{inside.port}/"
        assert "ok" == session.get(url, timeout=PATIENCE).text
        before = certificate(inside)

        folder.renew()
        assert before == certificate(inside)
        inside.look()

        assert before != certificate(inside)
        assert "ok" == session.get(url, timeout=PATIENCE).text


def test_certificate_of_a_new_authority(folder: Folder) -> None:
    """Those who trust the new authority get in, those who trust the old one alone do not."""
    with opened(folder, {}) as inside:
        old = folder.ca_path
        folder.authority = trustme.CA()
        folder.renew()
        inside.look()

        assert "ok" == inside.get().text
        assert inside.refuses(verify=old)


def test_new_authority_of_clients(folder: Folder) -> None:
    """The clients of a new authority get in, those of the old one do not any more, nor by old sessions."""
    newcomers = trustme.CA()
    old, new = folder.client("prometheus"), folder.client("prometheus", by=newcomers)
    with opened(folder, MUTUAL) as inside:
        context = ssl.create_default_context(cafile=folder.ca_path)
        context.load_cert_chain(old)
        with context.wrap_socket(inside.connect(), server_hostname="localhost") as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert until_closed(connection).endswith(b"ok")
            session = connection.session

        folder.replace("clients.pem", newcomers.cert_pem.bytes())
        inside.look()

        assert "ok" == inside.get(cert=new).text
        assert inside.refuses(cert=old)
        raw = context.wrap_socket(
            inside.connect(), server_hostname="localhost", do_handshake_on_connect=False, session=session
        )
        with raw, contextlib.suppress(OSError):
            raw.do_handshake()
            raw.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert b"" == until_closed(raw)
        assert 2 == len(inside.asked)


def test_broken_certificate(folder: Folder) -> None:
    """A certificate that cannot be used leaves the last good one, and is counted once."""
    with opened(folder, {}) as inside:
        before = certificate(inside)
        folder.replace("server.crt", b"junk")
        for _ in range(3):
            inside.look()
            assert before == certificate(inside)

        assert [False] == inside.told


def test_expiry(folder: Folder) -> None:
    """The first certificate of each file that expires counts, the authorities of clients included."""
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


def test_everything_together(folder: Folder) -> None:
    """Certificate, name and password are asked for together."""
    cert = folder.client("prometheus")
    tls = {**MUTUAL, "client_allowed_sans": ["prometheus"]}
    with opened(folder, tls, basic_auth_users={"prometheus": hashed()}) as inside:
        assert [200, 401] == [inside.get(cert=cert, auth=auth).status_code for auth in (GOOD, None)]
        assert inside.refuses(auth=GOOD)
