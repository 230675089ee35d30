"""The commands of the documentation, and who runs them: `make test`, `make stack` or nobody."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from enum import Enum, auto
from itertools import groupby
from pathlib import Path

from tests.verify.docs.pages import ALL_BLOCKS, Block, section, table

LEFT_OUT_PAGE = "docs/contributing.md"
LEFT_OUT_TITLE = "Commands that no test runs"
SECONDS = 60
ASSIGNMENTS = re.compile(r"(?:\w+=(?:'[^']*'|\"[^\"]*\"|\S*)\s+)*")
"""What may stand before a program: variables of its environment."""
OF_THE_STACK = re.compile(r"^(?:promtool|amtool)\b|localhost:90(?:90|93)\b")
"""What needs Prometheus or Alertmanager."""


OUTSIDE = re.compile(r"(?<=\s)['\"]?(?:~|/(?!dev/null|tmp/)[a-z]+/)")
"""A path of the machine as an argument."""


class Run(Enum):
    """Who runs a command."""

    HERE = auto()
    STACK = auto()
    NOBODY = auto()


def left_out() -> Mapping[str, str]:
    """Return how commands begin that no test runs, and why."""
    rows = table(section(LEFT_OUT_PAGE, LEFT_OUT_TITLE))
    return {beginning.strip("`"): why for beginning, why, *_ in rows}


def without_assignments(line: str) -> str:
    """Return a command line from its program on."""
    return ASSIGNMENTS.sub("", line, count=1)


def beginning(line: str) -> str | None:
    """Return the row of the table that leaves a line out, if any."""
    program = without_assignments(line)
    return next((start for start in left_out() if f"{program} ".startswith(f"{start} ")), None)


def run_by(line: str) -> Run:
    """Return who runs a line."""
    if beginning(line) is not None:
        return Run.NOBODY
    return Run.STACK if OF_THE_STACK.search(without_assignments(line)) else Run.HERE


def commands(language: str = "sh") -> list[Block]:
    """Return all blocks of commands."""
    return [block for block in ALL_BLOCKS if block.language == language]


def scripts(block: Block, who: Run) -> list[str]:
    """Return what is to be run of a block: lines that follow each other belong together."""
    return ["\n".join(lines) for found, lines in groupby(block.lines(), run_by) if found is who]


def run_script(script: str, changes: Mapping[str, str], folder: Path, environment: Mapping[str, str]) -> str:
    """Run a script with other addresses and return its output.

    Raises:
        AssertionError: When a line of it fails, or names a path outside of the folder: nothing is run then.
    """
    assert not OUTSIDE.search(script), (
        f"this may change the machine: {LEFT_OUT_PAGE} has to leave it out:\n{script}"
    )
    for old, new in changes.items():
        script = script.replace(old, new)
    # A session of its own: without a terminal, what asks for a password reads its input.
    result = subprocess.run(
        ["bash", "-ec", script],
        cwd=folder,
        env=dict(environment),
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
