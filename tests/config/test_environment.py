"""Environments without empty and invalid variables of libraries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exporter import SERVICE_NAME
from exporter.config.environment import clean, prepare
from tests.libraries import plausible, variables
from tests.otlp import OtlpReceiver
from tests.process import run_program
from tests.replay import ReplayGateway
from tests.sweep import start, start_with_all

OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
Text = str | None


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
@pytest.mark.parametrize("name", ["OTEL_BSP_SCHEDULE_DELAY", "WEB_CONCURRENCY", "ANY"])
def test_empty(name: str, text: str) -> None:
    """An empty variable is removed without a warning."""
    cleaned = clean({name: text, "B": "b"})

    assert ({"B": "b"}, ()) == (cleaned.variables, cleaned.warnings)


NOT_FOO = """
OTEL_BSP_SCHEDULE_DELAY OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT OTEL_EXPORTER_OTLP_TIMEOUT OTEL_RESOURCE_ATTRIBUTES
OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION
OTEL_EXPERIMENTAL_RESOURCE_DETECTORS OTEL_PYTHON_CONTEXT OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER
OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES GRPC_PYTHON_DEFAULT_TIMEOUT_SECONDS
GRPC_ENABLE_FORK_SUPPORT GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS
"""
"""Variables for which `foo` is invalid."""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, "foo") for name in NOT_FOO.split()),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BLRP_EXPORT_TIMEOUT", "9" * 5000),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1.5"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "inf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "yes"),
        ("OTEL_SDK_DISABLED", "1"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "5"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("OTEL_PROPAGATORS", "b3"),
        ("OTEL_SERVICE_NAME", "\udcff"),
        ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "("),
        ("OTEL_PYTHON_ASGI_EXCLUDED_URLS", "["),
        ("OTEL_PYTHON_METER_PROVIDER", "sdk_meter_provider"),
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


def test_list() -> None:
    """Valid entries of a list stay; warnings do not contain resource attributes, which can be secrets."""
    listed = {"OTEL_PROPAGATORS": "tracecontext, b3,,baggage", "OTEL_RESOURCE_ATTRIBUTES": "token=a,sesame"}
    cleaned = clean(listed)

    valid = {"OTEL_PROPAGATORS": "tracecontext,baggage", "OTEL_RESOURCE_ATTRIBUTES": "token=a"}
    installed = "propagators that are installed: tracecontext and baggage"
    pairs = "name=value, with commas between the entries"
    assert valid == cleaned.variables
    assert (
        f"OTEL_PROPAGATORS: 'b3' is ignored: expected {installed}.",
        f"OTEL_RESOURCE_ATTRIBUTES: an entry is ignored: expected {pairs}.",
    ) == cleaned.warnings


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT"])
def test_long_timeout(name: str) -> None:
    """A timeout in milliseconds is limited, with a warning about the unit."""
    cleaned = clean({name: "10000"})

    warning = f"{name} is cut from 10000 to 30: its unit is seconds here, not milliseconds."
    assert ({name: "30"}, (warning,)) == (cleaned.variables, cleaned.warnings)


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
def test_compression(general: Text, own: Text, protocol: str, left: Text, warned: int) -> None:
    """Each signal has a compression that its protocol supports, its own before the general one."""
    prefix = "OTEL_EXPORTER_OTLP"
    names = {f"{prefix}_COMPRESSION": general, f"{prefix}_LOGS_COMPRESSION": own}
    names[f"{prefix}_PROTOCOL"] = protocol
    cleaned = clean({name: text for name, text in names.items() if text})

    assert left == cleaned.variables.get(f"{prefix}_LOGS_COMPRESSION")
    assert f"{prefix}_COMPRESSION" not in cleaned.variables
    assert warned == len(cleaned.warnings)


@pytest.mark.parametrize(
    ("queue", "batch", "left", "warned"),
    [("100", None, "100", 0), ("100", "200", "100", 1), (None, "3000", "2048", 1), ("100", "50", "50", 0)],
)
def test_batches(queue: Text, batch: Text, left: str, warned: int) -> None:
    """A batch is not larger than its queue, which the SDK would reject."""
    names = {"OTEL_BSP_MAX_QUEUE_SIZE": queue, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": batch}
    cleaned = clean({name: text for name, text in names.items() if text})

    assert left == cleaned.variables["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]
    assert warned == len(cleaned.warnings)


NO_NAME = {"OTEL_RESOURCE_ATTRIBUTES": "app.service.name=x,service.name="}
DEFAULT_NAME = {"OTEL_SERVICE_NAME": SERVICE_NAME}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, DEFAULT_NAME),
        ({"OTEL_SERVICE_NAME": "mine"}, {"OTEL_SERVICE_NAME": "mine"}),
        ({"OTEL_SERVICE_NAME": "", **NO_NAME}, {**DEFAULT_NAME, **NO_NAME}),
        *(({"OTEL_RESOURCE_ATTRIBUTES": text},) * 2 for text in ("a=b,service.name=x", "service.name = x")),
        ({"OTEL_SDK_DISABLED": "true"}, DEFAULT_NAME),
        ({"OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true"}, DEFAULT_NAME),
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

    assert {"OTEL_PYTHON_CONTEXT", "HOME"}.isdisjoint(environ)
    assert ("/bin", "cookie,authorization,proxy-authorization") == (environ["PATH"], environ[name])


# The program


HARMLESS = {
    "OTEL_PROPAGATORS": "tracecontext,baggage,b3",
    "WEB_CONCURRENCY": "auto",
    "OTEL_PYTHON_METER_PROVIDER": "foo",
    "OTEL_PYTHON_TRACER_PROVIDER": "foo",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "foo",
    "OTEL_BSP_MAX_QUEUE_SIZE": "0",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "foo",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "foo",
}


def test_warnings_of_run(gateway: ReplayGateway) -> None:
    """Each ignored variable has one record, and telemetry is delivered."""
    with OtlpReceiver() as receiver:
        result = start(gateway.variables(**HARMLESS, **{OTLP: receiver.url}))

    assert (0, True) == (result.code, result.is_good)
    assert [1] * len(HARMLESS) == [result.output.count(f'"{name}: ') for name in HARMLESS]
    assert "Telemetry not delivered" not in result.output
    assert (True, True) == (bool(receiver.spans), bool(receiver.records))


@pytest.mark.parametrize("command", ["check", "doctor", "healthcheck"])
def test_other_commands(gateway: ReplayGateway, command: str) -> None:
    """No command fails because of a library's variable; `check` prints a note for each."""
    gateway.check_health()
    result = run_program(command, **gateway.variables(**HARMLESS))

    assert "Traceback" not in result.stdout + result.stderr
    assert result.returncode == (1 if command == "healthcheck" else 0)
    assert [command == "check"] * len(HARMLESS) == [f"Note: {name}: " in result.stderr for name in HARMLESS]


def test_agent(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Ignores and names an agent of another OpenTelemetry in PYTHONPATH; other directories stay."""
    folder, other = tmp_path / "agent", tmp_path / "other"
    agent, about = folder / "opentelemetry" / "agent", folder / "opentelemetry_api-1.20.0.dist-info"
    for path in (agent, about, other):
        path.mkdir(parents=True)
    (agent / "sitecustomize.py").write_text("import opentelemetry.trace")
    (folder / "opentelemetry" / "trace.py").write_text("OLD = True")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: opentelemetry-api\nVersion: 1.20.0\n")
    (other / "sitecustomize.py").write_text("print('still here')")
    result = start(gateway.variables(PYTHONPATH=os.pathsep.join(map(str, (agent, folder, other)))))

    assert (0, True) == (result.code, result.is_good)
    warning, *others = [line for line in result.output.splitlines() if not line.startswith("{")]
    assert warning.startswith(f"provider-metrics-exporter: PYTHONPATH: {folder} is ignored, ")
    assert ["still here"] == others


# Every variable of every library


EXPORTED = {"OTEL_METRICS_EXPORTER": "otlp"}
SETS: tuple[dict[str, str], ...] = ({}, EXPORTED, {**EXPORTED, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
"""Nothing is exported, or everything by each protocol."""


@pytest.mark.parametrize("kind", ["empty", "foo", "plausible"])
def test_every_variable(gateway: ReplayGateway, kind: str) -> None:
    """With all variables of all libraries set, the program runs, or names those that it rejects."""
    text = "" if kind == "empty" else kind
    swept = {name: plausible(name) if kind == "plausible" else text for name in variables()}
    # Read in code, by constants, in compiled libraries, and composed.
    assert {"NETRC", "WEB_CONCURRENCY", "GRPC_VERBOSITY", "OTEL_PYTHON_EXCLUDED_URLS"} <= swept.keys()
    for settings in SETS:
        with OtlpReceiver() as receiver:
            more = {**settings, OTLP: receiver.url} if settings else {}
            others = {name: text for name, text in swept.items() if name not in more}
            result, rejected = start_with_all(gateway.variables(**more), others)

        assert result.is_good, result.output
        assert (0, True) == (result.code, kind != "empty" or not rejected)
        # What the program rejects once, it rejects with every set: the next starts leave it out.
        swept = {name: text for name, text in swept.items() if name not in rejected}
