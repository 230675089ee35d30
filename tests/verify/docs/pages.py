"""Parses the pages of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]

LANGUAGES = ("sh", "text", "ini", "yaml", "json", "promql", "logql", "traceql", "mermaid")
"""Languages of code blocks; `sh` contains commands of the reader, `text` output of programs."""
LOOP = re.compile(r"^for .*\n(?:.*\n)*?done\b.*$", re.MULTILINE)
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"`[^`\n]+`")


@dataclass(frozen=True)
class Block:
    """A code block: its page, its first line, its language, and its text without indentation."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """Page and line, for messages."""
        return f"{self.page}:{self.line}"

    def paragraphs(self) -> list[str]:
        """Return the queries: paragraphs between empty lines, without comments."""
        texts = ("\n".join(_without_comments(text)) for text in re.split(r"\n\s*\n", self.text))
        return [text for text in texts if text]

    def lines(self) -> list[str]:
        """Return the commands: lines without comments. A continued line or a loop is one command."""
        text = self.text.replace("\\\n", "")
        return _without_comments(LOOP.sub(_one_line, text))


def _one_line(loop: re.Match[str]) -> str:
    return re.sub(r"\bdo;", "do", loop[0].replace("\n", "; "))


def _without_comments(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pages() -> list[Path]:
    """Return the README and every page below docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name(page: Path) -> str:
    """Return the path of a page relative to the project's root."""
    return page.relative_to(ROOT).as_posix()


def read(page: str) -> str:
    """Return the text of a page, by its path relative to the project's root."""
    return (ROOT / page).read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    """Return the text of a section of a page."""
    return read(page).split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def table(text: str) -> list[list[str]]:
    """Return the rows of the first table in a text, without its header."""
    lines = re.search(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    assert lines is not None, "no table"
    rows = lines[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        indent, language, code = found.groups()
        line = text.count("\n", 0, found.start()) + 1
        lines = (row.removeprefix(indent) for row in code.splitlines())
        yield Block(name(page), line, language, "\n".join(lines))


def code_blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of one language on a page, by its path relative to the project's root."""
    return [block.text for block in blocks(ROOT / page) if block.language == language]


ALL_BLOCKS = [block for page in pages() for block in blocks(page)]


def links(page: Path) -> list[str]:
    """Return the link targets of a page, except in code."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return LINK.findall(CODE.sub(lambda found: "x" * len(found[0]), text))


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub generates them."""
    names: set[str] = set()
    for title in HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        again = (f"{slug}-{number}" for number in range(1, 100))
        names.add(slug if slug not in names else next(free for free in again if free not in names))
    return names
