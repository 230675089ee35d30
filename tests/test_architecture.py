"""Rules for the source code that neither import-linter nor ruff checks."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "exporter"

BROAD_EXCEPTS = {
    "app": 1,
    "gateway.fetcher": 1,
    "metrics.custom.expression": 1,
    "metrics.push": 1,
    "telemetry.logs": 1,
    "transport.probe": 1,
}
"""Modules that turn a bug into an outcome, an exit code, a log line or a dropped value."""
MUTABLE = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
IMMUTABLE_CALLS = {
    *(
        "Changes",
        "Check",
        "CustomSeries",
        "Event",
        "Field",
        "Flag",
        "Gauge",
        "Instrument",
        "Links",
        "Meta",
        "Past",
        "Snapshot",
        "Provider",
    ),
    *("Route", "Rule", "Server", "Stage", "TypeVar", "Variable", "MappingProxyType", "attrgetter"),
    *(
        "Struct",
        "compile",
        "float",
        "frozenset",
        "getLogger",
        "maketrans",
        "tuple",
        "_count",
        "_gauge",
        "_one",
        "_one_of",
    ),
    *("_set", "_timing", "_whole_number"),
}
"""Calls that are allowed in constants; any other call at module level may create mutable state."""

SOURCES: Mapping[str, ast.Module] = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
every_module = pytest.mark.parametrize("module", [name for name in SOURCES if not name.endswith("__init__")])


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the full names of all imports of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_of(value: ast.expr) -> Iterator[ast.expr]:
    """Yield an expression and the elements of tuples."""
    yield value
    for element in value.elts if isinstance(value, ast.Tuple) else ():
        yield from parts_of(element)


def is_mutable(value: ast.expr) -> bool:
    """Return whether an expression creates a mutable object."""
    if isinstance(value, ast.Call):
        module, _, name = ast.unparse(value.func).rpartition(".")
        return module in ("queue", "threading") or name not in IMMUTABLE_CALLS
    return isinstance(value, MUTABLE)


@pytest.mark.parametrize(
    "text", ["[]", "{}", "threading.Event()", "dd(list)", "([], 1)", "queue.SimpleQueue()", "[1 for _ in x]"]
)
def test_mutable_values_are_recognised(text: str) -> None:
    """Mutable expressions are recognised."""
    value = ast.parse(text, mode="eval").body

    assert any(map(is_mutable, parts_of(value)))


def test_packages_contain_only_a_docstring() -> None:
    """`__init__.py` contains only a docstring."""
    packages = {name: tree for name, tree in SOURCES.items() if name.endswith(".__init__")}

    assert {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"} <= {
        name.split(".")[0] for name in packages
    }
    assert all(len(tree.body) == 1 and ast.get_docstring(tree) for tree in packages.values())


@every_module
def test_sdk_is_imported_in_two_packages(module: str) -> None:
    """Only metrics and telemetry import the OpenTelemetry SDK and its exporters."""
    prefixes = ("opentelemetry.sdk", "opentelemetry.exporter")
    sdk = [name for name in imported(SOURCES[module]) if name.startswith(prefixes)]

    assert not sdk or module.startswith(("metrics", "telemetry"))


@every_module
def test_no_mutable_state_in_modules(module: str) -> None:
    """Modules have no mutable globals."""
    mutable = []
    for node in SOURCES[module].body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is not None and any(map(is_mutable, parts_of(value))):
            mutable.append(ast.unparse(node))

    assert [] == mutable


@every_module
def test_broad_excepts_are_known(module: str) -> None:
    """Only known modules catch all exceptions."""
    handlers = [node for node in ast.walk(SOURCES[module]) if isinstance(node, ast.ExceptHandler)]
    caught = [handler.type and ast.unparse(handler.type) for handler in handlers]
    broad = [name for name in caught if name in (None, "Exception", "BaseException")]

    assert BROAD_EXCEPTS.get(module, 0) == len(broad)


@every_module
def test_no_relative_imports_and_globals(module: str) -> None:
    """Imports are absolute, so that the tests above find them; no function uses `global`."""
    found = [
        node
        for node in ast.walk(SOURCES[module])
        if isinstance(node, ast.Global) or (isinstance(node, ast.ImportFrom) and node.level)
    ]

    assert [] == found
