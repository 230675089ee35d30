"""Grafana's HTTP API, as far as teams and folder permissions need it.

Every exception of `requests` and below is translated here into `GrafanaError`. Grafana's texts differ from
version to version: the status code decides. Users are taken from the organisation's list, since the look-up
by name (`/api/users/lookup`) is closed to service accounts, whatever their role.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import requests
import urllib3
from requests.auth import AuthBase, HTTPBasicAuth

from grafana.access.errors import GrafanaError
from grafana.access.rules import Kind, Permission
from grafana.access.settings import Settings

REQUEST_SECONDS = 10.0
"""How long to wait for a connection, and for each part of an answer."""
HEALTHY_SECONDS = 60.0
"""How long to wait for a Grafana that is just starting."""
MAX_MESSAGE = 200

TAKEN = frozenset({409, 412})
"""What a second creation is answered; which of them depends on the version."""
PASSING_STATUS = frozenset({502, 503, 504})

T = TypeVar("T")


class User(msgspec.Struct, frozen=True, rename="camel"):
    """A user of the organisation, or a member of a team."""

    user_id: int
    login: str
    email: str = ""


class Grant(msgspec.Struct, frozen=True, rename="camel"):
    """One permission on a folder, for a role, a team or a user."""

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
    """One Grafana, as one identity. Every method raises `GrafanaError`."""

    def __init__(self, settings: Settings, request_seconds: float = REQUEST_SECONDS) -> None:
        """Prepare a session; nothing is sent yet."""
        self.user = settings.user
        self._url = settings.url
        basic = base64.b64encode(f"{settings.user}:{settings.secret}".encode()).decode()
        self._never_shown = (settings.secret, basic)
        self._seconds = request_seconds
        self._session = requests.Session()
        # An `auth` object and not a header, which requests would replace by an entry of ~/.netrc.
        self._session.auth = (
            _BearerAuth(settings.secret)
            if settings.user is None
            else HTTPBasicAuth(settings.user.encode(), settings.secret.encode())
        )

    def wait_until_healthy(self, seconds: float = HEALTHY_SECONDS, every: float = 1.0) -> None:
        """Return as soon as Grafana and its database work; raise what is wrong after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._require_health()
                return
            except GrafanaError as error:
                if not error.is_passing or time.monotonic() + every > deadline:
                    raise
            time.sleep(every)

    def users(self) -> list[User]:
        """Return all users of the organisation."""
        return self._get("/api/org/users", list[User])

    def team_id(self, name: str) -> int | None:
        """Return the id of the team with exactly this name, if there is one."""
        found = self._get("/api/teams/search", _Teams, {"name": name})
        return next((team.id for team in found.teams if team.name == name), None)

    def create_team(self, name: str) -> int | None:
        """Make a team and return its id, or None when the name is taken."""
        status, body = self._send("POST", "/api/teams", {"name": name}, expected=TAKEN)
        return None if status in TAKEN else _decoded(body, _NewTeam, "POST /api/teams").team_id

    def members(self, team_id: int) -> list[User]:
        """Return the members of a team."""
        return self._get(f"/api/teams/{team_id}/members", list[User])

    def add_member(self, team_id: int, user_id: int) -> None:
        """Make a user a member of a team; one who is a member stays one."""
        path = f"/api/teams/{team_id}/members"
        status, body = self._send("POST", path, {"userId": user_id}, expected=frozenset({400}))
        if status == 400 and user_id not in {member.user_id for member in self.members(team_id)}:
            raise self._refusal("POST", path, status, body)

    def remove_member(self, team_id: int, user_id: int) -> None:
        """Take a user out of a team; one who is no member stays so."""
        self._send("DELETE", f"/api/teams/{team_id}/members/{user_id}", expected=frozenset({404}))

    def has_folder(self, uid: str) -> bool:
        """Tell whether there is a folder with this uid."""
        status, _ = self._send("GET", f"/api/folders/{uid}", expected=frozenset({404}))
        return status != 404

    def create_folder(self, uid: str, title: str) -> None:
        """Make a folder; one that is there stays as it is."""
        status, body = self._send("POST", "/api/folders", {"uid": uid, "title": title}, expected=TAKEN)
        # It may also be the title that is taken, by a folder with another uid.
        if status in TAKEN and not self.has_folder(uid):
            raise self._refusal("POST", "/api/folders", status, body)

    def grants(self, uid: str) -> list[Grant]:
        """Return the permissions on a folder that are its own."""
        found = self._get(f"/api/folders/{uid}/permissions", list[Grant])
        return [grant for grant in found if not grant.inherited]

    def set_grants(self, uid: str, grants: Sequence[tuple[Kind, str | int, Permission]]) -> None:
        """Replace all permissions on a folder; a role is given by name, a team and a user by id."""
        keys = {Kind.ROLE: "role", Kind.TEAM: "teamId", Kind.USER: "userId"}
        items = [{keys[kind]: which, "permission": int(permission)} for kind, which, permission in grants]
        self._send("POST", f"/api/folders/{uid}/permissions", {"items": items})

    def _require_health(self) -> None:
        health = self._get("/api/health", _Health)
        if health.database != "ok":
            raise GrafanaError(
                "Grafana's database is not well (GET /api/health): look into its log.", is_passing=True
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
        """Return status and body of a good answer, or of one with an expected status."""
        try:
            response = self._session.request(
                method,
                self._url + path,
                json=content,
                params=parameters,
                timeout=self._seconds,
                # Neither password nor token goes where nobody sent it.
                allow_redirects=False,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self._unreachable(method, path, error) from None
        if 200 <= response.status_code < 300 or response.status_code in expected:
            return response.status_code, response.content
        raise self._refusal(method, path, response.status_code, response.content)

    def _unreachable(self, method: str, path: str, error: Exception) -> GrafanaError:
        """Describe a failure without the texts of requests, which hold URLs, those of proxies included."""
        if isinstance(error, requests.exceptions.SSLError):
            cause = (
                "the TLS handshake failed. Check the certificate's dates, name and issuer; a private CA goes "
                "into REQUESTS_CA_BUNDLE; https:// needs a TLS port"
            )
            return GrafanaError(f"{self._url}: {cause} ({method} {path}).")
        if isinstance(error, requests.exceptions.Timeout):
            cause = f"no answer within {self._seconds:g} s. Check that it is Grafana, and its load"
        else:
            cause = "no connection, or it broke. Check that Grafana runs, and host, port and proxy"
        # A URL that cannot be used stays so.
        is_passing = not isinstance(error, ValueError)
        return GrafanaError(f"{self._url}: {cause} ({method} {path}).", is_passing=is_passing)

    def _refusal(self, method: str, path: str, status: int, body: bytes) -> GrafanaError:
        said = self._message(body)
        seen = f"status {status}" + (f": {said}" if said else "")
        return GrafanaError(
            f"{self._url}: {self._advice(status)} ({method} {path}, {seen}).",
            is_passing=status in PASSING_STATUS,
        )

    def _advice(self, status: int) -> str:
        if status == 401 and self.user is None:
            return "Grafana does not know this token. Make a new one for the service account"
        if status == 401:
            return (
                "Grafana does not know this user and password. The first start's password is in force until "
                "it is changed in Grafana; `grafana cli admin reset-admin-password` sets another"
            )
        if status == 403:
            return "this identity may not do that. It needs the role Admin of the organisation"
        if status >= 500:
            return "Grafana failed. Look into its log, and run this again: nothing is done twice"
        if 300 <= status < 400:
            return "it redirects, and secrets are not sent elsewhere. Set GRAFANA_URL to the final address"
        if status == 404:
            return "that is not there. Set GRAFANA_URL to Grafana's root, with its sub path if it has one"
        if status in TAKEN:
            return "something else has this title already. Rename one of the two"
        return "Grafana refused the request"

    def _message(self, body: bytes) -> str:
        """Return what Grafana says of its refusal, unless the secret is in it."""
        try:
            said = str(msgspec.json.decode(body)["message"])[:MAX_MESSAGE]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError):
            return ""
        return said if said.isprintable() and not any(text in said for text in self._never_shown) else ""


class _BearerAuth(AuthBase):
    """Puts the token on each request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _decoded(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise GrafanaError(
            f"the answer to {what} is not that of Grafana's API. Check that GRAFANA_URL is its root, and not "
            "a login page or proxy before it."
        ) from None
