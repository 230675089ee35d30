"""What Grafana has, what the rules want, and the changes that lie between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from grafana.access.client import Grafana, Grant, User
from grafana.access.rules import Folder, Kind, Permission, Rules, Subject, Team


@dataclass(frozen=True, slots=True)
class State:
    """What Grafana has of what the rules name."""

    users: Mapping[str, User]
    """By login and by e-mail address, both without capitals; empty if the rules name no user."""
    team_ids: Mapping[str, int]
    """Of the teams that are there."""
    members: Mapping[str, Mapping[str, User]]
    """By team and login, for teams that are there and whose members the rules list."""
    access: Mapping[str, Mapping[Subject, int]]
    """By uid, for folders that are there, with the numbers of Grafana's API."""
    admins: frozenset[Subject]
    """The role Admin, and the admin who asks: they may do all, whatever a folder says of them."""


@dataclass(frozen=True, slots=True)
class CreateTeam:
    """Make a team, and take out who made it unless it is kept: Grafana adds that user by itself."""

    team: str
    keep: frozenset[int]

    def __str__(self) -> str:
        """Return the line of the plan."""
        return f"+ team {self.team}"


@dataclass(frozen=True, slots=True)
class AddMember:
    """Put a user into a team."""

    team: str
    user: User

    def __str__(self) -> str:
        """Return the line of the plan."""
        return f"+ member {self.user.login} of team {self.team}"


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Take a user out of a team."""

    team: str
    user: User

    def __str__(self) -> str:
        """Return the line of the plan."""
        return f"- member {self.user.login} of team {self.team}"


@dataclass(frozen=True, slots=True)
class CreateFolder:
    """Make a folder."""

    uid: str
    title: str

    def __str__(self) -> str:
        """Return the line of the plan."""
        return f"+ folder {self.uid} ({self.title})"


@dataclass(frozen=True, slots=True)
class SetAccess:
    """Replace who may do what in a folder."""

    uid: str
    before: Mapping[Subject, int]
    after: Mapping[Subject, Permission]

    def __str__(self) -> str:
        """Return the line of the plan."""
        gone = [
            f"- {subject} {_word(number)}"
            for subject, number in self.before.items()
            if subject not in self.after
        ]
        rest = [
            f"~ {subject} {_word(self.before[subject])} to {permission.word}"
            if subject in self.before
            else f"+ {subject} {permission.word}"
            for subject, permission in self.after.items()
            if self.before.get(subject) != permission
        ]
        return f"~ folder {self.uid}: {', '.join(gone + rest) or 'admins only'}"


Change = CreateTeam | AddMember | RemoveMember | CreateFolder | SetAccess


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes, in the order in which they can be made, and what cannot be done, one sentence each."""

    changes: tuple[Change, ...]
    problems: tuple[str, ...]


def read_state(grafana: Grafana, rules: Rules) -> State:
    """Ask Grafana for all that the rules name; nothing is changed.

    Raises:
        GrafanaError: For anything but an answer.
    """
    found = {team.name: grafana.team_id(team.name) for team in rules.teams}
    team_ids = {name: number for name, number in found.items() if number is not None}
    return State(
        users=_by_name(grafana.users()) if _names_users(rules) else {},
        team_ids=team_ids,
        members={
            team.name: {member.login: member for member in grafana.members(team_ids[team.name])}
            for team in rules.teams
            if team.members is not None and team.name in team_ids
        },
        access={
            folder.uid: {_subject(grant): grant.permission for grant in grafana.grants(folder.uid)}
            for folder in rules.folders
            if grafana.has_folder(folder.uid)
        },
        admins=frozenset({Subject(Kind.ROLE, "Admin"), Subject(Kind.USER, grafana.user or "")}),
    )


def make_plan(rules: Rules, state: State) -> Plan:
    """Compare; what a rule wants of a user who does not exist becomes a problem and nothing else."""
    planner = _Planner(state)
    changes = [change for team in rules.teams for change in planner.team(team)]
    changes += [change for folder in rules.folders for change in planner.folder(folder)]
    return Plan(tuple(changes), tuple(planner.problems))


class _Planner:
    """Compares one team or folder after the other, and collects problems."""

    def __init__(self, state: State) -> None:
        self.problems: list[str] = []
        self._state = state

    def team(self, team: Team) -> Iterable[Change]:
        wanted = {
            user.login: user for name in team.members or () for user in self._user(name, f"team {team.name}")
        }
        present = self._state.members.get(team.name, {})
        if team.name not in self._state.team_ids:
            yield CreateTeam(team.name, frozenset(user.user_id for user in wanted.values()))
        yield from (AddMember(team.name, user) for login, user in wanted.items() if login not in present)
        yield from (RemoveMember(team.name, user) for login, user in present.items() if login not in wanted)

    def folder(self, folder: Folder) -> Iterable[Change]:
        wanted = self._wanted(folder)
        found = self._state.access.get(folder.uid)
        if found is None:
            yield CreateFolder(folder.uid, folder.title)
        untold = self._state.admins - wanted.keys()
        present = {subject: number for subject, number in (found or {}).items() if subject not in untold}
        # What a new folder allows is Grafana's own choice.
        if found is None or present != wanted:
            yield SetAccess(folder.uid, present, wanted)

    def _wanted(self, folder: Folder) -> Mapping[Subject, Permission]:
        """Return the folder's rules with logins for e-mail addresses, without users who do not exist."""
        wanted: dict[Subject, Permission] = {}
        for subject, permission in folder.access.items():
            if subject.kind is not Kind.USER:
                wanted[subject] = permission
                continue
            for user in self._user(subject.name, f"folder {folder.uid}"):
                if wanted.setdefault(Subject(Kind.USER, user.login), permission) != permission:
                    self.problems.append(
                        f"folder {folder.uid}: {subject.name!r} is user {user.login}, whom another rule "
                        "allows something else. Keep one of them; until then the first counts."
                    )
        return wanted

    def _user(self, name: str, where: str) -> list[User]:
        user = self._state.users.get(name.casefold())
        if user is None:
            self.problems.append(
                f"{where}: no user of Grafana has the login or e-mail address {name!r}. Correct it, or let "
                "that person sign in first; the rest does not wait for it."
            )
        return [user] if user else []


def _names_users(rules: Rules) -> bool:
    return any(team.members for team in rules.teams) or any(
        subject.kind is Kind.USER for folder in rules.folders for subject in folder.access
    )


def _by_name(users: Iterable[User]) -> Mapping[str, User]:
    """Return users by what a person may call them; a login goes before an e-mail address."""
    users = list(users)
    return {user.email.casefold(): user for user in users} | {user.login.casefold(): user for user in users}


def _subject(grant: Grant) -> Subject:
    if grant.role:
        return Subject(Kind.ROLE, grant.role)
    return Subject(Kind.TEAM, grant.team) if grant.team_id else Subject(Kind.USER, grant.user_login)


def _word(number: int) -> str:
    return Permission(number).word if number in set(Permission) else f"unknown ({number})"
