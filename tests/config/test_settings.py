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
EXPORTERS = ("OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_METRICS_EXPORTER")
HTTP, GRPC = "http/protobuf", "grpc"
Protocols = tuple[str | None, str | None, str | None]


def load(**variables: str) -> Settings:
    """Return the settings of a valid environment with some variables changed."""
    return load_settings({**GOOD, **variables})


def problems(**variables: str) -> tuple[str, ...]:
    """Return the problems of a valid environment with some variables changed."""
    with pytest.raises(SettingsError) as caught:
        load(**variables)
    return caught.value.problems


def test_defaults() -> None:
    """Gateway and key are enough; everything else has its documented default, without a warning."""
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
        log_level="info",
        web=WebSettings("::", 8001),
        telemetry=TelemetrySettings(None, None, None, (), traced=True),
        warnings=(),
        authorities=None,
        names=(),
    )


def test_every_variable() -> None:
    """Every variable is read, without surrounding whitespace."""
    settings = load(
        GATEWAY_API_URL="https://other.example:8443/gateway",
        ADMIN_KEY="  another-key\n",
        SCRAPE_INTERVAL=" 30.5 ",
        METRICS_PORT="9001",
        METRICS_HOST=" 192.0.2.7",
        FETCH_TIMEOUT="2.5",
        STALE_AFTER="45",
        HEALTH_CHECK_OVERDUE="2h",
        LOG_LEVEL="WARN",
        WEB_CONFIG_FILE="web.yml",
        CUSTOM_METRICS_FILE="custom.yml",
        PROTECT_HEALTH_ROUTES="true",
    )

    assert "another-key" == settings.admin_key.reveal()
    assert settings == dataclasses.replace(
        load(),
        gateway_url="https://other.example:8443/gateway",
        admin_key=settings.admin_key,
        interval=30.5,
        fetch_timeout=2.5,
        stale_after=45.0,
        health_check_overdue=7200.0,
        log_level="warning",
        web=WebSettings("192.0.2.7", 9001, protect_health=True),
    )


def test_settings_are_frozen() -> None:
    """Settings cannot be changed after they are read."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().interval = 1.0  # type: ignore[misc]


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
    ) == problems(
        GATEWAY_API_URL="gateway.example",
        ADMIN_KEY_FILE="a\nb",
        SCRAPE_INTERVAL="soon",
        PROVIDER_SCRAPE_INTERVAL="la\nter",
        FETCH_TIMEOUT="-1",
        STALE_AFTER="never",
        LOG_LEVEL="LO\nUD",
        METRICS_HOST="host:8001",
        METRICS_PORT=os.fsdecode(b"\xff"),
        OTEL_EXPORTER_OTLP_ENDPOINT="http://c",
        OTEL_TRACES_EXPORTER="zipkin",
        OTEL_LOGS_EXPORTER="f\noo",
        PROTECT_HEALTH_ROUTES="maybe",
    )


# Durations


@pytest.mark.parametrize(
    ("name", "text", "limits"),
    [
        ("SCRAPE_INTERVAL", "2d", "100ms and 1d"),
        ("PROVIDER_SCRAPE_INTERVAL", "0", "100ms and 1d"),
        ("FETCH_TIMEOUT", "99ms", "100ms and 1d"),
        ("STALE_AFTER", "4d", "100ms and 3d"),
        ("HEALTH_CHECK_OVERDUE", "31d", "100ms and 30d"),
    ],
)
def test_limits_of_durations(name: str, text: str, limits: str) -> None:
    """A duration outside its limits is a problem that names both."""
    assert (f'{name}="{text}": must be between {limits}',) == problems(**{name: text})


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"SCRAPE_INTERVAL": "1m30s"}, 90.0),
        ({"PROVIDER_SCRAPE_INTERVAL": "2m"}, 120.0),
        ({"SCRAPE_INTERVAL": "20", "PROVIDER_SCRAPE_INTERVAL": "20"}, 20.0),
    ],
    ids=["name", "alias", "both"],
)
def test_interval(variables: dict[str, str], seconds: float) -> None:
    """The interval has an alias; data are stale after three intervals by default."""
    settings = load(**variables)

    assert (seconds, 3 * seconds) == (settings.interval, settings.stale_after)


def test_interval_and_alias() -> None:
    """Different intervals are a problem; the same invalid one is one problem."""
    assert (
        'SCRAPE_INTERVAL="20" and its alias PROVIDER_SCRAPE_INTERVAL="30" differ: keep one of them.',
    ) == problems(SCRAPE_INTERVAL="20", PROVIDER_SCRAPE_INTERVAL="30")
    assert ('SCRAPE_INTERVAL="x": must be a duration such as 60, 60s or 5m',) == problems(
        SCRAPE_INTERVAL="x", PROVIDER_SCRAPE_INTERVAL="x"
    )


@pytest.mark.parametrize(
    ("variables", "seconds", "warnings"),
    [
        ({"SCRAPE_INTERVAL": "10"}, 8.0, ()),
        ({"FETCH_TIMEOUT": "48"}, 48.0, ()),
        ({"FETCH_TIMEOUT": "49"}, 48.0, ("FETCH_TIMEOUT is cut from 49 to 48 s: 0.8 x SCRAPE_INTERVAL.",)),
        (
            {"FETCH_TIMEOUT": "10", "SCRAPE_INTERVAL": "5"},
            4.0,
            ("FETCH_TIMEOUT is cut from 10 to 4 s: 0.8 x SCRAPE_INTERVAL.",),
        ),
    ],
    ids=["reduced default", "at the limit", "reduced", "default, set and reduced"],
)
def test_fetch_timeout(variables: dict[str, str], seconds: float, warnings: tuple[str, ...]) -> None:
    """The timeout is at most 0.8 intervals; a reduction is a warning unless it is the default."""
    settings = load(**variables)

    assert (seconds, warnings) == (settings.fetch_timeout, settings.warnings)


def test_stale_after() -> None:
    """Any time longer than the interval is valid."""
    assert [60.5, 20.0] == [
        load(STALE_AFTER="60.5").stale_after,
        load(STALE_AFTER="20", SCRAPE_INTERVAL="15").stale_after,
    ]
    for text in ("60", "5"):
        assert (
            f"STALE_AFTER={text} must be longer than the interval of 60 s: data would disappear between two "
            "polls.",
        ) == problems(STALE_AFTER=text)


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"SCRAPE_INTERVAL": "x", "STALE_AFTER": "30"}, "SCRAPE_INTERVAL"),
        ({"SCRAPE_INTERVAL": "86400", "STALE_AFTER": "x"}, "STALE_AFTER"),
    ],
)
def test_invalid_value_is_one_problem(variables: dict[str, str], name: str) -> None:
    """An invalid value is not compared with other settings."""
    (problem,) = problems(**variables)

    assert problem.startswith(f'{name}="x": ')


# Gateway and key


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://gateway.example///", "https://gateway.example"),
        ("https://gateway.example/root/", "https://gateway.example/root"),
    ],
)
def test_gateway_url(text: str, url: str) -> None:
    """The URL has no trailing slash."""
    assert (url, ()) == (load(GATEWAY_API_URL=text).gateway_url, load(GATEWAY_API_URL=text).warnings)


def test_invalid_gateway_url() -> None:
    """An invalid URL is one problem without the URL."""
    assert ("GATEWAY_API_URL: must not contain credentials: the key is ADMIN_KEY.",) == problems(
        GATEWAY_API_URL="https://user@gateway.example"
    )


@pytest.mark.parametrize(
    ("host", "is_warned"),
    [
        ("LocalHost:8000", False),
        ("127.8.9.1", False),
        ("[::1]:8000", False),
        ("x.localhost", False),
        ("gateway.example", True),
        ("10.0.0.1", True),
        ("notlocalhost", True),
        ("0.0.0.0", True),
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


# Secrets


def test_settings_show_no_secret() -> None:
    """No text of the settings contains the key, or a key in the URL of the collector."""
    settings = load(**{OTLP: "https://collector.example/?key=sesame"})

    shown = (repr(settings), str(settings), f"{settings}", repr(dataclasses.asdict(settings)["admin_key"]))
    assert [] == [text for text in shown if KEY in text or "sesame" in text]
    assert ("https://collector.example/?key=sesame",) == settings.telemetry.endpoints


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (OTLP, "https://user:sesame@collector.example"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization Basic sesame"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a=b,sesame"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,authorization=sesame;x"),
        ("OTEL_EXPORTER_OTLP_HEADERS", 'authorization="sesame"'),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=sesame\\"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=sesame\N{EURO SIGN}"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "(api) key=sesame"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=sesame%0A"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=sesame%E2%82%AC"),
    ],
)
def test_invalid_secret_for_the_collector(name: str, value: str) -> None:
    """Headers and URLs that the SDK would log are problems without their values."""
    (problem,) = problems(**{OTLP: "https://collector.example", name: value})

    assert problem.startswith(f"{name} must ")
    assert "sesame" not in problem


@pytest.mark.parametrize(
    "variables",
    [
        {"GATEWAY_API_URL": "https://user:sesame@gateway.example"},
        {"GATEWAY_API_URL": "https://user:sesame@gateway.example:port"},
        {"GATEWAY_API_URL": "user:sesame@gateway.example"},
        {"GATEWAY_API_URL": "https://user:sesame@[::1"},
        {"GATEWAY_API_URL": "https://gateway.example?key=sesame"},
        {"ADMIN_KEY": "sesame open"},
        {"ADMIN_KEY": "sesame\nopen"},
        {"ADMIN_KEY": "sesame", "ADMIN_KEY_FILE": "x"},
        {"ADMIN_KEY": "sesame", "SCRAPE_INTERVAL": "x"},
        {"ADMIN_KEY": "", "ADMIN_KEY_FILE": "sesame"},
        {OTLP: "user:sesame@collector.example"},
    ],
)
def test_problems_show_no_secret(variables: dict[str, str]) -> None:
    """No problem, text or traceback of the error contains a secret."""
    with pytest.raises(SettingsError) as caught:
        load(**variables)

    error = caught.value
    shown = (*error.problems, str(error), repr(error), *traceback.format_exception(error))
    assert [] == [text for text in shown if "sesame" in text]


# The web server


def test_web_settings_alone() -> None:
    """Commands without a gateway read the listen address, and ignore other problems."""
    assert WebSettings("::", 8001) == load_web_settings({})
    assert WebSettings("::1", 9001) == load_web_settings(
        {"METRICS_HOST": "[::1]", "METRICS_PORT": ":9001", "SCRAPE_INTERVAL": "x", "LOG_LEVEL": "x"}
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x", 'METRICS_PORT="x": must be a port from 0 to 65535'),
        ('"8001"', "METRICS_PORT is in quotes, which would be part of the value: remove them."),
    ],
)
def test_invalid_web_settings(text: str, problem: str) -> None:
    """Problems of the listen address are raised, those of other variables are not."""
    with pytest.raises(SettingsError) as caught:
        load_web_settings({"METRICS_PORT": text, "ADMIN_KEY": '"key"'})

    assert (problem,) == caught.value.problems


def test_flags() -> None:
    """A flag overrides its variables, which can then be invalid."""
    settings = load(
        **{
            "--web.listen-address": ":9001,[::1]:9002",
            "--web.telemetry-path": "prom/",
            "--web.route-prefix": "tools/exporter/",
            "--log.level": "WARN",
            "--log.format": "console",
            "METRICS_HOST": "x:y",
            "METRICS_PORT": "x",
            "LOG_LEVEL": "loud",
        }
    )

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


@pytest.mark.parametrize(
    ("flag", "text", "problem"),
    [
        ("--web.listen-address", "8001", '="8001": must be host:port or :port, such as '),
        ("--web.telemetry-path", "/", " must not be / or begin with /-/"),
        ("--web.telemetry-path", "/-/healthy", " must not be / or begin with /-/"),
        ("--web.telemetry-path", "/a b", '="/a b": must be a path of letters, digits and -._~, such as '),
        ("--web.route-prefix", "/a/../b", '="/a/../b": must be a path of letters, digits and -._~, such as '),
        ("--web.external-url", "host/path", " must begin with http:// or https://"),
        ("--web.external-url", "https://user:hush@host", " must not contain credentials: none is needed."),
        ("--log.level", "loud", '="loud": must be debug, info, warning or error'),
        ("--log.format", "logfmt", '="logfmt": must be json or console'),
    ],
)
def test_invalid_flag(flag: str, text: str, problem: str) -> None:
    """An invalid flag is one problem that names the flag."""
    (sentence,) = problems(**{flag: text})

    assert sentence.startswith(flag + problem)


# OpenTelemetry


@pytest.mark.parametrize(
    ("variables", "protocols", "endpoints"),
    [
        ({}, (None, None, None), ()),
        ({"PROTOCOL": "unknown"}, (None, None, None), ()),
        ({"ENDPOINT": "http://c:4318"}, (HTTP, HTTP, None), ("http://c:4318",)),
        ({"ENDPOINT": "http://c", "PROTOCOL": "grpc"}, (GRPC, GRPC, None), ("http://c",)),
        ({"ENDPOINT": "http://c", "TRACES_PROTOCOL": "grpc"}, (GRPC, HTTP, None), ("http://c",)),
        (
            {"ENDPOINT": "http://c", "PROTOCOL": "grpc", "LOGS_PROTOCOL": HTTP},
            (GRPC, HTTP, None),
            ("http://c",),
        ),
        ({"TRACES_ENDPOINT": "http://t/v1/traces"}, (HTTP, None, None), ("http://t/v1/traces",)),
        ({"LOGS_ENDPOINT": "http://l"}, (None, HTTP, None), ("http://l",)),
        ({"ENDPOINT": "http://c", "LOGS_ENDPOINT": "http://a"}, (HTTP, HTTP, None), ("http://a", "http://c")),
        ({"ENDPOINT": "http://c", "METRICS_PROTOCOL": "grpc"}, (HTTP, HTTP, None), ("http://c",)),
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
    telemetry = load(OTEL_SDK_DISABLED=text, OTEL_METRICS_EXPORTER="otlp", **{OTLP: "http://c"}).telemetry

    assert TelemetrySettings(None, None, None, ("http://c",), traced=False) == telemetry
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
    settings = load(**{OTLP: "http://c", name: text})

    telemetry = settings.telemetry
    protocols = (telemetry.traces_protocol, telemetry.logs_protocol, telemetry.metrics_protocol)
    assert (HTTP if is_exported else None, ()) == (protocols[EXPORTERS.index(name)], settings.warnings)


def test_metrics_without_an_endpoint() -> None:
    """OTLP metrics without an endpoint are a warning."""
    (warning,) = load(OTEL_METRICS_EXPORTER="otlp").warnings

    assert "OTEL_METRICS_EXPORTER contains otlp, but OTEL_EXPORTER_OTLP_ENDPOINT is not set: " in warning


@pytest.mark.parametrize("text", ["console", "otlp,console", "console, none"])
@pytest.mark.parametrize("name", EXPORTERS)
def test_console_exporter(name: str, text: str) -> None:
    """`console` is ignored with a warning, in any list."""
    settings = load(**{OTLP: "http://c", name: text})

    assert (f"{name}: 'console' is ignored: standard output is for the log.",) == settings.warnings


@pytest.mark.parametrize("name", EXPORTERS)
def test_unknown_exporter(name: str) -> None:
    """An unknown exporter is a problem with an endpoint, and a warning without one."""
    allowed = "prometheus, otlp, console, none" if "METRICS" in name else "otlp, console, none"

    assert (f'{name}="foo": expected one of {allowed}',) == problems(**{OTLP: "http://c", name: "otlp,foo"})
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


@pytest.mark.parametrize("name", ["CERTIFICATE", "CLIENT_KEY", "LOGS_CLIENT_CERTIFICATE"])
def test_missing_file_for_the_collector(name: str, tmp_path: Path) -> None:
    """An unreadable file of an OTLP exporter is a problem if there is an endpoint."""
    variable, path = f"OTEL_EXPORTER_OTLP_{name}", str(tmp_path / "none.pem")

    assert (f"{variable}: {path!r} cannot be read.",) == problems(**{OTLP: "http://c", variable: path})
    assert () == load(**{variable: path}).warnings


@pytest.mark.parametrize("signal", ["", "TRACES_", "LOGS_", "METRICS_"])
@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("PROTOCOL", "http/json", '="http/json": expected one of http/protobuf, grpc'),
        ("ENDPOINT", "collector:4317", " must be a valid http:// or https:// URL without credentials."),
        ("ENDPOINT", "http://[collector", " must be a valid http:// or https:// URL without credentials."),
    ],
)
def test_invalid_otlp(signal: str, name: str, text: str, problem: str) -> None:
    """An invalid protocol or endpoint is one problem that names its variable."""
    variable = f"OTEL_EXPORTER_OTLP_{signal}{name}"

    assert (variable + problem,) == problems(
        **{OTLP: "http://c", "OTEL_METRICS_EXPORTER": "otlp", variable: text}
    )


@pytest.mark.parametrize(
    "text",
    [
        "authorization=Bearer a.b-c~d/e+f==",
        " a-b = 1 ,\tx=%20%22%3B%22 ,",
        "authorization=Basic%20YTpi",
        "x=",
    ],
)
def test_otlp_headers(text: str) -> None:
    """Headers can have spaces around and inside, and anything URL-encoded."""
    assert HTTP == load(**{OTLP: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": text}).telemetry.traces_protocol


def test_invalid_variable_of_a_library() -> None:
    """Values that libraries reject are warnings."""
    (warning,) = load(WEB_CONCURRENCY="auto").warnings

    assert warning.startswith("WEB_CONCURRENCY: 'auto' is ignored")


# Authorities, hints and quotes


def test_authorities(tmp_path: Path) -> None:
    """Authorities of the environment are part of the settings."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    settings = load(SSL_CERT_FILE=str(tmp_path / "ca.pem"))

    assert Authorities("SSL_CERT_FILE", tmp_path / "ca.pem") == settings.authorities


@pytest.mark.parametrize("name", AUTHORITIES)
def test_invalid_authorities(name: str, tmp_path: Path) -> None:
    """An invalid path is a problem with TLS, and is ignored without."""
    path = tmp_path / "nothing.pem"
    (problem,) = problems(**{name: str(path)})

    assert problem.startswith(f"{name} cannot be read: No such file or directory.")
    assert str(path) not in problem
    plain = load(GATEWAY_API_URL="http://localhost", **{name: str(path)})
    assert Authorities(name, path) == plain.authorities


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
    valid = {
        **{variable.name: variable.default or "x" for variable in VARIABLES},
        **GOOD,
        "ADMIN_KEY_FILE": str(tmp_path / "key"),
        "PROVIDER_SCRAPE_INTERVAL": "60",
        "STALE_AFTER": "180",
        **dict.fromkeys(AUTHORITIES, "."),
    }
    others = {"ADMIN_KEY": ""} if name == "ADMIN_KEY_FILE" else {}

    assert (f"{name} is in quotes, which would be part of the value: remove them.",) == problems(
        **others, **{name: f"{quote}{valid[name]}{quote}"}
    )
