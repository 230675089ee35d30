"""Links, line widths and code blocks of the pages are valid."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from tests.verify.docs.pages import ALL_BLOCKS, LANGUAGES, ROOT, Block, anchors, links, name, pages

INDEX = ROOT / "docs" / "README.md"
WIDTH = 122
DOCUMENTS = [block for block in ALL_BLOCKS if block.language in ("yaml", "json")]


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links(page: Path) -> None:
    """The files and anchors of relative links exist."""
    broken = []
    for link in links(page):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert [] == broken


def test_index() -> None:
    """The index of docs/ links to each page, and to the folder of runbooks."""
    linked = {(INDEX.parent / link.partition("#")[0]).resolve() for link in links(INDEX)}
    runbooks = ROOT / "docs" / "runbooks"
    expected = {page for page in pages() if page.parent != runbooks} - {INDEX, ROOT / "README.md"}

    assert set() == (expected | {runbooks}) - linked


@pytest.mark.parametrize("page", pages(), ids=name)
def test_width(page: Path) -> None:
    """Lines have at most 122 characters, except tables, headings, links and code."""
    inside, long = False, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        inside ^= line.lstrip().startswith("```")
        may_be_longer = inside or line.lstrip().startswith(("|", "#")) or "](" in line
        if len(line) > WIDTH and not may_be_longer:
            long.append(number)

    assert [] == long


def test_languages_of_blocks() -> None:
    """Every code block has a known language, so that no command is missed."""
    assert [] == [block.where for block in ALL_BLOCKS if block.language not in LANGUAGES]


@pytest.mark.parametrize("block", DOCUMENTS, ids=lambda block: block.where)
def test_documents(block: Block) -> None:
    """Blocks of YAML and JSON parse; JSON is one document, or one object per line."""
    if block.language == "yaml":
        assert yaml.safe_load(block.text)
    else:
        texts = block.text.splitlines() if block.text.startswith('{"') else [block.text]
        assert all(map(json.loads, texts))
