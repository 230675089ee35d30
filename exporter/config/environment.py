"""Removes empty variables, and values that libraries reject, from the process environment.

OpenTelemetry, gRPC, protobuf and uvicorn read variables, some of them at import. Most of them raise an error
or log a traceback for an invalid value.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from exporter import SERVICE_NAME

SIGNALS = ("TRACES", "LOGS", "METRICS")
MAX_OTLP_TIMEOUT = 30.0
"""In seconds; a hanging collector is then logged within a minute."""
DEFAULT_QUEUE_SIZE = 2048
DEFAULT_BATCH_SIZE = 512
"""Defaults of the batch processors, by the specification."""
MAX_QUOTED = 40
"""Maximum length of a value in a warning."""
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")

GRPC_STATUS_CODES = (
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
    "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE "
    "DATA_LOSS UNAUTHENTICATED"
)
SAMPLERS = (
    "always_on always_off traceidratio parentbased_always_on parentbased_always_off parentbased_traceidratio"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """The valid values of some variables."""

    names: str
    """Regular expression for the whole name."""
    accepts: Callable[[str], bool]
    """Returns whether a library accepts a value, or an entry of a list, without surrounding whitespace."""
    expected: str
    """Valid values, as the end of a sentence."""
    is_list: bool = False
    """Whether it is a comma-separated list, whose invalid entries are removed."""
    is_public: bool = True
    """Whether a warning may contain the value."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """An environment that all libraries accept."""

    variables: Mapping[str, str]
    warnings: tuple[str, ...]
    """One sentence for each changed or removed variable."""


def _whole_number(least: int) -> Callable[[str], bool]:
    return lambda text: bool(WHOLE_NUMBER.fullmatch(text)) and int(text) >= least


def _number(above: float, most: float) -> Callable[[str], bool]:
    """Accept a finite number greater than `above`, at most `most`."""

    def accepts(text: str) -> bool:
        try:
            return above < float(text) <= most and math.isfinite(float(text))
        except ValueError:
            return False

    return accepts


def _one_of(words: str) -> Callable[[str], bool]:
    return lambda text: text.casefold() in words.casefold().split()


def _installed(group: str, *also: str) -> Callable[[str], bool]:
    """Accept the name of an entry point in `group`, and other words of the library."""

    def accepts(text: str) -> bool:
        # A slow import, for variables that are rarely set.
        from importlib.metadata import entry_points

        return text in also or bool(entry_points(group=group, name=text))

    return accepts


def _is_regex(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _is_writable(text: str) -> bool:
    path = Path(text)
    return os.access(path if path.exists() else path.parent, os.W_OK)


def _is_text(text: str) -> bool:
    """Return whether it can be encoded: Python decodes bytes that are not UTF-8 as surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _is_attribute(text: str) -> bool:
    return "=" in text and _is_text(text)


_POSITIVE = _whole_number(1)
_BOOLEAN = _one_of("true false")

RULES = (
    Rule(
        r"OTEL_(BSP|BLRP)_(SCHEDULE_DELAY|EXPORT_TIMEOUT)", _POSITIVE, "a whole number of milliseconds from 1"
    ),
    Rule(r"OTEL_(BSP|BLRP)_MAX_\w+_SIZE", _POSITIVE, "a whole number from 1"),
    Rule(r"OTEL_\w*_(COUNT|LENGTH)_LIMIT", _whole_number(0), "a whole number from 0"),
    Rule(r"OTEL_EXPORTER_OTLP_(\w+_)?TIMEOUT", _number(0, math.inf), "a number of seconds over 0"),
    Rule(r"OTEL_EXPORTER_OTLP_(\w+_)?COMPRESSION", _one_of("none gzip deflate"), "none, gzip or deflate"),
    Rule(r"OTEL_EXPORTER_OTLP_(\w+_)?INSECURE|OTEL_SDK_DISABLED", _BOOLEAN, "true or false"),
    Rule(
        r"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        _one_of("cumulative delta lowmemory"),
        "cumulative, delta or lowmemory",
    ),
    Rule(
        r"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        _one_of("explicit_bucket_histogram base2_exponential_bucket_histogram"),
        "explicit_bucket_histogram or base2_exponential_bucket_histogram",
    ),
    Rule(r"OTEL_TRACES_SAMPLER", _one_of(SAMPLERS), f"one of {', '.join(SAMPLERS.split())}"),
    Rule(r"OTEL_TRACES_SAMPLER_ARG", _number(-math.ulp(0), 1), "a number from 0 to 1"),
    Rule(
        r"OTEL_PROPAGATORS",
        _installed("opentelemetry_propagator", "none"),
        "propagators that are installed: tracecontext and baggage",
        is_list=True,
    ),
    Rule(
        r"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
        _installed("opentelemetry_resource_detector", "*"),
        "resource detectors that are installed",
        is_list=True,
    ),
    Rule(r"OTEL_SERVICE_NAME", _is_text, "UTF-8 text"),
    Rule(
        r"OTEL_RESOURCE_ATTRIBUTES",
        _is_attribute,
        "name=value, with commas between the entries",
        is_list=True,
        is_public=False,
    ),
    Rule(
        r"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_\w+|OTEL_PYTHON_(\w+_)?EXCLUDED_URLS",
        _is_regex,
        "regular expressions",
        is_list=True,
    ),
    Rule(r"OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS", _BOOLEAN, "true or false"),
    Rule(r"OTEL_PYTHON_CONTEXT", _installed("opentelemetry_context"), "a context that is installed"),
    Rule(
        r"OTEL_PYTHON_(TRACER|METER|LOGGER)_PROVIDER",
        _one_of(""),
        "no value: the exporter creates its own providers",
    ),
    Rule(
        r"OTEL_PYTHON_EXPORTER_OTLP_\w+_CREDENTIAL_PROVIDER",
        _installed("opentelemetry_otlp_credential_provider"),
        "a credential provider that is installed",
    ),
    Rule(
        r"OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES",
        _one_of(GRPC_STATUS_CODES),
        "status codes of gRPC, such as UNAVAILABLE",
        is_list=True,
    ),
    Rule(
        r"GRPC_(ABORT_ON_LEAKS|ENABLE_FORK_SUPPORT|\w*SYSTEM\w*_ROOTS\w*|\w+_CALL_TRACER|\w+_REFLECTION)",
        _one_of("true false 1 0 yes no"),
        "true or false",
    ),
    Rule(r"GRPC_\w+_(MS|NODES)", _whole_number(0), "a whole number from 0"),
    Rule(r"GRPC_EXPERIMENTAL_\w*MEMORY_PRESSURE\w*", _number(0, 1), "a number over 0, at most 1"),
    Rule(r"GRPC_VERBOSITY", _one_of("debug info error none"), "debug, info, error or none"),
    Rule(r"GRPC_PYTHON_\w+_SECONDS", _number(0, 1e9), "a number of seconds over 0"),
    Rule(
        r"GRPC_POLL_STRATEGY",
        frozenset({"all", "epoll1", "poll"}).__contains__,
        "all, epoll1 or poll",
        is_list=True,
    ),
    Rule(r"GRPC_PYTHON_\w+_MAXIMUM", _POSITIVE, "a whole number from 1"),
    Rule(
        r"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", frozenset({"upb", "python"}).__contains__, "upb or python"
    ),
    Rule(r"SSLKEYLOGFILE", _is_writable, "a file that can be written"),
    Rule(r"WEB_CONCURRENCY", _POSITIVE, "a whole number from 1"),
)

ALWAYS_SANITIZED = ("authorization", "proxy-authorization")


def clean(environ: Mapping[str, str]) -> Cleaned:
    """Return the variables that are not empty, with valid values only."""
    variables = {name: text for name, text in environ.items() if text.strip()}
    steps = (_drop_malformed, _limit_timeouts, _set_compression, _limit_batches)
    warnings = [warning for step in steps for warning in step(variables)]
    return Cleaned(variables, tuple(dict.fromkeys(warnings)))


def prepare(environ: MutableMapping[str, str]) -> None:
    """Clean the process environment, and set defaults for libraries.

    Call it once, after the settings are read and before the libraries are imported.
    """
    variables = dict(clean(environ).variables)
    # It would also empty /metrics; the settings disable traces and logs.
    variables.pop("OTEL_SDK_DISABLED", None)
    # Each meter provider would add the SDK's own metrics, and /metrics would contain duplicates.
    variables.pop("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", None)
    variables.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
    sanitized = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"
    variables[sanitized] = ",".join(filter(None, (variables.get(sanitized), *ALWAYS_SANITIZED)))
    if not _names_service(variables.get("OTEL_RESOURCE_ATTRIBUTES", "")):
        variables.setdefault("OTEL_SERVICE_NAME", SERVICE_NAME)
    for name in environ.keys() - variables.keys():
        del environ[name]
    environ.update(variables)


def _names_service(attributes: str) -> bool:
    pairs = (entry.partition("=") for entry in attributes.split(","))
    return any(key.strip() == "service.name" and value.strip() for key, _, value in pairs)


def _drop_malformed(variables: dict[str, str]) -> Iterator[str]:
    for name, text in tuple(variables.items()):
        rule = next((rule for rule in RULES if re.fullmatch(rule.names, name)), None)
        if rule is None:
            continue
        entries = [entry.strip() for entry in (text.split(",") if rule.is_list else [text])]
        accepted = [entry for entry in entries if entry and rule.accepts(entry)]
        rejected = [entry for entry in entries if entry and not rule.accepts(entry)]
        if accepted:
            variables[name] = ",".join(accepted)
        else:
            del variables[name]
        if rejected:
            yield _ignored(name, rule, rejected, wholly=not accepted)


def _ignored(name: str, rule: Rule, rejected: list[str], *, wholly: bool) -> str:
    text = repr(",".join(rejected)[:MAX_QUOTED]) if rule.is_public else "an entry"
    ending = ", and the variable counts as unset" if wholly else ""
    return f"{name}: {text} is ignored{ending}: expected {rule.expected}."


def _limit_timeouts(variables: dict[str, str]) -> Iterator[str]:
    """Limit the timeouts of OTLP exporters: the SDK reads seconds, the specification says milliseconds."""
    for name in (
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        *(f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT" for signal in SIGNALS),
    ):
        text = variables.get(name)
        if text is not None and float(text) > MAX_OTLP_TIMEOUT:
            variables[name] = f"{MAX_OTLP_TIMEOUT:g}"
            yield (
                f"{name} is cut from {text[:MAX_QUOTED]} to {MAX_OTLP_TIMEOUT:g}: its unit is seconds here, "
                "not milliseconds."
            )


def _set_compression(variables: dict[str, str]) -> Iterator[str]:
    """Set the compression of each signal by its protocol: the gRPC exporter accepts only gzip."""
    general = variables.pop("OTEL_EXPORTER_OTLP_COMPRESSION", None)
    for signal in SIGNALS:
        own, prefix = f"OTEL_EXPORTER_OTLP_{signal}_COMPRESSION", "OTEL_EXPORTER_OTLP_"
        source = own if own in variables else f"{prefix}COMPRESSION"
        chosen = variables.pop(own, general)
        if chosen is None:
            continue
        protocol = variables.get(f"{prefix}{signal}_PROTOCOL") or variables.get(f"{prefix}PROTOCOL", "")
        if protocol.strip() != "grpc" or chosen.casefold() == "gzip":
            variables[own] = chosen
        elif chosen.casefold() != "none":
            yield f"{source}: {chosen!r} is ignored: expected none or gzip with the protocol grpc."


def _limit_batches(variables: dict[str, str]) -> Iterator[str]:
    """Limit batches to the size of their queue, as the SDK requires."""
    for processor in ("BSP", "BLRP"):
        queue, batch = f"OTEL_{processor}_MAX_QUEUE_SIZE", f"OTEL_{processor}_MAX_EXPORT_BATCH_SIZE"
        most = int(variables.get(queue, DEFAULT_QUEUE_SIZE))
        if int(variables.get(batch, DEFAULT_BATCH_SIZE)) <= most:
            continue
        if batch in variables:
            yield f"{batch} is cut from {variables[batch]} to {most}: a batch must fit into {queue}."
        variables[batch] = str(most)
