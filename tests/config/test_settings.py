"""The environment becomes settings, or every problem with it is told at once and no secret with them."""

from __future__ import annotations

import dataclasses
import os
import traceback
from collections.abc import Callable
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
SECONDS = (
    "SCRAPE_INTERVAL",
    "PROVIDER_SCRAPE_INTERVAL",
    "FETCH_TIMEOUT",
    "STALE_AFTER",
    "HEALTH_CHECK_OVERDUE",
)
OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
EXPORTERS = ("OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_METRICS_EXPORTER")
BOTH = ("http/protobuf", "http/protobuf")
"""Protocols of traces and logs."""
NOBODY = Authorities("nothing", Path())


def load(**variables: str) -> Settings:
    """Return the settings of a good environment with some variables changed."""
    return load_settings({**GOOD, **variables})


def error_of(**variables: str) -> SettingsError:
    """Return the error of a good environment with some variables made wrong."""
    with pytest.raises(SettingsError) as caught:
        load(**variables)
    return caught.value


def problems(**variables: str) -> tuple[str, ...]:
    """Return the problems of a good environment with some variables made wrong."""
    return error_of(**variables).problems


def test_defaults() -> None:
    """With gateway and key alone, everything else is as documented and nothing is warned about."""
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
    """Each variable of the contract is taken from the environment."""
    settings = load(
        GATEWAY_API_URL="https://other.example:8443/gateway",
        ADMIN_KEY="another-key",
        SCRAPE_INTERVAL="30.5",
        METRICS_PORT="9001",
        METRICS_HOST="192.0.2.7",
        FETCH_TIMEOUT="2.5",
        STALE_AFTER="45",
        HEALTH_CHECK_OVERDUE="2h",
        LOG_LEVEL="debug",
        WEB_CONFIG_FILE="web.yml",
        CUSTOM_METRICS_FILE="custom.yml",
        PROTECT_HEALTH_ROUTES="true",
    )

    assert "another-key" == settings.admin_key.reveal()
    assert settings == Settings(
        gateway_url="https://other.example:8443/gateway",
        admin_key=settings.admin_key,
        admin_key_file=None,
        interval=30.5,
        fetch_timeout=2.5,
        stale_after=45.0,
        health_check_overdue=7200.0,
        log_level="debug",
        web=WebSettings("192.0.2.7", 9001, protect_health=True),
        telemetry=TelemetrySettings(None, None, None, (), traced=True),
        warnings=(),
        authorities=None,
        names=(),
    )


def test_table_of_variables() -> None:
    """The table that help texts are made of has every variable once, with its documented default."""
    assert [
        ("GATEWAY_API_URL", ""),
        ("ADMIN_KEY", ""),
        ("ADMIN_KEY_FILE", ""),
        ("SCRAPE_INTERVAL", "60s"),
        ("METRICS_PORT", "8001"),
        ("METRICS_HOST", "::"),
        ("FETCH_TIMEOUT", "10s"),
        ("STALE_AFTER", ""),
        ("HEALTH_CHECK_OVERDUE", "1h"),
        ("LOG_LEVEL", "info"),
        ("WEB_CONFIG_FILE", ""),
        ("PROTECT_HEALTH_ROUTES", "false"),
        ("CUSTOM_METRICS_FILE", ""),
    ] == [(variable.name, variable.default) for variable in VARIABLES]
    assert all(variable.meaning for variable in VARIABLES)


def test_settings_are_frozen() -> None:
    """Nothing can change the settings once they are read."""
    settings = load()

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.interval = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("empty", ["", " ", "\t\n"], ids=["empty", "blank", "white space"])
def test_empty_counts_as_unset(empty: str) -> None:
    """An empty value is as good as none, for every variable that may be left out."""
    optional = [variable.name for variable in VARIABLES if variable.name not in GOOD]
    names = [*optional, "PROVIDER_SCRAPE_INTERVAL", OTLP]

    settings = load(**dict.fromkeys(names, empty))

    assert dataclasses.replace(load(), admin_key=settings.admin_key) == settings


@pytest.mark.parametrize("empty", ["", "  "], ids=["empty", "blank"])
def test_empty_is_not_a_value(empty: str) -> None:
    """An empty value of a variable that is needed is told as if it were not set."""
    assert (
        "GATEWAY_API_URL is not set: it must be the gateway's root, for example https://api.example.com",
        "ADMIN_KEY is not set, nor ADMIN_KEY_FILE: one must hold the gateway's admin key.",
    ) == problems(GATEWAY_API_URL=empty, ADMIN_KEY=empty)


def test_blanks_around_values() -> None:
    """Blanks around a value are no part of it."""
    settings = load(SCRAPE_INTERVAL=" 30 ", ADMIN_KEY=f"  {KEY}\n", METRICS_HOST=" :: ")

    assert (30.0, KEY, "::") == (settings.interval, settings.admin_key.reveal(), settings.web.host)


def test_nothing_set_at_all() -> None:
    """Without any variable, the two that are needed are asked for."""
    with pytest.raises(SettingsError) as caught:
        load_settings({})

    assert ["GATEWAY_API_URL", "ADMIN_KEY"] == [
        problem.replace(":", " ").split()[0] for problem in caught.value.problems
    ]


def test_every_problem_at_once() -> None:
    """Whatever is wrong is told in one error, in the order of the documentation, each problem once."""
    assert (
        "GATEWAY_API_URL: must begin with http:// or https://",
        "ADMIN_KEY and ADMIN_KEY_FILE are both set: keep one of them.",
        'SCRAPE_INTERVAL="soon" and its alias PROVIDER_SCRAPE_INTERVAL="later" differ: keep one of them.',
        'SCRAPE_INTERVAL="soon": must be a duration such as 60, 60s or 5m',
        'FETCH_TIMEOUT="-1": must be between 100ms and 1d',
        'STALE_AFTER="never": must be a duration such as 60, 60s or 5m',
        'LOG_LEVEL="LOUD": must be debug, info, warning or error',
        'METRICS_HOST="host:8001": must be an IP address or a host name without a port, such as 127.0.0.1 '
        "or ::",
        'METRICS_PORT="65536": must be a port from 0 to 65535',
        'PROTECT_HEALTH_ROUTES="maybe": must be true or false',
        'OTEL_TRACES_EXPORTER="zipkin": expected one of otlp, console, none',
        'OTEL_LOGS_EXPORTER="foo": expected one of otlp, console, none',
    ) == problems(
        GATEWAY_API_URL="gateway.example",
        ADMIN_KEY_FILE="key.txt",
        SCRAPE_INTERVAL="soon",
        PROVIDER_SCRAPE_INTERVAL="later",
        FETCH_TIMEOUT="-1",
        STALE_AFTER="never",
        LOG_LEVEL="LOUD",
        METRICS_HOST="host:8001",
        METRICS_PORT="65536",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://c",
        OTEL_TRACES_EXPORTER="zipkin",
        OTEL_LOGS_EXPORTER="foo",
        PROTECT_HEALTH_ROUTES="maybe",
    )


# Seconds


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "inf",
        "-inf",
        "0",
        "-0.0",
        "-1",
        "2592000.5",
        "1e9",
        "1e400",
        "x",
        "60 s",
        "1_0",
        "0x10",
        "true",
    ],
)
@pytest.mark.parametrize("name", SECONDS)
def test_seconds_that_cannot_be(name: str, text: str) -> None:
    """A duration that is no number, not above zero or over a day is one problem with its name and value."""
    (problem,) = problems(**{name: text})

    assert problem.startswith(f'{name}="{text}": must be ')


@pytest.mark.parametrize(
    ("text", "seconds"), [("0.5", 0.5), ("1e2", 100.0), ("86400", 86400.0), ("60s", 60.0), ("5m", 300.0)]
)
def test_seconds_that_can_be(text: str, seconds: float) -> None:
    """An interval is plain seconds, or a duration in Prometheus' form, up to a day."""
    assert (seconds, 3 * seconds) == (
        load(SCRAPE_INTERVAL=text).interval,
        load(SCRAPE_INTERVAL=text).stale_after,
    )


@pytest.mark.parametrize("name", SECONDS)
def test_durations_have_units_everywhere(name: str) -> None:
    """Every duration takes Prometheus' form, the alias of the interval included."""
    settings = load(**{"SCRAPE_INTERVAL": "", name: "1m30s"})

    read = {"FETCH_TIMEOUT": min(90.0, 48.0), "STALE_AFTER": 90.0}
    assert read.get(name, 90.0) == {
        "FETCH_TIMEOUT": settings.fetch_timeout,
        "STALE_AFTER": settings.stale_after,
        "HEALTH_CHECK_OVERDUE": settings.health_check_overdue,
    }.get(name, settings.interval)


@pytest.mark.parametrize(
    ("name", "text", "limits"),
    [
        ("SCRAPE_INTERVAL", "2d", "100ms and 1d"),
        ("FETCH_TIMEOUT", "99ms", "100ms and 1d"),
        ("STALE_AFTER", "4d", "100ms and 3d"),
        ("HEALTH_CHECK_OVERDUE", "31d", "100ms and 30d"),
    ],
)
def test_limits_of_durations(name: str, text: str, limits: str) -> None:
    """A duration outside of its limits is a problem that names both limits."""
    assert (f'{name}="{text}": must be between {limits}',) == problems(**{name: text})


@pytest.mark.parametrize("name", [*SECONDS, "METRICS_PORT"])
def test_number_that_is_no_text(name: str) -> None:
    """Bytes that are no UTF-8, as an environment may hold them, are a problem like any other."""
    (problem,) = problems(**{name: os.fsdecode(b"\xff")})

    assert problem.startswith(f'{name}="\\udcff": must be a ')


def test_alias_alone() -> None:
    """PROVIDER_SCRAPE_INTERVAL alone is the interval."""
    settings = load(PROVIDER_SCRAPE_INTERVAL="120")

    assert (120.0, 360.0) == (settings.interval, settings.stale_after)


def test_alias_that_agrees() -> None:
    """Both names of the interval may be set to the same value."""
    assert 20.0 == load(SCRAPE_INTERVAL="20", PROVIDER_SCRAPE_INTERVAL="20").interval


def test_alias_that_differs() -> None:
    """Two different intervals are a problem that names both."""
    assert (
        'SCRAPE_INTERVAL="20" and its alias PROVIDER_SCRAPE_INTERVAL="30" differ: keep one of them.',
    ) == problems(SCRAPE_INTERVAL="20", PROVIDER_SCRAPE_INTERVAL="30")


def test_wrong_value_under_both_names() -> None:
    """The same wrong value under both names is one problem."""
    assert ('SCRAPE_INTERVAL="x": must be a duration such as 60, 60s or 5m',) == problems(
        SCRAPE_INTERVAL="x", PROVIDER_SCRAPE_INTERVAL="x"
    )


@pytest.mark.parametrize(
    ("variables", "seconds", "warnings"),
    [
        ({}, 10.0, ()),
        ({"SCRAPE_INTERVAL": "10"}, 8.0, ()),
        ({"FETCH_TIMEOUT": "48"}, 48.0, ()),
        ({"FETCH_TIMEOUT": "49"}, 48.0, ("FETCH_TIMEOUT is cut from 49 to 48 s: 0.8 x SCRAPE_INTERVAL.",)),
        (
            {"FETCH_TIMEOUT": "10", "SCRAPE_INTERVAL": "5"},
            4.0,
            ("FETCH_TIMEOUT is cut from 10 to 4 s: 0.8 x SCRAPE_INTERVAL.",),
        ),
    ],
    ids=["default", "default cut in silence", "just as much", "cut", "default given and cut"],
)
def test_fetch_timeout(variables: dict[str, str], seconds: float, warnings: tuple[str, ...]) -> None:
    """A fetch may take 0.8 of the interval at most; what a person asked for is not cut without a word."""
    settings = load(**variables)

    assert (seconds, warnings) == (settings.fetch_timeout, settings.warnings)


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"SCRAPE_INTERVAL": "15"}, 45.0),
        ({"STALE_AFTER": "60.5"}, 60.5),
        ({"STALE_AFTER": "20", "SCRAPE_INTERVAL": "15"}, 20.0),
    ],
    ids=["three intervals", "just longer than the interval", "less than three intervals"],
)
def test_stale_after(variables: dict[str, str], seconds: float) -> None:
    """Data are stale after three intervals, or after any time longer than the interval."""
    assert seconds == load(**variables).stale_after


@pytest.mark.parametrize("text", ["60", "5"], ids=["equal", "shorter"])
def test_stale_before_the_next_poll(text: str) -> None:
    """Data that would be stale before they can be replaced are a problem."""
    assert (
        f"STALE_AFTER={text} is not longer than the interval of 60 s: data would vanish between two polls.",
    ) == problems(STALE_AFTER=text)


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"SCRAPE_INTERVAL": "x", "STALE_AFTER": "30"}, "SCRAPE_INTERVAL"),
        ({"SCRAPE_INTERVAL": "86400", "STALE_AFTER": "x"}, "STALE_AFTER"),
    ],
    ids=["interval", "stale after"],
)
def test_wrong_value_contradicts_nothing(variables: dict[str, str], name: str) -> None:
    """A value that cannot be read is told as such, and not also as a contradiction to one not given."""
    (problem,) = problems(**variables)

    assert problem.startswith(f'{name}="x": ')


# The gateway's address


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://gateway.example/", "https://gateway.example"),
        ("https://gateway.example///", "https://gateway.example"),
        ("https://gateway.example/root/", "https://gateway.example/root"),
        ("https://gateway.example:8443", "https://gateway.example:8443"),
        ("HTTPS://gateway.example", "HTTPS://gateway.example"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
    ids=["slash", "slashes", "path", "port", "upper case", "IPv6"],
)
def test_gateway_url(text: str, url: str) -> None:
    """The address is taken as it is, without slashes at its end."""
    settings = load(GATEWAY_API_URL=text)

    assert (url, ()) == (settings.gateway_url, settings.warnings)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gateway.example", "must begin with http:// or https://"),
        ("gateway.example:8000", "must begin with http:// or https://"),
        ("ftp://gateway.example", "must begin with http:// or https://"),
        ("https://", "has no usable host and port."),
        ("https:///providers", "has no usable host and port."),
        ("https://:443", "has no usable host and port."),
        ("https://gateway.example:0", "has no usable host and port."),
        ("https://gateway.example:65536", "is not a valid URL."),
        ("https://gateway.example:port", "is not a valid URL."),
        ("https://[::1", "is not a valid URL."),
        (
            "https://user@gateway.example",
            "must hold no user or password: the key is ADMIN_KEY.",
        ),
        (
            "https://:password@gateway.example",
            "must hold no user or password: the key is ADMIN_KEY.",
        ),
        ("https://gateway.example?a=b", "must hold no query and no fragment."),
        ("https://gateway.example/#top", "must hold no query and no fragment."),
        ("https://gateway.example/?", "must hold no query and no fragment."),
        ("https://gateway.example/#", "must hold no query and no fragment."),
        ("https://gateway.example/a b", "has blanks or characters that are not ASCII."),
        ("https://gatew\N{LATIN SMALL LETTER A WITH DIAERESIS}y.example", "has blanks or characters that"),
        ("https://gate\nway.example", "has blanks or characters that are not ASCII."),
    ],
    ids=[
        "no scheme",
        "host and port",
        "other scheme",
        "nothing else",
        "no host",
        "port alone",
        "port 0",
        "port too high",
        "port no number",
        "open bracket",
        "user",
        "password",
        "query",
        "fragment",
        "empty query",
        "empty fragment",
        "blank",
        "umlaut",
        "line break",
    ],
)
def test_gateway_url_that_cannot_be(text: str, problem: str) -> None:
    """An address that is no root of a gateway is one problem, told without the address."""
    (told,) = problems(GATEWAY_API_URL=text)

    assert told.startswith(f"GATEWAY_API_URL: {problem}")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8000", "127.0.0.1:8000", "127.8.9.1", "[::1]", "[::1]:8000", "x.localhost"],
)
def test_plain_http_to_this_machine(host: str) -> None:
    """Plain HTTP that does not leave the machine is nothing to warn about."""
    assert () == load(GATEWAY_API_URL=f"http://{host}").warnings


@pytest.mark.parametrize(
    "host", ["gateway.example", "10.0.0.1", "[2001:db8::1]", "localhost.example", "notlocalhost", "0.0.0.0"]
)
def test_plain_http_to_others(host: str) -> None:
    """Plain HTTP over a network is allowed, with a warning that does not show the address."""
    settings = load(GATEWAY_API_URL=f"http://{host}")

    assert f"http://{host}" == settings.gateway_url
    assert (
        "GATEWAY_API_URL is plain http: the admin key travels unencrypted; use https.",
    ) == settings.warnings


# The key


@pytest.mark.parametrize("text", [KEY, f"{KEY}\n", f"  {KEY}\r\n\n"], ids=["bare", "line", "blanks"])
def test_key_from_a_file(tmp_path: Path, text: str) -> None:
    """The key may come from a file, and blanks and line breaks around it do not count."""
    path = tmp_path / "key"
    path.write_text(text, encoding="utf-8")

    settings = load(ADMIN_KEY="", ADMIN_KEY_FILE=str(path))

    assert (KEY, path) == (settings.admin_key.reveal(), settings.admin_key_file)


def test_key_file_that_is_not_there(tmp_path: Path) -> None:
    """A key file that does not exist is one problem with the reason."""
    (problem,) = problems(ADMIN_KEY="", ADMIN_KEY_FILE=str(tmp_path / "key"))

    assert problem.startswith("ADMIN_KEY_FILE")
    assert "cannot be read: No such file or directory" in problem


def test_key_file_that_is_a_directory(tmp_path: Path) -> None:
    """A key file that is a directory is one problem with the reason."""
    (problem,) = problems(ADMIN_KEY="", ADMIN_KEY_FILE=str(tmp_path))

    assert problem.startswith("ADMIN_KEY_FILE")
    assert "cannot be read: Is a directory" in problem


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "names a file that is empty"),
        (b" \n\n", "names a file that is empty"),
        (b"\xff\xfe\x00", "cannot be read: not UTF-8 text"),
    ],
    ids=["empty", "blank", "binary"],
)
def test_key_file_without_a_key(tmp_path: Path, content: bytes, reason: str) -> None:
    """A key file without a text in it is one problem with the reason."""
    path = tmp_path / "key"
    path.write_bytes(content)

    (problem,) = problems(ADMIN_KEY="", ADMIN_KEY_FILE=str(path))

    assert problem.startswith("ADMIN_KEY_FILE")
    assert reason in problem


def test_key_and_key_file() -> None:
    """Two sources of the key are a problem, and the file is not even read."""
    assert ("ADMIN_KEY and ADMIN_KEY_FILE are both set: keep one of them.",) == problems(ADMIN_KEY_FILE="x")


@pytest.mark.parametrize(
    "key",
    [
        f"{KEY} {KEY}",
        f"{KEY}\t{KEY}",
        f"{KEY}\n{KEY}",
        f"{KEY}\r\nX-Other: 1",
        f"{KEY}\x7f{KEY}",
        f"{KEY}\N{LATIN SMALL LETTER A WITH DIAERESIS}",
        f"{KEY}\N{NO-BREAK SPACE}{KEY}",
    ],
    ids=["blank", "tab", "line break", "header", "control", "umlaut", "no-break space"],
)
@pytest.mark.parametrize("by_file", [False, True], ids=["variable", "file"])
def test_key_that_cannot_be_sent(tmp_path: Path, key: str, by_file: bool) -> None:
    """A key that does not fit into a header is one problem, wherever it came from, and is not shown."""
    path = tmp_path / "file"
    path.write_text(key, encoding="utf-8")

    told = problems(**({"ADMIN_KEY": "", "ADMIN_KEY_FILE": str(path)} if by_file else {"ADMIN_KEY": key}))

    assert ("ADMIN_KEY, or its file, has blanks or characters that are not printable ASCII.",) == told


# Secrets


def test_settings_never_show_the_key() -> None:
    """Whatever way settings are printed, the key is not in it."""
    settings = load()

    shown = (repr(settings), str(settings), f"{settings}", repr(dataclasses.asdict(settings)))
    assert [] == [text for text in shown if KEY in text]


def test_settings_never_show_a_key_of_the_collector() -> None:
    """A key in the address of the collector is used, but not shown with the settings."""
    settings = load(**{OTLP: "https://collector.example/?key=sesame"})

    assert ("https://collector.example/?key=sesame",) == settings.telemetry.endpoints
    assert "sesame" not in repr(settings)


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
    ids=[
        "password",
        "headers",
        "headers of a signal",
        "semicolon",
        "quotes",
        "backslash",
        "not ASCII",
        "name",
        "encoded line break",
        "encoded, not ASCII",
    ],
)
def test_secret_for_the_collector_that_cannot_be_used(name: str, value: str) -> None:
    """The SDK would print a wrong header, and a password of the address: they are refused unseen."""
    told = problems(**{OTLP: "https://collector.example", name: value})

    assert 1 == len(told)
    assert told[0].startswith(f"{name} must ")
    assert "sesame" not in told[0]


@pytest.mark.parametrize(
    "variables",
    [
        {"GATEWAY_API_URL": "https://user:sesame@gateway.example"},
        {"GATEWAY_API_URL": "https://sesame@gateway.example"},
        {"GATEWAY_API_URL": "https://user:sesame@gateway.example:port"},
        {"GATEWAY_API_URL": "https://user:sesame@gateway.example:0"},
        {"GATEWAY_API_URL": "user:sesame@gateway.example"},
        {"GATEWAY_API_URL": "https://user:sesame@"},
        {"GATEWAY_API_URL": "https://user:sesame@[::1"},
        {"GATEWAY_API_URL": "https://gateway.example?key=sesame"},
        {"GATEWAY_API_URL": "https://gateway.example#sesame"},
        {"ADMIN_KEY": "sesame open"},
        {"ADMIN_KEY": "sesame\nopen"},
        {"ADMIN_KEY": "sesame", "ADMIN_KEY_FILE": "x"},
        {"ADMIN_KEY": "sesame", "SCRAPE_INTERVAL": "x"},
        {"ADMIN_KEY": "", "ADMIN_KEY_FILE": "sesame"},
        {OTLP: "user:sesame@collector.example"},
    ],
    ids=[
        "password",
        "user",
        "password, bad port",
        "password, port 0",
        "password, no scheme",
        "password, no host",
        "password, open bracket",
        "query",
        "fragment",
        "key with a blank",
        "key with a line break",
        "key and file",
        "key beside a problem",
        "key in place of its file",
        "password of the collector",
    ],
)
def test_problems_never_show_a_secret(variables: dict[str, str]) -> None:
    """No problem, no text of the error and no traceback of it holds a key or a password."""
    error = error_of(**variables)

    shown = (*error.problems, str(error), repr(error), *traceback.format_exception(error))
    assert [] == [text for text in shown if "sesame" in text]


def test_problems_are_single_lines() -> None:
    """A line break in a value does not make two lines of its problem."""
    told = problems(
        SCRAPE_INTERVAL="1\n2",
        LOG_LEVEL="a\nb",
        ADMIN_KEY_FILE="a\nb",
        OTEL_LOGS_EXPORTER="a\nb",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://c",
    )

    assert 4 == len(told)
    assert [] == [problem for problem in told if "\n" in problem]


# The web side


@pytest.mark.parametrize("port", [0, 1, 8001, 65535])
def test_port(port: int) -> None:
    """Every port can be had; 0 asks for any free one."""
    assert port == load(METRICS_PORT=str(port)).web.port


@pytest.mark.parametrize("text", ["-1", "65536", "x", "80.5", "0x50", "1e9", "nan", "true", "8001,8002"])
def test_port_that_cannot_be(text: str) -> None:
    """A value that is no port is one problem with its name and value."""
    (problem,) = problems(METRICS_PORT=text)

    assert problem.startswith(f'METRICS_PORT="{text}": must be a port ')


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title], ids=["lower", "upper", "title"])
def test_log_level_in_any_case(level: str, case: Callable[[str], str]) -> None:
    """The log level may be written in any case."""
    assert level == load(LOG_LEVEL=case(level)).log_level


@pytest.mark.parametrize("text", ["warn", "WARN"])
def test_short_warning_level(text: str) -> None:
    """The spelling of Prometheus' exporters is accepted."""
    assert "warning" == load(LOG_LEVEL=text).log_level


@pytest.mark.parametrize("text", ["trace", "fatal", "10", "info,debug"])
def test_log_level_that_cannot_be(text: str) -> None:
    """Any other log level is one problem that names those there are."""
    assert (f'LOG_LEVEL="{text}": must be debug, info, warning or error',) == problems(LOG_LEVEL=text)


def test_web_settings_need_no_gateway() -> None:
    """Where to listen is known without a gateway and a key, whatever else is wrong."""
    assert WebSettings("::", 8001) == load_web_settings({})
    assert WebSettings("127.0.0.1", 9001) == load_web_settings(
        {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": "9001", "SCRAPE_INTERVAL": "x", "LOG_LEVEL": "x"}
    )


def test_web_settings_in_other_spellings() -> None:
    """Brackets around an IPv6 address and a colon before the port are no part of either."""
    assert WebSettings("::1", 8001) == load_web_settings({"METRICS_HOST": "[::1]", "METRICS_PORT": ":8001"})


def test_web_settings_that_cannot_be() -> None:
    """A wrong port is a problem there as well, the only one."""
    with pytest.raises(SettingsError) as caught:
        load_web_settings({"METRICS_PORT": "x"})

    assert ('METRICS_PORT="x": must be a port from 0 to 65535',) == caught.value.problems


# Flags


def test_flags_win() -> None:
    """Each flag wins over its variables, which may then be malformed."""
    settings = load(
        **{
            "--web.listen-address": ":9001,[::1]:9002",
            "--log.level": "WARN",
            "--log.format": "console",
            "METRICS_HOST": "x:y",
            "METRICS_PORT": "x",
            "LOG_LEVEL": "loud",
        }
    )

    assert ("warning", "console") == (settings.log_level, settings.log_format)
    assert WebSettings("::", 9001, further=(("::1", 9002),)) == settings.web


def test_paths() -> None:
    """Paths have a slash at their start and none at their end."""
    web = load(**{"--web.telemetry-path": "prom/", "--web.route-prefix": "tools/exporter/"}).web

    assert ("/prom", "/tools/exporter") == (web.telemetry_path, web.route_prefix)


@pytest.mark.parametrize(
    ("url", "prefix", "expected"),
    [
        ("https://host.example/tools/exporter/", "", "/tools/exporter"),
        ("https://host.example", "", ""),
        ("https://host.example/tools/exporter", "/", ""),
        ("https://host.example/tools/exporter", "/other", "/other"),
    ],
    ids=["path of the URL", "no path", "stripped by the proxy", "another one"],
)
def test_route_prefix(url: str, prefix: str, expected: str) -> None:
    """The prefix is the path of the external URL, unless another one is set."""
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
        ("--web.external-url", "https://user:hush@host", " must hold no user or password: none is needed."),
        ("--log.level", "loud", '="loud": must be debug, info, warning or error'),
        ("--log.format", "logfmt", '="logfmt": must be json or console'),
    ],
)
def test_flags_that_cannot_be(flag: str, text: str, problem: str) -> None:
    """What is wrong with a flag is one problem, which names the flag."""
    (told,) = problems(**{flag: text})

    assert told.startswith(flag + problem)


# OpenTelemetry


@pytest.mark.parametrize(
    ("variables", "protocols", "endpoints"),
    [
        ({}, (None, None), ()),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "smoke signals"}, (None, None), ()),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp"}, (None, None), ()),
        ({OTLP: ""}, (None, None), ()),
        ({OTLP: "http://c:4318"}, BOTH, ("http://c:4318",)),
        ({OTLP: "https://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, BOTH, ("https://c",)),
        ({OTLP: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("grpc", "grpc"), ("http://c",)),
        (
            {OTLP: "http://c", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            ("grpc", "http/protobuf"),
            ("http://c",),
        ),
        (
            {
                OTLP: "http://c",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/protobuf",
            },
            ("grpc", "http/protobuf"),
            ("http://c",),
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/v1/traces"},
            ("http/protobuf", None),
            ("http://t/v1/traces",),
        ),
        (
            {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://l/v1/logs"},
            (None, "http/protobuf"),
            ("http://l/v1/logs",),
        ),
        (
            {OTLP: "http://c", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://a"},
            BOTH,
            ("http://a", "http://c"),
        ),
        ({OTLP: "http://c", "OTEL_TRACES_EXPORTER": "none"}, (None, "http/protobuf"), ("http://c",)),
        ({OTLP: "http://c", "OTEL_LOGS_EXPORTER": "none"}, ("http/protobuf", None), ("http://c",)),
    ],
    ids=[
        "nothing",
        "protocol without endpoint",
        "exporters without endpoint",
        "empty endpoint",
        "general endpoint",
        "http/protobuf",
        "grpc",
        "grpc for one",
        "grpc but for one",
        "endpoint for traces",
        "endpoint for logs",
        "endpoint besides the general one",
        "no traces",
        "no logs",
    ],
)
def test_otlp(
    variables: dict[str, str], protocols: tuple[str | None, str | None], endpoints: tuple[str, ...]
) -> None:
    """A signal leaves only where there is an endpoint for it, by the protocol that was asked for."""
    settings = load(**variables)

    assert TelemetrySettings(*protocols, None, endpoints, traced=True) == settings.telemetry
    assert () == settings.warnings


@pytest.mark.parametrize("text", ["true", "TRUE", "True"])
def test_sdk_disabled(text: str) -> None:
    """OTEL_SDK_DISABLED=true, in any case, turns off all that is sent."""
    variables = {OTLP: "http://c", "OTEL_METRICS_EXPORTER": "otlp"}
    telemetry = load(OTEL_SDK_DISABLED=text, **variables).telemetry

    assert (None, None, None, False) == (
        telemetry.traces_protocol,
        telemetry.logs_protocol,
        telemetry.metrics_protocol,
        telemetry.traced,
    )


@pytest.mark.parametrize("text", ["false", "1", "yes"])
def test_sdk_not_disabled(text: str) -> None:
    """Any other value of OTEL_SDK_DISABLED means false, as OpenTelemetry has it."""
    assert load(OTEL_SDK_DISABLED=text).telemetry.traced


@pytest.mark.parametrize("text", ["", "prometheus", "none", "prometheus,none"])
def test_metrics_are_not_sent_by_themselves(text: str) -> None:
    """Metrics are published for Prometheus only, unless a person asks for more."""
    settings = load(OTEL_METRICS_EXPORTER=text, **{OTLP: "http://c"})

    assert (None, ()) == (settings.telemetry.metrics_protocol, settings.warnings)


@pytest.mark.parametrize("text", ["otlp", "prometheus,otlp", " otlp , prometheus "])
def test_metrics_by_otlp(text: str) -> None:
    """Where otlp is in the list, metrics are sent as well, by the protocol and to the address that hold."""
    variables = {OTLP: "http://c", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"}
    settings = load(OTEL_METRICS_EXPORTER=text, **variables)
    own = load(OTEL_METRICS_EXPORTER=text, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="http://m/v1/metrics")

    assert ("grpc", ("http://c",), ()) == (
        settings.telemetry.metrics_protocol,
        settings.telemetry.endpoints,
        settings.warnings,
    )
    assert (None, None, "http/protobuf", ("http://m/v1/metrics",)) == (
        own.telemetry.traces_protocol,
        own.telemetry.logs_protocol,
        own.telemetry.metrics_protocol,
        own.telemetry.endpoints,
    )


def test_metrics_by_otlp_to_nowhere() -> None:
    """Who asks for metrics by OTLP and names no endpoint is told that none are sent."""
    settings = load(OTEL_METRICS_EXPORTER="otlp")

    assert None is settings.telemetry.metrics_protocol
    (warning,) = settings.warnings
    assert (
        "OTEL_METRICS_EXPORTER names otlp, but OTEL_EXPORTER_OTLP_ENDPOINT is not set: no metrics are sent."
    ) == warning


@pytest.mark.parametrize("text", ["console", "otlp,console", "console, none"])
@pytest.mark.parametrize("name", EXPORTERS)
def test_console_exporter(name: str, text: str) -> None:
    """`console` may be in each list, and is ignored with a warning, since standard output carries the log."""
    settings = load(**{OTLP: "http://c", name: text})

    assert (f"{name}: 'console' is ignored: standard output carries the log.",) == settings.warnings


@pytest.mark.parametrize(
    ("text", "protocol"),
    [("otlp,console", "http/protobuf"), ("console", None), ("none", None), (",", "http/protobuf")],
)
def test_list_of_exporters(text: str, protocol: str | None) -> None:
    """Spans are sent where otlp is in the list."""
    assert protocol == load(OTEL_TRACES_EXPORTER=text, **{OTLP: "http://c"}).telemetry.traces_protocol


@pytest.mark.parametrize("name", EXPORTERS)
def test_exporter_that_cannot_be(name: str) -> None:
    """An unknown exporter is one problem that names the others, where there is something to send it to."""
    allowed = "prometheus, otlp, console, none" if "METRICS" in name else "otlp, console, none"

    assert (f'{name}="foo": expected one of {allowed}',) == problems(**{OTLP: "http://c", name: "otlp,foo"})


@pytest.mark.parametrize("name", EXPORTERS)
def test_unknown_exporter_without_endpoint(name: str) -> None:
    """Where nothing would be sent, an unknown exporter is only a warning."""
    (warning,) = load(**{name: "foo"}).warnings

    assert warning.startswith(f"{name}: 'foo' is ignored: expected one of ")


@pytest.mark.parametrize(
    ("endpoint", "protocol", "warned"),
    [
        ("http://c:4317", "", "grpc"),
        ("http://c:4317", "http/protobuf", "grpc"),
        ("http://c:4318", "grpc", "http/protobuf"),
        ("http://c:4318", "", None),
        ("http://c:4317", "grpc", None),
        ("http://c", "grpc", None),
    ],
)
def test_port_of_the_other_protocol(endpoint: str, protocol: str, warned: str | None) -> None:
    """An endpoint with the port of the other protocol is one warning, whatever the number of signals."""
    settings = load(**{OTLP: endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})

    assert (0 if warned is None else 1) == len(settings.warnings)
    assert all(w.startswith(f"{OTLP} has port ") and w.endswith(f" to {warned}.") for w in settings.warnings)


@pytest.mark.parametrize("name", ["CERTIFICATE", "CLIENT_KEY", "LOGS_CLIENT_CERTIFICATE"])
def test_file_for_the_collector_that_is_not_there(name: str, tmp_path: Path) -> None:
    """A file that an OTLP exporter needs and cannot read is a problem, where something is sent."""
    variable, path = f"OTEL_EXPORTER_OTLP_{name}", str(tmp_path / "none.pem")

    assert (f"{variable}: {path!r} cannot be read.",) == problems(**{OTLP: "http://c", variable: path})
    assert () == load(**{variable: path}).warnings


def test_ignored_variable_of_a_library() -> None:
    """What libraries cannot use is a warning, in every command that reads the settings."""
    (warning,) = load(WEB_CONCURRENCY="auto").warnings

    assert warning.startswith("WEB_CONCURRENCY: 'auto' is ignored")


@pytest.mark.parametrize(
    "name",
    [
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    ],
)
def test_protocol_that_cannot_be(name: str) -> None:
    """A protocol that is not there is one problem that names its variable."""
    told = problems(**{OTLP: "http://c", "OTEL_METRICS_EXPORTER": "otlp", name: "http/json"})

    assert (f'{name}="http/json": expected one of http/protobuf, grpc',) == told


@pytest.mark.parametrize(
    "text",
    [
        "authorization=Bearer a.b-c~d/e+f==",
        " api-key = 1 ,\tx=%20%22%3B%22 ,",
        "authorization=Basic%20YTpi",
        "x=",
    ],
)
def test_otlp_headers(text: str) -> None:
    """Headers may have blanks around and inside, and anything that is URL-encoded."""
    settings = load(**{OTLP: "http://collector.example", "OTEL_EXPORTER_OTLP_HEADERS": text})

    assert BOTH == (settings.telemetry.traces_protocol, settings.telemetry.logs_protocol)


@pytest.mark.parametrize(
    "name",
    [
        OTLP,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    ],
)
@pytest.mark.parametrize("text", ["collector:4317", "//collector", "unix:///collector"])
def test_otlp_endpoint_that_cannot_be(name: str, text: str) -> None:
    """An endpoint that is no HTTP address is one problem that names its variable."""
    (problem,) = problems(OTEL_METRICS_EXPORTER="otlp", **{name: text})

    assert name in problem
    assert "must begin with http:// or https://" in problem


def test_otlp_endpoint_that_is_no_url() -> None:
    """An endpoint that cannot even be taken apart is a problem like any other, told beside the rest."""
    told = problems(METRICS_PORT="x", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://[collector")

    assert 2 == len(told)
    assert 'METRICS_PORT="x": must be a port from 0 to 65535' in told


# Names in hints


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {}),
        ({"PROVIDER_SCRAPE_INTERVAL": "60"}, {"SCRAPE_INTERVAL": "PROVIDER_SCRAPE_INTERVAL"}),
        ({"SSL_CERT_DIR": "."}, {"REQUESTS_CA_BUNDLE": "SSL_CERT_DIR"}),
        ({"REQUESTS_CA_BUNDLE": "."}, {"REQUESTS_CA_BUNDLE": "REQUESTS_CA_BUNDLE"}),
    ],
    ids=str,
)
def test_names_in_use(variables: dict[str, str], expected: dict[str, str]) -> None:
    """Hints name the variable that is set, and not another one for the same thing."""
    assert expected == dict(load(**variables).names)


def test_name_of_the_key_file(tmp_path: Path) -> None:
    """With the key in a file, hints name that file's variable."""
    (tmp_path / "key").write_text(KEY)
    settings = load(ADMIN_KEY="", ADMIN_KEY_FILE=str(tmp_path / "key"))

    assert {"ADMIN_KEY": "the file that ADMIN_KEY_FILE names"} == dict(settings.names)


# Authorities


def test_authorities_of_the_gateway(tmp_path: Path) -> None:
    """Authorities that the environment names are part of the settings."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    settings = load(SSL_CERT_FILE=str(tmp_path / "ca.pem"))

    assert Authorities("SSL_CERT_FILE", tmp_path / "ca.pem") == settings.authorities
    assert None is load().authorities


@pytest.mark.parametrize("name", AUTHORITIES)
def test_authorities_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    """A wrong path is a problem where TLS is used, and does not matter where it is not."""
    variables = {name: str(tmp_path / "nothing.pem")}

    assert problems(**variables)[0].startswith(f"{name} cannot be read: No such file or directory.")
    assert str(tmp_path) not in problems(**variables)[0]
    assert name == (load(GATEWAY_API_URL="http://localhost", **variables).authorities or NOBODY).variable


# Quotes


IN_QUOTES = {
    "GATEWAY_API_URL": "https://gateway.example",
    "ADMIN_KEY": KEY,
    "SCRAPE_INTERVAL": "60",
    "PROVIDER_SCRAPE_INTERVAL": "60",
    "METRICS_PORT": "8001",
    "METRICS_HOST": "::1",
    "FETCH_TIMEOUT": "10",
    "STALE_AFTER": "180",
    "HEALTH_CHECK_OVERDUE": "1h",
    "LOG_LEVEL": "info",
    "WEB_CONFIG_FILE": "web.yml",
    "PROTECT_HEALTH_ROUTES": "true",
    "CUSTOM_METRICS_FILE": "custom.yaml",
    "REQUESTS_CA_BUNDLE": ".",
    "SSL_CERT_FILE": ".",
}
"""A good value of each variable but that of the key's file."""


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize(("name", "value"), IN_QUOTES.items())
def test_value_in_quotes(name: str, value: str, quote: str) -> None:
    """A value in quotes is refused with one problem that says so, without the value."""
    assert (f"{name} is in quotes, which would be part of the value: remove them.",) == problems(
        **{name: f"{quote}{value}{quote}"}
    )


def test_every_variable_is_tried_in_quotes() -> None:
    """No variable is left out of the test above."""
    assert {variable.name for variable in VARIABLES} - {"ADMIN_KEY_FILE"} <= set(IN_QUOTES)


def test_key_file_in_quotes(tmp_path: Path) -> None:
    """Quotes around the name of the key's file, and those around the key in it, are refused."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "quoted").write_text(f'"{KEY}"\n')

    assert ("ADMIN_KEY_FILE is in quotes, which would be part of the value: remove them.",) == problems(
        ADMIN_KEY="", ADMIN_KEY_FILE=f"'{tmp_path / 'key'}'"
    )
    assert (
        "ADMIN_KEY, or its file, is in quotes, which would be part of the key: remove them.",
    ) == problems(ADMIN_KEY="", ADMIN_KEY_FILE=str(tmp_path / "quoted"))


def test_web_settings_in_quotes() -> None:
    """Commands that need no gateway refuse quotes as well, in what they read."""
    with pytest.raises(SettingsError) as caught:
        load_web_settings({"METRICS_PORT": '"8001"', "ADMIN_KEY": '"key"'})

    assert (
        "METRICS_PORT is in quotes, which would be part of the value: remove them.",
    ) == caught.value.problems
