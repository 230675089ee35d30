"""The web configuration file: valid content, and all problems at once."""

from __future__ import annotations

import errno
import itertools
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

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
    NOT_VERIFIED,
    SECTIONS,
    TLS_KEYS,
    WebConfig,
    read,
)
from exporter.webconfig.tls import ServerContext, knows_curve
from tests.certificates import MUTUAL, PASSWORD, Folder, hashed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A directory whose certificates no test changes; each test writes its own configuration file."""
    folder = Folder(tmp_path_factory.mktemp("web"))
    key = serialization.load_pem_private_key((folder.path / "server.key").read_bytes(), None)
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    encrypted = key.private_bytes(pem, form, serialization.BestAvailableEncryption(b"password"))
    folder.replace("encrypted.key", encrypted)
    folder.replace("other.key", trustme.CA().issue_cert("x").private_key_pem.bytes())
    folder.replace("junk.pem", b"junk")
    return folder


def config(folder: Folder, **sections: Any) -> WebConfig:
    """Return the content of a valid file."""
    reading = read(folder.write(**sections))
    assert () == reading.problems
    return reading.config


def problems(folder: Folder, **sections: Any) -> tuple[str, ...]:
    """Return the problems of an invalid file."""
    return read(folder.write(**sections)).problems


def problem_of_tls(folder: Folder, **tls: Any) -> str:
    """Return the only problem of a TLS section, without the section's name."""
    (problem,) = problems(folder, tls=tls)
    return problem.removeprefix("tls_server_config.")


def context(folder: Folder, **tls: Any) -> ssl.SSLContext:
    """Return the context of a valid TLS section."""
    made = config(folder, tls=tls).tls
    assert made is not None
    return made


# The file


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "tls_server_config:\n", "null"])
def test_empty_file(tmp_path: Path, text: str) -> None:
    """An empty file is valid, and turns nothing on."""
    path = tmp_path / "web.yml"
    path.write_text(text)

    reading = read(path)

    made = reading.config
    assert ((), None, {}, {}, None) == (reading.problems, made.tls, made.headers, made.users, made.rate_limit)


NAMES_OF_SECTIONS = "tls_server_config, http_server_config, basic_auth_users, rate_limit"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("tls_server_config: text", "tls_server_config must be a mapping."),
        ("basic_auth_users: [a]", "basic_auth_users must be a mapping."),
        ("tls_servr_config: {}", "tls_servr_config is not known: is tls_server_config meant?"),
        ("zzz: {}", f"zzz is not known: there are {NAMES_OF_SECTIONS}."),
        ("http_server_config: {http3: true}", "http_server_config.http3 is not known: is http2 meant?"),
        ("http_server_config: {http2: maybe}", "http_server_config.http2 must be true or false."),
        ("http_server_config: {http2: []}", "http_server_config.http2 must be a string."),
    ],
)
def test_invalid_file(tmp_path: Path, content: str, problem: str) -> None:
    """An unknown key or a wrong type is a problem with its path."""
    path = tmp_path / "web.yml"
    path.write_text(content)

    assert (problem,) == read(path).problems


def test_all_problems_at_once(folder: Folder) -> None:
    """One read returns all problems, in the order of the sections."""
    assert (
        "rate_limits is not known: is rate_limit meant?",
        "tls_server_config.cert_filse is not known: is cert_file meant?",
        "tls_server_config.min_version has 'TLS9', which is not known: is TLS13 meant?",
        "tls_server_config.cipher_suites must be a list of strings.",
        "tls_server_config.cert_file cannot be read: No such file or directory.",
        "tls_server_config.key_file cannot be read: Is a directory.",
        "basic_auth_users.alice is not a bcrypt hash: make one with `htpasswd -nBC 10`.",
        "http_server_config.headers.X-Frame-Options must be deny or sameorigin.",
        "rate_limit.interval must be a duration with a unit, such as 1s, 500ms or 1m30s.",
    ) == problems(
        folder,
        tls={
            "cert_filse": "x",
            "cert_file": "none",
            "key_file": ".",
            "min_version": "TLS9",
            "cipher_suites": "all",
        },
        basic_auth_users={"alice": "plain text"},
        http_server_config={"headers": {"X-Frame-Options": "allow"}},
        rate_limit={"interval": 1, "burst": 5},
        rate_limits={},
    )


def test_problems_beside_a_missing_key(folder: Folder) -> None:
    """A missing key does not hide other problems."""
    assert (
        "tls_server_config.key_file is missing, and so is key: TLS needs one of them.",
        "tls_server_config.cert_file cannot be read: No such file or directory.",
        "tls_server_config.client_ca_file cannot be read: No such file or directory.",
    ) == problems(folder, tls={**MUTUAL, "key_file": None, "cert_file": "none", "client_ca_file": "none"})


def test_problems_show_no_secret(folder: Folder) -> None:
    """No problem and no repr contains a hash, key or password."""
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
    assert "(hidden name)" in text


NAMES = ["", *SECTIONS, *TLS_KEYS, "http2", "headers", *HEADERS, "interval", "burst", "alice"]
WORDS = [*CLIENT_AUTH, *CIPHERS, "TLS12", "TLS13", "server.crt", "server.key", "1s", "deny", "."]
TEXTS = st.text(max_size=20) | st.sampled_from(WORDS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=12,
)


@hypothesis.given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
@hypothesis.settings(deadline=None, max_examples=100, database=None)
def test_any_content(folder: Folder, content: Mapping[str, Any]) -> None:
    """Any content is a configuration or a list of problems, never an exception."""
    path = folder.path / "any.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")

    reading = read(path)

    assert all(isinstance(problem, str) and problem.endswith((".", "?")) for problem in reading.problems)


# TLS

INLINE = {"cert": "server.crt", "key": "server.key", "client_ca": "clients.pem"}
OPTIONAL = {**MUTUAL, "client_auth_type": "VerifyClientCertIfGiven"}


def test_absolute_paths(folder: Folder, tmp_path: Path) -> None:
    """Absolute paths are used as they are."""
    tls = {"cert_file": str(folder.path / "server.crt"), "key_file": str(folder.path / "server.key")}
    (tmp_path / "web.yml").write_text(yaml.safe_dump({"tls_server_config": tls}))

    assert () == read(tmp_path / "web.yml").problems


def test_inline_tls(folder: Folder) -> None:
    """Certificate, key and authorities can be inline, and no file is written for them."""
    tls = {name: (folder.path / file).read_text() for name, file in INLINE.items()}
    path = folder.write(tls_server_config={**tls, "client_auth_type": "VerifyClientCertIfGiven"})
    before = set(folder.path.iterdir())

    reading = read(path)

    assert () == reading.problems
    assert reading.config.tls is not None
    assert 1 == len(reading.config.tls.get_ca_certs())
    assert (before, [path]) == (set(folder.path.iterdir()), list(reading.stamps))


def test_certificate_removed_while_it_is_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is removed between two reads is a problem, not an exception."""
    contents = [(folder.path / name).read_bytes() for name in ("server.crt", "server.key")]
    removed = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    monkeypatch.setattr(tls_module, "read_file", Mock(side_effect=[*contents, *[removed] * 9]))

    assert "cert_file cannot be read: No such file or directory." == problem_of_tls(folder)


def test_inline_needs_memfd(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `memfd_create`, inline keys are a problem: they are never written to disk."""
    monkeypatch.delattr(os, "memfd_create")
    tls = {"key_file": "", "key": (folder.path / "server.key").read_text()}

    assert "key cannot be inline on this system: use a file." == problem_of_tls(folder, **tls)


UNVERIFIED = "does not verify certificates, which is not supported: use"


@pytest.mark.parametrize(
    ("tls", "problem"),
    [
        ({"cert_file": ""}, "cert_file is missing, and so is cert: TLS needs one of them."),
        ({"key_file": ""}, "key_file is missing, and so is key: TLS needs one of them."),
        ({"cert": "x"}, "cert and cert_file are both set: keep one of them."),
        ({"key": "x"}, "key and key_file are both set: keep one of them."),
        ({"cert_file": ["x"]}, "cert_file must be a string."),
        ({"client_auth_type": ["x"]}, "client_auth_type must be a string."),
        ({"cert_file": "none"}, "cert_file cannot be read: No such file or directory."),
        ({"cert_file": "a\0b"}, "cert_file is not a valid path."),
        ({"cert_file": "junk.pem"}, "cert_file contains no certificate in PEM."),
        ({"cert_file": "server.key"}, "cert_file contains no certificate in PEM."),
        ({"key_file": "none"}, "key_file cannot be read: No such file or directory."),
        ({"key_file": "server.crt/x"}, "key_file cannot be read: Not a directory."),
        ({"key_file": "junk.pem"}, "key_file contains no private key in PEM."),
        ({"key_file": "other.key"}, "key_file does not belong to the certificate in tls_server_config.cert"),
        ({"key_file": "encrypted.key"}, "key_file is encrypted, which is not supported: "),
        ({"client_ca_file": "clients.pem"}, "client_auth_type does not use tls_server_config.client_ca_file"),
        ({**MUTUAL, "client_auth_type": "NoClientCert"}, "client_auth_type does not use tls_server_config.c"),
        ({**MUTUAL, "client_ca_file": "none"}, "client_ca_file cannot be read: No such file or directory."),
        ({**MUTUAL, "client_ca_file": "junk.pem"}, "client_ca_file contains no certificate in PEM."),
        *[
            ({"client_auth_type": a}, f"client_auth_type {a} {UNVERIFIED} {b}.")
            for a, b in NOT_VERIFIED.items()
        ],
        ({"client_auth_type": "require"}, "client_auth_type has 'require', which is not known: there are "),
        ({"client_allowed_sans": ["x"]}, "client_allowed_sans needs client_auth_type: RequireAndVerify"),
        ({**OPTIONAL, "client_allowed_sans": ["x"]}, "client_allowed_sans needs client_auth_type: Require"),
        ({**MUTUAL, "client_allowed_sans": "x"}, "client_allowed_sans must be a list of strings."),
        ({**MUTUAL, "client_allowed_sans": [""]}, "client_allowed_sans must be a list of strings."),
        ({"min_version": "TLS10"}, "min_version is a version that OpenSSL no longer supports: use TLS12."),
        ({"max_version": "TLS11"}, "max_version is a version that OpenSSL no longer supports: use TLS12."),
        ({"min_version": "SSL3"}, "min_version has 'SSL3', which is not known: there are TLS12, TLS13."),
        ({"min_version": "TLS13", "max_version": "TLS12"}, "min_version is above max_version."),
        ({"cipher_suites": ["RC4"]}, "cipher_suites has 'RC4', which is not known."),
        ({"cipher_suites": ["TLS_AES_128_GCM_SHA256"]}, "cipher_suites has no TLS 1.2 suite: add one, or "),
        ({"prefer_server_cipher_suites": "x"}, "prefer_server_cipher_suites must be true or false."),
        ({"curve_preferences": ["CurveP257"]}, "curve_preferences has 'CurveP257', which is not known: is "),
        ({"curve_preferences": ["CurveP256", "X25519"]}, "curve_preferences must have one curve only: "),
    ],
)
def test_invalid_tls(folder: Folder, tls: Mapping[str, Any], problem: str) -> None:
    """One mistake in the TLS section is one problem that names the key."""
    assert problem_of_tls(folder, **tls).startswith(problem)


def test_weak_certificate(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other errors of OpenSSL are problems in its own words."""
    error = ssl.SSLError(1, "[SSL: EE_KEY_TOO_SMALL] ee key too small (_ssl.c:1)")
    error.reason = "EE_KEY_TOO_SMALL"
    monkeypatch.setattr(ServerContext, "load_cert_chain", Mock(side_effect=error))

    expected = "cert_file and tls_server_config.key_file cannot be used: ee key too small."
    assert expected == problem_of_tls(folder)


@pytest.mark.parametrize(
    ("tls", "mode", "authorities"),
    [({}, ssl.CERT_NONE, 0), (OPTIONAL, ssl.CERT_OPTIONAL, 1), (MUTUAL, ssl.CERT_REQUIRED, 1)],
)
def test_client_auth(folder: Folder, tls: Mapping[str, str], mode: ssl.VerifyMode, authorities: int) -> None:
    """No certificate is requested by default; verifying policies trust the authorities of the file only."""
    made = context(folder, **tls)

    assert (mode, authorities) == (made.verify_mode, len(made.get_ca_certs()))


def test_client_auth_without_authority(folder: Folder) -> None:
    """Without authorities in the file those of the system are used, as in Go, with a warning."""
    made = config(folder, tls={"client_auth_type": "RequireAndVerifyClientCert"})

    assert (
        "client_auth_type without client_ca_file: every certificate is accepted that an authority trusted "
        "by the system has issued.",
    ) == made.warnings


def test_ciphers(folder: Folder) -> None:
    """All suites of the toolkit are supported, in the file's order; those of TLS 1.3 are always enabled."""
    listed = [name for name, own in sorted(CIPHERS.items(), reverse=True) if own]
    made = context(folder, cipher_suites=[*listed, "TLS_AES_128_GCM_SHA256"])

    assert [CIPHERS[name] for name in listed] == [
        cipher["name"] for cipher in made.get_ciphers() if cipher["protocol"] != "TLSv1.3"
    ]


@pytest.mark.parametrize("curve", ["CurveP256", "CurveP384", "CurveP521", "X25519"])
def test_curve(folder: Folder, curve: str) -> None:
    """Each curve of the toolkit is valid, or a problem if this Python does not support it."""
    if curve.startswith("CurveP") or knows_curve(curve):
        assert context(folder, curve_preferences=[curve])
    else:
        assert problem_of_tls(folder, curve_preferences=[curve]).startswith("curve_preferences X25519 is ")


def test_unsupported_curve(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A curve that an older Python does not support is a problem."""
    monkeypatch.setattr(webconfig, "knows_curve", lambda name: False)

    assert "curve_preferences X25519 is unknown to this Python: use CurveP256." == problem_of_tls(
        folder, curve_preferences=["X25519"]
    )


# Users


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_users(folder: Folder, prefix: str) -> None:
    """All three prefixes of bcrypt are valid; without TLS there is a warning."""
    made = config(folder, basic_auth_users={"alice": hashed(prefix=prefix)})

    assert ["alice"] == list(made.users)
    assert ("basic_auth_users without tls_server_config: passwords travel unencrypted.",) == made.warnings
    assert () == config(folder, tls={}, basic_auth_users={"alice": hashed()}).warnings


GOOD_HASH = hashed()


@pytest.mark.parametrize(
    "text",
    [
        *("", None, 7, ["x"], PASSWORD),
        *(GOOD_HASH[:-1], f"{GOOD_HASH}a", f" {GOOD_HASH}", f"{GOOD_HASH}\n"),
        GOOD_HASH.replace("$2b$", "$2x$"),
        GOOD_HASH.replace("$04$", "$03$"),
        GOOD_HASH.replace("$04$", "$32$"),
        f"{GOOD_HASH[:28]}/{GOOD_HASH[29:]}",
        f"{GOOD_HASH[:-1]}!",
    ],
    # The hash differs in each process.
    ids=itertools.count(),
)
def test_invalid_hash(folder: Folder, text: object) -> None:
    """Anything but a bcrypt hash is a problem with the user's name."""
    assert ("basic_auth_users.alice is not a bcrypt hash: make one with `htpasswd -nBC 10`.",) == problems(
        folder, basic_auth_users={"alice": text}
    )


def test_costs(folder: Folder) -> None:
    """Every cost up to the limit is valid, without a comparison at that cost."""
    costs = range(4, MAX_COST + 1)
    hashes = {f"u{cost}": GOOD_HASH.replace("$04$", f"${cost:02}$") for cost in costs}

    assert hashes == {
        user: secret.reveal() for user, secret in config(folder, basic_auth_users=hashes).users.items()
    }


@pytest.mark.parametrize("cost", [15, 19, 20, 31])
def test_high_cost(folder: Folder, cost: int) -> None:
    """A higher cost is a problem with the user's name and the limit."""
    text = GOOD_HASH.replace("$04$", f"${cost}$")

    assert (
        f"basic_auth_users.alice has the bcrypt cost {cost}, above 14: a comparison would take seconds. "
        "Make a new hash with `htpasswd -nBC 10`.",
    ) == problems(folder, basic_auth_users={"alice": text})


@pytest.mark.parametrize("user", ["", "a:b"])
def test_invalid_user(folder: Folder, user: str) -> None:
    """A user name that no client can send is a problem."""
    (problem,) = problems(folder, basic_auth_users={user: GOOD_HASH})

    assert problem.endswith(" is not a valid user name: it is empty or has a colon.")


# Headers


def test_headers(folder: Folder) -> None:
    """The toolkit's headers are valid; a number is a string, and an empty value is ignored."""
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
        ("Content-Security-Policy", ["x"], "Content-Security-Policy must be a string."),
    ],
)
def test_invalid_header(folder: Folder, name: str, text: Any, problem: str) -> None:
    """Other headers and other values are problems."""
    (sentence,) = problems(folder, http_server_config={"headers": {name: text}})

    assert sentence.startswith(f"http_server_config.headers.{problem}")


# Rate limit


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [
        *[("1s", 1.0), ("500ms", 0.5), ("1m30s", 90.0), ("1.5h", 5400.0), (".5s", 0.5), ("+2s", 2.0)],
        *[("250us", 250e-6), ("250µs", 250e-6), ("5ns", 5e-9)],
    ],
)
def test_rate_limit(folder: Folder, interval: str, seconds: float) -> None:
    """The interval is a Go duration; the largest burst has nine digits."""
    limit = config(folder, rate_limit={"interval": interval, "burst": 10**9 - 1}).rate_limit

    assert limit is not None
    assert 10**9 - 1 == limit.burst
    assert pytest.approx(seconds) == limit.interval


@pytest.mark.parametrize("limit", [{}, {"interval": 0, "burst": 0}, {"interval": "0s"}, {"burst": 5}])
def test_no_rate_limit(folder: Folder, limit: Mapping[str, Any]) -> None:
    """An interval of 0 turns the limit off."""
    assert config(folder, rate_limit=limit).rate_limit is None


@pytest.mark.parametrize("interval", ["1", 1, "-1s", "s", "1 s", "1x", "one second", "1s 1s", "1e3s", []])
def test_invalid_interval(folder: Folder, interval: Any) -> None:
    """Anything else is a problem, also a number without a unit, which is nanoseconds in Go."""
    (problem,) = problems(folder, rate_limit={"interval": interval, "burst": 1})

    assert problem.startswith("rate_limit.interval must be a ")


@pytest.mark.parametrize(
    ("burst", "problem"),
    [
        *[(burst, "must be at least 1.") for burst in (0, None)],
        *[(burst, "must be a whole number of requests.") for burst in (-1, 1.5, "many", 10**9)],
    ],
)
def test_invalid_burst(folder: Folder, burst: Any, problem: str) -> None:
    """A burst below 1, or not a whole number, is a problem."""
    assert (f"rate_limit.burst {problem}",) == problems(folder, rate_limit={"interval": "1s", "burst": burst})


# Changes


@pytest.mark.parametrize("name", ["web.yml", "server.crt", "server.key", "clients.pem"])
def test_outdated(tmp_path: Path, name: str) -> None:
    """A reading is outdated after a change or removal of any of its files."""
    folder = Folder(tmp_path)
    reading = read(folder.write(tls=MUTUAL))
    assert not reading.is_outdated

    folder.replace(name, (tmp_path / name).read_bytes())
    assert reading.is_outdated

    (tmp_path / name).unlink()
    assert reading.is_outdated


def test_outdated_by_a_new_file(tmp_path: Path) -> None:
    """A file that was missing is watched, too."""
    folder = Folder(tmp_path)
    reading = read(folder.write(tls={"cert_file": "later.crt"}))
    assert not reading.is_outdated

    folder.replace("later.crt", b"")

    assert reading.is_outdated
