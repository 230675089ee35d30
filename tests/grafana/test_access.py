"""Tests of `grafana.access`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml
from click.testing import CliRunner, Result

from exporter.doctor.targets import Credentials
from exporter.errors import SettingsError
from exporter.files.secret import Secret
from grafana.access.cli import DEFAULT_FILE, main, run
from grafana.access.client import Grafana
from grafana.access.errors import GrafanaError
from grafana.access.rules import MAX_NAME, load_rules
from grafana.access.settings import NO_CREDENTIALS, VARIABLES, Settings, load_settings
from tests.doctor.backends import Response
from tests.grafana.double import (
    ADMIN_ID,
    DEFAULT_ACCESS,
    PASSWORD,
    RECORDED,
    TOKEN,
    USER,
    VIEWER_ID,
    Access,
    GrafanaDouble,
    answer,
    basic,
    recorded,
)
from tests.process import environment

ROOT = Path(__file__).parent.parent.parent

RULES = """
teams:
  - name: Operators
    members: [VIEWER@example.com]
  - name: Viewers
folders:
  - uid: gatewayz
    title: Never used
    access:
      - {role: Viewer, may: view}
      - {team: Viewers, may: view}
  - uid: drafts
    title: Drafts
    access:
      - {team: Operators, may: edit}
      - {user: viewer, may: admin}
"""
PLAN = """\
+ team Operators
+ member viewer of team Operators
+ team Viewers
~ folder gatewayz: - role Editor edit, + team Viewers view
+ folder drafts (Drafts)
~ folder drafts: + team Operators edit, + user viewer admin
"""
ACCESS: dict[str, Access] = {
    "gatewayz": [{"role": "Viewer", "permission": 1}, {"teamId": 2, "permission": 1}],
    "drafts": [{"teamId": 1, "permission": 2}, {"userId": VIEWER_ID, "permission": 4}],
}
ONE_FOLDER = "folders: [{uid: gatewayz, title: GatewayZ, access: [{role: Viewer, may: view}]}]"
ONE_ACCESS: Access = [{"role": "Viewer", "permission": 1}]
NOT_JSON = Response(200, b"<html><title>Sign in</title></html>")
NOBODY = "teams: [{name: Operators, members: [nobody@example.com, viewer]}]\n"


@pytest.fixture
def grafana() -> Iterator[GrafanaDouble]:
    """A Grafana with a provisioned folder and no team."""
    with GrafanaDouble() as double:
        yield double


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with every kind of rule."""
    return written(tmp_path, RULES)


def written(folder: Path, text: str) -> Path:
    """Write a file of rules."""
    path = folder / "access.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def invoke(url: str, path: Path, *arguments: str, **variables: str | None) -> Result:
    """Run the command line in this process, as admin by default."""
    clean = {name: None for name, _ in VARIABLES}
    given = {"GRAFANA_URL": url, "GRAFANA_ADMIN_PASSWORD": PASSWORD, **variables}
    return CliRunner().invoke(main, ["--file", str(path), *arguments], env={**clean, **given})


def client(url: str, seconds: float = 5) -> Grafana:
    """Return a client that is the admin."""
    return Grafana(Settings(url, Credentials(USER, Secret(PASSWORD))), seconds)


def outcome(result: Result) -> tuple[int, str, str]:
    """Return exit code, output and errors."""
    return result.exit_code, result.stdout, result.stderr


def test_fresh_grafana(grafana: GrafanaDouble, file: Path) -> None:
    """Creates teams, members, folders and permissions with exactly these requests."""
    result = invoke(grafana.url, file)

    assert (0, f"{PLAN}6 changes made\n", "") == outcome(result)
    assert ({"Operators": 1, "Viewers": 2}, {1: [VIEWER_ID], 2: []}) == (grafana.teams, grafana.members)
    assert ({"gatewayz": "GatewayZ", "drafts": "Drafts"}, ACCESS) == (grafana.folders, grafana.access)
    assert [
        ("POST", "/api/teams", {"name": "Operators"}),
        ("DELETE", f"/api/teams/1/members/{ADMIN_ID}", None),
        ("POST", "/api/teams/1/members", {"userId": VIEWER_ID}),
        ("POST", "/api/teams", {"name": "Viewers"}),
        ("DELETE", f"/api/teams/2/members/{ADMIN_ID}", None),
        ("POST", "/api/folders/gatewayz/permissions", {"items": ACCESS["gatewayz"]}),
        ("POST", "/api/folders", {"uid": "drafts", "title": "Drafts"}),
        ("POST", "/api/folders/drafts/permissions", {"items": ACCESS["drafts"]}),
    ] == grafana.writes


def test_dry_run_and_second_run(grafana: GrafanaDouble, file: Path) -> None:
    """A dry run prints the plan and changes nothing; nor does the second run."""
    dry = invoke(grafana.url, file, "--dry-run")
    assert (0, f"{PLAN}dry run: 6 changes, none of them made\n", "") == outcome(dry)
    assert [] == grafana.writes

    invoke(grafana.url, file)
    grafana.asked.clear()
    assert (0, "nothing to change\n", "") == outcome(invoke(grafana.url, file))
    assert [] == grafana.writes


def test_differences(grafana: GrafanaDouble, file: Path) -> None:
    """Changes only what differs; members of a team without a list remain."""
    grafana.add_team("Operators", ADMIN_ID, VIEWER_ID)
    grafana.add_team("Viewers", ADMIN_ID)
    grafana.add_folder("drafts", "Renamed by hand")
    grafana.access["gatewayz"] = ACCESS["gatewayz"]
    grafana.access["drafts"] = [{"teamId": 1, "permission": 4}, {"teamId": 2, "permission": 1}]

    result = invoke(grafana.url, file)

    plan = (
        "- member admin of team Operators\n"
        "~ folder drafts: - team Viewers view, ~ team Operators admin to edit, + user viewer admin\n"
    )
    assert (0, f"{plan}2 changes made\n", "") == outcome(result)
    assert ({1: [VIEWER_ID], 2: [ADMIN_ID]}, ACCESS) == (grafana.members, grafana.access)
    assert "Renamed by hand" == grafana.folders["drafts"]


def test_team_of_a_similar_name(grafana: GrafanaDouble, file: Path) -> None:
    """Ignores other teams that Grafana's search returns."""
    grafana.faults["GET", "/api/teams/search"] = answer("06-teams-search")

    assert PLAN.splitlines() == invoke(grafana.url, file, "--dry-run").stdout.splitlines()[:-1]


def test_empty_lists(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """Empty lists remove all members, and allow admins only."""
    grafana.add_team("Operators", VIEWER_ID)
    text = "teams: [{name: Operators, members: []}]\nfolders: [{uid: own, title: Own, access: []}]"

    result = invoke(grafana.url, written(tmp_path, text))

    plan = "- member viewer of team Operators\n+ folder own (Own)\n~ folder own: admins only\n"
    assert (0, f"{plan}3 changes made\n", "") == outcome(result)
    assert ({1: []}, []) == (grafana.members, grafana.access["own"])


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ([*ONE_ACCESS, {"userId": ADMIN_ID, "permission": 4}], ""),
        ([*ONE_ACCESS, {"role": "Admin", "permission": 4}], ""),
        ([{"role": "Viewer", "permission": 9}], "~ folder gatewayz: ~ role Viewer unknown (9) to view\n"),
    ],
    ids=["own permission", "role Admin", "unknown permission"],
)
def test_permissions_of_a_folder(
    grafana: GrafanaDouble, tmp_path: Path, access: Access, expected: str
) -> None:
    """Ignores permissions of admins, replaces unknown ones, and does not read users without need."""
    grafana.access["gatewayz"] = access

    result = invoke(grafana.url, written(tmp_path, ONE_FOLDER))

    assert (f"{expected}1 changes made\n" if expected else "nothing to change\n") == result.stdout
    assert (ONE_ACCESS if expected else access) == grafana.access["gatewayz"]
    assert "/api/org/users" not in {asked.path for asked in grafana.asked}


def test_inherited_permissions(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """Ignores inherited permissions."""
    status, (editor, viewer) = recorded("13-folder-permissions")
    inherited = Response(status, [{**editor, "inherited": True}, viewer])
    grafana.faults["GET", "/api/folders/gatewayz/permissions"] = inherited

    assert "nothing to change\n" == invoke(grafana.url, written(tmp_path, ONE_FOLDER)).stdout


def test_rule_for_the_own_account(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """A rule for the account of the client is applied once."""
    path = written(tmp_path, ONE_FOLDER.replace("role: Viewer, may: view", "user: admin, may: edit"))

    results = [invoke(grafana.url, path).stdout.splitlines()[-1] for _ in range(2)]

    assert ["1 changes made", "nothing to change"] == results
    assert [{"userId": ADMIN_ID, "permission": 2}] == grafana.access["gatewayz"]


def test_numbers_of_permissions(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """Sends the number of each permission, for every kind of subject."""
    subjects = ("role: Viewer", "role: Editor", "team: A", "user: admin", "user: viewer")
    numbers = {"view": 1, "edit": 2, "admin": 4}
    rules = {word: ", ".join(f"{{{subject}, may: {word}}}" for subject in subjects) for word in numbers}
    folders = [f"- {{uid: {word}, title: T-{word}, access: [{rules[word]}]}}\n" for word in numbers]

    invoke(grafana.url, written(tmp_path, "teams: [{name: A}]\nfolders:\n" + "".join(folders)))

    sent = {path: content["items"] for _, path, content in grafana.writes if path.endswith("/permissions")}
    assert {f"/api/folders/{word}/permissions": [number] * 5 for word, number in numbers.items()} == {
        path: [item["permission"] for item in items] for path, items in sent.items()
    }


def test_sub_path(file: Path) -> None:
    """Sends requests below the sub-path of the URL, with or without a trailing slash."""
    with GrafanaDouble(prefix="/tools/grafana") as grafana:
        results = [invoke("http://never.used", file, "--url", grafana.url + end) for end in ("/", "")]

    assert [0, 0] == [result.exit_code for result in results]
    assert "nothing to change\n" == results[1].stdout
    assert ACCESS == grafana.access


def test_token(grafana: GrafanaDouble, file: Path) -> None:
    """A token takes precedence over a password; a service account does not become a member of its teams."""
    result = invoke(grafana.url, file, GRAFANA_TOKEN=f" {TOKEN}\n")

    assert (0, f"{PLAN}6 changes made\n", "") == outcome(result)
    assert {f"Bearer {TOKEN}"} == {asked.authorization for asked in grafana.asked}
    assert "DELETE" not in {asked.method for asked in grafana.asked}


def test_changes_by_another_admin(grafana: GrafanaDouble, file: Path) -> None:
    """Teams (409), folders (412) and members (400) that another admin adds meanwhile remain as they are."""
    grafana.meanwhile |= {
        ("POST", "/api/teams"): lambda: grafana.add_team("Operators", ADMIN_ID),
        ("POST", "/api/teams/1/members"): lambda: grafana.members[1].append(VIEWER_ID),
        ("POST", "/api/folders"): lambda: grafana.add_folder("drafts", "Theirs"),
    }

    assert (0, f"{PLAN}6 changes made\n", "") == outcome(invoke(grafana.url, file))
    assert ([ADMIN_ID, VIEWER_ID], ACCESS) == (grafana.members[1], grafana.access)
    assert "Theirs" == grafana.folders["drafts"]


def test_member_removed_meanwhile(grafana: GrafanaDouble, file: Path) -> None:
    """A member that another admin removes (404) is a success."""
    grafana.add_team("Operators", ADMIN_ID, VIEWER_ID)
    grafana.faults["DELETE", f"/api/teams/1/members/{ADMIN_ID}"] = Response(404)

    assert 0 == invoke(grafana.url, file).exit_code


@pytest.mark.parametrize("is_dry", [False, True], ids=["run", "dry run"])
def test_unknown_users(grafana: GrafanaDouble, tmp_path: Path, is_dry: bool) -> None:
    """Reports unknown users with exit code 1, and makes all other changes."""
    access = "[{user: ghost, may: edit}, {team: Operators, may: edit}]"
    text = f"{NOBODY}folders: [{{uid: gatewayz, title: GatewayZ, access: {access}}}]"

    result = invoke(grafana.url, written(tmp_path, text), *["--dry-run"] * is_dry)

    assert 1 == result.exit_code
    assert [
        "grafana.access: team Operators: no user of Grafana has the login or e-mail address "
        "'nobody@example.com'.",
        "grafana.access: folder gatewayz: no user of Grafana has the login or e-mail address 'ghost'.",
    ] == [line.partition(" Correct it")[0] for line in result.stderr.splitlines()]
    changed = ({1: [VIEWER_ID]}, [{"teamId": 1, "permission": 2}])
    assert (({}, DEFAULT_ACCESS) if is_dry else changed) == (grafana.members, grafana.access["gatewayz"])


def test_contradicting_rules(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """Reports two rules for one user that differ; the first one applies."""
    access = "[{user: viewer, may: view}, {user: viewer@example.com, may: admin}]"
    text = f"folders: [{{uid: gatewayz, title: GatewayZ, access: {access}}}]"

    result = invoke(grafana.url, written(tmp_path, text))

    assert (1, [{"userId": VIEWER_ID, "permission": 1}]) == (result.exit_code, grafana.access["gatewayz"])
    assert "'viewer@example.com' is user viewer, who has another permission by another rule" in result.stderr


FAULTS = {
    "wrong password": (
        ("GET", "/api/teams/search", answer("30-wrong-password")),
        "Grafana does not know this user and password. The password of the first start is valid until it is "
        "changed in Grafana; `grafana cli admin reset-admin-password` sets a new one "
        "(GET /api/teams/search, status 401: invalid username or password).",
    ),
    "no permission": (
        ("GET", "/api/folders/gatewayz/permissions", answer("29-viewer-may-not-set")),
        "permission denied. The account needs the role Admin of the organisation "
        "(GET /api/folders/gatewayz/permissions, status 403: You'll need additional permissions to perform "
        "this action. Permissions needed: folders.permissions:write).",
    ),
    "server error": (
        ("POST", "/api/folders/gatewayz/permissions", answer("17-folder-permissions-unknown-team")),
        "Grafana failed. Check its log, and run this again: only differences are changed "
        "(POST /api/folders/gatewayz/permissions, status 500: Failed to create permission).",
    ),
    "redirect": (
        ("GET", "/api/health", Response(302, b"", "https://elsewhere.example.com/api/health")),
        "it redirects, which is not followed. Set GRAFANA_URL to the final address "
        "(GET /api/health, status 302).",
    ),
    "another server": (
        ("GET", "/api/health", Response(404, b"nothing here")),
        "not found. Set GRAFANA_URL to Grafana's root, with its sub-path if it has one "
        "(GET /api/health, status 404).",
    ),
    "title exists": (
        ("POST", "/api/folders", answer("12-folder-create-again")),
        "another folder has this title. Rename one of them (POST /api/folders, status 412: "
        "the folder has been changed by someone else).",
    ),
    "contradiction": (
        ("POST", "/api/teams", answer("04-team-create-again")),
        "grafana.access: stopped at '+ team Operators': Grafana reports that the name exists, and finds no "
        "team with it. Check its log.",
    ),
    "member refused": (
        ("POST", "/api/teams/1/members", Response(400, {"message": "bad request data"})),
        "Grafana refused the request (POST /api/teams/1/members, status 400: bad request data).",
    ),
}


@pytest.mark.parametrize(("fault", "message"), FAULTS.values(), ids=FAULTS)
def test_refusal(grafana: GrafanaDouble, file: Path, fault: tuple[str, str, Response], message: str) -> None:
    """Reports cause and fix on one line, with exit code 1."""
    method, path, given = fault
    grafana.faults[method, path] = given

    result = invoke(grafana.url, file)

    (line,) = result.stderr.splitlines()
    assert line.startswith("grafana.access: ")
    assert (1, message) == (result.exit_code, line.rpartition(f"{grafana.url}: ")[2])


def test_failed_change(grafana: GrafanaDouble, file: Path) -> None:
    """Reports the change that failed; the next run makes the remaining ones."""
    key = ("POST", "/api/folders/gatewayz/permissions")
    grafana.faults[key] = answer("17-folder-permissions-unknown-team")
    first = invoke(grafana.url, file)
    del grafana.faults[key]

    second = invoke(grafana.url, file)

    change, _, rest = PLAN.partition("~ ")[2].partition("\n")
    assert first.stderr.startswith(f"grafana.access: stopped at '~ {change}': ")
    assert (0, f"~ {change}\n{rest}3 changes made\n", "") == outcome(second)
    assert ACCESS == grafana.access


@pytest.mark.parametrize(
    "path", ["/api/health", "/api/teams/search", "/api/org/users", "/api/folders/gatewayz/permissions"]
)
@pytest.mark.parametrize(
    "given", [NOT_JSON, Response(200, {"other": 1}), Response(200, b"\xff")], ids=["page", "other", "bytes"]
)
def test_not_grafana(grafana: GrafanaDouble, file: Path, path: str, given: Response) -> None:
    """Reports a response that is not from Grafana's API, and changes nothing."""
    grafana.faults["GET", path] = given

    result = invoke(grafana.url, file)

    message = (
        f"grafana.access: the response to GET {path} is not from Grafana's API. Check that GRAFANA_URL is "
        "its root, and not a login page or proxy in front of it.\n"
    )
    assert (1, "", message) == outcome(result)
    assert [] == grafana.writes


def test_wrong_token(grafana: GrafanaDouble, file: Path) -> None:
    """The message for a wrong token is not that for a wrong password."""
    result = invoke(grafana.url, file, GRAFANA_TOKEN="glsa_wrong")

    assert (1, True) == (result.exit_code, "Grafana rejected this token." in result.stderr)


def test_password_beyond_ascii(grafana: GrafanaDouble, file: Path) -> None:
    """Sends the password as UTF-8, as Grafana expects."""
    invoke(grafana.url, file, GRAFANA_ADMIN_PASSWORD="pässwörd→")

    assert {basic(USER, "pässwörd→")} == {asked.authorization for asked in grafana.asked}


@pytest.mark.parametrize(
    ("scheme", "host", "message", "is_transient"),
    [
        ("http", "127.0.0.1:9", "no connection", True),
        ("http", "grafana..example.com", "no connection", False),
        ("https", None, "the TLS handshake failed", False),
    ],
    ids=["refused", "invalid host", "TLS"],
)
def test_no_connection(
    grafana: GrafanaDouble, scheme: str, host: str | None, message: str, is_transient: bool
) -> None:
    """Waits for a Grafana that does not listen; other failures end the wait at once."""
    url = f"{scheme}://{host or urlsplit(grafana.url).netloc}"

    with pytest.raises(GrafanaError, match=message) as caught:
        client(url).wait_until_healthy(0.3 if is_transient else 60, every=0.1)

    assert is_transient is caught.value.is_transient


def test_timeout(grafana: GrafanaDouble, file: Path) -> None:
    """A Grafana that does not respond fails at the timeout, during the wait and later."""
    grafana.meanwhile["GET", "/api/health"] = lambda: setattr(grafana, "silent", True)
    with pytest.raises(GrafanaError, match=r"no response within 0.1 s. .* \(GET /api/teams/search\)"):
        run(load_rules(file), client(grafana.url, 0.1), dry_run=False)

    with pytest.raises(GrafanaError, match=r"no response within 0.1 s. .* \(GET /api/health\)"):
        client(grafana.url, 0.1).wait_until_healthy(0.3, every=0.1)


@pytest.mark.parametrize(
    "given",
    [Response(503, NOT_JSON.content), answer("01-health", database="failing")],
    ids=["proxy", "database"],
)
def test_starting_grafana(grafana: GrafanaDouble, given: Response) -> None:
    """Waits for a Grafana that is starting."""
    key = ("GET", "/api/health")
    grafana.faults[key] = given
    with pytest.raises(GrafanaError):
        client(grafana.url).wait_until_healthy(0.02, every=0.01)

    grafana.asked.clear()
    grafana.meanwhile[key] = lambda: grafana.meanwhile.update({key: grafana.faults.clear})
    client(grafana.url).wait_until_healthy(5, every=0.01)

    assert 2 == len(grafana.asked)


@pytest.mark.parametrize("secret", [PASSWORD, "YWRtaW46"], ids=["password", "header"])
def test_secret_in_a_message(grafana: GrafanaDouble, file: Path, secret: str) -> None:
    """Does not print a message that contains a secret."""
    given = PASSWORD if secret == PASSWORD else basic(USER, PASSWORD)
    grafana.faults["GET", "/api/teams/search"] = Response(400, {"message": f"odd: {given}"})

    result = invoke(grafana.url, file)

    assert (1, False) == (result.exit_code, secret in result.output)
    assert "(GET /api/teams/search, status 400)." in result.stderr


def test_no_secret_in_any_output(grafana: GrafanaDouble, file: Path) -> None:
    """No output and no repr contains password or token."""
    key = ("GET", "/api/org/users")
    outputs = [repr(Settings(grafana.url, Credentials(USER, Secret(PASSWORD)))), repr(client(grafana.url))]
    for given in (None, answer("30-wrong-password"), NOT_JSON, Response(500, b"[]")):
        grafana.faults |= {key: given} if given else {}
        outputs += [invoke(grafana.url, file).output, invoke(grafana.url, file, GRAFANA_TOKEN=TOKEN).output]

    assert [] == [text for text in outputs if PASSWORD in text or TOKEN in text or "YWRtaW46" in text]


FIRST = "  - {uid: a, title: A, access: []}\n"
NAME = "must be text of 1 to 190 characters without whitespace at its ends"
UID = "must be 1 to 40 letters, digits, hyphens and underscores"
MAY = "must be view, edit or admin"
BAD_FILES: dict[str, tuple[str, list[str]]] = {
    "empty": ("", ["folders: is missing; it must be a list of folders."]),
    "list": ("- a", ["the file must be a mapping of sections."]),
    "folders are text": ("folders: all", ["folders: must be a list of folders; it is 'all'."]),
    "unknown keys": (
        """
folder: []
folders:
  - {uid: a, title: A, acces: [], access: []}
teams:
  - {name: B, member: [c]}
  - Ops
""",
        [
            "folder: is unknown; known keys are teams, folders.",
            "teams[0].member: is unknown; known keys are name, members.",
            "teams[1]: must be a mapping with name, members, not 'Ops'.",
            "folders[0].acces: is unknown; known keys are uid, title, access.",
        ],
    ),
    "names": (
        f"""
teams:
  - {{name: ''}}
  - {{name: ' x'}}
  - {{name: {"n" * (MAX_NAME + 1)}}}
  - {{name: "a\\nb"}}
  - {{}}
folders: []
""",
        [
            f"teams[{i}].name: {NAME}; it is {shown}."
            for i, shown in enumerate(["''", "' x'", "'" + "n" * 59, r"'a\nb'"])
        ]
        + [f"teams[4].name: is missing; it {NAME}."],
    ),
    "members": (
        "teams:\n  - {name: A, members: [b, [3], B]}\n  - {name: C, members: all}\nfolders: []",
        [
            f"teams[0].members[1]: {NAME}; it is ['3'].",
            "teams[0].members[2]: repeats 'B' of teams[0].members[0]; keep one of them.",
            "teams[1].members: must be a list of logins or e-mail addresses; it is 'all'.",
        ],
    ),
    "duplicates": (
        f"teams: [{{name: Ops}}, {{name: ops}}]\nfolders:\n{FIRST}{FIRST}",
        [
            "teams[1].name: repeats 'ops' of teams[0].name; keep one of them.",
            "folders[1].uid: repeats 'a' of folders[0].uid; keep one of them.",
        ],
    ),
    "uid": (
        "folders:\n  - {uid: a b, title: A, access: []}\n  - {uid: " + "u" * 41 + ", title: A, access: []}\n"
        '  - {uid: "a\\n", title: A, access: []}\n  - {title: A, access: []}',
        [
            f"folders[{i}].uid: {UID}; it is {shown}."
            for i, shown in enumerate(["'a b'", "'" + "u" * 41 + "'", r"'a\n'"])
        ]
        + [f"folders[3].uid: is missing; it {UID}."],
    ),
    "rules": (
        """
teams: [{name: Ops}]
folders:
  - {uid: a, title: A, access: }
  - uid: b
    title: B
    access:
      - {role: Viewer, may: 9}
      - {role: Editor, may: View}
      - {user: b, may: no}
      - {user: c}
      - {may: view}
      - {role: Viewer, team: Ops, may: view}
      - {role: Admin, may: edit}
      - {team: Opps, may: edit}
      - view
""",
        [
            "folders[0].access: is missing; it must be a list of rules; [] allows admins only.",
            f"folders[1].access[0].may: {MAY}; it is '9'.",
            f"folders[1].access[1].may: {MAY}; it is 'View'.",
            f"folders[1].access[2].may: {MAY}; it is 'no'.",
            f"folders[1].access[3].may: is missing; it {MAY}.",
            "folders[1].access[4]: must name exactly one of role, team and user.",
            "folders[1].access[5]: must name exactly one of role, team and user.",
            "folders[1].access[6].role: must be Viewer or Editor; it is 'Admin'.",
            "folders[1].access[7].team: names 'Opps', which is not in teams: add it there or correct it.",
            "folders[1].access[8]: must be a mapping with role, team, user, may, not 'view'.",
            "folders[1].access[5]: repeats 'role Viewer' of folders[1].access[0]; keep one of them.",
        ],
    ),
    "duplicate subjects": (
        "teams: [{name: Ops}]\nfolders:\n  - uid: a\n    title: A\n    access: [{team: Ops, may: view}, "
        "{user: Ops, may: view}, {team: Ops, may: edit}, {user: ops, may: edit}]",
        [
            "folders[0].access[2]: repeats 'team Ops' of folders[0].access[0]; keep one of them.",
            "folders[0].access[3]: repeats 'user ops' of folders[0].access[1]; keep one of them.",
        ],
    ),
    "not YAML": ("folders: [", ["the file is not valid YAML (line 1, column 11)."]),
}


@pytest.mark.parametrize(("text", "problems"), BAD_FILES.values(), ids=BAD_FILES)
def test_invalid_file(tmp_path: Path, text: str, problems: list[str]) -> None:
    """Reports all problems, each with its place in the file and what to do."""
    path = written(tmp_path, text)

    with pytest.raises(SettingsError) as caught:
        load_rules(path)

    assert [f"{path}: {problem}" for problem in problems] == list(caught.value.problems)


def test_settings() -> None:
    """The option overrides the variable, and a token the password; other variables are not read."""
    secrets = {"GRAFANA_ADMIN_PASSWORD": "x", "GRAFANA_URL": "http://a", "LOKI_URL": "no URL"}
    by_password = load_settings({**secrets, "GRAFANA_URL": ""}, None)
    by_token = load_settings({**secrets, "GRAFANA_TOKEN": "t"}, "https://b/grafana/")

    assert ("http://localhost:3000", "admin") == (by_password.url, by_password.credentials.user)
    assert ("https://b/grafana", None) == (by_token.url, by_token.credentials.user)
    assert ("x", "t") == (by_password.credentials.secret.reveal(), by_token.credentials.secret.reveal())


def test_no_credentials() -> None:
    """Reports the variables of credentials."""
    with pytest.raises(SettingsError, match=re.escape(NO_CREDENTIALS)):
        load_settings({"GRAFANA_TOKEN": "", "GRAFANA_ADMIN_PASSWORD": " "}, None)


def test_problems_of_file_and_settings(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """Reports problems of the file and of the environment together, before the first request."""
    result = invoke(grafana.url, written(tmp_path, "teams: []"), "--url", "x", GRAFANA_ADMIN_PASSWORD=None)

    assert (2, "") == (result.exit_code, result.stdout)
    assert [
        f"{tmp_path}/access.yaml: folders: is missing; it must be a list of folders.",
        "GRAFANA_URL must begin with http:// or https://",
    ] == [line.removeprefix("grafana.access: ") for line in result.stderr.splitlines()]
    assert [] == grafana.asked


def test_help() -> None:
    """The help has all variables."""
    text = CliRunner().invoke(main, ["--help"]).output

    assert [] == [name for name, _ in VARIABLES if f"\n    {name} " not in text]


def process(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "grafana.access", *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_process(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """Applies the project's rules in a folder with the exporter's package, as in the image."""
    for name in ("exporter", "grafana"):
        (tmp_path / name).symlink_to(ROOT / name)
    variables = {"GRAFANA_URL": grafana.url, "GRAFANA_ADMIN_PASSWORD": PASSWORD}
    results = [process(tmp_path, **variables) for _ in range(2)]

    assert [(0, ""), (0, "")] == [(result.returncode, result.stderr) for result in results]
    assert "nothing to change\n" == results[1].stdout
    assert {"GatewayZ Operators", "GatewayZ Viewers"} == set(grafana.teams)


@pytest.mark.parametrize("arguments", [(), ("--fly",)], ids=["environment", "command line"])
def test_process_with_invalid_input(arguments: tuple[str, ...]) -> None:
    """Invalid settings and an invalid command line are exit code 2."""
    result = process(ROOT, *arguments)

    assert (2, "", True) == (result.returncode, result.stdout, bool(result.stderr))


def test_own_rules() -> None:
    """The project's file allows Viewers to view the provisioned folder, and no role to edit."""
    provisioning = yaml.safe_load(
        (ROOT / "grafana" / "provisioning" / "dashboards" / "dashboards.yaml").read_text(encoding="utf-8")
    )
    folders = load_rules(DEFAULT_FILE).folders
    allowed = {
        (folder.uid, str(subject)): permission.word
        for folder in folders
        for subject, permission in folder.access.items()
    }

    provisioned = {(provider["folderUid"], provider["folder"]) for provider in provisioning["providers"]}
    assert provisioned <= {(folder.uid, folder.title) for folder in folders}
    assert {"view"} == {word for (uid, _), word in allowed.items() if uid == "gatewayz"}
    assert [("gatewayz", "role Viewer")] == [key for key in allowed if "role" in key[1]]
    assert "edit" == allowed["gatewayz-drafts", "team GatewayZ Operators"]


def test_commented_examples_of_the_own_file(tmp_path: Path) -> None:
    """The examples in the file's comments are valid."""
    text = DEFAULT_FILE.read_text(encoding="utf-8")

    rules = load_rules(written(tmp_path, re.sub(r"# (members:|- \{)", r"\1", text)))

    assert [("alice", "bob@example.com"), ("carol",)] == [team.members for team in rules.teams]
    assert 3 == len(rules.folders[1].access)


def exchanges() -> Iterator[tuple[str, str, str, Any]]:
    """Yield name, method, target and content of the admin's recorded requests, in order."""
    for path in sorted(RECORDED.glob("*.http")):
        lines = path.read_text(encoding="utf-8").splitlines()
        (line, *content), _ = [[one[2:] for one in lines if one.startswith("# ")], ...]
        method, target = line.split()
        if path.stem not in ("29-viewer-may-not-set", "30-wrong-password"):
            yield path.stem, method, target, json.loads(content[0]) if content else None


def test_double_answers_as_recorded(grafana: GrafanaDouble) -> None:
    """The stub returns the recorded answers to the recorded requests."""
    answers = {
        name: requests.request(method, grafana.url + target, json=content, auth=(USER, PASSWORD), timeout=5)
        for name, method, target, content in exchanges()
    }

    assert 18 <= len(answers)
    assert {name: recorded(name) for name in answers} == {
        name: (response.status_code, response.json()) for name, response in answers.items()
    }
