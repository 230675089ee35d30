"""Reads the environment into frozen settings, and reports all problems at once, without secrets."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from exporter.config import flags, prometheus, values
from exporter.config.adminkey import check_key
from exporter.config.environment import SIGNALS, clean
from exporter.config.prometheus import PrometheusSettings
from exporter.config.quotes import unquoted
from exporter.config.urls import is_http_url, url_problem
from exporter.files.problems import Problems
from exporter.files.secret import Secret, secret_or_file
from exporter.system.terminal import printable
from exporter.transport.authorities import AUTHORITIES, Authorities, find_authorities
from exporter.transport.proxies import is_loopback

OTLP_PROTOCOLS = ("http/protobuf", "grpc")
OTLP_HEADER = re.compile(r"[!#-'*+.0-9A-Z^-z|~-]+[ \t]*=[ !#-+\--:<-\[\]-~]*")
"""An entry of OTEL_EXPORTER_OTLP_HEADERS by the specification, but spaces in the value are valid."""
MAX_FETCH_SHARE = 0.8
"""Maximum fetch timeout as a part of the interval, so that polls never overlap."""
STALE_INTERVALS = 3
"""Default of STALE_AFTER, in intervals."""

SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 86_400.0
"""Limits of the interval and of the fetch timeout."""
OVERDUE_DAYS = 30
"""Upper limit of HEALTH_CHECK_OVERDUE."""
SHORTEST_HISTORY, LONGEST_HISTORY = 60.0, 30 * 86_400.0
"""Limits of HISTORY."""
LOG_LEVELS: Mapping[str, str] = MappingProxyType(
    {"debug": "debug", "info": "info", "warning": "warning", "warn": "warning", "error": "error"}
)
"""Levels by accepted spelling."""
JSON, CONSOLE = "json", "console"
"""Log formats."""
TELEMETRY_PATH = "/metrics"
RESERVED_PATHS = "/-/"
"""Prefix of the health routes."""


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable: name, default, converter and help text."""

    name: str
    default: str
    read: Callable[[str], Any]
    meaning: str


VARIABLES = (
    Variable("GATEWAY_API_URL", "", values.utf8, "Root of the gateway, for example https://api.example.com"),
    Variable("ADMIN_KEY", "", values.utf8, "Admin key of the gateway, sent as bearer token"),
    Variable(
        "ADMIN_KEY_FILE",
        "",
        values.utf8,
        "File that holds the admin key, instead of ADMIN_KEY; read again before each request",
    ),
    Variable(
        "SCRAPE_INTERVAL",
        "60s",
        values.duration(SHORTEST_SECONDS, LONGEST_SECONDS),
        "Time from poll to poll, such as 60s or 5m (alias: PROVIDER_SCRAPE_INTERVAL)",
    ),
    Variable(
        "METRICS_PORT", "8001", values.port, "Port of /metrics and the status page; 0 selects a free port"
    ),
    Variable("METRICS_HOST", "::", values.host, "Address to listen on; :: is every address, IPv6 and IPv4"),
    Variable(
        "FETCH_TIMEOUT",
        "10s",
        values.duration(SHORTEST_SECONDS, LONGEST_SECONDS),
        "Hard deadline of a fetch, at most 0.8 x SCRAPE_INTERVAL",
    ),
    Variable(
        "STALE_AFTER",
        "",
        values.duration(SHORTEST_SECONDS, STALE_INTERVALS * LONGEST_SECONDS),
        "Time after which old data disappear; 3 x SCRAPE_INTERVAL if unset",
    ),
    Variable(
        "HEALTH_CHECK_OVERDUE",
        "1h",
        values.duration(SHORTEST_SECONDS, OVERDUE_DAYS * LONGEST_SECONDS),
        "Age at which a provider's health check counts as overdue",
    ),
    Variable(
        "HISTORY",
        "24h",
        values.duration(SHORTEST_HISTORY, LONGEST_HISTORY, or_zero=True),
        "Length of the history on the status page, 0 for none",
    ),
    Variable("GRAFANA_EXTERNAL_URL", "", values.utf8, "Root of Grafana for links on the status page"),
    Variable(
        "RUNBOOK_URL",
        "",
        values.utf8,
        "Prefix of docs/runbooks/... in links of the status page; only the path if unset",
    ),
    *(Variable(name, default, values.utf8, meaning) for name, default, meaning in prometheus.VARIABLES),
    Variable("LOG_LEVEL", "info", values.choice(LOG_LEVELS), "debug, info, warning (or warn) or error"),
    Variable(
        "WEB_CONFIG_FILE",
        "",
        values.utf8,
        "Web configuration file: TLS, passwords (flag: --web.config.file)",
    ),
    Variable(
        "PROTECT_HEALTH_ROUTES",
        "false",
        values.boolean,
        "Whether /-/healthy and /-/ready require a password, too",
    ),
    Variable(
        "CUSTOM_METRICS_FILE",
        "",
        values.utf8,
        "File that defines custom metrics; read again before each poll",
    ),
)

INTERVAL_ALIAS = "PROVIDER_SCRAPE_INTERVAL"
WEB_VARIABLES = (
    "METRICS_HOST",
    "METRICS_PORT",
    "PROTECT_HEALTH_ROUTES",
    "GRAFANA_EXTERNAL_URL",
    "RUNBOOK_URL",
)
EXPORTERS = ("otlp", "console", "none")
METRICS_EXPORTERS = ("prometheus", *EXPORTERS)
"""Values of OTEL_METRICS_EXPORTER; /metrics is served in any case."""
OTLP_PORTS = MappingProxyType({"http/protobuf": 4318, "grpc": 4317})
"""Default port of a collector for each protocol, by the specification."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Listen addresses, paths and access control."""

    host: str
    port: int
    protect_health: bool = False
    """Whether the health routes require authentication if the other routes do."""
    further: tuple[tuple[str, int], ...] = ()
    """Host and port of each additional listen address."""
    telemetry_path: str = TELEMETRY_PATH
    route_prefix: str = ""
    """Prefix of every path, without a trailing slash."""
    grafana_url: str = ""
    """Root of Grafana for links of the status page, without a trailing slash; empty: none."""
    runbook_url: str = ""
    """Root of the repository's pages, for links to runbooks, in the same way."""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Which signals are exported by OTLP; the OpenTelemetry SDK itself reads endpoints and headers."""

    traces_protocol: str | None
    """None: spans are created for their ids, but not exported."""
    logs_protocol: str | None
    """None: logs go to stdout only."""
    metrics_protocol: str | None
    """None: metrics are served for Prometheus, but not exported."""
    endpoints: tuple[str, ...] = field(repr=False)
    """Endpoints, which are excluded from tracing; a query can contain a key."""
    traced: bool
    """False with OTEL_SDK_DISABLED=true: no spans."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the environment; durations are in seconds."""

    gateway_url: str
    """Without a trailing slash."""
    admin_key: Secret
    admin_key_file: Path | None
    """The key is read again from it."""
    interval: float
    fetch_timeout: float
    """At most MAX_FETCH_SHARE of the interval."""
    stale_after: float
    health_check_overdue: float
    history: float
    """0: none."""
    prometheus: PrometheusSettings | None
    """None: the history begins at the start."""
    log_level: str
    web: WebSettings
    telemetry: TelemetrySettings
    warnings: tuple[str, ...]
    """Valid but questionable settings, one sentence each."""
    authorities: Authorities | None
    """None: the bundle of `requests`."""
    names: tuple[tuple[str, str], ...]
    """Variables in hints, and the text to replace each with."""
    log_format: str = JSON


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read all variables and flags; a flag overrides its variables (`exporter.config.flags`).

    Raises:
        SettingsError: With all problems.
    """
    return _Reader(environ).settings()


def load_web_settings(environ: Mapping[str, str]) -> WebSettings:
    """Read the listen address and paths only, for commands without a gateway.

    Raises:
        SettingsError: With all problems.
    """
    reader = _Reader(environ)
    web = reader.web()
    reader.problems.raise_any()
    return web


class _Reader:
    """Reads the environment once; a setting with a problem gets its default."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # An empty value counts as unset: compose files pass empty values for unset variables.
        cleaned = clean(environ)
        self._environ = {name: value.strip() for name, value in cleaned.variables.items()}
        self._variables = {variable.name: variable for variable in VARIABLES}
        self.problems = Problems()
        self._warnings = list(cleaned.warnings)

    def settings(self) -> Settings:
        self._remove_quotes((*self._variables, INTERVAL_ALIAS, *AUTHORITIES))
        url = self._gateway_url()
        key = self._admin_key()
        interval = self._interval()
        fetch_timeout = self._fetch_timeout(interval)
        stale_after = self._stale_after(interval)
        health_check_overdue = float(self._value("HEALTH_CHECK_OVERDUE"))
        log_level = self._flag(flags.LOG_LEVEL, values.choice(LOG_LEVELS), "") or self._value("LOG_LEVEL")
        log_format = self._flag(flags.LOG_FORMAT, values.choice({JSON: JSON, CONSOLE: CONSOLE}), JSON)
        web = self.web()
        telemetry = self._telemetry()
        authorities = self._authorities(url)
        history = float(self._value("HISTORY"))
        source = prometheus.read(self._environ, self.problems)
        self.problems.raise_any()
        return Settings(
            gateway_url=url,
            admin_key=key,
            admin_key_file=self._admin_key_file(),
            interval=interval,
            fetch_timeout=fetch_timeout,
            stale_after=stale_after,
            health_check_overdue=health_check_overdue,
            history=history,
            prometheus=source,
            log_level=log_level,
            web=web,
            telemetry=telemetry,
            warnings=tuple(dict.fromkeys(self._warnings)),
            authorities=authorities,
            names=self._names(authorities),
            log_format=log_format,
        )

    def web(self) -> WebSettings:
        self._remove_quotes(WEB_VARIABLES)
        (host, port), *further = self._listen_addresses()
        return WebSettings(
            host,
            port,
            self._value("PROTECT_HEALTH_ROUTES"),
            tuple(further),
            self._telemetry_path(),
            self._route_prefix(),
            self._link_root("GRAFANA_EXTERNAL_URL"),
            self._link_root("RUNBOOK_URL"),
        )

    def _remove_quotes(self, names: Iterable[str]) -> None:
        """Report values in quotes, and remove the quotes."""
        for name in names:
            text = self._environ.get(name, "")
            if unquoted(text) != text:
                self.problems.append(f"{name} is in quotes, which would be part of the value: remove them.")
                self._environ[name] = unquoted(text)

    def _value(self, name: str) -> Any:
        variable = self._variables[name]
        return self._convert(name, self._environ.get(name, variable.default), variable.read)

    def _flag(self, name: str, read: Callable[[str], Any], default: Any) -> Any:
        """Return the value of a flag, the default if it is unset or invalid."""
        text = self._environ.get(name)
        return default if text is None else self._convert(name, text, read, default)

    def _convert(self, source: str, text: str, read: Callable[[str], Any], otherwise: Any = math.nan) -> Any:
        try:
            return read(text)
        except ValueError as error:
            self.problems.append(f"{_assignment(source, text)}: {error}")
            # NaN by default: comparisons with other settings are false, and report nothing else.
            return otherwise

    def _listen_addresses(self) -> tuple[tuple[str, int], ...]:
        if flags.LISTEN_ADDRESS in self._environ:
            return tuple(self._flag(flags.LISTEN_ADDRESS, values.listen_addresses, [("", 0)]))
        return ((self._value("METRICS_HOST"), self._value("METRICS_PORT")),)

    def _telemetry_path(self) -> str:
        path = str(self._flag(flags.TELEMETRY_PATH, values.url_path, TELEMETRY_PATH))
        if not path or f"{path}/".startswith(RESERVED_PATHS):
            self.problems.append(f"{flags.TELEMETRY_PATH} must not be / or begin with {RESERVED_PATHS}")
        return path

    def _route_prefix(self) -> str:
        url = self._environ.get(flags.EXTERNAL_URL, "")
        if url and (problem := url_problem(url, "none is needed")):
            self.problems.append(f"{flags.EXTERNAL_URL} {problem}")
        elif url and flags.ROUTE_PREFIX not in self._environ:
            return str(self._convert(flags.EXTERNAL_URL, urlsplit(url).path, values.url_path))
        return str(self._flag(flags.ROUTE_PREFIX, values.url_path, ""))

    def _link_root(self, name: str) -> str:
        url = self._environ.get(name, "")
        if url and (problem := url_problem(url, "none is needed")):
            self.problems.append(f"{name} {problem}")
        return url.rstrip("/")

    def _gateway_url(self) -> str:
        text = self._environ.get("GATEWAY_API_URL", "")
        if not text:
            self.problems.append(
                "GATEWAY_API_URL is not set: it must be the gateway's root, for example "
                "https://api.example.com"
            )
            return ""
        if problem := url_problem(text, "the key is ADMIN_KEY"):
            self.problems.append(f"GATEWAY_API_URL: {problem}")
            return ""
        url = urlsplit(text)
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            self._warnings.append(
                "GATEWAY_API_URL is plain http: the admin key is sent unencrypted; use https."
            )
        return text.rstrip("/")

    def _admin_key(self) -> Secret:
        with self.problems.collect():
            if text := secret_or_file(self._environ, "ADMIN_KEY"):
                return check_key(text)
            self.problems.append(
                "ADMIN_KEY is not set, nor ADMIN_KEY_FILE: one must hold the gateway's admin key."
            )
        return Secret("")

    def _admin_key_file(self) -> Path | None:
        path = self._environ.get("ADMIN_KEY_FILE")
        return Path(path) if path else None

    def _interval(self) -> float:
        name, alias = "SCRAPE_INTERVAL", INTERVAL_ALIAS
        text, other = self._environ.get(name), self._environ.get(alias)
        if text and other and text != other:
            self.problems.append(
                f"{_assignment(name, text)} and its alias {_assignment(alias, other)} differ: "
                "keep one of them."
            )
        if other and not text:
            return float(self._convert(alias, other, self._variables[name].read))
        return float(self._value(name))

    def _fetch_timeout(self, interval: float) -> float:
        wanted = float(self._value("FETCH_TIMEOUT"))
        limit = MAX_FETCH_SHARE * interval
        if wanted > limit and "FETCH_TIMEOUT" in self._environ:
            self._warnings.append(
                f"FETCH_TIMEOUT is cut from {wanted:g} to {limit:g} s: 0.8 x SCRAPE_INTERVAL."
            )
        return min(wanted, limit)

    def _stale_after(self, interval: float) -> float:
        if "STALE_AFTER" not in self._environ:
            return STALE_INTERVALS * interval
        stale_after = float(self._value("STALE_AFTER"))
        if stale_after <= interval:
            self.problems.append(
                f"STALE_AFTER={stale_after:g} must be longer than the interval of {interval:g} s: "
                "data would disappear between two polls."
            )
        return stale_after

    def _authorities(self, url: str) -> Authorities | None:
        authorities = find_authorities(self._environ)
        # Without TLS, a variable for other programs must not stop this one.
        if authorities is None or not url.startswith("https:"):
            return authorities
        problem = authorities.problem()
        if problem:
            self.problems.append(problem)
        return authorities

    def _names(self, authorities: Authorities | None) -> tuple[tuple[str, str], ...]:
        names = {}
        if "ADMIN_KEY_FILE" in self._environ:
            names["ADMIN_KEY"] = "the file that ADMIN_KEY_FILE names"
        if INTERVAL_ALIAS in self._environ:
            names["SCRAPE_INTERVAL"] = INTERVAL_ALIAS
        if authorities:
            names["REQUESTS_CA_BUNDLE"] = authorities.variable
        return tuple(names.items())

    def _one_of(self, name: str, value: str, allowed: tuple[str, ...]) -> str:
        if value not in allowed:
            self.problems.append(f"{_assignment(name, value)}: expected one of {', '.join(allowed)}")
        return value

    def _telemetry(self) -> TelemetrySettings:
        disabled = self._environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        traces, logs, metrics = (
            None if disabled or not self._is_wanted(signal) else self._protocol(signal) for signal in SIGNALS
        )
        endpoints = {self._otlp(signal, "ENDPOINT")[1] for signal in SIGNALS} - {""}
        return TelemetrySettings(traces, logs, metrics, tuple(sorted(endpoints)), traced=not disabled)

    def _is_wanted(self, signal: str) -> bool:
        """Return whether a signal is to be exported by OTLP, if there is an endpoint."""
        name = f"OTEL_{signal}_EXPORTER"
        default, allowed = ("prometheus", METRICS_EXPORTERS) if signal == "METRICS" else ("otlp", EXPORTERS)
        listed = [part.strip() for part in self._environ.get(name, default).split(",") if part.strip()]
        listed = listed or [default]
        endpoint = self._otlp(signal, "ENDPOINT")[1]
        for exporter in dict.fromkeys(listed):
            self._check_exporter(name, exporter, allowed, is_needed=bool(endpoint))
        if signal == "METRICS" and "otlp" in listed and not endpoint:
            self._warnings.append(
                f"{name} contains otlp, but OTEL_EXPORTER_OTLP_ENDPOINT is not set: no metrics are exported."
            )
        return "otlp" in listed

    def _check_exporter(self, name: str, exporter: str, allowed: tuple[str, ...], *, is_needed: bool) -> None:
        if is_needed:
            self._one_of(name, exporter, allowed)
        elif exporter not in allowed:
            self._warnings.append(f"{name}: {exporter!r} is ignored: expected one of {', '.join(allowed)}.")
        if exporter == "console":
            self._warnings.append(f"{name}: 'console' is ignored: standard output is for the log.")

    def _protocol(self, signal: str) -> str | None:
        variable, endpoint = self._otlp(signal, "ENDPOINT")
        if not endpoint:
            return None
        if not is_http_url(endpoint):
            self.problems.append(f"{variable} must be a valid http:// or https:// URL without credentials.")
        variable, headers = self._otlp(signal, "HEADERS")
        if not all(_is_header(pair) for pair in headers.split(",") if pair.strip()):
            self.problems.append(
                f"{variable} must be a list of name=value, with commas between them, in printable ASCII; "
                "quotes, semicolons and backslashes must be URL-encoded."
            )
        self._check_files(signal)
        variable, protocol = self._otlp(signal, "PROTOCOL")
        self._compare_port(signal, protocol or OTLP_PROTOCOLS[0])
        return self._one_of(variable, protocol or OTLP_PROTOCOLS[0], OTLP_PROTOCOLS)

    def _check_files(self, signal: str) -> None:
        for name in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"):
            variable, path = self._otlp(signal, name)
            if path and not os.access(path, os.R_OK):
                self.problems.append(f"{variable}: {path!r} cannot be read.")

    def _compare_port(self, signal: str, protocol: str) -> None:
        """Warn about the default port of the other protocol."""
        variable, endpoint = self._otlp(signal, "ENDPOINT")
        others = {port: name for name, port in OTLP_PORTS.items() if name != protocol}
        port = urlsplit(endpoint).port if is_http_url(endpoint) else None
        if protocol in OTLP_PORTS and port in others:
            self._warnings.append(
                f"{variable} has port {port}, where collectors expect {others[port]}, but the protocol is "
                f"{protocol}: use port {OTLP_PORTS[protocol]}, or set OTEL_EXPORTER_OTLP_PROTOCOL to "
                f"{others[port]}."
            )

    def _otlp(self, signal: str, name: str) -> tuple[str, str]:
        """Return the variable for a signal, its own before the general one, and its value."""
        own, general = f"OTEL_EXPORTER_OTLP_{signal}_{name}", f"OTEL_EXPORTER_OTLP_{name}"
        variable = own if own in self._environ else general
        return variable, self._environ.get(variable, "")


def _assignment(name: str, text: str) -> str:
    return f'{name}="{printable(text)}"'


def _is_header(text: str) -> bool:
    """Return whether the SDK accepts a header and can send it: it logs others, with their secrets."""
    header = text.strip(" \t")
    decoded = unquote(header)
    return bool(OTLP_HEADER.fullmatch(header)) and decoded.isascii() and decoded.isprintable()
