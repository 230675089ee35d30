"""Environments without empty and invalid variables of libraries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from exporter import SERVICE_NAME
from exporter.config.environment import clean, prepare
from tests.libraries import plausible, variables
from tests.otlp import OtlpReceiver
from tests.process import program, run_program
from tests.replay import ReplayGateway
from tests.sweep import start, start_with_all

OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
NAMED = "a=b,service.name=mine"


def base(gateway: ReplayGateway, **more: str) -> dict[str, str]:
    """Return the environment of a program that polls the replay gateway."""
    return {
        "GATEWAY_API_URL": gateway.url,
        "ADMIN_KEY": "test-admin-key",
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        **more,
    }


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
@pytest.mark.parametrize("name", ["OTEL_BSP_SCHEDULE_DELAY", "WEB_CONCURRENCY", "ANY"])
def test_empty(name: str, text: str) -> None:
    """An empty variable is removed without a warning."""
    cleaned = clean({name: text, "B": "b"})

    assert ({"B": "b"}, ()) == (cleaned.variables, cleaned.warnings)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_BSP_SCHEDULE_DELAY", "foo"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BLRP_EXPORT_TIMEOUT", "9" * 5000),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "foo"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1.5"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "foo"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "inf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "yes"),
        ("OTEL_SDK_DISABLED", "1"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "foo"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "foo"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "5"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("OTEL_PROPAGATORS", "b3"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "foo"),
        ("OTEL_SERVICE_NAME", "\udcff"),
        ("OTEL_RESOURCE_ATTRIBUTES", "foo"),
        ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "("),
        ("OTEL_PYTHON_ASGI_EXCLUDED_URLS", "["),
        ("OTEL_PYTHON_CONTEXT", "foo"),
        ("OTEL_PYTHON_METER_PROVIDER", "sdk_meter_provider"),
        ("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "foo"),
        ("OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES", "foo"),
        ("GRPC_PYTHON_DEFAULT_TIMEOUT_SECONDS", "foo"),
        ("GRPC_ENABLE_FORK_SUPPORT", "foo"),
        ("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "foo"),
        ("GRPC_VERBOSITY", "loud"),
        ("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "UPB"),
        ("GRPC_POLL_STRATEGY", "EPOLL1"),
        ("SSLKEYLOGFILE", "/nowhere/keys"),
        ("WEB_CONCURRENCY", "auto"),
    ],
)
def test_invalid(name: str, text: str) -> None:
    """An invalid value is removed, with one short warning that names the variable."""
    cleaned = clean({name: text})

    assert {} == cleaned.variables
    (warning,) = cleaned.warnings
    assert warning.startswith(f"{name}: ")
    assert "is ignored, and the variable counts as unset: expected " in warning
    assert len(warning) < 300


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "0"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0.5"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "GZIP"),
        ("OTEL_SDK_DISABLED", "True"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ("OTEL_PROPAGATORS", "none"),
        ("OTEL_PROPAGATORS", "baggage,tracecontext"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "process,*"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c="),
        ("OTEL_PYTHON_CONTEXT", "contextvars_context"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "anything"),
        ("WEB_CONCURRENCY", "4"),
    ],
)
def test_valid(name: str, text: str) -> None:
    """A valid value is not changed."""
    cleaned = clean({name: text})

    assert ({name: text}, ()) == (cleaned.variables, cleaned.warnings)


@pytest.mark.parametrize(
    ("name", "text", "valid", "warning"),
    [
        (
            "OTEL_PROPAGATORS",
            "tracecontext, b3,,baggage",
            "tracecontext,baggage",
            "'b3' is ignored: expected propagators that are installed: tracecontext and baggage.",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "token=a,sesame",
            "token=a",
            "an entry is ignored: expected name=value, with commas between the entries.",
        ),
    ],
)
def test_list(name: str, text: str, valid: str, warning: str) -> None:
    """Valid entries of a list stay; warnings do not contain resource attributes, which can be secrets."""
    cleaned = clean({name: text})

    assert ({name: valid}, (f"{name}: {warning}",)) == (cleaned.variables, cleaned.warnings)


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT"])
def test_long_timeout(name: str) -> None:
    """A timeout in milliseconds is limited, with a warning about the unit."""
    cleaned = clean({name: "10000"})

    assert {name: "30"} == cleaned.variables
    assert (
        f"{name} is cut from 10000 to 30: its unit is seconds here, not milliseconds.",
    ) == cleaned.warnings


@pytest.mark.parametrize(
    ("general", "own", "protocol", "left", "warned"),
    [
        ("gzip", None, "grpc", "gzip", 0),
        ("none", None, "grpc", None, 0),
        ("gzip", "none", "grpc", None, 0),
        ("deflate", None, "grpc", None, 1),
        (None, "deflate", "grpc", None, 1),
        ("gzip", "none", "http/protobuf", "none", 0),
        ("deflate", None, "", "deflate", 0),
    ],
)
def test_compression(
    general: str | None, own: str | None, protocol: str, left: str | None, warned: int
) -> None:
    """Each signal has a compression that its protocol supports, its own before the general one."""
    prefix = "OTEL_EXPORTER_OTLP"
    names = {
        f"{prefix}_COMPRESSION": general,
        f"{prefix}_LOGS_COMPRESSION": own,
        f"{prefix}_PROTOCOL": protocol,
    }
    cleaned = clean({name: text for name, text in names.items() if text})

    assert left == cleaned.variables.get(f"{prefix}_LOGS_COMPRESSION")
    assert f"{prefix}_COMPRESSION" not in cleaned.variables
    assert warned == len(cleaned.warnings)


@pytest.mark.parametrize(
    ("queue", "batch", "left", "warned"),
    [("100", None, "100", 0), ("100", "200", "100", 1), (None, "3000", "2048", 1), ("100", "50", "50", 0)],
)
def test_batches(queue: str | None, batch: str | None, left: str, warned: int) -> None:
    """A batch is not larger than its queue, which the SDK would reject."""
    names = {"OTEL_BSP_MAX_QUEUE_SIZE": queue, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": batch}
    cleaned = clean({name: text for name, text in names.items() if text})

    assert left == cleaned.variables["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]
    assert warned == len(cleaned.warnings)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"OTEL_SERVICE_NAME": SERVICE_NAME}),
        ({"OTEL_SERVICE_NAME": "mine"}, {"OTEL_SERVICE_NAME": "mine"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": NAMED}, {"OTEL_RESOURCE_ATTRIBUTES": NAMED}),
        ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_SERVICE_NAME": SERVICE_NAME}),
        ({"OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true"}, {"OTEL_SERVICE_NAME": SERVICE_NAME}),
    ],
)
def test_environment_of_the_sdk(before: dict[str, str], after: dict[str, str]) -> None:
    """The service has a default name, and variables that would change /metrics are removed."""
    environ = dict(before)

    prepare(environ)

    added = {"OTEL_SEMCONV_STABILITY_OPT_IN", "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"}
    assert after == {name: value for name, value in environ.items() if name not in added}


def test_prepare() -> None:
    """Removes empty and invalid variables, and adds credentials to the sanitized headers."""
    name = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"
    environ = {"OTEL_PYTHON_CONTEXT": "foo", "HOME": "", "PATH": "/bin", name: "cookie"}

    prepare(environ)

    assert ("/bin", False, False) == (environ["PATH"], "HOME" in environ, "OTEL_PYTHON_CONTEXT" in environ)
    assert "cookie,authorization,proxy-authorization" == environ[name]


# The program


HARMLESS = {
    "OTEL_PROPAGATORS": "tracecontext,baggage,b3",
    "WEB_CONCURRENCY": "auto",
    "OTEL_PYTHON_METER_PROVIDER": "foo",
    "OTEL_PYTHON_TRACER_PROVIDER": "foo",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "foo",
    "OTEL_BSP_MAX_QUEUE_SIZE": "0",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "foo",
}


def test_warnings_of_run(gateway: ReplayGateway) -> None:
    """Each ignored variable has one record, and telemetry is delivered."""
    with OtlpReceiver() as receiver:
        result = start(base(gateway, **HARMLESS, **{OTLP: receiver.url}))

    assert (0, True) == (result.code, result.is_good)
    assert [1] * len(HARMLESS) == [result.output.count(f'"{name}: ') for name in HARMLESS]
    assert "Telemetry not delivered" not in result.output
    assert receiver.spans


@pytest.mark.parametrize("command", ["check", "doctor", "healthcheck"])
def test_other_commands(gateway: ReplayGateway, command: str) -> None:
    """No command fails because of a library's variable; `check` prints a note for each."""
    result = run_program(command, **base(gateway, **HARMLESS))

    assert "Traceback" not in result.stdout + result.stderr
    assert result.returncode == (1 if command == "healthcheck" else 0)
    assert [command == "check"] * len(HARMLESS) == [f"Note: {name}: " in result.stderr for name in HARMLESS]


def test_demo() -> None:
    """The demo ignores the variables, too."""
    with program("demo", METRICS_PORT="0", **HARMLESS) as running:
        running.record("Updated provider metrics")
        code, _ = running.end()

    assert (0, False) == (code, "Traceback" in "".join(running.output))


@pytest.mark.parametrize(
    ("more", "name"),
    [
        (
            {"OTEL_SERVICE_NAME": "", "OTEL_RESOURCE_ATTRIBUTES": "app.service.name=x,service.name="},
            SERVICE_NAME,
        ),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=b, service.name = mine"}, "mine"),
    ],
)
def test_name_of_the_service(gateway: ReplayGateway, more: dict[str, str], name: str) -> None:
    """Telemetry has the exporter's name by default."""
    with OtlpReceiver() as receiver:
        start(base(gateway, **more, **{OTLP: receiver.url}))

    names = [
        attribute.value.string_value
        for resource in receiver.resources
        for attribute in resource.attributes
        if attribute.key == "service.name"
    ]
    assert {name} == set(names)


def test_ignored_otlp_settings(gateway: ReplayGateway) -> None:
    """An ignored setting of an OTLP exporter is not logged as a failed delivery."""
    more = {"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd", "OTEL_EXPORTER_OTLP_TIMEOUT": "foo"}
    with OtlpReceiver() as receiver:
        result = start(base(gateway, **more, **{OTLP: receiver.url}))

    assert (0, True, True) == (result.code, bool(receiver.spans), bool(receiver.records))
    assert "Telemetry not delivered" not in result.output


def test_invalid_propagation_headers(gateway: ReplayGateway) -> None:
    """Headers that propagators reject are not logged."""
    rejected = {"baggage": "a" * 9000, "traceparent": "nonsense", "tracestate": "=" * 600}
    with OtlpReceiver() as receiver, program(**base(gateway, **{OTLP: receiver.url})) as running:
        url = running.url()
        running.record("Updated provider metrics")
        for _ in range(20):
            requests.get(f"{url}/metrics", headers=rejected, timeout=5)
        running.end()

    assert 20 <= len([span for span in receiver.spans if span.name == "GET /metrics"])
    assert 3 == len([line for line in running.output if line.startswith("{")])


# An agent


AGENT = "opentelemetry/instrumentation/auto_instrumentation"


@pytest.fixture
def python_path(tmp_path: Path) -> str:
    """PYTHONPATH with an agent of an older OpenTelemetry, as a Kubernetes operator sets it."""
    agent = tmp_path / AGENT
    agent.mkdir(parents=True)
    (agent / "sitecustomize.py").write_text("import opentelemetry.trace")
    (tmp_path / "opentelemetry" / "trace.py").write_text("OLD = True")
    about = tmp_path / "opentelemetry_api-1.20.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: opentelemetry-api\nVersion: 1.20.0\n")
    return os.pathsep.join([str(agent), str(tmp_path)])


def test_agent(gateway: ReplayGateway, python_path: str, tmp_path: Path) -> None:
    """The exporter runs without an agent of another version, and names it."""
    result = start(base(gateway, PYTHONPATH=python_path))

    assert (0, True) == (result.code, result.is_good)
    (line,) = [line for line in result.output.splitlines() if not line.startswith("{")]
    assert line.startswith(f"provider-metrics-exporter: PYTHONPATH: {tmp_path} is ignored, ")


def test_other_directories(tmp_path: Path, python_path: str) -> None:
    """Other directories of PYTHONPATH stay."""
    other = tmp_path.parent / f"{tmp_path.name}-other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("print('still here')")

    result = run_program("--version", PYTHONPATH=f"{python_path}{os.pathsep}{other}")

    assert (0, 1) == (result.returncode, result.stdout.count("still here"))


# Every variable of every library


SETS: Mapping[str, Mapping[str, str]] = {
    "nothing is sent": {},
    "http/protobuf": {"OTEL_METRICS_EXPORTER": "otlp"},
    "grpc": {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
}


@pytest.fixture(scope="module")
def names() -> tuple[str, ...]:
    """Variables that the installed libraries read."""
    return tuple(variables())


def test_found_variables(names: tuple[str, ...]) -> None:
    """The search finds names in code, in constants, in compiled libraries, and composed names."""
    known = "NETRC WEB_CONCURRENCY OTEL_BSP_SCHEDULE_DELAY GRPC_VERBOSITY OTEL_PYTHON_EXCLUDED_URLS"

    assert set(known.split()) <= set(names)
    assert len(names) > 150


@pytest.mark.parametrize("kind", ["empty", "foo", "plausible"])
def test_every_variable(gateway: ReplayGateway, names: tuple[str, ...], kind: str) -> None:
    """With all variables of all libraries set, the program runs, or names those that it rejects."""
    swept = {name: plausible(name) if kind == "plausible" else kind.replace("empty", "") for name in names}
    for sent, settings in SETS.items():
        with OtlpReceiver() as receiver:
            more = {**settings, OTLP: receiver.url} if sent != "nothing is sent" else {}
            result, rejected = start_with_all(
                base(gateway, **more), {n: t for n, t in swept.items() if n not in more}
            )

        assert result.is_good, result.output
        assert (0, True) == (result.code, kind != "empty" or not rejected)
        # What the program rejects once, it rejects with every set: the next starts leave it out.
        swept = {name: text for name, text in swept.items() if name not in rejected}
