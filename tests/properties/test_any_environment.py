"""Property: any environment results in settings or problems, and neither shows a secret."""

from __future__ import annotations

import logging
import os
import traceback
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.util.re import parse_env_headers

from exporter.config.flags import FLAGS
from exporter.config.settings import VARIABLES, Settings, load_settings
from exporter.errors import SettingsError
from exporter.transport.authorities import AUTHORITIES

SECRET = "sesame"
"""A part of all secrets, and of nothing else."""

values = (
    st.text(max_size=20)
    | st.binary(max_size=6).map(os.fsdecode)
    | st.sampled_from(["\n", " ", "\N{ARABIC-INDIC DIGIT ONE}", "~", "9" * 5000])
).map(lambda text: text.replace("\0", ""))
"""Any bytes without NUL, as Python decodes them."""
NUMBERS = ("0", "-1", "60", "0.1", "86400", "65536", "1e400", "nan", "-inf", "0x10", "9" * 5000, "60s")
WORDS = ("info", "DEBUG", "otlp", "none", "console", "grpc", "http/protobuf", "true", "prometheus")
HOSTS = ("gateway.example", "localhost", "[::1]", "[::1", "", "x:0", "x:99999", "x:port", "\u2100")
hosts, schemes = (
    st.sampled_from(HOSTS),
    st.sampled_from(["http://", "https://", "HTTPS://", "ftp://", "unix:", "//", ""]),
)
addresses = st.builds("{}{}{}".format, schemes, hosts, values)
users = st.text(st.characters(exclude_characters="\0/?#", codec="utf-8"), max_size=5)
with_password = st.builds(f"{{}}{{}}:{SECRET}@{{}}{{}}".format, schemes, users, hosts, values)
secrets = st.builds(lambda before, after: f"{before}{SECRET}{after}", values, values)

OTLP = [f"OTEL_EXPORTER_OTLP_{signal}{{}}" for signal in ("", "TRACES_", "LOGS_", "METRICS_")]
NOT_OPEN = ("GATEWAY_API_URL", "ADMIN_KEY", "ADMIN_KEY_FILE")
OPEN = [variable.name for variable in VARIABLES if variable.name not in NOT_OPEN]
OPEN += ["PROVIDER_SCRAPE_INTERVAL", *AUTHORITIES, *(name.format("PROTOCOL") for name in OTLP)]
OPEN += ["OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_SDK_DISABLED"]
OPEN += [flag.name for flag in FLAGS if flag.metavar and flag.name != "--web.external-url"]
"""Variables and flags without a secret."""

environments = st.fixed_dictionaries(
    {},
    optional={
        "GATEWAY_API_URL": st.just("https://gateway.example") | addresses | with_password,
        "ADMIN_KEY": st.just(SECRET) | secrets,
        # The key itself, by mistake.
        "ADMIN_KEY_FILE": values | secrets,
        **{name.format("ENDPOINT"): addresses | with_password for name in OTLP},
        **{name.format("HEADERS"): secrets | st.just(f"authorization=Bearer {SECRET}") for name in OTLP},
        **dict.fromkeys(OPEN, values | st.sampled_from(NUMBERS + WORDS)),
        "--web.external-url": addresses | with_password,
        "OTEL_METRICS_EXPORTER": values | st.sampled_from(["otlp", "prometheus,otlp"]),
    },
)


def outcome(environ: dict[str, str]) -> Settings | SettingsError:
    """Return the settings of an environment, or the error."""
    try:
        return load_settings(environ)
    except SettingsError as error:
        return error


def shown(result: Settings | SettingsError) -> tuple[Any, ...]:
    """Return all that could be printed of settings or of an error."""
    if isinstance(result, Settings):
        return (repr(result), str(result), *result.warnings)
    return (repr(result), str(result), *result.problems, *traceback.format_exception(result))


def header_warnings(environ: dict[str, str], settings: Settings) -> list[str]:
    """Return what the SDK logs about the headers of the exported signals."""
    handler, logger = logging.Handler(), logging.getLogger("opentelemetry.util.re")
    texts: list[str] = []
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    general = environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    for signal in ("traces", "logs", "metrics"):
        if getattr(settings.telemetry, f"{signal}_protocol") is not None:
            own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_HEADERS")
            parse_env_headers(own or general, liberal=True)
    logger.removeHandler(handler)
    return texts


@given(environ=environments)
@example(
    {
        "GATEWAY_API_URL": "https://gateway.example",
        "ADMIN_KEY": SECRET,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://collector.example/?key={SECRET}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {SECRET}",
        "OTEL_METRICS_EXPORTER": "otlp",
    }
)
def test_load_settings(environ: dict[str, str]) -> None:
    """Any environment results in settings or one-line problems, and no output contains a secret."""
    result = outcome(environ)

    assert [] == [text for text in shown(result) if SECRET in text]
    if isinstance(result, SettingsError):
        assert result.problems
        assert [] == [problem for problem in result.problems if "\n" in problem]
    else:
        assert [] == [text for text in header_warnings(environ, result) if SECRET in text]


@given(
    value=values
    | st.text(st.characters(codec="ascii"), max_size=20).map(lambda text: text.replace("\0", "")),
    name=st.sampled_from(["authorization", "api key", "a", "("]),
)
def test_headers_for_the_collector(name: str, value: str) -> None:
    """The SDK accepts every header that the exporter accepts, and logs nothing about it."""
    environ = {
        "GATEWAY_API_URL": "https://gateway.example",
        "ADMIN_KEY": "test-admin-key",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example",
        "OTEL_EXPORTER_OTLP_HEADERS": f"{name}={value}",
    }

    result = outcome(environ)

    assert [] == (header_warnings(environ, result) if isinstance(result, Settings) else [])
