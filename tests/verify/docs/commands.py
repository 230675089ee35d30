"""The commands of the documentation, and which target runs them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby
from pathlib import Path

from tests.verify.docs.pages import ALL_BLOCKS, Block, section, table

LEFT_OUT_PAGE = "docs/contributing.md"
LEFT_OUT_TITLE = "Commands that no test runs"
SECONDS = 60
ASSIGNMENTS = re.compile(r"(?:\w+=(?:'[^']*'|\"[^\"]*\"|\S*)\s+)*")
"""Environment variables before a program."""
OF_THE_STACK = re.compile(r"^(?:promtool|amtool)\b|localhost:90(?:90|93)\b")
"""Commands that need Prometheus or Alertmanager."""
OUTSIDE = re.compile(r"(?<=\s)['\"]?(?:~|/(?!dev/null|tmp/)[a-z]+/)")
"""An argument that is a path outside the project."""


class Run(Enum):
    """Which target runs a command."""

    HERE = auto()
    STACK = auto()
    NOBODY = auto()


@dataclass(frozen=True)
class Place:
    """Where commands run, the replacements of addresses, and the environment."""

    folder: Path
    changes: Mapping[str, str]
    environment: Mapping[str, str]


def left_out() -> Mapping[str, str]:
    """Return the beginnings of commands that no test runs, and the reasons."""
    rows = table(section(LEFT_OUT_PAGE, LEFT_OUT_TITLE))
    return {beginning.strip("`"): why for beginning, why, *_ in rows}


def without_assignments(line: str) -> str:
    """Return a command line without environment variables."""
    return ASSIGNMENTS.sub("", line, count=1)


def beginning(line: str) -> str | None:
    """Return the row of the table that excludes a line, if any."""
    program = without_assignments(line)
    return next((start for start in left_out() if f"{program} ".startswith(f"{start} ")), None)


def run_by(line: str) -> Run:
    """Return which target runs a line."""
    if beginning(line) is not None:
        return Run.NOBODY
    return Run.STACK if OF_THE_STACK.search(without_assignments(line)) else Run.HERE


def commands(language: str = "sh") -> list[Block]:
    """Return all blocks with commands."""
    return [block for block in ALL_BLOCKS if block.language == language]


def scripts(block: Block, who: Run) -> list[str]:
    """Return the scripts of a block for a target; adjacent lines are one script."""
    return ["\n".join(lines) for found, lines in groupby(block.lines(), run_by) if found is who]


def run_script(script: str, place: Place) -> str:
    """Run a script with replaced addresses and return its output.

    Raises:
        AssertionError: When a line fails, or before the run when a path is outside the folder.
    """
    assert not OUTSIDE.search(script), (
        f"this may change the machine: exclude it in {LEFT_OUT_PAGE}:\n{script}"
    )
    for old, new in place.changes.items():
        script = script.replace(old, new)
    # A new session has no terminal, so that password prompts read standard input.
    result = subprocess.run(
        ["bash", "-ec", script],
        cwd=place.folder,
        env=dict(place.environment),
        input="a password\n",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        start_new_session=True,
        check=False,
    )
    output = result.stdout + result.stderr
    assert 0 == result.returncode, f"exit code {result.returncode} of:\n{script}\n{output}"
    return output
