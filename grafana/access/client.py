"""A client of Grafana's HTTP API for teams, folders and permissions; every failure is a `GrafanaError`.

Grafana's messages differ between versions, so the status decides. Users come from the organisation's list:
service accounts have no access to `/api/users/lookup`, whatever their role.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import requests
import urllib3

from exporter.doctor.targets import LOGIN_REFUSED, RESET_COMMAND
from exporter.transport.auth import HeaderAuth, authorization
from grafana.access.errors import GrafanaError
from grafana.access.rules import Kind, Permission
from grafana.access.settings import Settings

REQUEST_SECONDS = 10.0
"""Timeout of a connection, and of each read."""
HEALTHY_SECONDS = 60.0
"""How long to wait for a Grafana that is starting."""
MAX_MESSAGE = 200

TAKEN = frozenset({409, 412})
"""Status for the creation of what already exists; it depends on the version."""
TRANSIENT = frozenset({502, 503, 504})

T = TypeVar("T")


class User(msgspec.Struct, frozen=True, rename="camel"):
    """A user of the organisation, or a member of a team."""

    user_id: int
    login: str
    email: str = ""


class Grant(msgspec.Struct, frozen=True, rename="camel"):
    """A permission of a role, team or user on a folder."""

    permission: int
    role: str | None = None
    team_id: int = 0
    team: str = ""
    user_id: int = 0
    user_login: str = ""
    inherited: bool = False


class _Health(msgspec.Struct):
    database: str


class _Team(msgspec.Struct):
    id: int
    name: str


class _Teams(msgspec.Struct):
    teams: list[_Team]


class _NewTeam(msgspec.Struct, rename="camel"):
    team_id: int


class Grafana:
    """A client of one Grafana. Every method raises `GrafanaError`."""

    def __init__(self, settings: Settings, request_seconds: float = REQUEST_SECONDS) -> None:
        """Create a session without sending a request."""
        self.user = settings.credentials.user
        self._url = settings.url
        header = authorization(settings.credentials) or ""
        self._secrets = (settings.credentials.secret.reveal(), header.partition(" ")[2])
        self._seconds = request_seconds
        self._session = requests.Session()
        self._session.auth = HeaderAuth(lambda: header)

    def wait_until_healthy(self, seconds: float = HEALTHY_SECONDS, every: float = 1.0) -> None:
        """Wait until Grafana and its database are healthy; raise the last error after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._require_health()
                return
            except GrafanaError as error:
                if not error.is_transient or time.monotonic() + every > deadline:
                    raise
            time.sleep(every)

    def users(self) -> list[User]:
        """Return all users of the organisation."""
        return self._get("/api/org/users", list[User])

    def team_id(self, name: str) -> int | None:
        """Return the id of the team with exactly this name, None without one."""
        found = self._get("/api/teams/search", _Teams, {"name": name})
        return next((team.id for team in found.teams if team.name == name), None)

    def create_team(self, name: str) -> int | None:
        """Create a team and return its id, None where the name exists."""
        status, body = self._send("POST", "/api/teams", {"name": name}, expected=TAKEN)
        return None if status in TAKEN else _decoded(body, _NewTeam, "POST /api/teams").team_id

    def members(self, team_id: int) -> list[User]:
        """Return the members of a team."""
        return self._get(f"/api/teams/{team_id}/members", list[User])

    def add_member(self, team_id: int, user_id: int) -> None:
        """Add a member to a team, also where the user is a member already."""
        path = f"/api/teams/{team_id}/members"
        status, body = self._send("POST", path, {"userId": user_id}, expected=frozenset({400}))
        if status == 400 and user_id not in {member.user_id for member in self.members(team_id)}:
            raise self._refusal("POST", path, status, body)

    def remove_member(self, team_id: int, user_id: int) -> None:
        """Remove a member from a team, also where the user is not a member."""
        self._send("DELETE", f"/api/teams/{team_id}/members/{user_id}", expected=frozenset({404}))

    def has_folder(self, uid: str) -> bool:
        """Return whether a folder with this uid exists."""
        status, _ = self._send("GET", f"/api/folders/{uid}", expected=frozenset({404}))
        return status != 404

    def create_folder(self, uid: str, title: str) -> None:
        """Create a folder; an existing folder is not changed."""
        status, body = self._send("POST", "/api/folders", {"uid": uid, "title": title}, expected=TAKEN)
        # The title can also belong to a folder with another uid.
        if status in TAKEN and not self.has_folder(uid):
            raise self._refusal("POST", "/api/folders", status, body)

    def grants(self, uid: str) -> list[Grant]:
        """Return the permissions on a folder, without inherited ones."""
        found = self._get(f"/api/folders/{uid}/permissions", list[Grant])
        return [grant for grant in found if not grant.inherited]

    def set_grants(self, uid: str, grants: Sequence[tuple[Kind, str | int, Permission]]) -> None:
        """Replace all permissions on a folder; roles have names, teams and users ids."""
        keys = {Kind.ROLE: "role", Kind.TEAM: "teamId", Kind.USER: "userId"}
        items = [{keys[kind]: which, "permission": int(permission)} for kind, which, permission in grants]
        self._send("POST", f"/api/folders/{uid}/permissions", {"items": items})

    def _require_health(self) -> None:
        health = self._get("/api/health", _Health)
        if health.database != "ok":
            raise GrafanaError(
                "Grafana's database fails (GET /api/health): check Grafana's log.", is_transient=True
            )

    def _get(self, path: str, kind: type[T], parameters: Mapping[str, str] | None = None) -> T:
        _, body = self._send("GET", path, parameters=parameters)
        return _decoded(body, kind, f"GET {path}")

    def _send(
        self,
        method: str,
        path: str,
        content: Mapping[str, Any] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        expected: frozenset[int] = frozenset(),
    ) -> tuple[int, bytes]:
        """Return status and body of a response with status 200 to 299 or an expected one."""
        try:
            response = self._session.request(
                method,
                self._url + path,
                json=content,
                params=parameters,
                timeout=self._seconds,
                # A redirect would send the credentials to another server.
                allow_redirects=False,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._unreachable(method, path, error) from None
        if 200 <= response.status_code < 300 or response.status_code in expected:
            return response.status_code, response.content
        raise self._refusal(method, path, response.status_code, response.content)

    def _unreachable(self, method: str, path: str, error: Exception) -> GrafanaError:
        """Describe a failure without the messages of requests: they contain URLs with passwords."""
        if isinstance(error, requests.exceptions.SSLError):
            cause = (
                "the TLS handshake failed. Check the certificate's dates, name and issuer; a private CA goes "
                "into REQUESTS_CA_BUNDLE; https:// needs a TLS port"
            )
            return GrafanaError(f"{self._url}: {cause} ({method} {path}).")
        if isinstance(error, requests.exceptions.Timeout):
            cause = f"no response within {self._seconds:g} s. Check that it is Grafana, and its load"
        else:
            cause = "no connection. Check that Grafana runs, and host, port and proxy"
        # Another attempt with an invalid URL fails again.
        is_transient = not isinstance(error, ValueError)
        return GrafanaError(f"{self._url}: {cause} ({method} {path}).", is_transient=is_transient)

    def _refusal(self, method: str, path: str, status: int, body: bytes) -> GrafanaError:
        message = self._message(body)
        seen = f"status {status}" + (f": {message}" if message else "")
        return GrafanaError(
            f"{self._url}: {self._advice(status)} ({method} {path}, {seen}).",
            is_transient=status in TRANSIENT,
        )

    def _advice(self, status: int) -> str:
        if status == 401 and self.user is None:
            return "Grafana rejected this token. Create a new one for the service account"
        if status == 401:
            return f"{LOGIN_REFUSED} `{RESET_COMMAND}` asks for another one"
        if status == 403:
            return "permission denied. The account needs the role Admin of the organisation"
        if status >= 500:
            return "Grafana failed. Check its log, and run this again: only differences are changed"
        if 300 <= status < 400:
            return "it redirects, which is not followed. Set GRAFANA_URL to the final address"
        if status == 404:
            return "not found. Set GRAFANA_URL to Grafana's root, with its sub-path if it has one"
        if status in TAKEN:
            return "another folder has this title. Rename one of them"
        return "Grafana refused the request"

    def _message(self, body: bytes) -> str:
        """Return Grafana's error message, empty where it contains a secret."""
        try:
            message = str(msgspec.json.decode(body)["message"])[:MAX_MESSAGE]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError):
            return ""
        is_safe = message.isprintable() and not any(secret in message for secret in self._secrets)
        return message if is_safe else ""


def _decoded(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise GrafanaError(
            f"the response to {what} is not from Grafana's API. Check that GRAFANA_URL is its root, and not "
            "a login page or proxy in front of it."
        ) from None
