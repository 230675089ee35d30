"""Grafana's teams and folder permissions become what the file says, and nothing else happens."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from click.testing import CliRunner, Result

from grafana.access.cli import DEFAULT_FILE, main, run
from grafana.access.client import Grafana
from grafana.access.errors import GrafanaError, InputError
from grafana.access.rules import MAX_NAME, Rules, load_rules
from grafana.access.settings import VARIABLES, Settings, load_settings
from tests.grafana.double import (
    ADMIN_ID,
    PASSWORD,
    RECORDED,
    TOKEN,
    USER,
    VIEWER_ID,
    Access,
    Answer,
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
NOT_JSON = Answer(200, b"<html><title>Sign in</title></html>", "text/html")
NOBODY = "teams: [{name: Operators, members: [nobody@example.com, viewer]}]\n"


@pytest.fixture
def grafana() -> Iterator[GrafanaDouble]:
    """A Grafana with a provisioned folder and no team."""
    with GrafanaDouble() as double:
        yield double


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of rules with something of everything."""
    return written(tmp_path, RULES)


def written(folder: Path, text: str) -> Path:
    """Write a file of rules."""
    path = folder / "access.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def invoke(url: str, path: Path, *arguments: str, **variables: str | None) -> Result:
    """Run the command line in this process, as the admin unless told otherwise."""
    clean = {name: None for name, _ in VARIABLES}
    given = {"GRAFANA_URL": url, "GRAFANA_ADMIN_PASSWORD": PASSWORD, **variables}
    return CliRunner().invoke(main, ["--file", str(path), *arguments], env={**clean, **given})


def client(url: str, seconds: float = 5) -> Grafana:
    """Return a client that is the admin."""
    return Grafana(Settings(url, USER, PASSWORD), seconds)


def outcome(result: Result) -> tuple[int, str, str]:
    """Return exit code, output and errors."""
    return result.exit_code, result.stdout, result.stderr


# What it does.


def test_fresh_grafana(grafana: GrafanaDouble, file: Path) -> None:
    """Teams, members, folders and permissions are made; who made a team does not stay in it."""
    result = invoke(grafana.url, file)

    assert (0, f"{PLAN}6 changes made\n", "") == outcome(result)
    assert ({"Operators": 1, "Viewers": 2}, {1: [VIEWER_ID], 2: []}) == (grafana.teams, grafana.members)
    assert ({"gatewayz": "GatewayZ", "drafts": "Drafts"}, ACCESS) == (grafana.folders, grafana.access)


def test_exact_requests(grafana: GrafanaDouble, file: Path) -> None:
    """What is written is exactly this, permission lists included."""
    invoke(grafana.url, file)

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


def test_second_run(grafana: GrafanaDouble, file: Path) -> None:
    """The second run has nothing to change and writes nothing."""
    invoke(grafana.url, file)
    grafana.asked.clear()

    result = invoke(grafana.url, file)

    assert (0, "nothing to change\n", "") == outcome(result)
    assert {"GET"} == {asked.method for asked in grafana.asked}


def test_dry_run(grafana: GrafanaDouble, file: Path) -> None:
    """A dry run prints the same plan and only asks."""
    result = invoke(grafana.url, file, "--dry-run")

    assert (0, f"{PLAN}dry run: 6 changes, none of them made\n", "") == outcome(result)
    assert {"GET"} == {asked.method for asked in grafana.asked}


def test_partly_there(grafana: GrafanaDouble, file: Path) -> None:
    """What is as it should be stays untouched; members of a team without a list are left alone."""
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
    """A team counts only by its exact name, whatever the search finds."""
    grafana.faults["GET", "/api/teams/search"] = answer("06-teams-search")

    assert PLAN.splitlines() == invoke(grafana.url, file, "--dry-run").stdout.splitlines()[:-1]


def test_empty_lists(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """An empty list of members is a team of nobody, and a folder without rules is for admins only."""
    grafana.add_team("Operators", VIEWER_ID)
    text = "teams: [{name: Operators, members: []}]\nfolders: [{uid: own, title: Own, access: []}]"

    result = invoke(grafana.url, written(tmp_path, text))

    plan = "- member viewer of team Operators\n+ folder own (Own)\n~ folder own: admins only\n"
    assert (0, f"{plan}3 changes made\n", "") == outcome(result)
    assert ({1: []}, []) == (grafana.members, grafana.access["own"])


@pytest.mark.parametrize(
    "own",
    [{"userId": ADMIN_ID, "permission": 4}, {"role": "Admin", "permission": 4}],
    ids=["who asks", "the role Admin"],
)
def test_admins_make_no_difference(grafana: GrafanaDouble, tmp_path: Path, own: dict[str, Any]) -> None:
    """What a folder allows to admins, who may do all anyway, is no reason to write."""
    grafana.access["gatewayz"] = [{"role": "Viewer", "permission": 1}, own]

    result = invoke(grafana.url, written(tmp_path, ONE_FOLDER))

    assert ("nothing to change\n", []) == (result.stdout, grafana.writes)


def test_admin_named_in_the_file(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """A rule for the admin who asks is kept like any other, and met by the second run."""
    path = written(
        tmp_path, "folders: [{uid: gatewayz, title: GatewayZ, access: [{user: admin, may: edit}]}]"
    )

    results = [invoke(grafana.url, path).stdout.splitlines()[-1] for _ in range(2)]

    assert ["1 changes made", "nothing to change"] == results
    assert [{"userId": ADMIN_ID, "permission": 2}] == grafana.access["gatewayz"]


def test_inherited_makes_no_difference(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """What a folder has from the one above it is no reason to write."""
    status, (editor, viewer) = recorded("13-folder-permissions")
    inherited = [{**editor, "inherited": True}, viewer]
    grafana.faults["GET", "/api/folders/gatewayz/permissions"] = Answer(
        status, json.dumps(inherited).encode()
    )

    result = invoke(grafana.url, written(tmp_path, ONE_FOLDER))

    assert ("nothing to change\n", []) == (result.stdout, grafana.writes)


def test_unknown_permission_in_grafana(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """A number that is no permission is a difference, and is put right."""
    grafana.access["gatewayz"] = [{"role": "Viewer", "permission": 9}]

    result = invoke(grafana.url, written(tmp_path, ONE_FOLDER))

    assert "~ folder gatewayz: ~ role Viewer unknown (9) to view\n1 changes made\n" == result.stdout
    assert [{"role": "Viewer", "permission": 1}] == grafana.access["gatewayz"]


def test_only_known_permissions_are_sent(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """The three words are sent as the three numbers that Grafana knows, for every kind of subject."""
    subjects = (
        "role: Viewer",
        "role: Editor",
        "team: A",
        "team: B",
        "team: C",
        "user: admin",
        "user: viewer",
    )
    words = ("view", "edit", "admin")
    rules = {word: ", ".join(f"{{{subject}, may: {word}}}" for subject in subjects) for word in words}
    folders = [f"- {{uid: {word}, title: T-{word}, access: [{rules[word]}]}}\n" for word in words]
    text = "teams: [{name: A}, {name: B}, {name: C}]\nfolders:\n" + "".join(folders)

    assert 0 == invoke(grafana.url, written(tmp_path, text)).exit_code

    sent = {path: content["items"] for _, path, content in grafana.writes if path.endswith("/permissions")}
    assert {
        f"/api/folders/{word}/permissions": [number] * 7
        for word, number in zip(words, (1, 2, 4), strict=True)
    } == {path: [item["permission"] for item in items] for path, items in sent.items()}


def test_sub_path(file: Path) -> None:
    """A Grafana below a sub path is asked there, with or without a slash at the end of its URL."""
    with GrafanaDouble(prefix="/tools/grafana") as grafana:
        results = [invoke("http://never.used", file, "--url", grafana.url + end) for end in ("/", "")]

    assert [0, 0] == [result.exit_code for result in results]
    assert "nothing to change\n" == results[1].stdout
    assert ACCESS == grafana.access


def test_token(grafana: GrafanaDouble, file: Path) -> None:
    """A token goes before a password; a service account joins no team, so nothing has to be undone."""
    result = invoke(grafana.url, file, GRAFANA_TOKEN=f" {TOKEN}\n")

    assert (0, f"{PLAN}6 changes made\n", "") == outcome(result)
    assert {f"Bearer {TOKEN}"} == {asked.authorization for asked in grafana.asked}
    assert "DELETE" not in {asked.method for asked in grafana.asked}


@pytest.mark.parametrize("name", ["GRAFANA_TOKEN", "GRAFANA_ADMIN_PASSWORD"])
def test_secret_from_a_file(grafana: GrafanaDouble, file: Path, tmp_path: Path, name: str) -> None:
    """Token and password may come from a file, whose last line break does not count."""
    secret = tmp_path / "secret"
    secret.write_text(
        {"GRAFANA_TOKEN": TOKEN, "GRAFANA_ADMIN_PASSWORD": PASSWORD}[name] + "\r\n", encoding="utf-8"
    )
    variables: dict[str, str | None] = {"GRAFANA_ADMIN_PASSWORD": None, f"{name}_FILE": str(secret)}

    assert 0 == invoke(grafana.url, file, **variables).exit_code


def test_other_people_are_asked_for_only_when_needed(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """The list of users is not read for a file that names none."""
    invoke(grafana.url, written(tmp_path, ONE_FOLDER))

    assert "/api/org/users" not in {asked.path for asked in grafana.asked}


# Somebody else at the same time.


def test_team_made_meanwhile(grafana: GrafanaDouble, file: Path) -> None:
    """A team that somebody made since counts as made (409), and its members stay in it."""
    grafana.meanwhile["POST", "/api/teams"] = lambda: grafana.add_team("Operators", ADMIN_ID)

    result = invoke(grafana.url, file)

    assert 0 == result.exit_code
    assert ([ADMIN_ID, VIEWER_ID], ACCESS) == (grafana.members[1], grafana.access)


def test_folder_made_meanwhile(grafana: GrafanaDouble, file: Path) -> None:
    """A folder that somebody made since counts as made (412), and its permissions are set."""
    grafana.meanwhile["POST", "/api/folders"] = lambda: grafana.add_folder("drafts", "Theirs")

    result = invoke(grafana.url, file)

    assert (0, "Theirs", ACCESS) == (result.exit_code, grafana.folders["drafts"], grafana.access)


def test_member_added_meanwhile(grafana: GrafanaDouble, file: Path) -> None:
    """A member whom somebody added since counts as added (400)."""
    path = "/api/teams/1/members"
    grafana.meanwhile["POST", path] = lambda: grafana.members[1].append(VIEWER_ID)

    result = invoke(grafana.url, file)

    assert (0, [VIEWER_ID]) == (result.exit_code, grafana.members[1])


def test_member_removed_meanwhile(grafana: GrafanaDouble, file: Path) -> None:
    """A member whom somebody took out since counts as taken out (404)."""
    grafana.add_team("Operators", ADMIN_ID, VIEWER_ID)
    missing = Answer(404, answer("10-folder-missing").body)
    grafana.faults["DELETE", f"/api/teams/1/members/{ADMIN_ID}"] = missing

    assert 0 == invoke(grafana.url, file).exit_code


# What goes wrong.


def test_unknown_user(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """Who does not exist is told by name, everything else is done, and the exit code says so."""
    access = "[{user: ghost, may: edit}, {team: Operators, may: edit}]"
    text = f"{NOBODY}folders: [{{uid: gatewayz, title: GatewayZ, access: {access}}}]"

    result = invoke(grafana.url, written(tmp_path, text))

    problem = (
        "grafana.access: {}: no user of Grafana has the login or e-mail address {!r}. Correct it, or let "
        "that person sign in first; the rest does not wait for it.\n"
    )
    assert (1, "3 changes made") == (result.exit_code, result.stdout.splitlines()[-1])
    assert (
        problem.format("team Operators", "nobody@example.com") + problem.format("folder gatewayz", "ghost")
        == result.stderr
    )
    assert ({1: [VIEWER_ID]}, [{"teamId": 1, "permission": 2}]) == (
        grafana.members,
        grafana.access["gatewayz"],
    )


def test_unknown_user_in_a_dry_run(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """A dry run tells of users who do not exist, too."""
    result = invoke(grafana.url, written(tmp_path, NOBODY + ONE_FOLDER), "--dry-run")

    assert (1, True, []) == (result.exit_code, "'nobody@example.com'" in result.stderr, grafana.writes)


def test_one_user_under_two_names(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """Two rules for one user are told when they differ, and the first counts."""
    access = "[{user: viewer, may: view}, {user: viewer@example.com, may: admin}]"

    result = invoke(
        grafana.url, written(tmp_path, f"folders: [{{uid: gatewayz, title: GatewayZ, access: {access}}}]")
    )

    assert (1, [{"userId": VIEWER_ID, "permission": 1}]) == (result.exit_code, grafana.access["gatewayz"])
    assert "'viewer@example.com' is user viewer, whom another rule allows something else" in result.stderr


FAULTS = {
    "wrong password": (
        ("GET", "/api/teams/search", answer("30-wrong-password")),
        "Grafana does not know this user and password. The first start's password is in force until it is "
        "changed in Grafana; `grafana cli admin reset-admin-password` sets another "
        "(GET /api/teams/search, status 401: invalid username or password).",
    ),
    "no permission": (
        ("GET", "/api/folders/gatewayz/permissions", answer("29-viewer-may-not-set")),
        "this identity may not do that. It needs the role Admin of the organisation "
        "(GET /api/folders/gatewayz/permissions, status 403: You'll need additional permissions to perform "
        "this action. Permissions needed: folders.permissions:write).",
    ),
    "Grafana fails": (
        ("POST", "/api/folders/gatewayz/permissions", answer("17-folder-permissions-unknown-team")),
        "Grafana failed. Look into its log, and run this again: nothing is done twice "
        "(POST /api/folders/gatewayz/permissions, status 500: Failed to create permission).",
    ),
    "redirect": (
        ("GET", "/api/health", Answer(302, b"", location="https://elsewhere.example.com/api/health")),
        "it redirects, and secrets are not sent elsewhere. Set GRAFANA_URL to the final address "
        "(GET /api/health, status 302).",
    ),
    "another server": (
        ("GET", "/api/health", Answer(404, b"nothing here", "text/plain")),
        "that is not there. Set GRAFANA_URL to Grafana's root, with its sub path if it has one "
        "(GET /api/health, status 404).",
    ),
    "title taken": (
        ("POST", "/api/folders", answer("12-folder-create-again")),
        "something else has this title already. Rename one of the two (POST /api/folders, status 412: "
        "the folder has been changed by someone else).",
    ),
    "member refused": (
        ("POST", "/api/teams/1/members", Answer(400, b'{"message": "bad request data"}')),
        "Grafana refused the request (POST /api/teams/1/members, status 400: bad request data).",
    ),
}


@pytest.mark.parametrize(("fault", "message"), FAULTS.values(), ids=FAULTS)
def test_refusal(grafana: GrafanaDouble, file: Path, fault: tuple[str, str, Answer], message: str) -> None:
    """What Grafana refuses is one line with cause and fix, and exit code 1."""
    method, path, given = fault
    grafana.faults[method, path] = given

    result = invoke(grafana.url, file)

    line = result.stderr.removeprefix("grafana.access: ").removesuffix("\n")
    assert (1, message) == (result.exit_code, line.rpartition(f"{grafana.url}: ")[2])
    assert "\n" not in line


def test_stopped_in_the_middle(grafana: GrafanaDouble, file: Path) -> None:
    """The message names the change that failed; the next run makes what was left."""
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
    "given", [NOT_JSON, Answer(200, b'{"other": 1}'), Answer(200, b"\xff")], ids=["page", "other", "bytes"]
)
def test_not_grafana(grafana: GrafanaDouble, file: Path, path: str, given: Answer) -> None:
    """An answer that is not Grafana's, as a login page before it is, is told as such."""
    grafana.faults["GET", path] = given

    result = invoke(grafana.url, file)

    message = (
        f"grafana.access: the answer to GET {path} is not that of Grafana's API. Check that GRAFANA_URL is "
        "its root, and not a login page or proxy before it.\n"
    )
    assert (1, "", message) == outcome(result)
    assert [] == grafana.writes


def test_name_taken_by_nobody(grafana: GrafanaDouble, file: Path) -> None:
    """A Grafana that contradicts itself is told as such."""
    grafana.faults["POST", "/api/teams"] = answer("04-team-create-again")

    result = invoke(grafana.url, file)

    assert 1 == result.exit_code
    assert (
        "stopped at '+ team Operators': Grafana says that the name is taken, and finds no team"
        in result.stderr
    )


def test_wrong_token(grafana: GrafanaDouble, file: Path) -> None:
    """A token that Grafana does not know is told as a token, not as a password."""
    result = invoke(grafana.url, file, GRAFANA_TOKEN="glsa_wrong")

    assert (1, True) == (result.exit_code, "Grafana does not know this token." in result.stderr)


def test_password_beyond_ascii(grafana: GrafanaDouble, file: Path) -> None:
    """A password is sent as UTF-8, which is what Grafana reads."""
    invoke(grafana.url, file, GRAFANA_ADMIN_PASSWORD="pässwörd→")

    assert {basic(USER, "pässwörd→")} == {asked.authorization for asked in grafana.asked}


def test_grafana_is_away() -> None:
    """A Grafana that does not listen is waited for, and then told."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

    with pytest.raises(GrafanaError, match="no connection, or it broke") as caught:
        client(url).wait_until_healthy(0.3, every=0.1)

    assert caught.value.is_passing


def test_impossible_host() -> None:
    """A host that cannot exist is told at once: waiting does not help."""
    with pytest.raises(GrafanaError, match="no connection, or it broke") as caught:
        client("http://grafana..example.com").wait_until_healthy(0)

    assert not caught.value.is_passing


def test_grafana_hangs(grafana: GrafanaDouble) -> None:
    """A Grafana that takes requests and never answers is given up at the deadline."""
    grafana.silent = True

    with pytest.raises(GrafanaError, match=r"no answer within 0.1 s. .* \(GET /api/health\)"):
        client(grafana.url, 0.1).wait_until_healthy(0.3, every=0.1)

    assert 1 <= len(grafana.asked) <= 3


def test_grafana_hangs_later(grafana: GrafanaDouble, file: Path) -> None:
    """So is one that was well before."""
    grafana.meanwhile["GET", "/api/health"] = lambda: setattr(grafana, "silent", True)

    with pytest.raises(GrafanaError, match=r"no answer within 0.1 s. .* \(GET /api/teams/search\)"):
        run(load_rules(file), client(grafana.url, 0.1), dry_run=False)


@pytest.mark.parametrize(
    "given",
    [Answer(503, NOT_JSON.body, "text/html"), answer("01-health", database="failing")],
    ids=["proxy", "database"],
)
def test_grafana_starts(grafana: GrafanaDouble, given: Answer) -> None:
    """A Grafana that is just starting is waited for."""
    key = ("GET", "/api/health")
    grafana.faults[key] = given
    grafana.meanwhile[key] = lambda: grafana.meanwhile.update({key: grafana.faults.clear})

    client(grafana.url).wait_until_healthy(5, every=0.01)

    assert 2 == len(grafana.asked)


def test_grafana_does_not_become_well(grafana: GrafanaDouble) -> None:
    """A database that stays ill is told when the time is over."""
    grafana.faults["GET", "/api/health"] = answer("01-health", database="failing")

    with pytest.raises(GrafanaError, match="Grafana's database is not well"):
        client(grafana.url).wait_until_healthy(0.05, every=0.02)


def test_tls_failure(grafana: GrafanaDouble) -> None:
    """A handshake that fails is told at once: waiting does not help."""
    url = grafana.url.replace("http://", "https://")

    with pytest.raises(GrafanaError, match="the TLS handshake failed") as caught:
        client(url).wait_until_healthy(0)

    assert not caught.value.is_passing


@pytest.mark.parametrize("secret", [PASSWORD, "YWRtaW46"], ids=["password", "header"])
def test_secret_in_a_refusal(grafana: GrafanaDouble, file: Path, secret: str) -> None:
    """A server that says the secret back is not quoted."""
    given = PASSWORD if secret == PASSWORD else basic(USER, PASSWORD)
    grafana.faults["GET", "/api/teams/search"] = Answer(
        400, json.dumps({"message": f"odd: {given}"}).encode()
    )

    result = invoke(grafana.url, file)

    assert (1, False) == (result.exit_code, secret in result.output)
    assert "(GET /api/teams/search, status 400)." in result.stderr


def test_no_secret_anywhere(grafana: GrafanaDouble, file: Path) -> None:
    """Neither output nor errors nor what a value shows of itself hold password or token."""
    key = ("GET", "/api/org/users")
    shown = [invoke(grafana.url, file).output, invoke(grafana.url, file, GRAFANA_TOKEN=TOKEN).output]
    for given in (answer("30-wrong-password"), NOT_JSON, Answer(500, b"[]")):
        grafana.faults[key] = given
        shown += [invoke(grafana.url, file).output, invoke(grafana.url, file, GRAFANA_TOKEN=TOKEN).output]
    shown += [repr(Settings(grafana.url, USER, PASSWORD)), repr(client(grafana.url))]

    assert [] == [text for text in shown if PASSWORD in text or TOKEN in text or "YWRtaW46" in text]


# What is checked before the first request.

FIRST = "  - {uid: a, title: A, access: []}\n"
BAD_FILES: dict[str, tuple[str, list[str]]] = {
    "empty": ("", ["the file: must be a mapping with teams, folders, not None."]),
    "list": ("- a", ["the file: must be a mapping with teams, folders, not ['a']."]),
    "no folders": ("teams: []", ["folders: is missing; it must be a list of folders."]),
    "folders are text": ("folders: all", ["folders: must be a list of folders; it is 'all'."]),
    "unknown keys": (
        """
folder: []
folders:
  - {uid: a, title: A, acces: [], access: []}
teams:
  - {name: B, member: [c]}
""",
        [
            "folder: is not known here; known are teams, folders.",
            "teams[0].member: is not known here; known are name, members.",
            "folders[0].acces: is not known here; known are uid, title, access.",
        ],
    ),
    "team is text": (
        "teams: [Ops]\nfolders: []",
        ["teams[0]: must be a mapping with name, members, not 'Ops'."],
    ),
    "names": (
        f"""
teams:
  - {{name: ''}}
  - {{name: ' x'}}
  - {{name: 7}}
  - {{name: {"n" * (MAX_NAME + 1)}}}
  - {{name: "a\\nb"}}
  - {{}}
folders: []
""",
        [
            f"teams[{i}].name: must be text of 1 to 190 characters without blanks at its ends; it is {shown}."
            for i, shown in enumerate(["''", "' x'", "7", "'" + "n" * 59, r"'a\nb'"])
        ]
        + ["teams[5].name: is missing; it must be text of 1 to 190 characters without blanks at its ends."],
    ),
    "members": (
        "teams:\n  - {name: A, members: [b, 3, B]}\n  - {name: C, members: all}\nfolders: []",
        [
            "teams[0].members[1]: must be text of 1 to 190 characters without blanks at its ends; it is 3.",
            "teams[0].members[2]: is 'B' again, after teams[0].members[0]; keep one of them.",
            "teams[1].members: must be a list of logins or e-mail addresses; it is 'all'.",
        ],
    ),
    "team twice": (
        "teams: [{name: Ops}, {name: ops}]\nfolders: []",
        ["teams[1].name: is 'ops' again, after teams[0].name; keep one of them."],
    ),
    "folder twice": (
        f"folders:\n{FIRST}{FIRST}",
        ["folders[1].uid: is 'a' again, after folders[0].uid; keep one of them."],
    ),
    "uid": (
        "folders:\n  - {uid: a b, title: A, access: []}\n  - {uid: " + "u" * 41 + ", title: A, access: []}\n"
        '  - {uid: "a\\n", title: A, access: []}\n  - {title: A, access: []}',
        [
            f"folders[{i}].uid: must be 1 to 40 letters, digits, hyphens and underscores; it is {shown}."
            for i, shown in enumerate(["'a b'", "'" + "u" * 41 + "'", r"'a\n'"])
        ]
        + ["folders[3].uid: is missing; it must be 1 to 40 letters, digits, hyphens and underscores."],
    ),
    "folder without rules": (
        "folders: [{uid: a, title: A, access: }]",
        ["folders[0].access: is missing; it must be a list of rules; [] leaves the folder to admins."],
    ),
    "permissions": (
        """
folders:
  - uid: a
    title: A
    access:
      - {role: Viewer, may: 9}
      - {role: Editor, may: View}
      - {user: b, may: no}
      - {user: c}
""",
        [
            "folders[0].access[0].may: must be view, edit or admin; it is 9.",
            "folders[0].access[1].may: must be view, edit or admin; it is 'View'.",
            "folders[0].access[2].may: must be view, edit or admin; it is False.",
            "folders[0].access[3].may: is missing; it must be view, edit or admin.",
        ],
    ),
    "subjects": (
        """
teams: [{name: Ops}]
folders:
  - uid: a
    title: A
    access:
      - {may: view}
      - {role: Viewer, team: Ops, may: view}
      - {role: Admin, may: edit}
      - {team: Opps, may: edit}
      - view
""",
        [
            "folders[0].access[0]: must name exactly one of role, team and user.",
            "folders[0].access[1]: must name exactly one of role, team and user.",
            "folders[0].access[2].role: must be Viewer or Editor; admins may do all; it is 'Admin'.",
            "folders[0].access[3].team: names 'Opps', which is not under teams: add it there or correct it.",
            "folders[0].access[4]: must be a mapping with role, team, user, may, not 'view'.",
        ],
    ),
    "subject twice": (
        """
teams: [{name: Ops}]
folders:
  - uid: a
    title: A
    access:
      - {team: Ops, may: view}
      - {user: Ops, may: view}
      - {team: Ops, may: edit}
      - {user: ops, may: edit}
""",
        [
            "folders[0].access[2]: is 'team Ops' again, after folders[0].access[0]; keep one of them.",
            "folders[0].access[3]: is 'user ops' again, after folders[0].access[1]; keep one of them.",
        ],
    ),
    "key twice": (
        "folders: []\nteams: []\nfolders:\n" + FIRST,
        ["line 3, column 1: not valid YAML: the key 'folders' occurs twice; keep one of them."],
    ),
    "alias": (
        "folders: *f",
        [
            "line 1, column 10: not valid YAML: an alias or anchor (* or &) is not supported; write the "
            "value out, or quote the text."
        ],
    ),
    "anchor": (
        "folders:\n  - &a {}\n  - *a",
        [
            "line 2, column 5: not valid YAML: an alias or anchor (* or &) is not supported; write the "
            "value out, or quote the text."
        ],
    ),
    "merge key": (
        "<<: {folders: []}",
        [
            "line 1, column 1: not valid YAML: a merge key (<<) is not supported; write the keys out.",
        ],
    ),
    "list as key": ("{[a]: b}", ["line 1, column 2: not valid YAML: found unhashable key."]),
    "not YAML": (
        "folders: [",
        ["line 1, column 11: not valid YAML: expected the node content, but found '<stream end>'."],
    ),
    "control characters": ("folders: \x01", ["not valid YAML: it holds control characters."]),
}


@pytest.mark.parametrize(("text", "problems"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file(tmp_path: Path, text: str, problems: list[str]) -> None:
    """Every problem of the file is told at once, one line each, with its place and what to do."""
    path = written(tmp_path, text)

    with pytest.raises(InputError) as caught:
        load_rules(path)

    assert [f"{path}: {problem}" for problem in problems] == list(caught.value.problems)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file or directory; --file names another."),
        (b"\xff", "is not UTF-8 text"),
    ],
    ids=["missing", "bytes"],
)
def test_unreadable_file(tmp_path: Path, content: bytes | None, problem: str) -> None:
    """A file that cannot be read is told with its name."""
    path = tmp_path / "access.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError, match=re.escape(f"{path}: {problem}")):
        load_rules(path)


BAD_SETTINGS: dict[str, tuple[dict[str, str], list[str]]] = {
    "nothing": (
        {},
        ["Neither GRAFANA_TOKEN nor GRAFANA_ADMIN_PASSWORD is set, nor a file of theirs: one must be."],
    ),
    "empty": (
        {"GRAFANA_TOKEN": "", "GRAFANA_ADMIN_PASSWORD": " "},
        ["Neither GRAFANA_TOKEN nor GRAFANA_ADMIN_PASSWORD is set, nor a file of theirs: one must be."],
    ),
    "password in the URL": (
        {"GRAFANA_URL": "http://me:hidden@grafana", "GRAFANA_TOKEN": "hidden"},
        [
            "GRAFANA_URL must hold no user or password: they go into GRAFANA_ADMIN_USER and "
            "GRAFANA_ADMIN_PASSWORD."
        ],
    ),
    "no scheme": (
        {"GRAFANA_URL": "grafana:3000", "GRAFANA_TOKEN": "hidden"},
        ["GRAFANA_URL must begin with http:// or https://"],
    ),
    "no host": (
        {"GRAFANA_URL": "http://:3000", "GRAFANA_TOKEN": "hidden"},
        ["GRAFANA_URL has no usable host and port."],
    ),
    "port": (
        {"GRAFANA_URL": "http://a:99999", "GRAFANA_TOKEN": "hidden"},
        ["GRAFANA_URL is not a valid URL."],
    ),
    "query": (
        {"GRAFANA_URL": "http://a/?orgId=1", "GRAFANA_TOKEN": "hidden"},
        ["GRAFANA_URL must hold no query and no fragment."],
    ),
    "blanks": (
        {"GRAFANA_URL": "http://a/b c", "GRAFANA_TOKEN": "hid den"},
        [
            "GRAFANA_URL has blanks or characters that are not ASCII.",
            "GRAFANA_TOKEN, or its file, has blanks or characters that are not printable ASCII.",
        ],
    ),
    "both": (
        {
            "GRAFANA_TOKEN": "hidden",
            "GRAFANA_TOKEN_FILE": "hidden",
            "GRAFANA_ADMIN_PASSWORD": "hidden",
            "GRAFANA_ADMIN_PASSWORD_FILE": "hidden",
        },
        [
            "GRAFANA_TOKEN and GRAFANA_TOKEN_FILE are both set: keep one of them.",
            "GRAFANA_ADMIN_PASSWORD and GRAFANA_ADMIN_PASSWORD_FILE are both set: keep one of them.",
        ],
    ),
    "no such file": (
        {"GRAFANA_TOKEN_FILE": "hidden"},
        ["GRAFANA_TOKEN_FILE cannot be read: No such file or directory."],
    ),
    "empty file": (
        {"GRAFANA_ADMIN_PASSWORD_FILE": "/dev/null"},
        ["GRAFANA_ADMIN_PASSWORD_FILE names a file that is empty."],
    ),
    "not text": (
        {"GRAFANA_TOKEN_FILE": sys.executable},
        ["GRAFANA_TOKEN_FILE cannot be read: not UTF-8 text."],
    ),
    "control characters": (
        {"GRAFANA_ADMIN_USER": "a:b", "GRAFANA_ADMIN_PASSWORD": "hidden\nhidden"},
        [
            "GRAFANA_ADMIN_USER has a colon or control characters, which no sign-in allows.",
            "GRAFANA_ADMIN_PASSWORD, or its file, has control characters.",
        ],
    ),
}


@pytest.mark.parametrize(("variables", "problems"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_bad_settings(variables: dict[str, str], problems: list[str]) -> None:
    """Every problem of the environment is told at once, without a value."""
    with pytest.raises(InputError) as caught:
        load_settings(variables, None)

    assert problems == list(caught.value.problems)
    assert "hidden" not in str(caught.value)


def test_settings() -> None:
    """The option goes before the variable, the token before the password; empty values count as unset."""
    assert Settings("http://localhost:3000", "admin", " x ") == load_settings(
        {"GRAFANA_URL": "", "GRAFANA_ADMIN_PASSWORD": " x ", "GRAFANA_TOKEN": ""}, None
    )
    assert Settings("https://b/grafana", None, "t") == load_settings(
        {"GRAFANA_URL": "http://a", "GRAFANA_ADMIN_PASSWORD": "x", "GRAFANA_TOKEN": "t"}, "https://b/grafana/"
    )
    assert Settings("http://localhost:3000", "root", "x") == load_settings(
        {"GRAFANA_ADMIN_USER": "root", "GRAFANA_ADMIN_PASSWORD": "x"}, None
    )


def test_file_and_settings_at_once(grafana: GrafanaDouble, tmp_path: Path) -> None:
    """Problems of the file and of the environment are told together, before anything is sent."""
    result = invoke(grafana.url, written(tmp_path, "teams: []"), "--url", "", GRAFANA_ADMIN_PASSWORD=None)

    assert (2, "") == (result.exit_code, result.stdout)
    assert [
        f"{tmp_path}/access.yaml: folders: is missing; it must be a list of folders.",
        "--url must begin with http:// or https://",
    ] == [line.removeprefix("grafana.access: ") for line in result.stderr.splitlines()]
    assert [] == grafana.asked


def test_help_names_every_variable() -> None:
    """The help names all variables."""
    text = CliRunner().invoke(main, ["--help"]).output

    assert [] == [name for name, _ in VARIABLES if f"\n    {name} " not in text]


# The program as a process.


def process(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program as people do."""
    return subprocess.run(
        [sys.executable, "-m", "grafana.access", *arguments],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_process(grafana: GrafanaDouble) -> None:
    """The program brings a fresh Grafana to the project's own rules, and then has nothing to do."""
    variables = {"GRAFANA_URL": grafana.url, "GRAFANA_ADMIN_PASSWORD": PASSWORD}

    results = [process(**variables) for _ in range(2)]

    assert [(0, ""), (0, "")] == [(result.returncode, result.stderr) for result in results]
    assert "nothing to change\n" == results[1].stdout
    assert {"GatewayZ Operators", "GatewayZ Viewers"} == set(grafana.teams)


def test_process_is_refused(grafana: GrafanaDouble) -> None:
    """A wrong password is exit code 1, and one line without it."""
    result = process("--url", grafana.url, GRAFANA_ADMIN_PASSWORD="not-that-one")

    assert (1, "", 1) == (result.returncode, result.stdout, result.stderr.count("\n"))
    assert "status 401" in result.stderr
    assert "not-that-one" not in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--fly",)], ids=["environment", "command line"])
def test_process_with_wrong_input(arguments: tuple[str, ...]) -> None:
    """Wrong settings and a wrong command line are exit code 2."""
    result = process(*arguments)

    assert (2, "") == (result.returncode, result.stdout)
    assert result.stderr


def test_process_needs_only_its_folder(tmp_path: Path) -> None:
    """The program runs where the folder `grafana` stands alone, as it does in its container."""
    (tmp_path / "grafana").symlink_to(ROOT / "grafana")

    result = subprocess.run(
        [sys.executable, "-m", "grafana.access"],
        cwd=tmp_path,
        env=environment(GRAFANA_URL="nowhere"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (2, ["GRAFANA_URL must begin with http:// or https://"]) == (
        result.returncode,
        [line.removeprefix("grafana.access: ") for line in result.stderr.splitlines()],
    )


# The project's own rules.


def rules_of_the_project() -> Rules:
    """Return what the project's file says."""
    return load_rules(DEFAULT_FILE)


def test_own_file_names_the_provisioned_folder() -> None:
    """The project's file is valid, and names the folder of the dashboards as their provisioning does."""
    provisioning = yaml.safe_load(
        (ROOT / "grafana" / "provisioning" / "dashboards" / "dashboards.yaml").read_text(encoding="utf-8")
    )
    folders = {folder.uid: folder.title for folder in rules_of_the_project().folders}

    assert [] == [
        provider["folderUid"]
        for provider in provisioning["providers"]
        if folders.get(provider["folderUid"]) != provider["folder"]
    ]


def test_own_file_lets_nobody_edit_by_role() -> None:
    """By the project's file the provisioned folder is for reading, and no role may edit anywhere."""
    allowed = {
        (folder.uid, str(subject)): permission.word
        for folder in rules_of_the_project().folders
        for subject, permission in folder.access.items()
    }

    assert {"view"} == {word for (uid, _), word in allowed.items() if uid == "gatewayz"}
    assert {("gatewayz", "role Viewer"): "view"} == {
        key: word for key, word in allowed.items() if "role" in key[1]
    }
    assert "edit" == allowed["gatewayz-drafts", "team GatewayZ Operators"]


def test_commented_examples_of_the_own_file(tmp_path: Path) -> None:
    """What the project's file shows in comments is valid as well."""
    text = DEFAULT_FILE.read_text(encoding="utf-8")

    rules = load_rules(written(tmp_path, re.sub(r"# (members:|- \{)", r"\1", text)))

    assert [("alice", "bob@example.com"), ("carol",)] == [team.members for team in rules.teams]
    assert 3 == len(rules.folders[1].access)


# The double.


def exchanges() -> Iterator[tuple[str, str, str, Any]]:
    """Yield name, method, target and content of the recorded requests of the admin, in their order."""
    for path in sorted(RECORDED.glob("*.http")):
        lines = path.read_text(encoding="utf-8").splitlines()
        (line, *content), _ = [[one[2:] for one in lines if one.startswith("# ")], ...]
        method, target = line.split()
        if path.stem not in ("29-viewer-may-not-set", "30-wrong-password"):
            yield path.stem, method, target, json.loads(content[0]) if content else None


def test_double_answers_as_recorded(grafana: GrafanaDouble) -> None:
    """The double, asked what the real one was asked in the same order, says the same."""
    answers = {
        name: requests.request(method, grafana.url + target, json=content, auth=(USER, PASSWORD), timeout=5)
        for name, method, target, content in exchanges()
    }

    assert 18 <= len(answers)
    assert {name: recorded(name) for name in answers} == {
        name: (response.status_code, response.json()) for name, response in answers.items()
    }
