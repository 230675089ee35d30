"""The program started with variables of its libraries, to see whether it gets along with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from subprocess import TimeoutExpired

import requests

from tests.process import program

HUNG = -1
"""In place of the exit code of a program that neither works nor ends."""


@dataclass(frozen=True, slots=True)
class Start:
    """How the program started: it ran and ended with 0, or it named what is wrong and ended with 2."""

    code: int
    output: str

    @property
    def is_good(self) -> bool:
        """Whether it kept to the rule."""
        return self.code in (0, 2) and "Traceback" not in self.output


def start(variables: Mapping[str, str]) -> Start:
    """Run the program until it has polled and was scraped, or until it ends by itself."""
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
    """Start the program with every swept variable at once, but for those that it refuses by name.

    Returns:
        How it started in the end, and what it refused before.
    """
    refused: set[str] = set()
    while True:
        result = start({**base, **{name: text for name, text in swept.items() if name not in refused}})
        named = set(re.findall(r"\w+", result.output)) & swept.keys() - refused
        if result.code != 2 or not named:
            return result, refused
        refused |= named
