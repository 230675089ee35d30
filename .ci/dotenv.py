"""Starts a program with the variables of `.env`, if the file exists: `make run`.

The syntax is that of Docker Compose, without expansion. Existing variables take precedence.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

FILE = Path(".env")
LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
SINGLE = re.compile(r"'([^']*)'\s*(?:#.*)?")
DOUBLE = re.compile(r'"((?:[^"\\$]|\\.)*)"\s*(?:#.*)?')
COMMENT = re.compile(r"(?:^|\s+)#.*")
ESCAPES: Mapping[str, str] = MappingProxyType({"n": "\n", "r": "\r", "t": "\t"})


def variables(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of each line that sets one.

    Raises:
        ValueError: With the number of an invalid line, without its text, which may be a secret.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"line {number} must be NAME=value.")
        value = _value(match[2])
        if value is None:
            raise ValueError(
                f"line {number}: the value of {match[1]} has an open quote or a $; put it in single quotes."
            )
        yield match[1], value


def _value(text: str) -> str | None:
    """Return a value, None for invalid or ambiguous syntax."""
    if match := SINGLE.fullmatch(text):
        return match[1]
    if match := DOUBLE.fullmatch(text):
        return re.sub(r"\\(.)", lambda escape: ESCAPES.get(escape[1], escape[1]), match[1])
    bare = COMMENT.sub("", text, count=1)
    return None if bare.startswith(("'", '"')) or "$" in bare else bare


def main(command: list[str]) -> NoReturn:
    """Execute the program, or exit with 2 for an invalid file."""
    found: dict[str, str] = {}
    if FILE.is_file():
        try:
            found = dict(variables(FILE.read_text(encoding="utf-8-sig")))
        except (OSError, ValueError) as error:
            reason = "it is not UTF-8 text." if isinstance(error, UnicodeDecodeError) else error
            print(f"{FILE} cannot be used: {reason}", file=sys.stderr)
            sys.exit(2)
        used = [name for name, value in found.items() if value and name not in os.environ]
        print(f"Read from {FILE}: {', '.join(used) or 'nothing'}", file=sys.stderr)
    os.execvpe(command[0], command, {**found, **os.environ})  # noqa: S606 - there is no shell


if __name__ == "__main__":
    main(sys.argv[1:])
