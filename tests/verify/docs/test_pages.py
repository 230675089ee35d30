"""Every page can be read and followed: its links lead somewhere, its blocks of code say what they are."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from tests.verify.docs.pages import ALL_BLOCKS, LANGUAGES, ROOT, Block, anchors, links, name, pages

INDEX = ROOT / "docs" / "README.md"
WIDTH = 122


def of(language: str) -> list[Block]:
    """Return all blocks of a language."""
    return [block for block in ALL_BLOCKS if block.language == language]


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file of the project, and its anchor a heading of that file."""
    broken = []
    for link in links(page):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert [] == broken


def test_every_page_is_in_the_index() -> None:
    """The index of docs/ links to each page, the runbooks by their folder."""
    linked = {(INDEX.parent / link.partition("#")[0]).resolve() for link in links(INDEX)}
    runbooks = ROOT / "docs" / "runbooks"
    expected = {page for page in pages() if page.parent != runbooks} - {INDEX, ROOT / "README.md"}

    assert set() == (expected | {runbooks}) - linked


@pytest.mark.parametrize("page", pages(), ids=name)
def test_width(page: Path) -> None:
    """Text keeps to a width; rows of tables, headings, addresses and code may be longer."""
    inside, long = False, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        inside ^= line.lstrip().startswith("```")
        may_be_longer = inside or line.lstrip().startswith(("|", "#")) or "](" in line
        if len(line) > WIDTH and not may_be_longer:
            long.append(number)

    assert [] == long


def test_blocks_say_what_they_are() -> None:
    """A block of code without a known language could be a command that no test sees."""
    assert [] == [block.where for block in ALL_BLOCKS if block.language not in LANGUAGES]


@pytest.mark.parametrize("block", of("yaml"), ids=lambda block: block.where)
def test_yaml(block: Block) -> None:
    """It is YAML."""
    assert yaml.safe_load(block.text)


@pytest.mark.parametrize("block", of("json"), ids=lambda block: block.where)
def test_json(block: Block) -> None:
    """It is JSON: one document, or an object on each line."""
    texts = block.text.splitlines() if block.text.startswith('{"') else [block.text]

    assert all(map(json.loads, texts))
