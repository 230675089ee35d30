"""Syntax errors in LogQL and TraceQL, by the grammars of Grafana's own query editors.

npm installs the grammars, pinned by `grammars/package-lock.json`, once into the cache outside the tree.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.stack.build import cache
from tests.stack.machine import find

SOURCE = Path(__file__).parent / "grammars"

Span = tuple[int, int]
"""Where an error begins and ends in a query, in characters."""


def syntax_errors(queries: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[Sequence[Span]]]:
    """Return the errors in each query.

    Args:
        queries: By language: `logql` or `traceql`.

    Raises:
        RuntimeError: When npm cannot install the grammars, or the parser fails; the text has the output.
    """
    output = _run(_installed(), "node", "parse.mjs", standard_input=json.dumps(queries))
    errors: dict[str, list[list[list[int]]]] = json.loads(output)
    return {
        language: [[(begin, end) for begin, end in found] for found in answers]
        for language, answers in errors.items()
    }


def _installed() -> Path:
    """Return the folder with the parser and its packages; the first call installs them."""
    content = b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()) if path.is_file())
    folder = cache() / f"grammars-{hashlib.sha256(content).hexdigest()[:12]}"
    if not folder.exists():
        work = folder.with_suffix(f".{os.getpid()}")
        shutil.copytree(SOURCE, work, ignore=shutil.ignore_patterns("node_modules"))
        try:
            _run(work, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            work.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder


def _run(folder: Path, name: str, *arguments: str, standard_input: str = "") -> str:
    tools = {tool: found.path for tool in ("node", "npm") if (found := find(tool))}
    path = os.pathsep.join([*(str(tool.parent) for tool in tools.values()), os.environ["PATH"]])
    result = subprocess.run(
        [str(tools[name]), *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path},
        input=standard_input,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"{name} {' '.join(arguments)} failed:\n{result.stderr[-4000:]}")
    return result.stdout
