"""A YAML file as nested mappings and lists of texts, whose values are taken by name and checked each."""

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
SHOWN = re.compile(r"[\w.@ -]{1,40}")
"""Keys that are repeated in messages: no line of a certificate and no hash looks like this."""
FEW = 5
DEEPEST = 5
"""Levels that are read: one more than any file has."""
NO_ALIAS = "an alias or anchor (* or &) is not supported: write the value out, or quote the text."
NO_MERGE = "a merge key (<<) is not supported: write the keys out."


def parse(path: Path) -> Tree:
    """Return the document as nested mappings and lists, every scalar as its text.

    Raises:
        SettingsError: When it cannot be read, without any of its text.
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
    """Refuses aliases before they are resolved: a few hundred bytes can stand for millions of values."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            raise SettingsError([f"line {event.start_mark.line + 1}: {NO_ALIAS}"])
        return super().compose_node(parent, index)


def _plain(node: yaml.Node, level: int = 0) -> object:
    """Return a node's content; the toolkit reads 1 as well as "1" where it expects a text.

    Raises:
        SettingsError: When a key is there twice, merges another mapping, is no text, or lies too deep, or a
            text cannot be written.
    """
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == "tag:yaml.org,2002:null" else _text(node)
    if level == DEEPEST:
        raise SettingsError([f"line {line}: nothing is as deep as this."])
    if isinstance(node, yaml.SequenceNode):
        return [_plain(element, level + 1) for element in node.value]
    mapping: dict[str, object] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value in mapping:
            line = key.start_mark.line + 1
            raise SettingsError([f"line {line}: a key that is no text, or is there twice."])
        if key.tag == "tag:yaml.org,2002:merge":
            raise SettingsError([f"line {key.start_mark.line + 1}: {NO_MERGE}"])
        mapping[_text(key)] = _plain(value, level + 1)
    return mapping


def _text(node: yaml.ScalarNode) -> str:
    """Return a text that can be encoded: YAML can escape halves of characters."""
    text = str(node.value)
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise SettingsError([f"line {node.start_mark.line + 1}: a text that is no Unicode."])
    return text


class Section:
    """A mapping in the file, whose values are taken by name; what is wrong with them is collected."""

    def __init__(self, name: str, value: object, known: Sequence[str] | None, problems: list[str]) -> None:
        """Take the content of a section.

        Args:
            name: Where it stands in the file, for messages; empty for the whole.
            value: A mapping; None is an empty one.
            known: The keys that it may have, whose null values count as absent; None: any.
            problems: Takes what is wrong, one sentence each.
        """
        self._name = name
        self._problems = problems
        if not isinstance(value, dict | None):
            self.complain("", "must be a mapping.")
        content = value if isinstance(value, dict) else {}
        self.values: Mapping[str, object] = content
        if known is not None:
            self.values = {key: content[key] for key in known if content.get(key) is not None}
            for key in (key for key in content if key not in known):
                self.complain(key, f"is not known{_meant(key, known)}")

    def path(self, key: str) -> str:
        """Return where a key stands in the file."""
        shown = key if SHOWN.fullmatch(key) or not key else "(a name that is not shown)"
        return ".".join(filter(None, (self._name, shown)))

    def complain(self, key: str, text: str) -> None:
        """Add a problem with a key."""
        self._problems.append(f"{self.path(key)} {text}")

    def text(self, key: str) -> str:
        """Return a text, empty where there is none."""
        value = self.values.get(key, "")
        if isinstance(value, str):
            return value
        self.complain(key, "must be a text.")
        return ""

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, empty where there is none."""
        value = self.values.get(key, [])
        if isinstance(value, list) and all(isinstance(element, str) and element for element in value):
            return tuple(value)
        self.complain(key, "must be a list of texts.")
        return ()

    def boolean(self, key: str, default: bool) -> bool:
        """Return yes or no."""
        text = self.text(key).lower()
        if text and text not in BOOLEANS:
            self.complain(key, "must be true or false.")
        return BOOLEANS.get(text, default)

    def choice(self, key: str, table: Mapping[str, T], default: str) -> T:
        """Return what a name stands for."""
        name = self.text(key) or default
        return self.choices(key, table, [name], table[default])[0]

    def choices(self, key: str, table: Mapping[str, T], names: Collection[str], other: T) -> list[T]:
        """Return what each name stands for, and `other` for those that stand for nothing."""
        for name in names:
            if name not in table:
                self.complain(key, f"has {name[:64]!r}, which is not known{_meant(name, tuple(table))}")
        return [table.get(name, other) for name in names]


def _meant(name: str, known: Sequence[str]) -> str:
    """End a sentence with the name that was probably meant, or with all where there are few."""
    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f": is {close[0]} meant?"
    return f": there are {', '.join(known)}." if 0 < len(known) <= FEW else "."
