"""Settings from the environment: values, defaults, warnings and problems."""

from __future__ import annotations

import dataclasses
import os
import traceback
from pathlib import Path

import pytest
import trustme

from exporter.config.settings import (
    VARIABLES,
    Settings,
    TelemetrySettings,
    WebSettings,
    load_settings,
    load_web_settings,
)
from exporter.errors import SettingsError
from exporter.transport.authorities import AUTHORITIES, Authorities

KEY = "hush-hush-key"
GOOD = {"GATEWAY_API_URL": "https://gateway.example", "ADMIN_KEY": KEY}
OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
EXPORTERS = ("OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_METRICS_EXPORTER")
HTTP, GRPC = "http/protobuf", "grpc"
C = "http://c"
"""The URL of a collector."""
Protocols = tuple[str | None, str | None, str | None]


def load(**variables: str) -> Settings:
    """Return the settings of a valid environment with some variables changed."""
    return load_settings({**GOOD, **variables})


def problems(**variables: str) -> tuple[str, ...]:
    """Return the problems of a valid environment with some variables changed."""
    with pytest.raises(SettingsError) as caught:
        load(**variables)
    error = caught.value
    assert "sesame" not in "".join((str(error), repr(error), *traceback.format_exception(error)))
    return error.problems


def test_defaults() -> None:
    """Gateway and key are enough, other settings have documented defaults; nothing can be changed."""
    settings = load()

    assert KEY == settings.admin_key.reveal()
    assert settings == Settings(
        gateway_url="https://gateway.example",
        admin_key=settings.admin_key,
        admin_key_file=None,
        interval=60.0,
        fetch_timeout=10.0,
        stale_after=180.0,
        health_check_overdue=3600.0,
        history=86_400.0,
        prometheus=None,
        log_level="info",
        web=WebSettings("::", 8001),
        telemetry=TelemetrySettings(None, None, None, (), traced=True),
        warnings=(),
        authorities=None,
        names=(),
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.interval = 1.0  # type: ignore[misc]


def test_every_variable() -> None:
    """Every variable is read, without surrounding whitespace."""
    variables = {"GATEWAY_API_URL": "https://other.example:8443/root///", "ADMIN_KEY": "  another-key\n"}
    variables |= {"SCRAPE_INTERVAL": " 30.5 ", "METRICS_PORT": "9001", "METRICS_HOST": " 192.0.2.7"}
    variables |= {"FETCH_TIMEOUT": "2.5", "STALE_AFTER": "45", "HEALTH_CHECK_OVERDUE": "2h"}
    variables |= {"HISTORY": "7d"}
    variables |= {"LOG_LEVEL": "WARN", "PROTECT_HEALTH_ROUTES": "true"}
    settings = load(**variables, WEB_CONFIG_FILE="web.yml", CUSTOM_METRICS_FILE="custom.yml")

    assert "another-key" == settings.admin_key.reveal()
    assert settings == dataclasses.replace(
        load(),
        gateway_url="https://other.example:8443/root",
        admin_key=settings.admin_key,
        interval=30.5,
        fetch_timeout=2.5,
        stale_after=45.0,
        health_check_overdue=7200.0,
        history=604_800.0,
        log_level="warning",
        web=WebSettings("192.0.2.7", 9001, protect_health=True),
    )


@pytest.mark.parametrize("empty", ["", " ", "\t\n"], ids=["empty", "space", "whitespace"])
def test_empty_variable(empty: str) -> None:
    """An empty variable counts as unset, whether it is optional or required."""
    optional = [variable.name for variable in VARIABLES if variable.name not in GOOD]
    settings = load(**dict.fromkeys([*optional, "PROVIDER_SCRAPE_INTERVAL", OTLP], empty))

    assert dataclasses.replace(load(), admin_key=settings.admin_key) == settings
    assert (
        "GATEWAY_API_URL is not set: it must be the gateway's root, for example https://api.example.com",
        "ADMIN_KEY is not set, nor ADMIN_KEY_FILE: one must hold the gateway's admin key.",
    ) == problems(GATEWAY_API_URL=empty, ADMIN_KEY=empty)


def test_every_problem_at_once() -> None:
    """One error has all problems, each once and on one line, in the order of the documentation."""
    variables = {"GATEWAY_API_URL": "gateway.example", "ADMIN_KEY": "sesame", "ADMIN_KEY_FILE": "a\nb"}
    variables |= {"SCRAPE_INTERVAL": "soon", "PROVIDER_SCRAPE_INTERVAL": "la\nter", "FETCH_TIMEOUT": "-1"}
    variables |= {"STALE_AFTER": "never", "LOG_LEVEL": "LO\nUD", "METRICS_HOST": "host:8001"}
    variables |= {"METRICS_PORT": os.fsdecode(b"\xff"), "PROTECT_HEALTH_ROUTES": "maybe", OTLP: C}
    variables |= {"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_LOGS_EXPORTER": "f\noo"}

    assert (
        "GATEWAY_API_URL: must begin with http:// or https://",
        "ADMIN_KEY and ADMIN_KEY_FILE are both set: keep one of them.",
        'SCRAPE_INTERVAL="soon" and its alias PROVIDER_SCRAPE_INTERVAL="la\\nter" differ: keep one of them.',
        'SCRAPE_INTERVAL="soon": must be a duration such as 60, 60s or 5m',
        'FETCH_TIMEOUT="-1": must be between 100ms and 1d',
        'STALE_AFTER="never": must be a duration such as 60, 60s or 5m',
        'LOG_LEVEL="LO\\nUD": must be debug, info, warning or error',
        'METRICS_HOST="host:8001": must be an IP address or a host name without a port, such as 127.0.0.1 '
        "or ::",
        'METRICS_PORT="\\udcff": must be a port from 0 to 65535',
        'PROTECT_HEALTH_ROUTES="maybe": must be true or false',
        'OTEL_TRACES_EXPORTER="zipkin": expected one of otlp, console, none',
        'OTEL_LOGS_EXPORTER="f\\noo": expected one of otlp, console, none',
    ) == problems(**variables)


NO_DURATION = '="x": must be a duration such as 60, 60s or 5m'
TOO_SHORT = "must be longer than the interval of 60 s: data would disappear between two polls."
DIFFERENT = '="20" and its alias PROVIDER_SCRAPE_INTERVAL="30" differ: keep one of them.'


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"SCRAPE_INTERVAL": "2d"}, '="2d": must be between 100ms and 1d'),
        ({"PROVIDER_SCRAPE_INTERVAL": "0"}, '="0": must be between 100ms and 1d'),
        ({"FETCH_TIMEOUT": "99ms"}, '="99ms": must be between 100ms and 1d'),
        ({"STALE_AFTER": "4d"}, '="4d": must be between 100ms and 3d'),
        *(({"STALE_AFTER": text}, f"={text} {TOO_SHORT}") for text in ("60", "5")),
        ({"HEALTH_CHECK_OVERDUE": "31d"}, '="31d": must be between 100ms and 30d'),
        ({"HISTORY": "59s"}, '="59s": must be between 1m and 30d, or 0'),
        ({"SCRAPE_INTERVAL": "20", "PROVIDER_SCRAPE_INTERVAL": "30"}, DIFFERENT),
        ({"SCRAPE_INTERVAL": "x", "PROVIDER_SCRAPE_INTERVAL": "x"}, NO_DURATION),
        ({"SCRAPE_INTERVAL": "x", "STALE_AFTER": "30"}, NO_DURATION),
        ({"STALE_AFTER": "x", "SCRAPE_INTERVAL": "86400"}, NO_DURATION),
    ],
)
def test_invalid_duration(variables: dict[str, str], problem: str) -> None:
    """A duration out of its limits is one problem; an invalid one is not compared with other settings."""
    assert (next(iter(variables)) + problem,) == problems(**variables)


@pytest.mark.parametrize(
    ("variables", "expected", "cut"),
    [
        ({"SCRAPE_INTERVAL": "1m30s"}, (90.0, 10.0, 270.0), ""),
        ({"PROVIDER_SCRAPE_INTERVAL": "2m"}, (120.0, 10.0, 360.0), ""),
        ({"SCRAPE_INTERVAL": "20", "PROVIDER_SCRAPE_INTERVAL": "20"}, (20.0, 10.0, 60.0), ""),
        ({"SCRAPE_INTERVAL": "10"}, (10.0, 8.0, 30.0), ""),
        ({"FETCH_TIMEOUT": "48"}, (60.0, 48.0, 180.0), ""),
        ({"FETCH_TIMEOUT": "49"}, (60.0, 48.0, 180.0), "from 49 to 48 s"),
        ({"FETCH_TIMEOUT": "10", "SCRAPE_INTERVAL": "5"}, (5.0, 4.0, 15.0), "from 10 to 4 s"),
        ({"STALE_AFTER": "60.5"}, (60.0, 10.0, 60.5), ""),
        ({"STALE_AFTER": "20", "SCRAPE_INTERVAL": "15"}, (15.0, 10.0, 20.0), ""),
    ],
)
def test_durations(variables: dict[str, str], expected: tuple[float, ...], cut: str) -> None:
    """The timeout is at most 0.8 intervals, data are stale after 3; a set timeout is cut with a warning."""
    settings = load(**variables)

    assert expected == (settings.interval, settings.fetch_timeout, settings.stale_after)
    assert ((f"FETCH_TIMEOUT is cut {cut}: 0.8 x SCRAPE_INTERVAL.",) if cut else ()) == settings.warnings


# Gateway, key and other secrets


@pytest.mark.parametrize(
    ("host", "is_warned"),
    [
        *((host, False) for host in ("LocalHost:8000", "127.8.9.1", "[::1]:8000", "x.localhost")),
        *((host, True) for host in ("localhost.example", "10.0.0.1", "notlocalhost", "0.0.0.0")),
    ],
)
def test_plain_http(host: str, is_warned: bool) -> None:
    """Plain HTTP to another machine is a warning without the URL."""
    warning = "GATEWAY_API_URL is plain http: the admin key is sent unencrypted; use https."

    assert ((warning,) if is_warned else ()) == load(GATEWAY_API_URL=f"http://{host}").warnings


def test_key_file(tmp_path: Path) -> None:
    """The key can be in a file, which hints then name."""
    path = tmp_path / "key"
    path.write_text(f"  {KEY}\n", encoding="utf-8")
    settings = load(ADMIN_KEY="", ADMIN_KEY_FILE=str(path))

    assert (KEY, path) == (settings.admin_key.reveal(), settings.admin_key_file)
    assert {"ADMIN_KEY": "the file that ADMIN_KEY_FILE names"} == dict(settings.names)
    missing = problems(ADMIN_KEY="", ADMIN_KEY_FILE="sesame")
    assert ("ADMIN_KEY_FILE cannot be read: No such file or directory.",) == missing


BAD_ENDS = (";x", "\\", "\u20ac", "%0A", "%E2%82%AC")
BAD_KEY_ENDS = (" x", "\tx", "\nx", "\r\nX-Other: 1", "\x7fx", "\xe4", "\xa0x")
NO_KEY = ", or its file, must be printable ASCII without whitespace."


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("GATEWAY_API_URL", "https://user:sesame@x", ": must not contain credentials: the key is ADMIN_KEY."),
        ("GATEWAY_API_URL", "https://user:sesame@gateway.example:port", ": is not a valid URL."),
        *(("ADMIN_KEY", f"sesame{end}", NO_KEY) for end in BAD_KEY_ENDS),
        (OTLP, "https://user:sesame@collector.example", " must be a valid http:// or https:// URL "),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a=b,sesame", " must be a list of name=value"),
        *((OTLP_HEADERS, f"{name}sesame", " must be") for name in ("Authorization Basic ", "(api) key=")),
        *((OTLP_HEADERS, f"a=b,c=sesame{end}", " must be") for end in BAD_ENDS),
        (OTLP_HEADERS, 'authorization="sesame"', " must be a list of name=value"),
        ("--web.listen-address", "8001", '="8001": must be host:port or :port, such as '),
        ("--web.telemetry-path", "/", " must not be / or begin with /-/"),
        ("--web.telemetry-path", "/-/healthy", " must not be / or begin with /-/"),
        ("--web.telemetry-path", "/a b", '="/a b": must be a path of letters, digits and -._~, such as '),
        ("--web.route-prefix", "/a/../b", '="/a/../b": must be a path of letters, digits and -._~, such as '),
        ("--web.external-url", "host/path", " must begin with http:// or https://"),
        ("--web.external-url", "https://user:sesame@host", " must not contain credentials: none is needed."),
        ("--log.level", "loud", '="loud": must be debug, info, warning or error'),
        ("--log.format", "logfmt", '="logfmt": must be json or console'),
    ],
)
def test_invalid_value(name: str, value: str, problem: str) -> None:
    """A value that is invalid, or that the SDK would log, is one problem that names it, without a secret."""
    (sentence,) = problems(**{OTLP: "https://collector.example", name: value})

    assert sentence.startswith(name + problem)


# The web server


def test_web_settings_alone() -> None:
    """Commands without a gateway read the listen address, and ignore other problems."""
    others = {"SCRAPE_INTERVAL": "x", "LOG_LEVEL": "x", "ADMIN_KEY": '"key"'}

    assert WebSettings("::", 8001) == load_web_settings({})
    address = {"METRICS_HOST": "[::1]", "METRICS_PORT": ":9001"}
    assert WebSettings("::1", 9001) == load_web_settings({**address, **others})
    with pytest.raises(SettingsError) as caught:
        load_web_settings({"METRICS_PORT": '"x"', **others})
    assert (
        "METRICS_PORT is in quotes, which would be part of the value: remove them.",
        'METRICS_PORT="x": must be a port from 0 to 65535',
    ) == caught.value.problems


def test_flags() -> None:
    """A flag overrides its variables, which can then be invalid."""
    flags = {"--web.listen-address": ":9001,[::1]:9002", "--web.telemetry-path": "prom/"}
    flags |= {"--web.route-prefix": "tools/exporter/", "--log.level": "WARN", "--log.format": "console"}
    settings = load(**flags, METRICS_HOST="x:y", METRICS_PORT="x", LOG_LEVEL="loud")

    assert ("warning", "console") == (settings.log_level, settings.log_format)
    assert settings.web == WebSettings(
        "::", 9001, further=(("::1", 9002),), telemetry_path="/prom", route_prefix="/tools/exporter"
    )


@pytest.mark.parametrize(
    ("url", "prefix", "expected"),
    [
        ("https://host.example/tools/exporter/", "", "/tools/exporter"),
        ("https://host.example", "", ""),
        ("https://host.example/tools/exporter", "/", ""),
        ("https://host.example/tools/exporter", "/other", "/other"),
    ],
)
def test_route_prefix(url: str, prefix: str, expected: str) -> None:
    """The default prefix is the path of the external URL."""
    web = load(**{"--web.external-url": url, "--web.route-prefix": prefix}).web

    assert expected == web.route_prefix


# OpenTelemetry


@pytest.mark.parametrize(
    ("variables", "protocols", "endpoints"),
    [
        ({}, (None, None, None), ()),
        ({"PROTOCOL": "unknown", "CERTIFICATE": "none.pem"}, (None, None, None), ()),
        ({"ENDPOINT": "http://c:4318"}, (HTTP, HTTP, None), ("http://c:4318",)),
        ({"ENDPOINT": C, "PROTOCOL": GRPC}, (GRPC, GRPC, None), (C,)),
        ({"ENDPOINT": C, "TRACES_PROTOCOL": GRPC}, (GRPC, HTTP, None), (C,)),
        ({"ENDPOINT": C, "PROTOCOL": GRPC, "LOGS_PROTOCOL": HTTP}, (GRPC, HTTP, None), (C,)),
        ({"TRACES_ENDPOINT": "http://t/v1/traces"}, (HTTP, None, None), ("http://t/v1/traces",)),
        ({"LOGS_ENDPOINT": "http://l"}, (None, HTTP, None), ("http://l",)),
        ({"ENDPOINT": C, "LOGS_ENDPOINT": "http://a"}, (HTTP, HTTP, None), ("http://a", C)),
        ({"ENDPOINT": C, "METRICS_PROTOCOL": "grpc"}, (HTTP, HTTP, None), (C,)),
        ({"METRICS_ENDPOINT": "http://m"}, (None, None, None), ("http://m",)),
    ],
)
def test_otlp(variables: dict[str, str], protocols: Protocols, endpoints: tuple[str, ...]) -> None:
    """A signal is exported if it has an endpoint, by its own protocol or the general one; metrics are not."""
    settings = load(**{f"OTEL_EXPORTER_OTLP_{name}": text for name, text in variables.items()})

    assert TelemetrySettings(*protocols, endpoints, traced=True) == settings.telemetry
    assert () == settings.warnings


@pytest.mark.parametrize("text", ["true", "TRUE", "True"])
def test_sdk_disabled(text: str) -> None:
    """OTEL_SDK_DISABLED=true, in any case, turns all exports off; other values mean false."""
    telemetry = load(OTEL_SDK_DISABLED=text, OTEL_METRICS_EXPORTER="otlp", **{OTLP: C}).telemetry

    assert TelemetrySettings(None, None, None, (C,), traced=False) == telemetry
    assert load(OTEL_SDK_DISABLED="1").telemetry.traced


@pytest.mark.parametrize(
    ("name", "text", "is_exported"),
    [
        *((name, text, True) for name in EXPORTERS for text in ("otlp", "none,otlp", " otlp , none ")),
        *((name, "none", False) for name in EXPORTERS),
        *((name, text, True) for name in EXPORTERS[:2] for text in ("", ",")),
        *((EXPORTERS[2], text, False) for text in ("", ",", "prometheus", "prometheus,none")),
        (EXPORTERS[2], "prometheus,otlp", True),
    ],
)
def test_list_of_exporters(name: str, text: str, is_exported: bool) -> None:
    """A signal is exported if otlp is in its list, which is the default for traces and logs."""
    settings = load(**{OTLP: C, name: text})

    telemetry = settings.telemetry
    protocols = (telemetry.traces_protocol, telemetry.logs_protocol, telemetry.metrics_protocol)
    assert (HTTP if is_exported else None, ()) == (protocols[EXPORTERS.index(name)], settings.warnings)


def test_warnings() -> None:
    """OTLP metrics without an endpoint, and values that libraries reject, are warnings."""
    library, metrics = load(OTEL_METRICS_EXPORTER="otlp", WEB_CONCURRENCY="auto").warnings

    assert library.startswith("WEB_CONCURRENCY: 'auto' is ignored")
    assert "OTEL_METRICS_EXPORTER contains otlp, but OTEL_EXPORTER_OTLP_ENDPOINT is not set: " in metrics


@pytest.mark.parametrize("text", ["console", "otlp,console", "console, none"])
@pytest.mark.parametrize("name", EXPORTERS)
def test_console_exporter(name: str, text: str) -> None:
    """`console` is ignored with a warning, in any list."""
    settings = load(**{OTLP: C, name: text})

    assert (f"{name}: 'console' is ignored: standard output is for the log.",) == settings.warnings


@pytest.mark.parametrize("name", EXPORTERS)
def test_unknown_exporter(name: str) -> None:
    """An unknown exporter is a problem with an endpoint, and a warning without one."""
    allowed = "prometheus, otlp, console, none" if "METRICS" in name else "otlp, console, none"

    assert (f'{name}="foo": expected one of {allowed}',) == problems(**{OTLP: C, name: "otlp,foo"})
    assert (f"{name}: 'foo' is ignored: expected one of {allowed}.",) == load(**{name: "foo"}).warnings


@pytest.mark.parametrize(
    ("endpoint", "protocol", "other"),
    [
        ("http://c:4317", "", "grpc"),
        ("http://c:4317", "http/protobuf", "grpc"),
        ("http://c:4318", "grpc", "http/protobuf"),
        ("http://c:4318", "", None),
        ("http://c:4317", "grpc", None),
        ("http://c", "grpc", None),
    ],
)
def test_port_of_the_other_protocol(endpoint: str, protocol: str, other: str | None) -> None:
    """The default port of the other protocol is one warning, however many signals use it."""
    warnings = load(**{OTLP: endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}).warnings

    assert (0 if other is None else 1) == len(warnings)
    assert all(w.startswith(f"{OTLP} has port ") and w.endswith(f" to {other}.") for w in warnings)


FILES = ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")


@pytest.mark.parametrize("signal", ["", "TRACES_", "LOGS_", "METRICS_"])
@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        *((name, "none.pem", ": 'none.pem' cannot be read.") for name in FILES),
        ("PROTOCOL", "http/json", '="http/json": expected one of http/protobuf, grpc'),
        ("ENDPOINT", "collector:4317", " must be a valid http:// or https:// URL without credentials."),
        ("ENDPOINT", "http://[collector", " must be a valid http:// or https:// URL without credentials."),
    ],
)
def test_invalid_otlp(signal: str, name: str, text: str, problem: str) -> None:
    """An invalid protocol, endpoint or file is one problem that names its variable."""
    variable = f"OTEL_EXPORTER_OTLP_{signal}{name}"
    environ = {OTLP: C, "OTEL_METRICS_EXPORTER": "otlp", variable: text}

    assert (variable + problem,) == problems(**environ)


@pytest.mark.parametrize(
    "text", ["a=Bearer a.b-c~d/e+f==", " a-b = 1 ,\tx=%20%22%3B%22 ,", "authorization=Basic%20YTpi", "x="]
)
def test_otlp_headers(text: str) -> None:
    """Headers can have spaces around and inside, and anything URL-encoded."""
    assert HTTP == load(**{OTLP: C, OTLP_HEADERS: text}).telemetry.traces_protocol


# Authorities, hints and quotes


@pytest.mark.parametrize("name", AUTHORITIES)
def test_authorities(name: str, tmp_path: Path) -> None:
    """A bundle of the environment is part of the settings; a missing one is a problem with TLS only."""
    path = tmp_path / "ca.pem"
    (problem,) = problems(**{name: str(path)})
    assert problem.startswith(f"{name} cannot be read: No such file or directory.")
    assert str(path) not in problem

    plain = load(GATEWAY_API_URL="http://localhost", **{name: str(path)})
    assert Authorities(name, path) == plain.authorities
    trustme.CA().cert_pem.write_to_path(path)
    assert Authorities(name, path) == load(**{name: str(path)}).authorities


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {}),
        ({"PROVIDER_SCRAPE_INTERVAL": "60"}, {"SCRAPE_INTERVAL": "PROVIDER_SCRAPE_INTERVAL"}),
        ({"SSL_CERT_DIR": "."}, {"REQUESTS_CA_BUNDLE": "SSL_CERT_DIR"}),
        ({"REQUESTS_CA_BUNDLE": "."}, {"REQUESTS_CA_BUNDLE": "REQUESTS_CA_BUNDLE"}),
    ],
)
def test_names_in_hints(variables: dict[str, str], expected: dict[str, str]) -> None:
    """Hints name the variable that is set."""
    assert expected == dict(load(**variables).names)


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize(
    "name", [*(variable.name for variable in VARIABLES), "PROVIDER_SCRAPE_INTERVAL", *AUTHORITIES[::2]]
)
def test_value_in_quotes(name: str, quote: str, tmp_path: Path) -> None:
    """A value in quotes is one problem without the value, which is read without the quotes."""
    (tmp_path / "key").write_text(KEY)
    valid = {variable.name: variable.default or "x" for variable in VARIABLES} | GOOD
    valid |= {"ADMIN_KEY_FILE": str(tmp_path / "key"), "PROVIDER_SCRAPE_INTERVAL": "60", "STALE_AFTER": "180"}
    valid |= dict.fromkeys(AUTHORITIES, ".") | dict.fromkeys(
        ("PROMETHEUS_URL", "GRAFANA_EXTERNAL_URL", "RUNBOOK_URL"), "http://host:9090"
    )
    others = {"ADMIN_KEY": ""} if name == "ADMIN_KEY_FILE" else {}

    assert (f"{name} is in quotes, which would be part of the value: remove them.",) == problems(
        **others, **{name: f"{quote}{valid[name]}{quote}"}
    )
