"""The web configuration file is read as the toolkit's is, and every problem in it is told at once."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
import trustme
import yaml
from cryptography.hazmat.primitives import serialization

from exporter.webconfig import config as webconfig
from exporter.webconfig import tls as tls_module
from exporter.webconfig.config import (
    CIPHERS,
    CLIENT_AUTH,
    HEADERS,
    MAX_COST,
    SECTIONS,
    TLS_KEYS,
    RateLimit,
    WebConfig,
    read,
)
from exporter.webconfig.tls import ServerContext, knows_curve
from tests.certificates import MUTUAL, PASSWORD, Folder, hashed


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder whose certificates no test changes."""
    folder = Folder(tmp_path_factory.mktemp("web"))
    key = folder.path / "server.key"
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    encrypted = loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    folder.replace("encrypted.key", encrypted)
    folder.replace("other.key", trustme.CA().issue_cert("x").private_key_pem.bytes())
    folder.replace("junk.pem", b"junk")
    return folder


@pytest.fixture
def folder(shared: Folder, tmp_path: Path) -> Folder:
    """The same certificates, with a file of the test's own."""
    for source in shared.path.iterdir():
        (tmp_path / source.name).symlink_to(source)
    own = object.__new__(Folder)
    own.path, own.authority, own.clients = tmp_path, shared.authority, shared.clients
    return own


def config(folder: Folder, **sections: Any) -> WebConfig:
    """Return what a good file says."""
    reading = read(folder.write(**sections))
    assert () == reading.problems
    return reading.config


def problems(folder: Folder, **sections: Any) -> tuple[str, ...]:
    """Return what is wrong with a bad file."""
    return read(folder.write(**sections)).problems


def problem_of_tls(folder: Folder, **tls: Any) -> str:
    """Return the only problem of a TLS section, without the name of the section."""
    (problem,) = problems(folder, tls=tls)
    return problem.removeprefix("tls_server_config.")


def context(folder: Folder, **tls: Any) -> ssl.SSLContext:
    """Return the context of a good TLS section."""
    made = config(folder, tls=tls).tls
    assert made is not None
    return made


# The file


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "tls_server_config:\n", "null"])
def test_nothing_asked_for(tmp_path: Path, text: str) -> None:
    """A file that asks for nothing is a good one."""
    path = tmp_path / "web.yml"
    path.write_text(text)

    reading = read(path)

    assert ((), None, {}, {}, None) == (
        reading.problems,
        reading.config.tls,
        reading.config.headers,
        reading.config.users,
        reading.config.rate_limit,
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"basic_auth_users:\n  a: 1\n  a: 2", "line 3: a key that is no text, or is there twice."),
        (b"tls_server_config: text", "tls_server_config must be a mapping."),
        (b"basic_auth_users: [a]", "basic_auth_users must be a mapping."),
        (b"tls_servr_config: {}", "tls_servr_config is not known: is tls_server_config meant?"),
        (
            b"zzz: {}",
            "zzz is not known: there are tls_server_config, http_server_config, basic_auth_users, "
            "rate_limit.",
        ),
        (b"http_server_config: {http3: true}", "http_server_config.http3 is not known: is http2 meant?"),
        (b"http_server_config: {http2: maybe}", "http_server_config.http2 must be true or false."),
        (b"http_server_config: {http2: []}", "http_server_config.http2 must be a text."),
    ],
)
def test_file_that_cannot_be(tmp_path: Path, content: bytes, problem: str) -> None:
    """What is not of the file's shape is told with its place."""
    path = tmp_path / "web.yml"
    path.write_bytes(content)

    assert (problem,) == read(path).problems


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is told with the system's reason."""
    assert ("the file cannot be read: No such file or directory.",) == read(tmp_path / "none").problems


def test_all_problems_at_once(folder: Folder) -> None:
    """One reading tells everything that is wrong, in the order of the file's sections."""
    assert (
        "rate_limits is not known: is rate_limit meant?",
        "tls_server_config.cert_filse is not known: is cert_file meant?",
        "tls_server_config.min_version has 'TLS9', which is not known: is TLS13 meant?",
        "tls_server_config.client_auth_type RequestClientCert verifies no certificate, which is not "
        "supported: use VerifyClientCertIfGiven.",
        "tls_server_config.cipher_suites must be a list of texts.",
        "tls_server_config.cert_file cannot be read: No such file or directory.",
        "tls_server_config.key_file cannot be read: Is a directory.",
        "tls_server_config.client_ca_file holds no certificate in PEM.",
        "basic_auth_users.alice is no bcrypt hash, such as `htpasswd -nBC 10` makes.",
        "http_server_config.headers.X-Frame-Options must be deny or sameorigin.",
        "rate_limit.interval must be a duration with its unit, such as 1s, 500ms or 1m30s.",
    ) == problems(
        folder,
        tls={
            "cert_filse": "x",
            "cert_file": "none",
            "key_file": ".",
            "client_ca_file": "junk.pem",
            "min_version": "TLS9",
            "client_auth_type": "RequestClientCert",
            "cipher_suites": "all",
        },
        basic_auth_users={"alice": "plain text"},
        http_server_config={"headers": {"X-Frame-Options": "allow"}},
        rate_limit={"interval": 1, "burst": 5},
        rate_limits={},
    )


def test_problems_beside_a_missing_key(folder: Folder) -> None:
    """A key that is missing hides nothing else."""
    assert (
        "tls_server_config.key_file is missing, and so is key: TLS needs one of them.",
        "tls_server_config.cert_file cannot be read: No such file or directory.",
        "tls_server_config.client_ca_file cannot be read: No such file or directory.",
    ) == problems(folder, tls={**MUTUAL, "key_file": None, "cert_file": "none", "client_ca_file": "none"})


def test_problems_show_no_secret(folder: Folder) -> None:
    """Neither hash nor key nor password is in a problem, nor in what the values show of themselves."""
    secret, key = hashed(), (folder.path / "server.key").read_text()
    sections: Mapping[str, Any] = {
        "tls": {"key_file": key, "cert": key, "client_ca": key, secret: "x"},
        "basic_auth_users": {"a": secret[:-1], "b": f"x{secret}", "c": "plain-password", secret: secret},
        secret: secret,
    }
    text = "".join(problems(folder, **sections))
    good = repr(read(folder.write(basic_auth_users={"a": secret})))

    body = "".join(key.splitlines()[1:-1])
    for shown in (text, good):
        assert [] == [part for part in (secret, body[:40], "plain-password", secret[7:29]) if part in shown]
    assert "(a name that is not shown)" in text


NAMES = ["", *SECTIONS, *TLS_KEYS, "http2", "headers", *HEADERS, "interval", "burst", "alice"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        [*CLIENT_AUTH, *CIPHERS, "TLS12", "TLS13", "server.crt", "server.key", "1s", "deny", "."]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner)),
    max_leaves=12,
)


@hypothesis.given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
@hypothesis.settings(deadline=None, max_examples=200, database=None)
def test_any_content(shared: Folder, content: Mapping[str, Any]) -> None:
    """Whatever stands under whatever key, reading it is an answer: a configuration or sentences, no error."""
    path = shared.path / "any.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")

    reading = read(path)

    assert all(isinstance(problem, str) and problem.endswith((".", "?")) for problem in reading.problems)


# TLS


def test_tls_by_files(folder: Folder) -> None:
    """Names are relative to the file's folder; TLS 1.2 is the least, and HTTP/1.1 what is spoken."""
    made = context(folder)

    assert (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, ssl.CERT_NONE) == (
        made.minimum_version,
        made.maximum_version,
        made.verify_mode,
    )


def test_absolute_names(folder: Folder, tmp_path: Path) -> None:
    """Absolute names are taken as they are."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    tls = {
        name: str(folder.path / file)
        for name, file in (("cert_file", "server.crt"), ("key_file", "server.key"))
    }
    (elsewhere / "web.yml").write_text(yaml.safe_dump({"tls_server_config": tls}))

    assert () == read(elsewhere / "web.yml").problems


def test_tls_by_texts(folder: Folder) -> None:
    """Certificate, key and authorities may stand in the file itself, and no file is written for that."""
    texts = {name: (folder.path / file).read_text() for name, file in INLINE.items()}
    path = folder.file
    path.write_text(
        yaml.safe_dump({"tls_server_config": {**texts, "client_auth_type": "VerifyClientCertIfGiven"}})
    )
    before = set(folder.path.iterdir())

    reading = read(path)

    assert () == reading.problems
    assert reading.config.tls is not None
    assert 1 == len(reading.config.tls.get_ca_certs())
    assert before == set(folder.path.iterdir())
    assert [path] == list(reading.stamps)


def test_certificate_that_vanishes_while_it_is_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is exchanged at the worst moment is a problem like any other, and no exception."""
    contents = [(folder.path / name).read_bytes() for name in ("server.crt", "server.key")]

    def vanish(path: Path) -> bytes:
        if contents:
            return contents.pop(0)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(tls_module, "read_file", vanish)

    assert "cert_file cannot be read: No such file or directory." == problem_of_tls(folder)


INLINE = {"cert": "server.crt", "key": "server.key", "client_ca": "clients.pem"}


def test_texts_need_memory_files(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no files in memory, texts are refused by name: a key is written to no disk."""
    monkeypatch.delattr(os, "memfd_create")
    tls = {"key_file": "", "key": (folder.path / "server.key").read_text()}

    assert "key cannot be given inline on this system: put it into a file." == problem_of_tls(folder, **tls)


@pytest.mark.parametrize(
    ("tls", "problem"),
    [
        ({"cert_file": ""}, "cert_file is missing, and so is cert: TLS needs one of them."),
        ({"key_file": ""}, "key_file is missing, and so is key: TLS needs one of them."),
        ({"cert": "x"}, "cert and cert_file are both set: keep one of them."),
        ({"key": "x"}, "key and key_file are both set: keep one of them."),
        ({"cert_file": ["x"]}, "cert_file must be a text."),
        ({"client_auth_type": ["x"]}, "client_auth_type must be a text."),
        ({"cert_file": "none"}, "cert_file cannot be read: No such file or directory."),
        ({"cert_file": "a\0b"}, "cert_file is no path."),
        ({"cert_file": "junk.pem"}, "cert_file holds no certificate in PEM."),
        ({"cert_file": "server.key"}, "cert_file holds no certificate in PEM."),
        ({"key_file": "none"}, "key_file cannot be read: No such file or directory."),
        ({"key_file": "server.crt/x"}, "key_file cannot be read: Not a directory."),
        ({"key_file": "junk.pem"}, "key_file holds no private key in PEM."),
        (
            {"key_file": "other.key"},
            "key_file does not belong to the certificate in tls_server_config.cert_file.",
        ),
        (
            {"key_file": "encrypted.key"},
            "key_file is encrypted: nobody can type its password; store it without one.",
        ),
        (
            {"client_ca_file": "clients.pem"},
            "client_auth_type does not use tls_server_config.client_ca_file: set RequireAndVerifyClientCert, "
            "or take the CA out.",
        ),
        (
            {**MUTUAL, "client_auth_type": "NoClientCert"},
            "client_auth_type does not use tls_server_config.client_ca_file: set RequireAndVerifyClientCert, "
            "or take the CA out.",
        ),
        ({**MUTUAL, "client_ca_file": "none"}, "client_ca_file cannot be read: No such file or directory."),
        ({**MUTUAL, "client_ca_file": "junk.pem"}, "client_ca_file holds no certificate in PEM."),
        (
            {"client_auth_type": "RequestClientCert"},
            "client_auth_type RequestClientCert verifies no certificate, which is not supported: use "
            "VerifyClientCertIfGiven.",
        ),
        (
            {"client_auth_type": "RequireAnyClientCert"},
            "client_auth_type RequireAnyClientCert verifies no certificate, which is not supported: use "
            "RequireAndVerifyClientCert.",
        ),
        (
            {"client_auth_type": "RequireClientCert"},
            "client_auth_type RequireClientCert verifies no certificate, which is not supported: use "
            "RequireAndVerifyClientCert.",
        ),
        (
            {"client_auth_type": "require"},
            "client_auth_type has 'require', which is not known: there are NoClientCert, "
            "VerifyClientCertIfGiven, RequireAndVerifyClientCert.",
        ),
        (
            {"client_allowed_sans": ["x"]},
            "client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert.",
        ),
        (
            {**MUTUAL, "client_auth_type": "VerifyClientCertIfGiven", "client_allowed_sans": ["x"]},
            "client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert.",
        ),
        ({**MUTUAL, "client_allowed_sans": "x"}, "client_allowed_sans must be a list of texts."),
        ({**MUTUAL, "client_allowed_sans": [""]}, "client_allowed_sans must be a list of texts."),
        (
            {"min_version": "TLS10"},
            "min_version cannot be that old, OpenSSL does not speak it any more: use TLS12.",
        ),
        (
            {"max_version": "TLS11"},
            "max_version cannot be that old, OpenSSL does not speak it any more: use TLS12.",
        ),
        ({"min_version": "SSL3"}, "min_version has 'SSL3', which is not known: there are TLS12, TLS13."),
        ({"min_version": "TLS13", "max_version": "TLS12"}, "min_version is above max_version."),
        (
            {"cipher_suites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA2048"]},
            "cipher_suites has 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA2048', which is not known: is "
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 meant?",
        ),
        ({"cipher_suites": ["RC4"]}, "cipher_suites has 'RC4', which is not known."),
        (
            {"cipher_suites": ["TLS_AES_128_GCM_SHA256"]},
            "cipher_suites has none of TLS 1.2: add one, or set min_version: TLS13.",
        ),
        ({"prefer_server_cipher_suites": "x"}, "prefer_server_cipher_suites must be true or false."),
        (
            {"curve_preferences": ["CurveP257"]},
            "curve_preferences has 'CurveP257', which is not known: is CurveP256 meant?",
        ),
        (
            {"curve_preferences": ["CurveP256", "X25519"]},
            "curve_preferences can be one curve only: keep the one you prefer.",
        ),
    ],
)
def test_tls_that_cannot_be(folder: Folder, tls: Mapping[str, Any], problem: str) -> None:
    """One defect of the TLS section is one problem, which names the key."""
    assert problem == problem_of_tls(folder, **tls)


def test_weak_certificate(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What OpenSSL refuses for any other reason is told in OpenSSL's words."""

    def refuse(*arguments: object) -> None:
        error = ssl.SSLError(1, "[SSL: EE_KEY_TOO_SMALL] ee key too small (_ssl.c:1)")
        error.reason = "EE_KEY_TOO_SMALL"
        raise error

    monkeypatch.setattr(ServerContext, "load_cert_chain", refuse)

    assert "cert_file and tls_server_config.key_file cannot be used: ee key too small." == problem_of_tls(
        folder
    )


@pytest.mark.parametrize(
    ("policy", "mode"),
    [
        ("VerifyClientCertIfGiven", ssl.CERT_OPTIONAL),
        ("RequireAndVerifyClientCert", ssl.CERT_REQUIRED),
    ],
)
def test_client_auth(folder: Folder, policy: str, mode: ssl.VerifyMode) -> None:
    """The policies that verify are OpenSSL's, with the authorities of the file and no other."""
    made = context(folder, client_ca_file="clients.pem", client_auth_type=policy)

    assert (mode, 1) == (made.verify_mode, len(made.get_ca_certs()))


def test_client_auth_without_authority(folder: Folder) -> None:
    """Without authorities of its own the file means those of the system, as in Go: that is warned about."""
    made = config(folder, tls={"client_auth_type": "RequireAndVerifyClientCert"})

    assert (
        "client_auth_type without client_ca_file: a certificate of every authority that the system trusts "
        "will do.",
    ) == made.warnings


def test_versions(folder: Folder) -> None:
    """Both versions can be asked for alone."""
    for name, version in (("TLS12", ssl.TLSVersion.TLSv1_2), ("TLS13", ssl.TLSVersion.TLSv1_3)):
        made = context(folder, min_version=name, max_version=name)
        assert (version, version) == (made.minimum_version, made.maximum_version)


def test_ciphers(folder: Folder) -> None:
    """Every suite of the toolkit is known, in the file's order; those of TLS 1.3 are always on."""
    listed = [name for name, own in sorted(CIPHERS.items(), reverse=True) if own]
    made = context(folder, cipher_suites=[*listed, "TLS_AES_128_GCM_SHA256"])

    assert [CIPHERS[name] for name in listed] == [
        cipher["name"] for cipher in made.get_ciphers() if cipher["protocol"] != "TLSv1.3"
    ]


@pytest.mark.parametrize(
    ("text", "preferred"), [("true", True), ("false", False), ("no", False), (None, True)]
)
def test_preference_of_ciphers(folder: Folder, text: str | None, preferred: bool) -> None:
    """Whose order of suites decides is as the file says."""
    made = context(folder, prefer_server_cipher_suites=text)

    assert preferred is bool(made.options & ssl.OP_CIPHER_SERVER_PREFERENCE)


@pytest.mark.parametrize("curve", ["CurveP256", "CurveP384", "CurveP521", "X25519"])
def test_curve(folder: Folder, curve: str) -> None:
    """Each curve of the toolkit is taken, or refused by name where Python's TLS cannot be bound to it."""
    if curve.startswith("CurveP") or knows_curve(curve):
        assert context(folder, curve_preferences=[curve])
    else:
        assert problem_of_tls(folder, curve_preferences=[curve]).startswith("curve_preferences X25519 is not")


def test_curve_that_python_does_not_know(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A curve that an older Python cannot be bound to is refused by its name."""
    monkeypatch.setattr(webconfig, "knows_curve", lambda name: False)

    assert "curve_preferences X25519 is not known to this Python: use CurveP256." == problem_of_tls(
        folder, curve_preferences=["X25519"]
    )


# Users


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_users(folder: Folder, prefix: str) -> None:
    """Hashes of all three kinds are taken; without TLS there is a warning, since passwords can be seen."""
    made = config(folder, basic_auth_users={"alice": hashed(prefix=prefix)})

    assert ["alice"] == list(made.users)
    assert ("basic_auth_users without tls_server_config: passwords travel unencrypted.",) == made.warnings


def test_users_with_tls(folder: Folder) -> None:
    """With TLS there is nothing to warn about."""
    assert () == config(folder, tls={}, basic_auth_users={"alice": hashed()}).warnings


GOOD_HASH = hashed()


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        7,
        ["x"],
        PASSWORD,
        GOOD_HASH[:-1],
        f"{GOOD_HASH}a",
        f" {GOOD_HASH}",
        f"{GOOD_HASH}\n",
        GOOD_HASH.replace("$2b$", "$2x$"),
        GOOD_HASH.replace("$04$", "$03$"),
        GOOD_HASH.replace("$04$", "$32$"),
        f"{GOOD_HASH[:28]}/{GOOD_HASH[29:]}",
        f"{GOOD_HASH[:-1]}!",
    ],
    ids=range(14),
)
def test_hash_that_cannot_be(folder: Folder, text: object) -> None:
    """What is no bcrypt hash is told with the user's name."""
    assert ("basic_auth_users.alice is no bcrypt hash, such as `htpasswd -nBC 10` makes.",) == problems(
        folder, basic_auth_users={"alice": text}
    )


def test_costs_that_are_allowed(folder: Folder) -> None:
    """A hash is taken up to the highest cost, without a comparison at that cost."""
    costs = range(4, MAX_COST + 1)
    hashes = {f"u{cost}": GOOD_HASH.replace("$04$", f"${cost:02}$") for cost in costs}

    assert hashes == {
        user: secret.reveal() for user, secret in config(folder, basic_auth_users=hashes).users.items()
    }


@pytest.mark.parametrize("cost", [15, 19, 20, 31])
def test_cost_that_is_too_high(folder: Folder, cost: int) -> None:
    """A hash whose comparison takes seconds or days is refused by the user's name, with the limit."""
    text = GOOD_HASH.replace("$04$", f"${cost}$")

    assert (
        f"basic_auth_users.alice has the bcrypt cost {cost}: one comparison would take seconds or more. "
        "The highest cost is 14; `htpasswd -nBC 10` makes a new hash.",
    ) == problems(folder, basic_auth_users={"alice": text})


@pytest.mark.parametrize("user", ["", "a:b"])
def test_user_that_cannot_be(folder: Folder, user: str) -> None:
    """A name that no client can send is refused."""
    (problem,) = problems(folder, basic_auth_users={user: GOOD_HASH})

    assert problem.endswith(" cannot be sent as a user: it is empty or holds a colon.")


# Headers


def test_headers(folder: Folder) -> None:
    """The toolkit's headers are taken; a number is a text as well, and a blank one is left out."""
    headers = {
        "Content-Security-Policy": "default-src 'self'",
        "Strict-Transport-Security": "max-age=31536000",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "deny",
    }
    made = config(folder, http_server_config={"http2": False, "headers": {**headers, "X-XSS-Protection": 1}})

    assert {**headers, "X-XSS-Protection": "1"} == made.headers
    assert {} == config(folder, http_server_config={"headers": {"X-Frame-Options": ""}}).headers


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("Server", "x", "Server is not known: there are "),
        ("x-frame-options", "deny", "x-frame-options is not known: is X-Frame-Options meant?"),
        ("X-Frame-Options", "DENY", "X-Frame-Options must be deny or sameorigin."),
        ("X-Content-Type-Options", "sniff", "X-Content-Type-Options must be nosniff."),
        ("X-XSS-Protection", "a\r\nb: c", "X-XSS-Protection has characters that are not printable ASCII."),
        ("Content-Security-Policy", "ü", "Content-Security-Policy has characters that are not printable"),
        ("Content-Security-Policy", ["x"], "Content-Security-Policy must be a text."),
    ],
)
def test_header_that_cannot_be(folder: Folder, name: str, text: Any, problem: str) -> None:
    """Other headers and other values are refused."""
    (told,) = problems(folder, http_server_config={"headers": {name: text}})

    assert told.startswith(f"http_server_config.headers.{problem}")


# Rate limit


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [
        ("1s", 1.0),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("+2s", 2.0),
        ("250us", 250e-6),
        ("250µs", 250e-6),
        ("5ns", 5e-9),
    ],
)
def test_rate_limit(folder: Folder, interval: str, seconds: float) -> None:
    """The interval is a duration of Go."""
    limit = config(folder, rate_limit={"interval": interval, "burst": 20}).rate_limit

    assert limit is not None
    assert 20 == limit.burst
    assert pytest.approx(seconds) == limit.interval


@pytest.mark.parametrize("limit", [{}, {"interval": 0, "burst": 0}, {"interval": "0s"}, {"burst": 5}])
def test_no_rate_limit(folder: Folder, limit: Mapping[str, Any]) -> None:
    """An interval of 0 is no limit."""
    assert config(folder, rate_limit=limit).rate_limit is None


@pytest.mark.parametrize("interval", ["1", 1, "-1s", "s", "1 s", "1x", "one second", "1s 1s", "1e3s", []])
def test_interval_that_cannot_be(folder: Folder, interval: Any) -> None:
    """What is no duration is refused; a number alone would be nanoseconds in Go, which nobody means."""
    (problem,) = problems(folder, rate_limit={"interval": interval, "burst": 1})

    assert problem.startswith("rate_limit.interval must be a ")


@pytest.mark.parametrize(
    ("burst", "problem"),
    [
        (0, "lets nobody in: it must be at least 1."),
        (None, "lets nobody in: it must be at least 1."),
        (-1, "must be a whole number of requests."),
        (1.5, "must be a whole number of requests."),
        ("many", "must be a whole number of requests."),
        (10**9, "must be a whole number of requests."),
    ],
)
def test_burst_that_cannot_be(folder: Folder, burst: Any, problem: str) -> None:
    """A burst that lets nobody in, or is no number, is refused."""
    assert (f"rate_limit.burst {problem}",) == problems(folder, rate_limit={"interval": "1s", "burst": burst})


def test_largest_burst(folder: Folder) -> None:
    """Nine digits are enough for everybody."""
    made = config(folder, rate_limit={"interval": "1s", "burst": 10**9 - 1})

    assert RateLimit(1.0, 10**9 - 1) == made.rate_limit


# Changes


@pytest.mark.parametrize("name", ["web.yml", "server.crt", "server.key", "clients.pem"])
def test_change_is_seen(tmp_path: Path, name: str) -> None:
    """A reading is outdated when the file, or one that it names, is another one or gone."""
    folder = Folder(tmp_path)
    reading = read(folder.write(tls=MUTUAL))
    assert not reading.is_outdated

    folder.replace(name, (tmp_path / name).read_bytes())
    assert reading.is_outdated

    (tmp_path / name).unlink()
    assert reading.is_outdated


def test_missing_file_that_appears(tmp_path: Path) -> None:
    """A file that a bad reading missed is watched, too."""
    folder = Folder(tmp_path)
    reading = read(folder.write(tls={"cert_file": "later.crt"}))
    assert not reading.is_outdated

    folder.replace("later.crt", b"")

    assert reading.is_outdated
