"""Tests of `grafana.access`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml
from click.testing import CliRunner, Result

from exporter.doctor.targets import LOGIN_REFUSED, RESET_COMMAND
from exporter.errors import SettingsError
from exporter.files.secret import Secret
from exporter.transport.auth import Credentials
from grafana.access.cli import DEFAULT_FILE, main, run
from grafana.access.client import Grafana
from grafana.access.errors import GrafanaError
from grafana.access.rules import MAX_NAME, load_rules
from grafana.access.settings import NO_CREDENTIALS, VARIABLES, Settings, load_settings
from tests.doctor.backends import Response
from tests.grafana import double
from tests.grafana.double import (
    ADMIN_ID,
    PASSWORD,
    TOKEN,
    USER,
    VIEWER_ID,
    Access,
    GrafanaDouble,
    answer,
    basic,
)
from tests.process import environment

ROOT = Path(__file__).parent.parent.parent

RULES = """
teams:
  - {name: Operators, members: [VIEWER@example.com]}
  - name: Viewers
folders:
  - uid: gatewayz
    title: Never used
    access: [{role: Viewer, may: view}, {team: Viewers, may: view}]
  - uid: drafts
    title: Drafts
    access: [{role: Editor, may: edit}, {team: Operators, may: edit}, {user: viewer, may: admin}]
"""
PLAN = """\
+ team Operators
+ member viewer of team Operators
+ team Viewers
~ folder gatewayz: - role Editor edit, + team Viewers view
+ folder drafts (Drafts)
~ folder drafts: + role Editor edit, + team Operators edit, + user viewer admin
"""
ACCESS: dict[str, Access] = {
    "gatewayz": [{"role": "Viewer", "permission": 1}, {"teamId": 2, "permission": 1}],
    "drafts": [
        {"role": "Editor", "permission": 2},
        {"teamId": 1, "permission": 2},
        {"userId": VIEWER_ID, "permission": 4},
    ],
}
ALL_MADE = (0, f"{PLAN}6 changes made\n", "")
ONE_FOLDER = "folders: [{uid: gatewayz, title: GatewayZ, access: [{role: Viewer, may: view}]}]"
ONE_ACCESS: Access = [{"role": "Viewer", "permission": 1}]
NOTHING = (0, "nothing to change\n", "")

Apply = Callable[..., Result]


@pytest.fixture
def grafana() -> Iterator[GrafanaDouble]:
    """A Grafana with a provisioned folder and no team."""
    with GrafanaDouble() as double:
        yield double


def written(folder: Path, text: str = RULES) -> Path:
    """Write a file of rules, by default one with every kind of rule."""
    path = folder / "access.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def apply(grafana: GrafanaDouble, tmp_path: Path) -> Apply:
    """Returns a function that runs the command line in this process, as admin by default."""

    def invoke(*arguments: str, rules: str = RULES, **variables: str | None) -> Result:
        clean = {name: None for name, _ in VARIABLES}
        given = {"GRAFANA_URL": grafana.url, "GRAFANA_ADMIN_PASSWORD": PASSWORD, **variables}
        path = str(written(tmp_path, rules))
        return CliRunner().invoke(main, ["--file", path, *arguments], env={**clean, **given})

    return invoke


def client(url: str, seconds: float = 5) -> Grafana:
    """Return a client that is the admin."""
    return Grafana(Settings(url, Credentials(USER, Secret(PASSWORD))), seconds)


def outcome(result: Result) -> tuple[int, str, str]:
    """Return exit code, output and errors."""
    return result.exit_code, result.stdout, result.stderr


def test_fresh_grafana(grafana: GrafanaDouble, apply: Apply) -> None:
    """Creates teams, members, folders and permissions with exactly these requests."""
    assert ALL_MADE == outcome(apply())
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


def test_dry_run_and_second_run(grafana: GrafanaDouble, apply: Apply) -> None:
    """A dry run prints the plan and changes nothing; nor does the second run."""
    assert (0, f"{PLAN}dry run: 6 changes, none of them made\n", "") == outcome(apply("--dry-run"))
    assert [] == grafana.writes

    apply()
    grafana.asked.clear()
    assert NOTHING == outcome(apply())
    assert [] == grafana.writes


def test_differences(grafana: GrafanaDouble, apply: Apply) -> None:
    """Changes only what differs; members of a team without a list remain."""
    grafana.add_team("Operators", ADMIN_ID, VIEWER_ID)
    grafana.add_team("Viewers", ADMIN_ID)
    grafana.add_folder("drafts", "Renamed by hand")
    grafana.access["gatewayz"] = ACCESS["gatewayz"]
    grafana.access["drafts"] = [{"teamId": 1, "permission": 4}, {"teamId": 2, "permission": 1}]
    plan = (
        "- member admin of team Operators\n"
        "~ folder drafts: - team Viewers view, + role Editor edit, ~ team Operators admin to edit, "
        "+ user viewer admin\n"
    )

    assert (0, f"{plan}2 changes made\n", "") == outcome(apply())
    assert ({1: [VIEWER_ID], 2: [ADMIN_ID]}, ACCESS) == (grafana.members, grafana.access)
    assert "Renamed by hand" == grafana.folders["drafts"]


def test_team_of_a_similar_name(grafana: GrafanaDouble, apply: Apply) -> None:
    """Ignores other teams that Grafana's search returns."""
    grafana.faults["GET", "/api/teams/search"] = answer("06-teams-search")

    assert PLAN.splitlines() == apply("--dry-run").stdout.splitlines()[:-1]


def test_empty_lists(grafana: GrafanaDouble, apply: Apply) -> None:
    """Empty lists remove all members, and allow admins only."""
    grafana.add_team("Operators", VIEWER_ID)
    rules = "teams: [{name: Operators, members: []}]\nfolders: [{uid: own, title: Own, access: []}]"

    plan = "- member viewer of team Operators\n+ folder own (Own)\n~ folder own: admins only\n"
    assert (0, f"{plan}3 changes made\n", "") == outcome(apply(rules=rules))
    assert ({1: []}, []) == (grafana.members, grafana.access["own"])


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ([*ONE_ACCESS, {"userId": ADMIN_ID, "permission": 4}], ""),
        ([*ONE_ACCESS, {"role": "Admin", "permission": 4}], ""),
        ([*ONE_ACCESS, {"role": "Editor", "permission": 2, "inherited": True}], ""),
        ([{"role": "Viewer", "permission": 9}], "~ folder gatewayz: ~ role Viewer unknown (9) to view\n"),
    ],
    ids=["own permission", "role Admin", "inherited", "unknown permission"],
)
def test_permissions_of_a_folder(grafana: GrafanaDouble, apply: Apply, access: Access, expected: str) -> None:
    """Ignores permissions of admins and inherited ones, replaces unknown ones, and does not read users."""
    grafana.access["gatewayz"] = access

    result = apply(rules=ONE_FOLDER)

    assert (f"{expected}1 changes made\n" if expected else "nothing to change\n") == result.stdout
    assert (ONE_ACCESS if expected else access) == grafana.access["gatewayz"]
    assert "/api/org/users" not in {asked.path for asked in grafana.asked}


def test_rule_for_the_own_account(grafana: GrafanaDouble, apply: Apply) -> None:
    """A rule for the account of the client is applied once."""
    rules = ONE_FOLDER.replace("role: Viewer, may: view", "user: admin, may: edit")

    results = [apply(rules=rules).stdout.splitlines()[-1] for _ in range(2)]

    assert ["1 changes made", "nothing to change"] == results
    assert [{"userId": ADMIN_ID, "permission": 2}] == grafana.access["gatewayz"]


def test_sub_path(apply: Apply) -> None:
    """Sends requests below the sub-path of the URL, with or without a trailing slash."""
    with GrafanaDouble(prefix="/tools/grafana") as grafana:
        results = [outcome(apply("--url", grafana.url + end)) for end in ("/", "")]

    assert [ALL_MADE, NOTHING] == results
    assert ACCESS == grafana.access


def test_token(grafana: GrafanaDouble, apply: Apply) -> None:
    """A token takes precedence over a password; a service account does not become a member of its teams."""
    assert ALL_MADE == outcome(apply(GRAFANA_TOKEN=f" {TOKEN}\n"))
    assert {f"Bearer {TOKEN}"} == {asked.authorization for asked in grafana.asked}
    assert "DELETE" not in {asked.method for asked in grafana.asked}


def test_changes_by_another_admin(grafana: GrafanaDouble, apply: Apply) -> None:
    """Teams (409), folders (412) and members (400) that another admin adds meanwhile remain as they are."""
    grafana.meanwhile |= {
        ("POST", "/api/teams"): lambda: grafana.add_team("Operators", ADMIN_ID),
        ("POST", "/api/teams/1/members"): lambda: grafana.members[1].append(VIEWER_ID),
        ("POST", "/api/folders"): lambda: grafana.add_folder("drafts", "Theirs"),
    }

    assert ALL_MADE == outcome(apply())
    assert ([ADMIN_ID, VIEWER_ID], ACCESS) == (grafana.members[1], grafana.access)
    assert "Theirs" == grafana.folders["drafts"]


def test_member_removed_meanwhile(grafana: GrafanaDouble, apply: Apply) -> None:
    """A member that another admin removes (404) is a success."""
    grafana.add_team("Operators", ADMIN_ID, VIEWER_ID)
    grafana.faults["DELETE", f"/api/teams/1/members/{ADMIN_ID}"] = Response(404)

    assert 0 == apply().exit_code


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_unknown_users(grafana: GrafanaDouble, apply: Apply, arguments: tuple[str, ...]) -> None:
    """Reports unknown users with exit code 1, and makes all other changes."""
    access = "[{user: ghost, may: edit}, {team: Operators, may: edit}]"
    rules = f"""
teams: [{{name: Operators, members: [nobody@example.com, viewer]}}]
folders: [{{uid: gatewayz, title: GatewayZ, access: {access}}}]
"""

    result = apply(*arguments, rules=rules)

    unknown = "no user of Grafana has the login or e-mail address"
    assert 1 == result.exit_code
    assert [
        f"grafana.access: team Operators: {unknown} 'nobody@example.com'.",
        f"grafana.access: folder gatewayz: {unknown} 'ghost'.",
    ] == [line.partition(" Correct it")[0] for line in result.stderr.splitlines()]
    changed = ({1: [VIEWER_ID]}, [{"teamId": 1, "permission": 2}])
    expected = ({}, double.DEFAULT_ACCESS) if arguments else changed
    assert expected == (grafana.members, grafana.access["gatewayz"])


def test_contradicting_rules(grafana: GrafanaDouble, apply: Apply) -> None:
    """Reports two rules for one user that differ; the first one applies."""
    access = "{user: viewer, may: view}, {user: viewer@example.com, may: admin}"

    result = apply(rules=ONE_FOLDER.replace("{role: Viewer, may: view}", access))

    assert (1, [{"userId": VIEWER_ID, "permission": 1}]) == (result.exit_code, grafana.access["gatewayz"])
    assert "'viewer@example.com' is user viewer, who has another permission by another rule" in result.stderr


PERMISSIONS = "/api/folders/gatewayz/permissions"


@pytest.mark.parametrize(
    ("method", "path", "given", "message", "detail"),
    [
        (
            *("GET", "/api/teams/search", answer("30-wrong-password")),
            f"{LOGIN_REFUSED} `{RESET_COMMAND}` asks for another one",
            "invalid username or password",
        ),
        (
            *("GET", PERMISSIONS, answer("29-viewer-may-not-set")),
            "permission denied. The account needs the role Admin of the organisation",
            "You'll need additional permissions to perform this action. Permissions needed: "
            "folders.permissions:write",
        ),
        (
            *("POST", PERMISSIONS, answer("17-folder-permissions-unknown-team")),
            "Grafana failed. Check its log, and run this again: only differences are changed",
            "Failed to create permission",
        ),
        (
            *("GET", "/api/health", Response(302, b"", "https://elsewhere.example.com/api/health")),
            *("it redirects, which is not followed. Set GRAFANA_URL to the final address", ""),
        ),
        (
            *("GET", "/api/health", Response(404, b"nothing here")),
            *("not found. Set GRAFANA_URL to Grafana's root, with its sub-path if it has one", ""),
        ),
        (
            *("POST", "/api/folders", answer("12-folder-create-again")),
            "another folder has this title. Rename one of them",
            "the folder has been changed by someone else",
        ),
        (
            *("POST", "/api/teams/1/members", Response(400, {"message": "bad request data"})),
            *("Grafana refused the request", "bad request data"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("/") else "",
)
def test_refusal(
    grafana: GrafanaDouble, apply: Apply, method: str, path: str, given: Response, message: str, detail: str
) -> None:
    """Reports cause, fix and request on one line, with exit code 1."""
    grafana.faults[method, path] = given

    result = apply()

    (line,) = result.stderr.splitlines()
    assert line.startswith("grafana.access: ")
    request = f"{method} {path}, status {given.status}{': ' if detail else ''}{detail}"
    assert (1, f"{message} ({request}).") == (result.exit_code, line.rpartition(f"{grafana.url}: ")[2])


def test_contradiction(grafana: GrafanaDouble, apply: Apply) -> None:
    """Reports that Grafana has a team and does not find it."""
    grafana.faults["POST", "/api/teams"] = answer("04-team-create-again")

    message = (
        "grafana.access: stopped at '+ team Operators': Grafana reports that the name exists, and finds no "
        "team with it. Check its log.\n"
    )
    assert (1, message) == outcome(apply())[::2]


def test_failed_change(grafana: GrafanaDouble, apply: Apply) -> None:
    """Reports the change that failed; the next run makes the remaining ones."""
    grafana.faults["POST", PERMISSIONS] = answer("17-folder-permissions-unknown-team")
    first = apply()
    grafana.faults.clear()

    change, _, rest = PLAN.partition("~ ")[2].partition("\n")
    assert first.stderr.startswith(f"grafana.access: stopped at '~ {change}': ")
    assert (0, f"~ {change}\n{rest}3 changes made\n", "") == outcome(apply())
    assert ACCESS == grafana.access


@pytest.mark.parametrize("path", ["/api/health", "/api/teams/search", "/api/org/users", PERMISSIONS])
@pytest.mark.parametrize(
    "content", [b"<title>Sign in</title>", {"other": 1}, b"\xff"], ids=["page", "other", "bytes"]
)
def test_not_grafana(grafana: GrafanaDouble, apply: Apply, path: str, content: object) -> None:
    """Reports a response that is not from Grafana's API, and changes nothing."""
    grafana.faults["GET", path] = Response(200, content)

    message = (
        f"grafana.access: the response to GET {path} is not from Grafana's API. Check that GRAFANA_URL is "
        "its root, and not a login page or proxy in front of it.\n"
    )
    assert (1, "", message) == outcome(apply())
    assert [] == grafana.writes


def test_wrong_token(apply: Apply) -> None:
    """The message for a wrong token is not that for a wrong password."""
    result = apply(GRAFANA_TOKEN="glsa_wrong")

    assert (1, True) == (result.exit_code, "Grafana rejected this token." in result.stderr)


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


def test_timeout(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """A Grafana that does not respond fails at the timeout, during the wait and later."""
    grafana.meanwhile["GET", "/api/health"] = lambda: setattr(grafana, "silent", True)
    with pytest.raises(GrafanaError, match=r"no response within 0.1 s. .* \(GET /api/teams/search\)"):
        run(load_rules(written(tmp_path)), client(grafana.url, 0.1), dry_run=False)

    with pytest.raises(GrafanaError, match=r"no response within 0.1 s. .* \(GET /api/health\)"):
        client(grafana.url, 0.1).wait_until_healthy(0.3, every=0.1)


@pytest.mark.parametrize(
    "given", [Response(503, b"<html>"), answer("01-health", database="failing")], ids=["proxy", "database"]
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


@pytest.mark.parametrize(
    ("given", "secret"),
    [(PASSWORD, PASSWORD), (basic(USER, PASSWORD), "YWRtaW46")],
    ids=["password", "header"],
)
def test_secret_in_a_message(grafana: GrafanaDouble, apply: Apply, given: str, secret: str) -> None:
    """Does not print a message that contains a secret."""
    grafana.faults["GET", "/api/teams/search"] = Response(400, {"message": f"odd: {given}"})

    result = apply()

    assert (1, False) == (result.exit_code, secret in result.output)
    assert "(GET /api/teams/search, status 400)." in result.stderr


def test_no_secret_in_any_output(grafana: GrafanaDouble, apply: Apply) -> None:
    """No output and no repr contains password or token."""
    outputs = [repr(Settings(grafana.url, Credentials(USER, Secret(PASSWORD)))), repr(client(grafana.url))]
    for given in (None, answer("30-wrong-password"), Response(200, b"<html>"), Response(500, b"[]")):
        grafana.faults |= {("GET", "/api/org/users"): given} if given else {}
        outputs += [apply().output, apply(GRAFANA_TOKEN=TOKEN).output]

    assert [] == [text for text in outputs if PASSWORD in text or TOKEN in text or "YWRtaW46" in text]


MANY_PROBLEMS = """
folder: []
teams:
  - {name: Ops, member: [c]}
  - Dev
  - {name: ''}
  - {name: ' x'}
  - {name: %s}
  - {name: "a\\nb"}
  - {}
  - {name: A, members: [b, [3], B]}
  - {name: C, members: all}
  - {name: ops}
folders:
  - {uid: a b, title: A, access: []}
  - {uid: %s, title: A, access: []}
  - {uid: "a\\n", title: A, acces: [], access: }
  - {title: A, access: []}
  - {uid: c, title: A, access: []}
  - {uid: c, title: A, access: []}
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
      - {team: Ops, may: view}
      - {user: Ops, may: view}
      - {team: Ops, may: edit}
      - {user: ops, may: edit}
"""
NAME = "must be text of 1 to 190 characters without whitespace at its ends"
UID = "must be 1 to 40 letters, digits, hyphens and underscores"
MAY = "must be view, edit or admin"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["folders: is missing; it must be a list of folders."]),
        ("- a", ["the file must be a mapping of sections."]),
        ("folders: [", ["the file is not valid YAML (line 1, column 11)."]),
        ("folders: all", ["folders: must be a list of folders; it is 'all'."]),
        (
            MANY_PROBLEMS % ("n" * (MAX_NAME + 1), "u" * 41),
            [
                "folder: is unknown; known keys are teams, folders.",
                "teams[0].member: is unknown; known keys are name, members.",
                "teams[1]: must be a mapping with name, members, not 'Dev'.",
                f"teams[2].name: {NAME}; it is ''.",
                f"teams[3].name: {NAME}; it is ' x'.",
                f"teams[4].name: {NAME}; it is '{'n' * 59}.",
                f"teams[5].name: {NAME}; it is 'a\\nb'.",
                f"teams[6].name: is missing; it {NAME}.",
                f"teams[7].members[1]: {NAME}; it is ['3'].",
                "teams[7].members[2]: repeats 'B' of teams[7].members[0]; keep one of them.",
                "teams[8].members: must be a list of logins or e-mail addresses; it is 'all'.",
                "teams[9].name: repeats 'ops' of teams[0].name; keep one of them.",
                f"folders[0].uid: {UID}; it is 'a b'.",
                f"folders[1].uid: {UID}; it is '{'u' * 41}'.",
                "folders[2].acces: is unknown; known keys are uid, title, access.",
                f"folders[2].uid: {UID}; it is 'a\\n'.",
                "folders[2].access: is missing; it must be a list of rules; [] allows admins only.",
                f"folders[3].uid: is missing; it {UID}.",
                f"folders[6].access[0].may: {MAY}; it is '9'.",
                f"folders[6].access[1].may: {MAY}; it is 'View'.",
                f"folders[6].access[2].may: {MAY}; it is 'no'.",
                f"folders[6].access[3].may: is missing; it {MAY}.",
                "folders[6].access[4]: must name exactly one of role, team and user.",
                "folders[6].access[5]: must name exactly one of role, team and user.",
                "folders[6].access[6].role: must be Viewer or Editor; it is 'Admin'.",
                "folders[6].access[7].team: names 'Opps', which is not in teams: add it there or correct it.",
                "folders[6].access[8]: must be a mapping with role, team, user, may, not 'view'.",
                "folders[6].access[5]: repeats 'role Viewer' of folders[6].access[0]; keep one of them.",
                "folders[6].access[11]: repeats 'team Ops' of folders[6].access[9]; keep one of them.",
                "folders[6].access[12]: repeats 'user ops' of folders[6].access[10]; keep one of them.",
                "folders[5].uid: repeats 'c' of folders[4].uid; keep one of them.",
            ],
        ),
    ],
    ids=["empty", "list", "not YAML", "text", "many problems"],
)
def test_invalid_file(tmp_path: Path, text: str, problems: list[str]) -> None:
    """Reports all problems, each with its place in the file and what to do."""
    path = written(tmp_path, text)

    with pytest.raises(SettingsError) as caught:
        load_rules(path)

    assert [f"{path}: {problem}" for problem in problems] == list(caught.value.problems)


def test_settings() -> None:
    """The URL has a default, and other variables are not read."""
    variables = {"GRAFANA_ADMIN_PASSWORD": "x", "GRAFANA_URL": "", "LOKI_URL": "no URL"}

    assert "http://localhost:3000" == load_settings(variables, None).url


def test_no_credentials() -> None:
    """Reports the variables of credentials."""
    with pytest.raises(SettingsError, match=re.escape(NO_CREDENTIALS)):
        load_settings({"GRAFANA_TOKEN": "", "GRAFANA_ADMIN_PASSWORD": " "}, None)


def test_problems_of_file_and_settings(grafana: GrafanaDouble, apply: Apply, tmp_path: Path) -> None:
    """Reports problems of the file and of the environment together, before the first request."""
    result = apply("--url", "x", rules="teams: []", GRAFANA_ADMIN_PASSWORD=None)

    problems = [
        f"grafana.access: {tmp_path}/access.yaml: folders: is missing; it must be a list of folders.",
        "grafana.access: GRAFANA_URL must begin with http:// or https://",
    ]
    assert (2, "", problems) == (result.exit_code, result.stdout, result.stderr.splitlines())
    assert [] == grafana.asked


def test_help() -> None:
    """The help has all variables."""
    text = CliRunner().invoke(main, ["--help"]).output

    assert [] == [name for name, _ in VARIABLES if f"\n    {name} " not in text]


def test_process(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """Applies the project's rules in a folder with the exporter's package, as in the image."""
    for name in ("exporter", "grafana"):
        (tmp_path / name).symlink_to(ROOT / name)
    env = environment(GRAFANA_URL=grafana.url, GRAFANA_ADMIN_PASSWORD=PASSWORD)
    command = [sys.executable, "-m", "grafana.access"]

    runs = [
        subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
        for _ in range(2)
    ]

    assert [(0, ""), (0, "")] == [(done.returncode, done.stderr) for done in runs]
    assert "nothing to change\n" == runs[1].stdout
    assert {"GatewayZ Operators", "GatewayZ Viewers"} == set(grafana.teams)


def test_own_rules() -> None:
    """The project's file allows Viewers to view the provisioned folder, and no role to edit."""
    provisioning = ROOT / "grafana" / "provisioning" / "dashboards" / "dashboards.yaml"
    providers = yaml.safe_load(provisioning.read_text(encoding="utf-8"))["providers"]
    folders = load_rules(DEFAULT_FILE).folders
    allowed = {
        (folder.uid, str(subject)): permission.word
        for folder in folders
        for subject, permission in folder.access.items()
    }

    titles = {(folder.uid, folder.title) for folder in folders}
    assert {(provider["folderUid"], provider["folder"]) for provider in providers} <= titles
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
    for path in sorted(double.RECORDED.glob("*.http")):
        lines = path.read_text(encoding="utf-8").splitlines()
        request, *content = [line[2:] for line in lines if line.startswith("# ")]
        method, target = request.split()
        if path.stem not in ("29-viewer-may-not-set", "30-wrong-password"):
            yield path.stem, method, target, json.loads(content[0]) if content else None


def test_double_answers_as_recorded(grafana: GrafanaDouble) -> None:
    """The stub returns the recorded answers to the recorded requests."""
    answers = {}
    for name, method, target, content in exchanges():
        url, admin = grafana.url + target, (USER, PASSWORD)
        response = requests.request(method, url, json=content, auth=admin, timeout=5)
        answers[name] = (response.status_code, response.json())

    assert 18 <= len(answers)
    assert {name: double.recorded(name) for name in answers} == answers
