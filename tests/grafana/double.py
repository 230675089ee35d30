"""A stub of Grafana with state, whose answers are recordings of a real one.

Status and body are those of `tests/recorded/grafana/`; names and ids in a body are replaced. Two answers were
not recorded: the permission of a user (made from that of a team), and the permissions of a new folder (those
of the provisioned one).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.doctor.backends import SILENCE, Backend, Response
from tests.http_server import Asked

RECORDED = Path(__file__).parent.parent / "recorded" / "grafana"

USER = "admin"
PASSWORD = "a-pass-word that-nobody-prints"
TOKEN = "glsa_a-token-that-nobody-prints"
ADMIN_ID = 1
VIEWER_ID = 2
"""The two users of the recordings: admin and viewer."""

Access = list[dict[str, Any]]
"""Permissions on a folder: role, teamId or userId, and permission."""
PERMISSION_NAMES = {1: "View", 2: "Edit", 4: "Admin"}
DEFAULT_ACCESS: Access = [{"role": "Editor", "permission": 2}, {"role": "Viewer", "permission": 1}]


def recorded(name: str) -> tuple[int, Any]:
    """Return status and parsed body of a recording."""
    (path,) = RECORDED.glob(f"{name}.http")
    head, _, body = path.read_text(encoding="utf-8").partition("\n\n")
    (status,) = re.findall(r"^HTTP/1.1 (\d+)", head, re.MULTILINE)
    return int(status), json.loads(body)


def replaced(row: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Return a recorded object with other values for some keys."""
    assert set(values) <= set(row)
    return {**row, **values}


def answer(name: str, rows: list[dict[str, Any]] | None = None, **values: Any) -> Response:
    """Return a recorded answer with other rows, or with other values for some keys."""
    status, body = recorded(name)
    return Response(status, (replaced(body, **values) if values else body) if rows is None else rows)


def basic(user: str, password: str) -> str:
    """Return the header of basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class GrafanaDouble(Backend):
    """Grafana with the two recorded users, one provisioned folder and no team.

    `faults` replace answers by method and path; `meanwhile` is called once before the answer, as a change by
    another admin. With `silent` set it does not answer.
    """

    def __init__(self, prefix: str = "") -> None:
        """Start with the state of a fresh Grafana, below a sub-path."""
        super().__init__({}, otherwise=self._answer)
        self.prefix = prefix
        self.teams: dict[str, int] = {}
        self.members: dict[int, list[int]] = {}
        self.folders = {"gatewayz": "GatewayZ"}
        self.access: dict[str, Access] = {"gatewayz": DEFAULT_ACCESS}
        self.faults: dict[tuple[str, str], Response] = {}
        self.meanwhile: dict[tuple[str, str], Callable[[], object]] = {}
        self.silent = False

    @property
    def url(self) -> str:
        """The root."""
        return super().url + self.prefix

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        """Method, path and content of all requests but GET."""
        return [(one.method, one.path, one.content) for one in self.asked if one.method != "GET"]

    def add_team(self, name: str, *members: int) -> int:
        """Create a team, and return its id."""
        number = len(self.teams) + 1
        self.teams[name], self.members[number] = number, list(members)
        return number

    def add_folder(self, uid: str, title: str) -> None:
        """Create a folder."""
        self.folders[uid], self.access[uid] = title, DEFAULT_ACCESS

    def _answer(self, asked: Asked) -> object:
        if self.silent:
            return SILENCE
        path = asked.path.removeprefix(self.prefix)
        self.meanwhile.pop((asked.method, path), lambda: None)()
        if (asked.method, path) in self.faults:
            return self.faults[asked.method, path]
        if self.prefix and path == asked.path:
            return Response(404, b"not here")
        if path == "/api/health":
            return answer("01-health")
        if asked.authorization not in (basic(USER, PASSWORD), f"Bearer {TOKEN}"):
            return answer("30-wrong-password")
        for method, pattern, handle in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == asked.method:
                return handle(self, asked, *found.groups())
        raise AssertionError(f"no recording of {asked.method} {path}")

    def _search(self, asked: Asked) -> Response:
        (name,) = asked.query["name"]
        if name not in self.teams:
            return answer("02-teams-search-none")
        number = self.teams[name]
        (row,) = recorded("06-teams-search")[1]["teams"]
        team = replaced(row, id=number, name=name, memberCount=len(self.members[number]))
        return answer("06-teams-search", teams=[team])

    def _create_team(self, asked: Asked) -> Response:
        name = asked.content["name"]
        if name in self.teams:
            return answer("04-team-create-again")
        # The creator becomes a member; service accounts, which use tokens, do not.
        creators = [ADMIN_ID] if (asked.authorization or "").startswith("Basic") else []
        return answer("03-team-create", teamId=self.add_team(name, *creators))

    def _members(self, asked: Asked, team: str) -> Response:
        by_id = {row["userId"]: row for row in recorded("24-team-members")[1]}
        members = [replaced(by_id[number], teamId=int(team)) for number in self.members[int(team)]]
        return answer("24-team-members", members)

    def _add_member(self, asked: Asked, team: str) -> Response:
        if asked.content["userId"] in self.members[int(team)]:
            return answer("23-team-member-add-again")
        self.members[int(team)].append(asked.content["userId"])
        return answer("22-team-member-add")

    def _remove_member(self, asked: Asked, team: str, user: str) -> Response:
        self.members[int(team)].remove(int(user))
        return answer("33-team-member-remove")

    def _folder(self, asked: Asked, uid: str) -> Response:
        if uid not in self.folders:
            return answer("10-folder-missing")
        return answer("09-folder", uid=uid, title=self.folders[uid])

    def _create_folder(self, asked: Asked) -> Response:
        uid, title = asked.content["uid"], asked.content["title"]
        if uid in self.folders or title in self.folders.values():
            return answer("12-folder-create-again")
        self.add_folder(uid, title)
        return answer("11-folder-create", uid=uid, title=title)

    def _access(self, asked: Asked, uid: str) -> Response:
        return answer("13-folder-permissions", [self._grant(item, uid) for item in self.access[uid]])

    def _grant(self, item: Mapping[str, Any], uid: str) -> dict[str, Any]:
        number = item["permission"]
        values = {"uid": uid, "permission": number, "permissionName": PERMISSION_NAMES.get(number, "")}
        values["inherited"] = item.get("inherited", False)
        if "role" in item:
            (editor, _) = recorded("13-folder-permissions")[1]
            return replaced(editor, role=item["role"], **values)
        (team, _) = recorded("15-folder-permissions-after")[1]
        if "teamId" in item:
            (name,) = [name for name, number in self.teams.items() if number == item["teamId"]]
            return replaced(team, teamId=item["teamId"], team=name, **values)
        (user,) = [user for user in recorded("25-org-users")[1] if user["userId"] == item["userId"]]
        names = {"userLogin": user["login"], "userEmail": user["email"]}
        return replaced(team, teamId=0, team="", userId=item["userId"], **names, **values)

    def _set_access(self, asked: Asked, uid: str) -> Response:
        items = asked.content["items"]
        if {item["teamId"] for item in items if "teamId" in item} - set(self.teams.values()):
            return answer("17-folder-permissions-unknown-team")
        # As recorded: unknown permissions are accepted without effect.
        self.access[uid] = [item for item in items if item["permission"] in (1, 2, 4)]
        return answer("14-folder-permissions-set")


ROUTES: tuple[tuple[str, str, Callable[..., Response]], ...] = (
    ("GET", "/api/teams/search", GrafanaDouble._search),
    ("POST", "/api/teams", GrafanaDouble._create_team),
    ("GET", r"/api/teams/(\d+)/members", GrafanaDouble._members),
    ("POST", r"/api/teams/(\d+)/members", GrafanaDouble._add_member),
    ("DELETE", r"/api/teams/(\d+)/members/(\d+)", GrafanaDouble._remove_member),
    ("GET", "/api/org/users", lambda double, asked: answer("25-org-users")),
    ("GET", "/api/folders/([^/]+)", GrafanaDouble._folder),
    ("POST", "/api/folders", GrafanaDouble._create_folder),
    ("GET", "/api/folders/([^/]+)/permissions", GrafanaDouble._access),
    ("POST", "/api/folders/([^/]+)/permissions", GrafanaDouble._set_access),
)
