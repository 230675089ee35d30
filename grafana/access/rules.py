"""The access rules: a YAML file as frozen values.

Grafana accepts any number as a permission, and an unknown one removes the access. The file therefore has
words, and no request is sent before the whole file is valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec

from exporter.errors import SettingsError
from exporter.files.document import parse

MAX_NAME = 190
"""Length of the column in Grafana; some databases truncate longer names, others refuse them."""

Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME, pattern=r"^\S(.*\S)?\Z")]
Uid = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9_-]{1,40}\Z")]


class Permission(IntEnum):
    """A permission, with its number in Grafana's API."""

    VIEW = 1
    EDIT = 2
    ADMIN = 4

    @property
    def word(self) -> str:
        """The name in the file."""
        return self.name.lower()


class Kind(StrEnum):
    """The kind of a subject."""

    ROLE = "role"
    TEAM = "team"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Subject:
    """The role, team or user that a rule applies to."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        """Return kind and name."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Team:
    """A team that must exist."""

    name: str
    members: tuple[str, ...] | None
    """Logins or e-mail addresses of all members; None leaves the members unchanged."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that must exist, and its permissions; admins always have all permissions."""

    uid: str
    title: str
    """For a new folder; an existing folder keeps its title."""
    access: Mapping[Subject, Permission]


@dataclass(frozen=True, slots=True)
class Rules:
    """The content of the file."""

    teams: tuple[Team, ...]
    folders: tuple[Folder, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A key of a mapping in the file: name, type of the value, and the type in words."""

    name: str
    kind: Any
    must_be: str
    required: bool = True


NAME = f"text of 1 to {MAX_NAME} characters without whitespace at its ends"
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
    Field("access", list, "a list of rules; [] allows admins only"),
)
RULE = (
    Field(
        Kind.ROLE,
        Literal["Viewer", "Editor"],
        "Viewer or Editor",
        required=False,
    ),
    Field(Kind.TEAM, Name, NAME, required=False),
    Field(Kind.USER, Name, NAME, required=False),
    Field("may", Literal["view", "edit", "admin"], "view, edit or admin"),
)


def load_rules(path: Path) -> Rules:
    """Read the file.

    Raises:
        SettingsError: With all problems.
    """
    try:
        document = parse(path)
    except SettingsError as error:
        raise SettingsError([f"{path}: {problem}" for problem in error.problems]) from error
    reader = _Reader()
    rules = reader.rules(document)
    if reader.problems:
        raise SettingsError([f"{path}: {problem}" for problem in reader.problems])
    return rules


class _Reader:
    """Reads the document, and collects problems."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def rules(self, document: object) -> Rules:
        found = self._fields("", document, FILE)
        teams = tuple(self._team(f"teams[{i}]", value) for i, value in enumerate(found.get("teams", ())))
        self._report_duplicates((f"teams[{i}].name", team.name) for i, team in enumerate(teams))
        names = {team.name for team in teams}
        folders = tuple(
            self._folder(f"folders[{i}]", value, names) for i, value in enumerate(found.get("folders", ()))
        )
        self._report_duplicates((f"folders[{i}].uid", folder.uid) for i, folder in enumerate(folders))
        return Rules(teams, folders)

    def _team(self, where: str, value: object) -> Team:
        found = self._fields(where, value, TEAM)
        members = found.get("members")
        if members is not None:
            places = [(f"{where}.members[{i}]", member) for i, member in enumerate(members)]
            members = tuple(self._convert(place, Field("", Name, NAME), member) for place, member in places)
            self._report_duplicates((place, member) for place, member in places if isinstance(member, str))
        return Team(found.get("name", ""), members)

    def _folder(self, where: str, value: object, teams: set[str]) -> Folder:
        found = self._fields(where, value, FOLDER)
        places = [(f"{where}.access[{i}]", rule) for i, rule in enumerate(found.get("access", ()))]
        rules = [(place, *self._rule(place, rule, teams)) for place, rule in places]
        self._report_duplicates((place, str(subject)) for place, subject, _ in rules if subject.name)
        access = {subject: permission for _, subject, permission in rules}
        return Folder(found.get("uid", ""), found.get("title", ""), MappingProxyType(access))

    def _rule(self, where: str, value: object, teams: set[str]) -> tuple[Subject, Permission]:
        found = self._fields(where, value, RULE)
        if isinstance(value, dict) and len(set(Kind) & set(value)) != 1:
            self._report(where, "must name exactly one of role, team and user.")
        kind = next((kind for kind in Kind if kind in found), Kind.ROLE)
        subject = Subject(kind, found.get(kind, ""))
        if kind is Kind.TEAM and subject.name not in teams:
            self._report(
                f"{where}.team",
                f"names {subject.name!r}, which is not in teams: add it there or correct it.",
            )
        return subject, Permission[found.get("may", "view").upper()]

    def _fields(self, where: str, value: object, fields: Sequence[Field]) -> dict[str, Any]:
        """Return the valid values of a mapping."""
        names = ", ".join(field.name for field in fields)
        if not isinstance(value, dict):
            self._report(where, f"must be a mapping with {names}, not {value!r:.60}.")
            return {}
        for key in value:
            if key not in {field.name for field in fields}:
                self._report(_place(where, key), f"is unknown; known keys are {names}.")
        found = {}
        for field in fields:
            place, given = _place(where, field.name), value.get(field.name)
            if given is not None:
                found[field.name] = self._convert(place, field, given)
            elif field.required:
                self._report(place, f"is missing; it must be {field.must_be}.")
        return {name: given for name, given in found.items() if given is not None}

    def _convert(self, where: str, field: Field, given: object) -> Any:
        try:
            return msgspec.convert(given, field.kind)
        except msgspec.ValidationError:
            self._report(where, f"must be {field.must_be}; it is {given!r:.60}.")
            return None

    def _report_duplicates(self, named: Iterable[tuple[str, str]]) -> None:
        """Report names that differ only in case: some databases treat them as equal."""
        first: dict[str, str] = {}
        for where, name in named:
            if name and first.setdefault(name.casefold(), where) != where:
                self._report(where, f"repeats {name!r} of {first[name.casefold()]}; keep one of them.")

    def _report(self, where: str, problem: str) -> None:
        self.problems.append(f"{where or 'the file'}: {problem}")


def _place(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)
