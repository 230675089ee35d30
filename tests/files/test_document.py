"""YAML files and their sections: valid values, and the problems of others."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from exporter.errors import SettingsError
from exporter.files.document import NO_ALIAS, NO_MERGE, Section, parse


def parsed(tmp_path: Path, content: bytes) -> object:
    """Return the content of a file."""
    path = tmp_path / "file.yml"
    path.write_bytes(content)
    return parse(path)


def problems_of(tmp_path: Path, content: bytes) -> tuple[str, ...]:
    """Return the problems of an invalid file."""
    with pytest.raises(SettingsError) as caught:
        parsed(tmp_path, content)
    return caught.value.problems


TYPES = b"a: {b: 1, c: yes, d: 2026-01-01, e: '1', f: ~, g: [0x1, no], h: !!int 5}"
STRINGS = {"b": "1", "c": "yes", "d": "2026-01-01", "e": "1", "f": None, "g": ["0x1", "no"], "h": "5"}


@pytest.mark.parametrize(
    ("content", "tree"),
    [
        *((content, {}) for content in (b"", b"# nothing\n", b"{}", b"null", b"~")),
        (TYPES, {"a": STRINGS}),
        (b"a: '*b'\nb: a*b\nc: a & b\nd: '<<'", {"a": "*b", "b": "a*b", "c": "a & b", "d": "<<"}),
    ],
)
def test_valid_document(tmp_path: Path, content: bytes, tree: object) -> None:
    """Every scalar but null is a string, an empty document is a mapping; strings can have any characters."""
    assert tree == parsed(tmp_path, content)


LISTS = [f"{name}: &{name} [{','.join(['*' + before] * 100)}]" for before, name in pairwise("abcd")]
NESTED = "\n".join(["a: &a [x]", *LISTS])
"""Aliases that expand to a million values."""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: b: c", "the file is not valid YAML (line 1, column 5)."),
        (b"a: 1\n---\nb: 1", "the file is not valid YAML (line 2, column 1)."),
        (b"\x00", "the file is not valid YAML."),
        (b"[" * 700, "the file is not valid YAML."),
        (b"\xff", "the file is not UTF-8 text."),
        (b'a: 1\nb: "\\ud800"', "line 2: a string is not valid Unicode."),
        (b'"\\udfff": 1', "line 1: a string is not valid Unicode."),
        (b"- a", "the file must be a mapping of sections."),
        (b"text", "the file must be a mapping of sections."),
        (b"a: 1\na: 2", "line 2: a key is not a string, or is there twice."),
        (b"a:\n  b: 1\n  b: 2", "line 3: a key is not a string, or is there twice."),
        (b"? [a]\n: b", "line 1: a key is not a string, or is there twice."),
        (b"a: {b: {c: {d: {e: {}}}}}", "line 1: nested too deeply (limit: 5 levels)."),
        *((text, f"line 1: {NO_ALIAS}") for text in (b"a: *b", b"a: &a [*a]", b"&a b: 1", b"--- &a\nb: 1")),
        (b"a: 1\nb: &b 1", f"line 2: {NO_ALIAS}"),
        (b"a:\n  - 1\n  - &b {c: 1}\nd: *b", f"line 3: {NO_ALIAS}"),
        (b"a:\n  <<: {b: 1}", f"line 2: {NO_MERGE}"),
        (NESTED.encode(), f"line 1: {NO_ALIAS}"),
    ],
)
def test_invalid_document(tmp_path: Path, content: bytes, problem: str) -> None:
    """An invalid document, an alias, anchor or merge key is a problem with a line, without its content."""
    assert (problem,) == problems_of(tmp_path, content)


def test_unreadable_file(tmp_path: Path) -> None:
    """A file that cannot be read is a problem with the reason; a pipe without a writer does not block."""
    reasons = {"none": "No such file or directory", ".": "Is a directory", "pipe": "Not a regular file"}
    os.mkfifo(tmp_path / "pipe")
    for name, reason in reasons.items():
        with pytest.raises(SettingsError, match=f"^the file cannot be read: {reason}.$"):
            parse(tmp_path / name)


@hypothesis.given(
    st.one_of(st.binary(max_size=60), st.text("ab:-[]{}#&*!|>'\"%@`?, \n\t\0", max_size=60).map(str.encode))
)
@hypothesis.settings(deadline=None, max_examples=100, database=None)
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Any bytes are a mapping or one problem."""
    results: list[object] = []
    try:
        results.append(parsed(tmp_path_factory.getbasetemp(), content))
    except SettingsError as error:
        results.extend(error.problems)

    assert [True] == [isinstance(result, dict | str) for result in results]


def test_section() -> None:
    """Returns values by name; a null value counts as absent."""
    problems: list[str] = []
    section = Section("s", {"a": "x", "b": ["y"], "c": "Yes", "d": None}, ("a", "b", "c", "d", "e"), problems)

    assert ("x", "", "") == tuple(map(section.text, "ade"))
    assert (("y",), (), ()) == tuple(map(section.texts, "bde"))
    assert (True, False) == (section.boolean("c", False), section.boolean("d", False))
    assert (1, 2) == (section.choice("a", {"x": 1, "z": 2}, "z"), section.choice("e", {"x": 1, "z": 2}, "z"))
    assert ["s.a"] == [section.path("a")]
    assert [] == problems


def test_invalid_section() -> None:
    """A value of a wrong type is one problem, and gets its default."""
    problems: list[str] = []
    values = {"a": ["x"], "b": "y", "c": "maybe", "colour": "x"}
    section = Section("s", values, ("a", "b", "c", "color"), problems)

    assert ("", (), True) == (section.text("a"), section.texts("b"), section.boolean("c", True))
    assert 7 == section.choice("b", {"x": 7}, "x")
    assert [
        "s.colour is not known: is color meant?",
        "s.a must be a string.",
        "s.b must be a list of strings.",
        "s.c must be true or false.",
        "s.b has 'y', which is not known: there are x.",
    ] == problems


@pytest.mark.parametrize("value", ["text", ["x"]])
def test_section_that_is_no_mapping(value: object) -> None:
    """A section that is not a mapping is a problem, and counts as empty."""
    problems: list[str] = []

    assert ({}, ["s must be a mapping."]) == (Section("s", value, None, problems).values, problems)


@pytest.mark.parametrize("key", ["$2b$04$abc", "a" * 41, "a\nb", "a:b", "MIIE+x/y="])
def test_hidden_keys(key: str) -> None:
    """A key that may be a secret is not in the message."""
    problems: list[str] = []
    Section("s", {key: "x"}, (), problems)

    assert ["s.(hidden name) is not known."] == problems
