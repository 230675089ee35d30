"""The environment variables that the installed libraries read, found by reading their source.

An upgrade of a library thereby brings its new variables into the tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import distribution
from itertools import chain
from pathlib import Path
from types import MappingProxyType

PINNED = Path(__file__).parent.parent / "requirements" / "run.txt"
READS = re.compile(r"\b(environ|getenv)\b")
"""Stands in every module that reads a variable."""
NAMES_ONLY = re.compile(r"environment_variables?\b")
"""In the path of the modules that hold nothing but names."""
NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
READ = re.compile(r"\b(?:environ(?:\.get\(|\.pop\(|\[)|getenv\()\s*[\"']([A-Za-z][A-Za-z0-9_]*)[\"']")
BINARY_NAME = re.compile(rb"\0(GRPC_[A-Z0-9_]+)(?=\0)")
"""A whole string of a compiled library."""
COMPOSED = (
    "OTEL_PYTHON_EXCLUDED_URLS",
    "OTEL_PYTHON_REQUESTS_EXCLUDED_URLS",
    "OTEL_PYTHON_ASGI_EXCLUDED_URLS",
)
"""Names that stand in no source in one piece."""

PLAUSIBLE: Mapping[str, str] = MappingProxyType(
    {
        r"\w+_ENDPOINT": "http://127.0.0.1:9",
        r"\w+_PROTOCOL": "http/protobuf",
        r"\w+_COMPRESSION": "gzip",
        r"\w+_HEADERS|OTEL_RESOURCE_ATTRIBUTES": "name=value",
        r"OTEL_(TRACES|LOGS|METRICS)_EXPORTER": "otlp,console",
        r"OTEL_PROPAGATORS": "tracecontext,baggage,b3",
        r"OTEL_TRACES_SAMPLER": "traceidratio",
        r"OTEL_TRACES_SAMPLER_ARG": "0.5",
        r"\w+_(CERTIFICATE|KEY|CA_BUNDLE|FILE_PATH)": "/etc/ssl/certs/ca-certificates.crt",
        r"\w+_PROVIDER": "sdk_provider",
        r"\w+_CODES": "UNAVAILABLE",
        r"\w+_URLS|\w+_CAPTURE_HEADERS_\w+": "x-.*,(",
        r"PROTOCOL_BUFFERS_\w+": "python",
        r"\w+_(TIMEOUT|DELAY|LIMIT|SIZE|INTERVAL|SECONDS|MAXIMUM|PORT|MS|CONCURRENCY|STREAMS)": "10000",
    }
)
"""What people set, by patterns of names; where none fits, `true`."""


def variables() -> Sequence[str]:
    """Return the name of every variable that a library of the program may read, in order."""
    compiled = (BINARY_NAME.findall(path.read_bytes()) for path in _files(".so"))
    found = {name.decode() for name in chain.from_iterable(compiled)}
    return sorted(found.union(COMPOSED, *map(_names, _files(".py"))))


def plausible(name: str) -> str:
    """Return a value that a person would give to a variable."""
    return next((value for pattern, value in PLAUSIBLE.items() if re.fullmatch(pattern, name)), "true")


def _files(suffix: str) -> Iterator[Path]:
    pinned = re.findall(r"^([a-z0-9-]+)==", PINNED.read_text(encoding="utf-8"), re.MULTILINE)
    files = chain.from_iterable(distribution(name).files or () for name in pinned)
    return (Path(str(file.locate())) for file in files if file.suffix == suffix)


def _names(path: Path) -> set[str]:
    """Return every constant of a module that reads variables that looks like the name of one."""
    text = path.read_text(encoding="utf-8")
    if not READS.search(text) and not NAMES_ONLY.search(str(path)):
        return set()
    constants = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str) and NAME.fullmatch(value)} | set(
        READ.findall(text)
    )
