"""The file of access rules, read once into frozen values; every problem at once.

Grafana takes any number for a permission, and one that it does not know takes the access away without a word:
so the file holds words, and nothing is sent before all of it is understood.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
import yaml

from grafana.access.errors import InputError

MAX_NAME = 190
"""Grafana's column of names; some databases cut longer ones, others refuse them."""

Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME, pattern=r"^\S(.*\S)?\Z")]
Uid = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9_-]{1,40}\Z")]


class Permission(IntEnum):
    """What a rule allows, with the numbers of Grafana's API."""

    VIEW = 1
    EDIT = 2
    ADMIN = 4

    @property
    def word(self) -> str:
        """Its name in the file."""
        return self.name.lower()


class Kind(StrEnum):
    """Whom a rule is about."""

    ROLE = "role"
    TEAM = "team"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a rule is about, by name."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        """Return it as a person says it."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Team:
    """A team that has to be there."""

    name: str
    members: tuple[str, ...] | None
    """Logins or e-mail addresses of exactly those who belong to it; None leaves that to Grafana's pages."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that has to be there, and who may do what in it; admins may do all."""

    uid: str
    title: str
    """For a folder that has to be made; one that is there keeps its own."""
    access: Mapping[Subject, Permission]


@dataclass(frozen=True, slots=True)
class Rules:
    """All that the file says."""

    teams: tuple[Team, ...]
    folders: tuple[Folder, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a mapping in the file: its name, the type of its value, and what it must be, in words."""

    name: str
    kind: Any
    must_be: str
    required: bool = True


NO_ALIAS = "an alias or anchor (* or &) is not supported; write the value out, or quote the text"
NO_MERGE = "a merge key (<<) is not supported; write the keys out"
NAME = f"text of 1 to {MAX_NAME} characters without blanks at its ends"
FILE = (
    Field("teams", list, "a list of teams", required=False),
    Field("folders", list, "a list of folders"),
)
TEAM = (
    Field("name", Name, NAME),
    Field("members", list, "a list of logins or e-mail addresses", required=False),
)
FOLDER = (
    Field("uid", Uid, "1 to 40 letters, digits, hyphens and underscores"),
    Field("title", Name, NAME),
    Field("access", list, "a list of rules; [] leaves the folder to admins"),
)
RULE = (
    Field(Kind.ROLE, Literal["Viewer", "Editor"], "Viewer or Editor; admins may do all", required=False),
    Field(Kind.TEAM, Name, NAME, required=False),
    Field(Kind.USER, Name, NAME, required=False),
    Field("may", Literal["view", "edit", "admin"], "view, edit or admin"),
)


def load_rules(path: Path) -> Rules:
    """Read the file.

    Raises:
        InputError: With every problem that was found.
    """
    try:
        document = yaml.load(path.read_bytes().decode("utf-8"), _Loader)  # noqa: S506 - it is a SafeLoader
    except OSError as error:
        raise InputError([f"{path}: cannot be read: {error.strerror}; --file names another."]) from error
    except UnicodeDecodeError as error:
        raise InputError([f"{path}: is not UTF-8 text; save it as such."]) from error
    except yaml.YAMLError as error:
        raise InputError([f"{path}: {_yaml_problem(error)}"]) from error
    reader = _Reader()
    rules = reader.rules(document)
    if reader.problems:
        raise InputError([f"{path}: {problem}" for problem in reader.problems])
    return rules


class _Loader(yaml.SafeLoader):
    """Refuses what PyYAML reads in a way that nobody expects.

    Of a key that occurs twice it drops the first without a word, and a few aliases can stand for gigabytes.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            raise yaml.composer.ComposerError(None, None, NO_ALIAS, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        # Keys that are lists or mappings are refused by PyYAML itself.
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for number, key in enumerate(keys):
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, NO_MERGE, key.start_mark)
            if key.value in [earlier.value for earlier in keys[:number]]:
                problem = f"the key {key.value!r} occurs twice; keep one of them"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return super().construct_mapping(node, deep)


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}not valid YAML: {getattr(error, 'problem', None) or 'it holds control characters'}."


class _Reader:
    """One pass over the document; it collects problems and goes on with what it understands."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def rules(self, document: object) -> Rules:
        found = self._fields("", document, FILE)
        teams = tuple(self._team(f"teams[{i}]", value) for i, value in enumerate(found.get("teams", ())))
        self._tell_repeated((f"teams[{i}].name", team.name) for i, team in enumerate(teams))
        names = {team.name for team in teams}
        folders = tuple(
            self._folder(f"folders[{i}]", value, names) for i, value in enumerate(found.get("folders", ()))
        )
        self._tell_repeated((f"folders[{i}].uid", folder.uid) for i, folder in enumerate(folders))
        return Rules(teams, folders)

    def _team(self, where: str, value: object) -> Team:
        found = self._fields(where, value, TEAM)
        members = found.get("members")
        if members is not None:
            places = [(f"{where}.members[{i}]", member) for i, member in enumerate(members)]
            members = tuple(self._convert(place, Field("", Name, NAME), member) for place, member in places)
            self._tell_repeated((place, member) for place, member in places if isinstance(member, str))
        return Team(found.get("name", ""), members)

    def _folder(self, where: str, value: object, teams: set[str]) -> Folder:
        found = self._fields(where, value, FOLDER)
        places = [(f"{where}.access[{i}]", rule) for i, rule in enumerate(found.get("access", ()))]
        rules = [(place, *self._rule(place, rule, teams)) for place, rule in places]
        self._tell_repeated((place, str(subject)) for place, subject, _ in rules if subject.name)
        access = {subject: permission for _, subject, permission in rules}
        return Folder(found.get("uid", ""), found.get("title", ""), MappingProxyType(access))

    def _rule(self, where: str, value: object, teams: set[str]) -> tuple[Subject, Permission]:
        found = self._fields(where, value, RULE)
        if isinstance(value, dict) and len(set(Kind) & set(value)) != 1:
            self._tell(where, "must name exactly one of role, team and user.")
        kind = next((kind for kind in Kind if kind in found), Kind.ROLE)
        subject = Subject(kind, found.get(kind, ""))
        if kind is Kind.TEAM and subject.name not in teams:
            self._tell(
                f"{where}.team",
                f"names {subject.name!r}, which is not under teams: add it there or correct it.",
            )
        return subject, Permission[found.get("may", "view").upper()]

    def _fields(self, where: str, value: object, fields: Sequence[Field]) -> dict[str, Any]:
        """Return the values of a mapping that are what they must be."""
        names = ", ".join(field.name for field in fields)
        if not isinstance(value, dict):
            self._tell(where, f"must be a mapping with {names}, not {value!r:.60}.")
            return {}
        for key in value:
            if key not in {field.name for field in fields}:
                self._tell(_place(where, key), f"is not known here; known are {names}.")
        found = {}
        for field in fields:
            place, given = _place(where, field.name), value.get(field.name)
            if given is not None:
                found[field.name] = self._convert(place, field, given)
            elif field.required:
                self._tell(place, f"is missing; it must be {field.must_be}.")
        return {name: given for name, given in found.items() if given is not None}

    def _convert(self, where: str, field: Field, given: object) -> Any:
        try:
            return msgspec.convert(given, field.kind)
        except msgspec.ValidationError:
            self._tell(where, f"must be {field.must_be}; it is {given!r:.60}.")
            return None

    def _tell_repeated(self, named: Iterable[tuple[str, str]]) -> None:
        """Tell of names that differ in nothing but capitals, which some databases take for the same."""
        first: dict[str, str] = {}
        for where, name in named:
            if name and first.setdefault(name.casefold(), where) != where:
                self._tell(where, f"is {name!r} again, after {first[name.casefold()]}; keep one of them.")

    def _tell(self, where: str, problem: str) -> None:
        self.problems.append(f"{where or 'the file'}: {problem}")


def _place(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)
