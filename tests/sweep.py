"""Starts the program with variables of its libraries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from subprocess import TimeoutExpired

import requests

from tests.process import program

HUNG = -1
"""Exit code of a program that neither works nor exits."""


@dataclass(frozen=True, slots=True)
class Start:
    """Exit code and output of a start."""

    code: int
    output: str

    @property
    def is_good(self) -> bool:
        """Whether the program worked, or rejected its settings with a message."""
        return self.code in (0, 2) and "Traceback" not in self.output


def start(variables: Mapping[str, str]) -> Start:
    """Run the program until its first poll and scrape, or until it exits."""
    with program(**variables) as running:
        try:
            url = running.url()
            running.record("Updated provider metrics")
            requests.get(f"{url}/metrics", timeout=5).raise_for_status()
        except AssertionError:
            with suppress(TimeoutExpired):
                running.process.wait(5)
            code = HUNG if running.process.returncode is None else running.process.returncode
        else:
            code, _ = running.end()
    return Start(code, "".join(running.output))


def start_with_all(base: Mapping[str, str], swept: Mapping[str, str]) -> tuple[Start, set[str]]:
    """Start the program with all swept variables, and again without those that it rejects.

    Returns:
        The last start, and the names of the rejected variables.
    """
    rejected: set[str] = set()
    while True:
        result = start({**base, **{name: text for name, text in swept.items() if name not in rejected}})
        named = set(re.findall(r"\w+", result.output)) & swept.keys() - rejected
        if result.code != 2 or not named:
            return result, rejected
        rejected |= named
