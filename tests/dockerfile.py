"""Reads the instructions of a Dockerfile."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """A stage: its base, its name, and its instructions in order."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """Return the arguments of every such instruction."""
        return [text for name, text in self.instructions if name == instruction]

    def one(self, instruction: str) -> str:
        """Return the arguments of the only such instruction."""
        (text,) = self.all(instruction)
        return text


def parse(path: Path) -> list[Stage]:
    """Return the stages, without comments, and with continued lines joined."""
    text = path.read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    stages: list[Stage] = []
    for line in filter(None, re.sub(r"\\\n\s*", "", lines).splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].instructions.append((instruction, rest.strip()))
    return stages


def copies(stages: Sequence[Stage]) -> list[list[str]]:
    """Return source and target of each COPY from the project."""
    return [copy.split() for stage in stages for copy in stage.all("COPY") if "--from=" not in copy]


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return the NAME=value pairs of ENV instructions."""
    split = (word.partition("=") for text in texts for word in shlex.split(text))
    return {name: value for name, _, value in split}
