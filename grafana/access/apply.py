"""Applies the changes of a plan in order."""

from __future__ import annotations

from collections.abc import Mapping

from grafana.access.client import Grafana
from grafana.access.errors import GrafanaError
from grafana.access.plan import (
    AddMember,
    Change,
    CreateFolder,
    CreateTeam,
    Plan,
    RemoveMember,
    SetAccess,
    State,
)
from grafana.access.rules import Kind, Subject


def apply_plan(grafana: Grafana, plan: Plan, state: State) -> None:
    """Apply all changes.

    Raises:
        GrafanaError: For the first change that fails, with its line of the plan.
    """
    teams = dict(state.team_ids)
    users = {user.login: user.user_id for user in state.users.values()}
    for change in plan.changes:
        try:
            _apply(grafana, change, teams, users)
        except GrafanaError as error:
            raise GrafanaError(f"stopped at {str(change)!r}: {error}") from error


def _apply(grafana: Grafana, change: Change, teams: dict[str, int], users: Mapping[str, int]) -> None:
    match change:
        case CreateTeam():
            teams[change.team] = _create_team(grafana, change)
        case AddMember():
            grafana.add_member(teams[change.team], change.user.user_id)
        case RemoveMember():
            grafana.remove_member(teams[change.team], change.user.user_id)
        case CreateFolder():
            grafana.create_folder(change.uid, change.title)
        case SetAccess():
            grafana.set_grants(
                change.uid,
                [
                    (subject.kind, _key(subject, teams, users), permission)
                    for subject, permission in change.after.items()
                ],
            )


def _create_team(grafana: Grafana, change: CreateTeam) -> int:
    team_id = grafana.create_team(change.team)
    if team_id is None:
        # Another admin has created it since the state was read, and its members remain.
        team_id = grafana.team_id(change.team)
        if team_id is None:
            raise GrafanaError(
                "Grafana reports that the name exists, and finds no team with it. Check its log."
            )
        return team_id
    for member in grafana.members(team_id):
        if member.user_id not in change.keep:
            grafana.remove_member(team_id, member.user_id)
    return team_id


def _key(subject: Subject, teams: Mapping[str, int], users: Mapping[str, int]) -> str | int:
    match subject.kind:
        case Kind.TEAM:
            return teams[subject.name]
        case Kind.USER:
            return users[subject.name]
        case Kind.ROLE:
            return subject.name
