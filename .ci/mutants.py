"""Changes the code of modules in small ways, and counts the changes that their tests notice.

Each mutant runs in a forked process: it imports the changed module, then runs the tests of that module until
the first failure. Exit code 1 if less than 95 % of the mutants fail a test.
"""

from __future__ import annotations

import ast
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

# Imported once, before the forks.
import hypothesis  # noqa: F401
import pytest
import requests  # noqa: F401

MODULES = {
    "exporter.gateway.client": ("tests/gateway/test_client.py",),
    "exporter.gateway.decode": ("tests/gateway/test_decode.py",),
    "exporter.model.fields": ("tests/model", "tests/gateway/test_decode.py"),
    "exporter.model.store": ("tests/model/test_store.py",),
}
OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
WANTED = 0.95
TIMEOUT_SECONDS = 30
"""A mutant that takes longer counts as noticed: its tests hang."""
PAIRS: tuple[tuple[type[ast.AST], type[ast.AST]], ...] = (
    (ast.Eq, ast.NotEq),
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
    (ast.And, ast.Or),
    (ast.Add, ast.Sub),
    (ast.Mult, ast.Div),
    (ast.BitOr, ast.BitAnd),
    (ast.Break, ast.Continue),
)
SWAPS = dict((*PAIRS, *((second, first) for first, second in PAIRS)))
NO_BEHAVIOUR = {"annotation", "returns", "decorator_list", "slice"}


@dataclass(frozen=True)
class Mutant:
    """One change: the value of a field of a node."""

    module: str
    tree: ast.Module
    node: ast.AST
    field: str
    value: object
    line: int

    def __str__(self) -> str:
        """Where the change is, and what it changes."""
        path = self.module.replace(".", "/")
        before = getattr(self.node, self.field)
        return f"{path}.py:{self.line}: {_text(before)} -> {_text(self.value)}"


def _parsed(module: str) -> ast.Module:
    return ast.parse(Path(f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))


def mutants(module: str) -> Iterator[Mutant]:
    """Yield all mutants of a module."""
    tree = _parsed(module)
    pending: list[tuple[ast.AST, int]] = [(tree, 0)]
    while pending:
        node, line = pending.pop()
        line = getattr(node, "lineno", line)
        for field, old in ast.iter_fields(node):
            if field not in NO_BEHAVIOUR:
                yield from (
                    Mutant(module, tree, node, field, new, line) for new in _changed(node, field, old)
                )
                children = old if isinstance(old, list) else [old]
                pending += [(child, line) for child in children if isinstance(child, ast.AST)]


def _changed(node: ast.AST, field: str, old: object) -> Iterator[object]:
    """Yield other values of a field."""
    if isinstance(node, ast.Constant) and field == "value" and isinstance(old, int | float):
        yield (not old) if isinstance(old, bool) else old + 1
    elif isinstance(node, ast.Return) and isinstance(old, ast.expr) and ast.unparse(old) != "None":
        yield ast.Constant(None)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and field == "operand":
        yield ast.UnaryOp(ast.Not(), node.operand)
    elif field == "test" and isinstance(old, ast.expr):
        yield from (ast.Constant(value) for value in (True, False))
    elif isinstance(old, ast.AST) and type(old) in SWAPS:
        yield SWAPS[type(old)]()
    elif isinstance(old, list):
        for place, item in enumerate(old):
            is_call = isinstance(item, ast.Expr) and isinstance(item.value, ast.Call)
            new = ast.Pass() if is_call else SWAPS[type(item)]() if type(item) in SWAPS else None
            if new is not None:
                yield [*old[:place], new, *old[place + 1 :]]


def _text(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    return (ast.unparse(value) or type(value).__name__) if isinstance(value, ast.AST) else repr(value)


def _start(mutant: Mutant) -> int:
    """Start the tests of a mutant in a process; return its id."""
    if pid := os.fork():
        return pid
    signal.alarm(TIMEOUT_SECONDS)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    setattr(mutant.node, mutant.field, mutant.value)
    code = compile(ast.fix_missing_locations(mutant.tree), mutant.module, "exec")
    module = sys.modules[mutant.module] = ModuleType(mutant.module)
    try:
        exec(code, module.__dict__)  # noqa: S102
        failed = pytest.main([*OPTIONS, *MODULES[mutant.module]])
    except BaseException:
        failed = 1
    os._exit(failed != 0)


def main() -> int:
    """Run all mutants, print the survivors, and return the exit code."""
    sys.path.insert(0, ".")
    names = sys.argv[1:] or list(MODULES)
    for name in names:
        tree = ast.parse("")
        unchanged = Mutant(name, _parsed(name), tree, "body", tree.body, 0)
        if os.waitpid(_start(unchanged), 0)[1]:
            sys.exit(f"The tests of {name} fail without a change.")
    waiting = [mutant for name in names for mutant in mutants(name)]
    total, running, survivors = len(waiting), dict[int, Mutant](), list[Mutant]()
    while waiting or running:
        while waiting and len(running) < 2:
            mutant = waiting.pop()
            running[_start(mutant)] = mutant
        pid, status = os.wait()
        mutant = running.pop(pid)
        if status == 0:
            survivors.append(mutant)
            print(f"survived: {mutant}", flush=True)
    noticed = 1 - len(survivors) / total
    print(f"{total - len(survivors)} of {total} mutants noticed ({noticed:.1%})")
    return int(noticed < WANTED)


if __name__ == "__main__":
    sys.exit(main())
