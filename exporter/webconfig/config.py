"""Reads the web configuration file: TLS, authentication, rate limit and response headers.

The format is that of Prometheus' exporter toolkit (its docs/web-configuration.md). An unsupported setting is
a problem: to ignore it would be less safe.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import bcrypt

from exporter.errors import SettingsError
from exporter.files.document import Section, Tree, parse
from exporter.files.problems import Problems
from exporter.files.read import Stamp, stamp
from exporter.files.secret import Secret
from exporter.webconfig.tls import Pem, ServerContext, TlsSettings, knows_curve, make_context

SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
TLS_KEYS = (
    *("cert", "key", "client_ca", "cert_file", "key_file", "client_auth_type", "client_ca_file"),
    *("client_allowed_sans", "min_version", "max_version", "cipher_suites", "prefer_server_cipher_suites"),
    "curve_preferences",
)
CLIENT_AUTH: Mapping[str, ssl.VerifyMode] = MappingProxyType(
    {
        "NoClientCert": ssl.CERT_NONE,
        "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
        "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
    }
)
NOT_VERIFIED: Mapping[str, str] = MappingProxyType(
    {
        "RequestClientCert": "VerifyClientCertIfGiven",
        "RequireAnyClientCert": "RequireAndVerifyClientCert",
        "RequireClientCert": "RequireAndVerifyClientCert",
    }
)
"""Policies that accept unverified certificates, which Python's `ssl` cannot do, and what to use instead."""
VERSIONS: Mapping[str, ssl.TLSVersion] = MappingProxyType(
    {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
)
CIPHERS: Mapping[str, str | None] = MappingProxyType(
    {
        "TLS_AES_128_GCM_SHA256": None,
        "TLS_AES_256_GCM_SHA384": None,
        "TLS_CHACHA20_POLY1305_SHA256": None,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    }
)
"""OpenSSL's names. The suites of TLS 1.3 are always enabled, as in Go."""
CURVES: Mapping[str, str] = MappingProxyType(
    {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
)
HEADERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Content-Security-Policy": (),
        "Strict-Transport-Security": (),
        "X-Content-Type-Options": ("nosniff",),
        "X-Frame-Options": ("deny", "sameorigin"),
        "X-XSS-Protection": (),
    }
)
"""Headers that can be set, with their valid values; empty: any value."""
HASH = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$([./A-Za-z0-9]{53})")
CHEAPEST = "04"
MAX_COST = 14
"""Highest cost of a bcrypt hash: a comparison takes about a second, and each step doubles it."""
DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
UNITS: Mapping[str, float] = MappingProxyType(
    {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
)
LONGEST_SECONDS = 1e9
"""Close to the limit of Go's durations."""
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `burst` requests at once, and one more every `interval` seconds."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The content of the file; an empty field disables its feature."""

    tls: ServerContext | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    users: Mapping[str, Secret] = field(default_factory=lambda: MappingProxyType({}))
    """bcrypt hashes by user; empty: no authentication."""
    rate_limit: RateLimit | None = None
    warnings: tuple[str, ...] = ()
    """Valid but questionable settings, one sentence each."""


@dataclass(frozen=True, slots=True)
class WebConfigVersion:
    """The result of reading the file once."""

    path: Path
    config: WebConfig
    """Invalid if there are problems."""
    problems: tuple[str, ...]
    """One sentence each, without hashes, keys or paths."""
    stamps: Mapping[Path, Stamp]
    """Of the file and the files that it names, taken before each is read."""

    @property
    def is_outdated(self) -> bool:
        """Whether one of the files has changed since."""
        return any(stamp(path) != before for path, before in self.stamps.items())


def read(path: Path) -> WebConfigVersion:
    """Read the file and the files that it names, relative to its directory."""
    stamps = {path: stamp(path)}
    try:
        tree = parse(path)
    except SettingsError as error:
        return WebConfigVersion(path, WebConfig(), error.problems, MappingProxyType(stamps))
    reader = _Reader(tree, path.parent)
    files = reader.files()
    stamps |= {file: stamp(file) for file in files}
    config = reader.config()
    return WebConfigVersion(path, config, tuple(dict.fromkeys(reader.problems)), MappingProxyType(stamps))


class _Reader:
    """Reads the sections of the file; a value with a problem gets its default."""

    def __init__(self, tree: Tree, directory: Path) -> None:
        self.problems = Problems()
        self._directory = directory
        self._top = Section("", tree, SECTIONS, self.problems)
        self._tls = self._section("tls_server_config", TLS_KEYS)
        self._http = self._section("http_server_config", ("http2", "headers"))
        self._users = self._section("basic_auth_users", None)
        self._rate = self._section("rate_limit", ("interval", "burst"))
        pems = (self._pem(name) for name in ("cert", "key", "client_ca"))
        self._certificate, self._key, self._client_ca = pems

    def files(self) -> list[Path]:
        pems = (self._certificate, self._key, self._client_ca)
        return [pem.source for pem in pems if pem is not None and isinstance(pem.source, Path)]

    def config(self) -> WebConfig:
        # Checked, but without effect: the server supports HTTP/1.1 only.
        self._http.boolean("http2", True)
        tls = self._context() if self._tls.values else None
        users = self._hashes()
        return WebConfig(tls, self._headers(), users, self._rate_limit(), tuple(self._warnings(tls, users)))

    def _warnings(self, tls: ServerContext | None, users: Mapping[str, Secret]) -> Iterator[str]:
        if users and tls is None:
            yield "basic_auth_users without tls_server_config: passwords travel unencrypted."
        if tls is not None and tls.verify_mode is not ssl.CERT_NONE and self._client_ca is None:
            yield (
                "client_auth_type without client_ca_file: every certificate is accepted that an authority "
                "trusted by the system has issued."
            )

    def _section(self, name: str, known: Sequence[str] | None) -> Section:
        return Section(name, self._top.values.get(name), known, self.problems)

    def _pem(self, name: str) -> Pem | None:
        """Return the PEM at a path or inline, but not both."""
        text, path = self._tls.text(name), self._tls.text(f"{name}_file")
        if text and path:
            self._tls.add_problem(name, f"and {name}_file are both set: keep one of them.")
        if path:
            return Pem(self._tls.path(f"{name}_file"), self._directory / path)
        return Pem(self._tls.path(name), Secret(text)) if text else None

    def _context(self) -> ServerContext | None:
        with self.problems.collect():
            return make_context(self._tls_settings())
        return None

    def _tls_settings(self) -> TlsSettings:
        section = self._tls
        for name, pem in (("cert", self._certificate), ("key", self._key)):
            if pem is None and not any(map(section.values.get, (name, f"{name}_file"))):
                section.add_problem(f"{name}_file", f"is missing, and so is {name}: TLS needs one of them.")
        minimum = self._version("min_version", "TLS12")
        maximum = self._version("max_version", "TLS13")
        if minimum > maximum:
            section.add_problem("min_version", "is above max_version.")
        client_auth = self._client_auth()
        allowed_sans = frozenset(section.texts("client_allowed_sans"))
        if allowed_sans and client_auth is not ssl.CERT_REQUIRED:
            section.add_problem("client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert.")
        ciphers = self._ciphers(minimum)
        curve = self._curve()
        prefer_own_ciphers = section.boolean("prefer_server_cipher_suites", True)
        return TlsSettings(
            certificate=self._certificate,
            key=self._key,
            client_ca=self._client_ca,
            client_auth=client_auth,
            allowed_sans=allowed_sans,
            minimum=minimum,
            maximum=maximum,
            ciphers=ciphers,
            prefer_own_ciphers=prefer_own_ciphers,
            curve=curve,
        )

    def _version(self, key: str, default: str) -> ssl.TLSVersion:
        if self._tls.values.get(key) in ("TLS10", "TLS11"):
            self._tls.add_problem(key, "is a version that OpenSSL no longer supports: use TLS12.")
            return VERSIONS[default]
        return self._tls.choice(key, VERSIONS, default)

    def _client_auth(self) -> ssl.VerifyMode:
        policy = self._tls.text("client_auth_type")
        if policy in NOT_VERIFIED:
            self._tls.add_problem(
                "client_auth_type",
                f"{policy} does not verify certificates, which is not supported: use {NOT_VERIFIED[policy]}.",
            )
            return ssl.CERT_REQUIRED
        mode = self._tls.choice("client_auth_type", CLIENT_AUTH, "NoClientCert")
        if self._client_ca is not None and policy in ("", "NoClientCert"):
            self._tls.add_problem(
                "client_auth_type",
                f"does not use {self._client_ca.name}: set RequireAndVerifyClientCert, or remove the CA.",
            )
        return mode

    def _ciphers(self, minimum: ssl.TLSVersion) -> tuple[str, ...]:
        names = self._tls.texts("cipher_suites")
        ciphers = tuple(filter(None, self._tls.choices("cipher_suites", CIPHERS, names, None)))
        if names and CIPHERS.keys() >= set(names) and not ciphers and minimum is ssl.TLSVersion.TLSv1_2:
            self._tls.add_problem(
                "cipher_suites", "has no TLS 1.2 suite: add one, or set min_version: TLS13."
            )
        return ciphers

    def _curve(self) -> str | None:
        names = self._tls.texts("curve_preferences")
        curves = self._tls.choices("curve_preferences", CURVES, names, "")
        if len(curves) > 1:
            self._tls.add_problem("curve_preferences", "must have one curve only: keep the one you prefer.")
        curve = curves[0] if curves else None
        if curve and not knows_curve(curve):
            self._tls.add_problem(
                "curve_preferences", f"{names[0]} is unknown to this Python: use CurveP256."
            )
            return None
        return curve

    def _headers(self) -> Mapping[str, str]:
        section = Section(
            "http_server_config.headers", self._http.values.get("headers"), tuple(HEADERS), self.problems
        )
        headers = {name: text for name in section.values if (text := section.text(name))}
        for name, text in headers.items():
            if HEADERS[name] and text not in HEADERS[name]:
                section.add_problem(name, f"must be {' or '.join(HEADERS[name])}.")
            if not (text.isascii() and text.isprintable()):
                section.add_problem(name, "has characters that are not printable ASCII.")
        return MappingProxyType(headers)

    def _hashes(self) -> Mapping[str, Secret]:
        section = self._users
        hashes = {}
        for user, text in section.values.items():
            if not user or ":" in user:
                section.add_problem(user, "is not a valid user name: it is empty or has a colon.")
            if not isinstance(text, str) or not _is_hash(text):
                section.add_problem(user, "is not a bcrypt hash: make one with `htpasswd -nBC 10`.")
            elif (cost := int(text[4:6])) > MAX_COST:
                section.add_problem(
                    user,
                    f"has the bcrypt cost {cost}, above {MAX_COST}: a comparison would take seconds. "
                    "Make a new hash with `htpasswd -nBC 10`.",
                )
            else:
                hashes[user] = Secret(text)
        return MappingProxyType(hashes)

    def _rate_limit(self) -> RateLimit | None:
        interval, burst = _duration(self._rate.text("interval") or "0"), self._rate.text("burst") or "0"
        if interval is None:
            self._rate.add_problem("interval", "must be a duration with a unit, such as 1s, 500ms or 1m30s.")
        if WHOLE_NUMBER.fullmatch(burst) is None:
            self._rate.add_problem("burst", "must be a whole number of requests.")
        elif interval:
            if int(burst) > 0:
                return RateLimit(interval, int(burst))
            self._rate.add_problem("burst", "must be at least 1.")
        return None


def _is_hash(text: str) -> bool:
    """Return whether bcrypt accepts a hash, tested at the lowest cost."""
    match = HASH.fullmatch(text)
    if match is None:
        return False
    try:
        bcrypt.checkpw(b"", f"$2b${CHEAPEST}${match[2]}".encode())
    except ValueError:
        return False
    return True


def _duration(text: str) -> float | None:
    """Return the seconds of a Go duration such as 1m30s; None if it is not one, or negative."""
    text = text.removeprefix("+")
    if text == "0":
        return 0.0
    parts = list(DURATION.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        return None
    seconds = sum(float(part[0].removesuffix(part[1])) * UNITS[part[1]] for part in parts)
    return seconds if seconds < LONGEST_SECONDS else None
