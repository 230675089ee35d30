"""The state of Grafana, and the changes from it to the rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from grafana.access.client import Grafana, Grant, User
from grafana.access.rules import Folder, Kind, Permission, Rules, Subject, Team


@dataclass(frozen=True, slots=True)
class State:
    """The state of the teams, users and folders that the rules name."""

    users: Mapping[str, User]
    """By login and by e-mail address in lower case; empty where the rules name no user."""
    team_ids: Mapping[str, int]
    """Ids of existing teams."""
    members: Mapping[str, Mapping[str, User]]
    """By team and login, for existing teams whose members are in the rules."""
    access: Mapping[str, Mapping[Subject, int]]
    """By uid of existing folders; permissions are numbers of Grafana's API."""
    admins: frozenset[Subject]
    """The role Admin and the account of the client, whose permissions on a folder have no effect."""


@dataclass(frozen=True, slots=True)
class CreateTeam:
    """Create a team. Grafana adds the creator as member; only members in `keep` remain."""

    team: str
    keep: frozenset[int]

    def __str__(self) -> str:
        """Return the line of the plan."""
        return f"+ team {self.team}"


@dataclass(frozen=True, slots=True)
class AddMember:
    """Add a member to a team."""

    team: str
    user: User

    def __str__(self) -> str:
        """Return the line of the plan."""
        return f"+ member {self.user.login} of team {self.team}"


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Remove a member from a team."""

    team: str
    user: User

    def __str__(self) -> str:
        """Return the line of the plan."""
        return f"- member {self.user.login} of team {self.team}"


@dataclass(frozen=True, slots=True)
class CreateFolder:
    """Create a folder."""

    uid: str
    title: str

    def __str__(self) -> str:
        """Return the line of the plan."""
        return f"+ folder {self.uid} ({self.title})"


@dataclass(frozen=True, slots=True)
class SetAccess:
    """Replace the permissions on a folder."""

    uid: str
    before: Mapping[Subject, int]
    after: Mapping[Subject, Permission]

    def __str__(self) -> str:
        """Return the line of the plan."""
        removed = [
            f"- {subject} {_word(number)}"
            for subject, number in self.before.items()
            if subject not in self.after
        ]
        changed = [
            f"~ {subject} {_word(self.before[subject])} to {permission.word}"
            if subject in self.before
            else f"+ {subject} {permission.word}"
            for subject, permission in self.after.items()
            if self.before.get(subject) != permission
        ]
        return f"~ folder {self.uid}: {', '.join(removed + changed) or 'admins only'}"


Change = CreateTeam | AddMember | RemoveMember | CreateFolder | SetAccess


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes in the order in which to apply them, and problems, one sentence each."""

    changes: tuple[Change, ...]
    problems: tuple[str, ...]


def read_state(grafana: Grafana, rules: Rules) -> State:
    """Read the state of all that the rules name.

    Raises:
        GrafanaError: When a request fails.
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
    """Return the difference between state and rules; an unknown user is a problem and no change."""
    planner = _Planner(state)
    changes = [change for team in rules.teams for change in planner.team(team)]
    changes += [change for folder in rules.folders for change in planner.folder(folder)]
    return Plan(tuple(changes), tuple(planner.problems))


class _Planner:
    """Compares teams and folders, and collects problems."""

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
        ignored = self._state.admins - wanted.keys()
        present = {subject: number for subject, number in (found or {}).items() if subject not in ignored}
        # Grafana sets default permissions on a new folder.
        if found is None or present != wanted:
            yield SetAccess(folder.uid, present, wanted)

    def _wanted(self, folder: Folder) -> Mapping[Subject, Permission]:
        """Return the folder's permissions, with logins for e-mail addresses and without unknown users."""
        wanted: dict[Subject, Permission] = {}
        for subject, permission in folder.access.items():
            if subject.kind is not Kind.USER:
                wanted[subject] = permission
                continue
            for user in self._user(subject.name, f"folder {folder.uid}"):
                if wanted.setdefault(Subject(Kind.USER, user.login), permission) != permission:
                    self.problems.append(
                        f"folder {folder.uid}: {subject.name!r} is user {user.login}, who has "
                        "another permission by another rule. Keep one; until then the first one applies."
                    )
        return wanted

    def _user(self, name: str, where: str) -> list[User]:
        user = self._state.users.get(name.casefold())
        if user is None:
            self.problems.append(
                f"{where}: no user of Grafana has the login or e-mail address {name!r}. Correct it, or let "
                "that person sign in first; all other changes are made."
            )
        return [user] if user else []


def _names_users(rules: Rules) -> bool:
    return any(team.members for team in rules.teams) or any(
        subject.kind is Kind.USER for folder in rules.folders for subject in folder.access
    )


def _by_name(users: Iterable[User]) -> Mapping[str, User]:
    """Return users by login and e-mail address; logins take precedence."""
    users = list(users)
    return {user.email.casefold(): user for user in users} | {user.login.casefold(): user for user in users}


def _subject(grant: Grant) -> Subject:
    if grant.role:
        return Subject(Kind.ROLE, grant.role)
    return Subject(Kind.TEAM, grant.team) if grant.team_id else Subject(Kind.USER, grant.user_login)


def _word(number: int) -> str:
    return Permission(number).word if number in set(Permission) else f"unknown ({number})"
