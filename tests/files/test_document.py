"""YAML files and their sections: valid values, and the problems of others."""

from __future__ import annotations

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that hypothesis reuses."""
    return tmp_path_factory.mktemp("document")


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"{}", b"null", b"~"])
def test_empty(tmp_path: Path, content: bytes) -> None:
    """An empty document is an empty mapping."""
    assert {} == parsed(tmp_path, content)


def test_values(tmp_path: Path) -> None:
    """Every scalar but null is a string, whatever its YAML type."""
    content = b"a: {b: 1, c: yes, d: 2026-01-01, e: '1', f: ~, g: [0x1, no], h: !!int 5}"

    expected = {"b": "1", "c": "yes", "d": "2026-01-01", "e": "1", "f": None, "g": ["0x1", "no"], "h": "5"}
    assert {"a": expected} == parsed(tmp_path, content)


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
    ],
)
def test_invalid_document(tmp_path: Path, content: bytes, problem: str) -> None:
    """An invalid document is a problem with a line, without its content."""
    assert (problem,) == problems_of(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: *b", f"line 1: {NO_ALIAS}"),
        (b"a: 1\nb: &b 1", f"line 2: {NO_ALIAS}"),
        (b"a: &a [*a]", f"line 1: {NO_ALIAS}"),
        (b"a:\n  - 1\n  - &b {c: 1}\nd: *b", f"line 3: {NO_ALIAS}"),
        (b"&a b: 1", f"line 1: {NO_ALIAS}"),
        (b"--- &a\nb: 1", f"line 1: {NO_ALIAS}"),
        (b"a:\n  <<: {b: 1}", f"line 2: {NO_MERGE}"),
    ],
)
def test_alias(tmp_path: Path, content: bytes, problem: str) -> None:
    """Aliases, anchors and merge keys are problems with their line."""
    assert (problem,) == problems_of(tmp_path, content)


def test_nested_aliases(tmp_path: Path) -> None:
    """Nested aliases, which expand to millions of values, are rejected before they are expanded."""
    lists = [f"{name}: &{name} [{','.join(['*' + before] * 100)}]" for before, name in pairwise("abcd")]

    content = "\n".join(["a: &a [x]", *lists]).encode()

    assert (f"line 1: {NO_ALIAS}",) == problems_of(tmp_path, content)


@pytest.mark.parametrize("text", ["'*b'", "a*b", "a & b", "'<<'"])
def test_text_like_an_alias(tmp_path: Path, text: str) -> None:
    """The characters are valid in quotes and inside a string."""
    assert {"a": text.strip("'")} == parsed(tmp_path, f"a: {text}".encode())


def test_unreadable_file(tmp_path: Path) -> None:
    """A file that cannot be read is a problem with the reason."""
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsError, match=f"^the file cannot be read: {reason}.$"):
            parse(path)


@hypothesis.given(
    st.one_of(st.binary(max_size=60), st.text("ab:-[]{}#&*!|>'\"%@`?, \n\t\0", max_size=60).map(str.encode))
)
@hypothesis.settings(deadline=None, max_examples=100, database=None)
def test_any_bytes(folder: Path, content: bytes) -> None:
    """Any bytes are a mapping or one problem."""
    problems: tuple[str, ...] = ("",)
    tree: object = {}
    try:
        tree = parsed(folder, content)
    except SettingsError as error:
        problems = error.problems

    assert (dict, 1) == (type(tree), len(problems))


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
    section = Section(
        "s", {"a": ["x"], "b": "y", "c": "maybe", "colour": "x"}, ("a", "b", "c", "color"), problems
    )

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
