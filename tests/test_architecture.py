"""The way through the house stays one way, and nothing stands in its way."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "exporter"

FLOORS: tuple[frozenset[str], ...] = (
    frozenset(
        {"clock", "connections", "endpoints", "environment", "errors", "files", "heap", "output", "signals"}
    )
    | frozenset({"connecting", "custom.expression", "flags", "pythonpath", "quotes", "terminal", "values"}),
    frozenset(
        {"authorities", "credentials", "custom.metric", "healthsocket", "document", "proxies", "threads"}
    ),
    frozenset({"answers", "sender", "settings", "snapshot", "transport", "turns"}),
    frozenset({"gateway", "decode", "changes", "logs", "server", "status", "healthcheck", "tls", "passwords"})
    | frozenset({"custom.values"}),
    frozenset({"instruments", "fetcher", "journal", "exposition", "webconfig"}),
    frozenset({"custom.config", "custom.gauges", "negotiation", "webfile"}),
    frozenset({"custom.file", "given", "telemetry"}),
    frozenset({"poller", "web"}),
    frozenset({"access"}),
    frozenset({"service", "check", "demo"}),
    frozenset({"doctor.addresses"}),
    frozenset({"doctor.inquiry"}),
    frozenset({"doctor.diagnosis"}),
    frozenset({"doctor.case"}),
    frozenset({"doctor.source", "doctor.metrics", "doctor.telemetry", "doctor.grafana"}),
    frozenset({"doctor.walk"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
"""From the ground up: a module imports only from floors below its own, and from the package itself."""

SDK_IMPORTER = "telemetry"
BROAD_EXCEPTS = {
    "custom.expression": 1,
    "doctor.inquiry": 1,
    "fetcher": 1,
    "logs": 1,
    "sender": 1,
    "service": 1,
}
"""Where a bug is turned into an outcome, an exit code, a plainer log line or a value that is left out."""
MUTABLE = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
IMMUTABLE_CALLS = frozenset(
    {
        "Check",
        "CustomSeries",
        "Event",
        "Field",
        "Flag",
        "Instrument",
        "Meta",
        "Provider",
        "Route",
        "Rule",
        "Server",
        "Stage",
        "TypeVar",
        "Variable",
    }
    | {"MappingProxyType", "attrgetter", "compile", "float", "frozenset", "getLogger", "tuple"}
    | {"_count", "_flag", "_gauge", "_one", "_one_of", "_per_provider", "_set", "_timing", "_whole_number"}
)
"""What a constant may be made of; every other call at the top of a module might be state."""

SOURCES: Mapping[str, ast.Module] = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
MODULES = sorted(name for name in SOURCES if not name.endswith("__init__"))


def floor_of(module: str) -> int:
    """Return the floor of a module."""
    (floor,) = [number for number, floor in enumerate(FLOORS) if module in floor]
    return floor


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the full names of all that is imported, anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(tree: ast.Module) -> set[str]:
    """Return the modules of the package that a module imports."""
    names = [f"{name}." for name in imported(tree)]
    return {module for module in MODULES if any(name.startswith(f"exporter.{module}.") for name in names)}


def parts_of(value: ast.expr) -> Iterator[ast.expr]:
    """Yield an expression and, of tuples, what is in them."""
    yield value
    for element in value.elts if isinstance(value, ast.Tuple) else ():
        yield from parts_of(element)


def is_mutable(value: ast.expr) -> bool:
    """Tell whether an expression makes something that can change."""
    if isinstance(value, ast.Call):
        module, _, name = ast.unparse(value.func).rpartition(".")
        return module in ("queue", "threading") or name not in IMMUTABLE_CALLS
    return isinstance(value, MUTABLE)


@pytest.mark.parametrize(
    "text", ["[]", "{}", "threading.Event()", "dd(list)", "([], 1)", "queue.SimpleQueue()", "[1 for _ in x]"]
)
def test_mutable_values_are_recognised(text: str) -> None:
    """The test below can fail."""
    value = ast.parse(text, mode="eval").body

    assert any(map(is_mutable, parts_of(value)))


def test_packages_have_nothing_but_a_sentence() -> None:
    """What a package is for stands in its docstring; all else is in its modules."""
    packages = {name: tree for name, tree in SOURCES.items() if name.endswith(".__init__")}

    assert {"custom.__init__", "doctor.__init__"} == set(packages)
    assert all(len(tree.body) == 1 and ast.get_docstring(tree) for tree in packages.values())


def test_every_module_has_a_floor() -> None:
    """A new module has to find its place in the house."""
    assert MODULES == sorted(name for floor in FLOORS for name in floor)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    """A module imports only what lies below it."""
    above = {name for name in own_imports(SOURCES[module]) if floor_of(name) >= floor_of(module)}

    assert set() == above


@pytest.mark.parametrize("module", MODULES)
def test_sdk_has_one_importer(module: str) -> None:
    """The OpenTelemetry SDK and its exporters are imported in one module; all others use the API."""
    sdk = [
        name
        for name in imported(SOURCES[module])
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))
    ]

    assert (module == SDK_IMPORTER) is bool(sdk)


@pytest.mark.parametrize("module", MODULES)
def test_no_mutable_state_in_modules(module: str) -> None:
    """Nothing at the top of a module can change: state lives in objects that are passed around."""
    mutable = []
    for node in SOURCES[module].body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is not None and any(map(is_mutable, parts_of(value))):
            mutable.append(ast.unparse(node))

    assert [] == mutable


@pytest.mark.parametrize("module", MODULES)
def test_broad_excepts_are_known(module: str) -> None:
    """Every exception is caught only where a bug becomes an outcome or an exit code."""
    broad = [
        node
        for node in ast.walk(SOURCES[module])
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]

    assert BROAD_EXCEPTS.get(module, 0) == len(broad)


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_absolute(module: str) -> None:
    """Imports are written in full, so that the tests above see them all."""
    relative = [n for n in ast.walk(SOURCES[module]) if isinstance(n, ast.ImportFrom) and n.level]

    assert [] == relative


@pytest.mark.parametrize("module", MODULES)
def test_globals_are_not_written(module: str) -> None:
    """No function writes a global name."""
    assert [] == [node for node in ast.walk(SOURCES[module]) if isinstance(node, ast.Global)]
