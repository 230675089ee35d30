"""Reads a strict subset of YAML as nested mappings and lists of strings, and checks values by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import yaml

from exporter.errors import SettingsError
from exporter.files.read import read_file

T = TypeVar("T")
Tree = Mapping[str, object]

BOOLEANS: Mapping[str, bool] = MappingProxyType(
    {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
)
SAFE_KEY = re.compile(r"[\w.@ -]{1,40}")
"""Keys that are safe in messages: no line of a certificate and no hash matches."""
MAX_LISTED = 5
"""Valid names that a message lists."""
MAX_LEVELS = 5
"""One more than any valid file has."""
NO_ALIAS = "aliases and anchors (* and &) are not supported: write the value out, or quote the string."
NO_MERGE = "merge keys (<<) are not supported: write the keys out."


def parse(path: Path) -> Tree:
    """Return the document as nested mappings and lists, every scalar as a string.

    Raises:
        SettingsError: When it cannot be read, without any of its content.
    """
    try:
        node = yaml.compose(read_file(path).decode(), _Loader)
    except OSError as error:
        raise SettingsError([f"the file cannot be read: {error.strerror}."]) from error
    except UnicodeDecodeError as error:
        raise SettingsError(["the file is not UTF-8 text."]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise SettingsError([f"the file is not valid YAML{place}."]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise SettingsError(["the file is not valid YAML."]) from error
    tree = {} if node is None else _plain(node)
    if not isinstance(tree, dict | None):
        raise SettingsError(["the file must be a mapping of sections."])
    return tree or {}


class _Loader(yaml.SafeLoader):
    """Rejects aliases before they are expanded: a few hundred bytes can expand to millions of values."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            raise SettingsError([f"line {event.start_mark.line + 1}: {NO_ALIAS}"])
        return super().compose_node(parent, index)


def _plain(node: yaml.Node, level: int = 0) -> object:
    """Return a node's content. Numbers stay strings: the toolkit accepts 1 as well as "1".

    Raises:
        SettingsError: For a duplicate, merge or non-string key, too many levels, or invalid Unicode.
    """
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == "tag:yaml.org,2002:null" else _text(node)
    if level == MAX_LEVELS:
        raise SettingsError([f"line {line}: nested too deeply (limit: {MAX_LEVELS} levels)."])
    if isinstance(node, yaml.SequenceNode):
        return [_plain(element, level + 1) for element in node.value]
    mapping: dict[str, object] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value in mapping:
            line = key.start_mark.line + 1
            raise SettingsError([f"line {line}: a key is not a string, or is there twice."])
        if key.tag == "tag:yaml.org,2002:merge":
            raise SettingsError([f"line {key.start_mark.line + 1}: {NO_MERGE}"])
        mapping[_text(key)] = _plain(value, level + 1)
    return mapping


def _text(node: yaml.ScalarNode) -> str:
    """Return a string that can be encoded: YAML escapes can contain surrogates."""
    text = str(node.value)
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise SettingsError([f"line {node.start_mark.line + 1}: a string is not valid Unicode."])
    return text


class Section:
    """A mapping in the file; its values are read by name, and their problems collected."""

    def __init__(self, name: str, value: object, known: Sequence[str] | None, problems: list[str]) -> None:
        """Check the type and the keys of a section.

        Args:
            name: Its path in the file, for messages; empty for the whole file.
            value: A mapping; None is an empty one.
            known: Its valid keys, whose null values count as absent; None: any key.
            problems: Problems are added to it, one sentence each.
        """
        self._name = name
        self._problems = problems
        if not isinstance(value, dict | None):
            self.add_problem("", "must be a mapping.")
        content = value if isinstance(value, dict) else {}
        self.values: Mapping[str, object] = content
        if known is not None:
            self.values = {key: content[key] for key in known if content.get(key) is not None}
            for key in (key for key in content if key not in known):
                self.add_problem(key, f"is not known{_suggestion(key, known)}")

    def path(self, key: str) -> str:
        """Return the path of a key in the file."""
        name = key if SAFE_KEY.fullmatch(key) or not key else "(hidden name)"
        return ".".join(filter(None, (self._name, name)))

    def add_problem(self, key: str, text: str) -> None:
        """Add a problem with a key."""
        self._problems.append(f"{self.path(key)} {text}")

    def text(self, key: str) -> str:
        """Return a string, empty if absent."""
        value = self.values.get(key, "")
        if isinstance(value, str):
            return value
        self.add_problem(key, "must be a string.")
        return ""

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings, empty if absent."""
        value = self.values.get(key, [])
        if isinstance(value, list) and all(isinstance(element, str) and element for element in value):
            return tuple(value)
        self.add_problem(key, "must be a list of strings.")
        return ()

    def boolean(self, key: str, default: bool) -> bool:
        """Return a boolean."""
        text = self.text(key).lower()
        if text and text not in BOOLEANS:
            self.add_problem(key, "must be true or false.")
        return BOOLEANS.get(text, default)

    def choice(self, key: str, table: Mapping[str, T], default: str) -> T:
        """Return the value of a name in a table."""
        name = self.text(key) or default
        return self.choices(key, table, [name], table[default])[0]

    def choices(self, key: str, table: Mapping[str, T], names: Collection[str], other: T) -> list[T]:
        """Return the value of each name in a table, `other` for an unknown name."""
        for name in names:
            if name not in table:
                self.add_problem(
                    key, f"has {name[:64]!r}, which is not known{_suggestion(name, tuple(table))}"
                )
        return [table.get(name, other) for name in names]


def _suggestion(name: str, known: Sequence[str]) -> str:
    """End a sentence with the most similar name, or with all names if there are few."""
    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f": is {close[0]} meant?"
    return f": there are {', '.join(known)}." if 0 < len(known) <= MAX_LISTED else "."
