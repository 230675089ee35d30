"""A Grafana that answers with recordings of the real one, on a real socket.

Status and body are those of `tests/recorded/grafana/`, whose files begin with the request they answer. Only
names and numbers in a body are replaced, and only where the recording has such a key. What a body is made of
is kept in between, so that a second run meets what the first has made. Two things were not recorded and are
put together from what was: the permission of a user (a team's, with the user's name and number in its place),
and what a new folder allows (as the provisioned one: Editor may edit, Viewer may view).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.http_server import Asked, Connection, StubServer
from tests.http_server import answer as response

RECORDED = Path(__file__).parent.parent / "recorded" / "grafana"

USER = "admin"
PASSWORD = "a-pass-word that-nobody-prints"
TOKEN = "glsa_a-token-that-nobody-prints"
ADMIN_ID = 1
VIEWER_ID = 2
"""Of the two users of the recordings; their logins are admin and viewer."""

Access = list[dict[str, Any]]
"""The permissions on a folder: role, teamId or userId, and permission."""
PERMISSION_NAMES = {1: "View", 2: "Edit", 4: "Admin"}
DEFAULT_ACCESS: Access = [{"role": "Editor", "permission": 2}, {"role": "Viewer", "permission": 1}]


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    body: bytes
    kind: str = "application/json"
    location: str | None = None


def recorded(name: str) -> tuple[int, Any]:
    """Return status and parsed body of a recording."""
    (path,) = RECORDED.glob(f"{name}.http")
    head, _, body = path.read_text(encoding="utf-8").partition("\n\n")
    (status,) = re.findall(r"^HTTP/1.1 (\d+)", head, re.MULTILINE)
    return int(status), json.loads(body)


def replaced(row: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Return a recorded object with other values for some of its keys."""
    assert set(values) <= set(row)
    return {**row, **values}


def answer(name: str, **values: Any) -> Answer:
    """Return a recorded answer; `values` take the place of what its object has under these keys."""
    status, body = recorded(name)
    return Answer(status, json.dumps(replaced(body, **values) if values else body).encode())


def rows(name: str, found: list[dict[str, Any]]) -> Answer:
    """Return a recorded list, with other rows."""
    return Answer(recorded(name)[0], json.dumps(found).encode())


def basic(user: str, password: str) -> str:
    """Return the header of a sign-in."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass
class GrafanaDouble(StubServer):
    """Grafana with its two recorded users, one provisioned folder and no team.

    `faults` answer instead, by method and path; `meanwhile` is what somebody else does just before such a
    request, once. With `silent` set it takes requests and never answers.
    """

    prefix: str = ""
    teams: dict[str, int] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=lambda: {"gatewayz": "GatewayZ"})
    access: dict[str, Access] = field(default_factory=lambda: {"gatewayz": DEFAULT_ACCESS})
    faults: dict[tuple[str, str], Answer] = field(default_factory=dict)
    meanwhile: dict[tuple[str, str], Callable[[], object]] = field(default_factory=dict)
    silent: bool = False

    @property
    def url(self) -> str:
        """Its root."""
        return f"{super().url}{self.prefix}"

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        """What arrived that was no GET: method, path, content."""
        return [(one.method, one.path, one.content) for one in self.asked if one.method != "GET"]

    def add_team(self, name: str, *members: int) -> int:
        """Make a team, as another admin would, and return its number."""
        number = len(self.teams) + 1
        self.teams[name], self.members[number] = number, list(members)
        return number

    def add_folder(self, uid: str, title: str) -> None:
        """Make a folder, as another admin would."""
        self.folders[uid], self.access[uid] = title, DEFAULT_ACCESS

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Send the answer."""
        if self.silent:
            connection.wait()
            return False
        found = self._answer(asked)
        location = {"location": found.location} if found.location else {}
        connection.send(response(found.status, found.body, content_type=found.kind, **location))
        return True

    def _answer(self, asked: Asked) -> Answer:
        path = asked.path.removeprefix(self.prefix)
        self.meanwhile.pop((asked.method, path), lambda: None)()
        if (asked.method, path) in self.faults:
            return self.faults[asked.method, path]
        if self.prefix and path == asked.path:
            return Answer(404, b"not here", "text/plain")
        if path == "/api/health":
            return answer("01-health")
        if asked.authorization not in (basic(USER, PASSWORD), f"Bearer {TOKEN}"):
            return answer("30-wrong-password")
        for method, pattern, handle in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == asked.method:
                return handle(self, asked, *found.groups())
        raise AssertionError(f"nobody recorded {asked.method} {path}")

    def _search(self, asked: Asked) -> Answer:
        (name,) = asked.query["name"]
        if name not in self.teams:
            return answer("02-teams-search-none")
        number = self.teams[name]
        (row,) = recorded("06-teams-search")[1]["teams"]
        team = replaced(row, id=number, name=name, memberCount=len(self.members[number]))
        return answer("06-teams-search", teams=[team])

    def _create_team(self, asked: Asked) -> Answer:
        name = asked.content["name"]
        if name in self.teams:
            return answer("04-team-create-again")
        # Who makes a team becomes its member; service accounts, which sign in by token, do not.
        creators = [ADMIN_ID] if (asked.authorization or "").startswith("Basic") else []
        return answer("03-team-create", teamId=self.add_team(name, *creators))

    def _members(self, asked: Asked, team: str) -> Answer:
        by_id = {row["userId"]: row for row in recorded("24-team-members")[1]}
        members = [replaced(by_id[number], teamId=int(team)) for number in self.members[int(team)]]
        return rows("24-team-members", members)

    def _add_member(self, asked: Asked, team: str) -> Answer:
        if asked.content["userId"] in self.members[int(team)]:
            return answer("23-team-member-add-again")
        self.members[int(team)].append(asked.content["userId"])
        return answer("22-team-member-add")

    def _remove_member(self, asked: Asked, team: str, user: str) -> Answer:
        self.members[int(team)].remove(int(user))
        return answer("33-team-member-remove")

    def _users(self, asked: Asked) -> Answer:
        return answer("25-org-users")

    def _folder(self, asked: Asked, uid: str) -> Answer:
        if uid not in self.folders:
            return answer("10-folder-missing")
        return answer("09-folder", uid=uid, title=self.folders[uid])

    def _create_folder(self, asked: Asked) -> Answer:
        uid, title = asked.content["uid"], asked.content["title"]
        if uid in self.folders or title in self.folders.values():
            return answer("12-folder-create-again")
        self.add_folder(uid, title)
        return answer("11-folder-create", uid=uid, title=title)

    def _access(self, asked: Asked, uid: str) -> Answer:
        return rows("13-folder-permissions", [self._grant(item, uid) for item in self.access[uid]])

    def _grant(self, item: Mapping[str, Any], uid: str) -> dict[str, Any]:
        number = item["permission"]
        values = {"uid": uid, "permission": number, "permissionName": PERMISSION_NAMES.get(number, "")}
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

    def _set_access(self, asked: Asked, uid: str) -> Answer:
        items = asked.content["items"]
        if {item["teamId"] for item in items if "teamId" in item} - set(self.teams.values()):
            return answer("17-folder-permissions-unknown-team")
        # As recorded: other numbers are taken without a word, and allow nothing.
        self.access[uid] = [item for item in items if item["permission"] in (1, 2, 4)]
        return answer("14-folder-permissions-set")


ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", "/api/teams/search", GrafanaDouble._search),
    ("POST", "/api/teams", GrafanaDouble._create_team),
    ("GET", r"/api/teams/(\d+)/members", GrafanaDouble._members),
    ("POST", r"/api/teams/(\d+)/members", GrafanaDouble._add_member),
    ("DELETE", r"/api/teams/(\d+)/members/(\d+)", GrafanaDouble._remove_member),
    ("GET", "/api/org/users", GrafanaDouble._users),
    ("GET", "/api/folders/([^/]+)", GrafanaDouble._folder),
    ("POST", "/api/folders", GrafanaDouble._create_folder),
    ("GET", "/api/folders/([^/]+)/permissions", GrafanaDouble._access),
    ("POST", "/api/folders/([^/]+)/permissions", GrafanaDouble._set_access),
)
