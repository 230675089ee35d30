"""Tests of the checks' order and dependencies, of the program, and of docs/doctor.md."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from exporter import __version__
from exporter.config.settings import load_settings
from exporter.doctor import checks, targets
from exporter.doctor.checks import CHECKS, REMEDIES
from exporter.doctor.report import MARKS, Finding, Result, State, end_as_text, failed, not_set, ok
from exporter.doctor.targets import ALERTMANAGER, EXPORTER, GRAFANA, LOKI, PROMETHEUS, SERVERS, Server
from exporter.errors import Outcome
from exporter.files.secret import Secret
from exporter.transport.auth import Credentials, authorization
from tests.certificates import PASSWORD, USER, Folder, hashed
from tests.clocks import START_DATE
from tests.doctor import backends
from tests.doctor.backends import RANGE, SILENCE, TRACE, Backend, Response, exposition
from tests.doctor.chain import GRAFANA_TOKEN, Chain, failing
from tests.faults.certificates import Tls, server_contexts, write_authority
from tests.faults.peer import Gateway, Says
from tests.faults.peer import State as Played
from tests.process import invoke, program, run_program
from tests.replay import KEY, ReplayGateway

LOKI_HEALTH = backends.SOURCE_HEALTH.format("loki")
PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")


def needing(server: Server) -> set[str]:
    """Return the checks that need a server; Tempo is asked for the trace of a record in Loki."""
    own = {check.name for check in CHECKS if check.name.startswith(f"{server.name} ")}
    return own | ({"tempo trace"} if server.name == LOKI else set())


FILES = {"web configuration": "WEB_CONFIG_FILE", "custom metrics": "CUSTOM_METRICS_FILE"}
"""Checks of files, and their variables."""
UNSET = "skipped    {:<24}not set: {}"
"""The line for all checks that are skipped for want of a variable."""
HEALTHY = {
    "exporter": f"version {__version__}, started 3 h ago",
    "exporter poll": "last successful poll 12 s ago, 40 providers",
    "prometheus": "version 3.16.0",
    "prometheus target": "exporter:8001: up, scraped every 1m",
    "prometheus series": "556, scraped 31 s ago",
    "prometheus rules": "2 alerts, 1 recording rule, 1 firing",
    "prometheus alerting": "to http://am:9093/api/v2/alerts",
    "alertmanager": "version 0.31.1",
    "collector": "Server available",
    "loki": "ready",
    "loki record": f"11 s old, trace_id {backends.TRACE_ID}",
    "tempo": "ready",
    "tempo trace": f"3 spans in {backends.TRACE_ID}",
    "grafana": "version 13.2.0",
    "grafana data sources": "Prometheus, Loki, Tempo",
    "grafana dashboards": "all 3",
    "clocks": "7 agree",
}


def test_healthy_servers(chain: Chain) -> None:
    """Every check passes at once, and only the check of the clocks has no URL."""
    results = chain.run()

    assert {name: ok(found) for name, found in HEALTHY.items()} == {
        name: result.finding for name, result in results.items()
    }
    assert ["clocks"] == [name for name, result in results.items() if result.address is None]
    assert {f"Bearer {GRAFANA_TOKEN}"} == {asked.authorization for asked in chain.backends[GRAFANA].asked}
    assert 0 == chain.clock.now


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_server_without_a_url(chain: Chain, server: Server) -> None:
    """All checks of the server are skipped."""
    del chain.backends[server.name]
    results = chain.run()

    own = {check.name for check in CHECKS if check.server == server.name}
    assert {f"{server.variable} is not set"} == {results[name].finding.found for name in own}
    assert {} == failing(results)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (None, REMEDIES[Outcome.CONNECT]),
        (b"\x00garbage", checks.WRONG_SERVER),
        (Response(302), REMEDIES[Outcome.REDIRECT]),
        (Response(404), REMEDIES[Outcome.CLIENT_ERROR]),
        (Response(429), REMEDIES[Outcome.RATE_LIMITED]),
        (Response(500), REMEDIES[Outcome.SERVER_ERROR]),
        (Response(401), checks.WRONG_CREDENTIALS),
        (Response(403), checks.WRONG_CREDENTIALS),
    ],
    ids=["closed", "garbage", "redirect", "missing", "limited", "failing", "unauthorized", "forbidden"],
)
def test_failing_server(chain: Chain, server: Server, answer: Any, remedy: str) -> None:
    """The check of the server fails, with its URL and a remedy; those that need it are not tried."""
    answers = chain.answers(server.name)
    answers.update(dict.fromkeys(answers, answer))
    if answer is None:
        chain.backends[server.name].stop()
    results = chain.run()
    finding = results[server.name].finding

    if remedy == checks.WRONG_CREDENTIALS and not server.credentials:
        remedy = checks.NO_CREDENTIALS
    # Any text is a valid exposition.
    if (server.name, remedy) != (EXPORTER, checks.WRONG_SERVER):
        assert finding.found.startswith(f"{chain.backends[server.name].url}: ")
        names = {"name": server.title, "variable": server.variable, "credentials": server.credentials}
        assert remedy.format(authorities="", **names) == finding.remedy
    not_tried = dict.fromkeys(needing(server), State.NOT_TRIED)
    assert {server.name: State.FAILED, **not_tried} == failing(results)


@pytest.mark.parametrize(
    ("check", "path", "answer", "found"),
    [
        ("prometheus series", "/api/v1/query", backends.values(age="x"), "{}: a value that is not a number"),
        ("alertmanager", "/api/v2/status", {"versionInfo": {"version": ""}}, "version unknown"),
        ("alertmanager", "/api/v2/status", {"versionInfo": {"version": None}}, "{}: JSON of another shape"),
        ("loki record", RANGE, Response(500), "{}: HTTP status 500"),
        ("tempo trace", TRACE, Response(500), "{}: HTTP status 500"),
        ("tempo trace", TRACE, b"\x0a\x01", "{}: not JSON"),
        ("grafana data sources", "/api/datasources", Response(403), "{}: HTTP status 403"),
        ("grafana data sources", LOKI_HEALTH, Response(401), "{}: HTTP status 401"),
        ("loki", "/ready", SILENCE, "{}: no complete response within 5 s"),
    ],
)
def test_unexpected_answer(chain: Chain, check: str, path: str, answer: Any, found: str) -> None:
    """An answer without the expected data fails at once, no answer after 5 s; a version may be empty."""
    server, chain.clock.patience = check.split()[0], 0.3
    chain.answers(server)[path] = answer

    assert [found.format(chain.backends[server].url)] == chain.found(check)
    assert (5 if answer is SILENCE else 0) == chain.clock.now


def test_masked_secrets(chain: Chain) -> None:
    """Secrets that a server returns are masked, before the text is truncated."""
    chain.environ["ADMIN_KEY"] = KEY
    chain.answers(PROMETHEUS)["/api/v1/status/buildinfo"] = lambda asked: {
        "data": {"version": f"{asked.authorization} {KEY}"}
    }
    chain.answers(GRAFANA)["/api/health"] = {"database": "ok", "version": "x" * 282 + GRAFANA_TOKEN}
    chain.answers(EXPORTER)["/metrics"] = lambda asked: exposition(START_DATE).replace(
        b'version="', f'version="{asked.authorization} '.encode()
    )

    assert [
        f"version Basic ******** {__version__}, started 3 h ago",
        "version None ********",
        "version " + "x" * 282 + "********",
    ] == chain.found("exporter", "prometheus", "grafana")


def test_masked_key_of_a_file(chain: Chain, tmp_path: Path) -> None:
    """The key of a file is masked, even if only the settings of the poll are valid."""
    (tmp_path / "key").write_text(KEY, encoding="utf-8")
    gateway = {"GATEWAY_API_URL": "https://api.example.com", "ADMIN_KEY_FILE": str(tmp_path / "key")}
    chain.answers(PROMETHEUS)["/api/v1/status/buildinfo"] = {"data": {"version": KEY}}

    assert "version ********" == chain.finding("prometheus", gateway=load_settings(gateway)).found


def test_clocks(chain: Chain) -> None:
    """Differences of more than 30 seconds from the exporter's clock fail, with the server and the seconds."""
    for backend in chain.backends.values():
        backend.ahead = 1000.0
    chain.answers(EXPORTER)["/metrics"] = exposition(START_DATE + 1000)
    chain.backends[LOKI].ahead, chain.backends[ALERTMANAGER].ahead = 1029.0, 900.0
    expected = failed("differ from the exporter: alertmanager -100 s", checks.CLOCKS_DIFFER)
    assert expected == chain.finding("clocks")


def test_clocks_without_exporter(chain: Chain) -> None:
    """Without the exporter, clocks are compared with this machine's; without servers, nothing is."""
    del chain.backends[EXPORTER]
    chain.backends[ALERTMANAGER].ahead = 900.0
    expected = failed("differ from this machine: alertmanager +900 s", checks.CLOCKS_DIFFER)
    assert expected == chain.finding("clocks")

    chain.backends.clear()
    assert State.SKIPPED is chain.finding("clocks").state


def test_program(gateway: ReplayGateway) -> None:
    """With a running exporter and all servers, every check passes, on one screen and as JSON."""
    gateway.check_health()
    answers = backends.good_answers(time.time)
    del answers[EXPORTER]
    answers[LOKI][RANGE] = lambda _: backends.streams(backends.log_line(time.time()))
    with (
        backends.serving(answers, time.time) as servers,
        program(**gateway.variables()) as running,
    ):
        port = running.record("Listening")["port"]
        running.record("Updated provider metrics")
        variables = gateway.variables(METRICS_PORT=str(port), GRAFANA_TOKEN=GRAFANA_TOKEN)
        variables |= {server.variable: servers[server.name].url for server in SERVERS[1:]}
        result = run_program("doctor", **variables)
        as_json = run_program("doctor", "--json", **variables)

    lines = result.stdout.splitlines()
    assert (0, "") == (result.returncode, result.stderr)
    *shown, unset, empty, end = lines
    assert f"{len(CHECKS) - 3} checks passed, 3 skipped." == end
    assert (UNSET.format("2 checks", "WEB_CONFIG_FILE, CUSTOM_METRICS_FILE"), "") == (unset, empty)
    assert [check.name for check in CHECKS if check.name not in FILES] == [
        line[11:34].rstrip() for line in shown
    ]
    assert len(lines) <= 27
    text = re.sub(r" \d+ s ago", " N s ago", result.stdout)
    assert f"ok         exporter                version {__version__}, started N s ago\n" in text
    assert "ok         exporter poll           last successful poll N s ago, 40 providers\n" in text
    document = json.loads(as_json.stdout)
    assert (0, True) == (as_json.returncode, document["ok"])
    assert [check.name for check in CHECKS] == [one["check"] for one in document["checks"]]


def test_program_without_settings() -> None:
    """Without settings and URLs the program fails with exit code 1, and without a traceback."""
    result = run_program("doctor", METRICS_PORT="9")

    assert (1, "") == (result.returncode, result.stderr)
    lines = result.stdout.splitlines()
    assert "2 checks failed, 17 skipped. Start with settings." == lines[-1]
    assert UNSET.format("16 checks", "WEB_CONFIG_FILE, CUSTOM_METRICS_FILE, PROMETHEUS_URL,") == lines[-4]


@pytest.mark.parametrize("head", [b"no header at all", b"content-length: -1", b"transfer-encoding: what"])
def test_malformed_responses(peer: Gateway, head: bytes) -> None:
    """No library writes to standard error."""
    response = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nx"
    peer.become(Played({"/metrics": Says(response, stays=False)}))
    result = run_program("doctor", "--exporter-url", f"http://{peer.address}")

    assert (1, "") == (result.returncode, result.stderr)
    assert "FAILED     exporter " in result.stdout


def test_wrong_usage() -> None:
    """Invalid URLs and credentials are exit code 2, and messages without secrets."""
    flags = ("--loki-url", "http://me:sesame@loki")
    result = invoke("doctor", *flags, GRAFANA_URL="x", EXPORTER_PASSWORD="sesame")

    assert (2, "", 3) == (result.exit_code, result.stdout, len(result.stderr.splitlines()))
    assert "sesame" not in result.stderr
    assert 2 == invoke("doctor", "--tempo").exit_code


def test_tenants_and_credentials(chain: Chain) -> None:
    """Requests have the tenant and the credentials of their server, and no others."""
    for name in (PROMETHEUS, LOKI):
        chain.credentials[name] = Credentials("me", Secret(f"{name}-password"))
        chain.headers[name] = {"X-Scope-OrgID": f"{name}-team"}
    chain.credentials[ALERTMANAGER] = Credentials(None, Secret("alertmanager-token"))

    assert {} == failing(chain.run())
    sent = {
        name: {(one.headers.get("X-Scope-OrgID"), one.authorization) for one in backend.asked}
        for name, backend in chain.backends.items()
    }
    own: dict[str, tuple[str | None, ...]]
    own = {name: (f"{name}-team", authorization(chain.credentials[name])) for name in (PROMETHEUS, LOKI)}
    others = (ALERTMANAGER, EXPORTER, GRAFANA)
    own |= {name: (None, authorization(chain.credentials[name])) for name in others}
    assert {name: {own.get(name, (None, None))} for name in chain.backends} == sent


def test_server_with_tls_and_tenant(tmp_path: Path) -> None:
    """The bundle of the gateway's authority is that of all servers; a password is in no output."""
    answers = {
        "/ready": lambda asked: b"ready" if asked.headers.get("X-Scope-OrgID") == "team" else Response(401)
    }
    bundle = write_authority(tmp_path / "ca.pem")
    with Backend(answers, tls=server_contexts()[Tls.GOOD]) as loki:
        variables = {"LOKI_URL": loki.url, "LOKI_TENANT": "team", "LOKI_PASSWORD": "very-secret-word"}
        untrusted = run_program("doctor", **variables)
        good = run_program("doctor", REQUESTS_CA_BUNDLE=str(bundle), **variables)
        no_tenant = run_program("doctor", REQUESTS_CA_BUNDLE=str(bundle), LOKI_URL=loki.url)

    assert "ok         loki                    ready\n" in good.stdout
    assert {"Bearer very-secret-word", None} == {asked.authorization for asked in loki.asked}
    assert "private CA goes into REQUESTS_CA_BUNDLE" in " ".join(untrusted.stdout.replace(">", "").split())
    assert "LOKI_TENANT" in no_tenant.stdout
    assert "sesame" not in good.stdout + good.stderr + untrusted.stdout + untrusted.stderr


def test_refused_password_of_grafana(chain: Chain) -> None:
    """The remedy says which password is valid, and the command for another; a token has another remedy."""
    chain.answers(GRAFANA)["/api/datasources"] = Response(401)
    by_token = chain.finding("grafana data sources")
    chain.credentials[GRAFANA] = Credentials("admin", Secret("of-another-start"))
    by_password = chain.finding("grafana data sources")

    command = "$ docker compose exec grafana grafana cli admin reset-admin-password --password-from-stdin"
    assert (State.FAILED, command) == (by_password.state, by_password.remedy.splitlines()[-1])
    assert "first start only" in by_password.remedy
    assert "GRAFANA_TOKEN" in by_token.remedy


@pytest.mark.parametrize(("check", "variable"), FILES.items())
@pytest.mark.parametrize("content", ["[", None], ids=["invalid", "missing"])
def test_broken_file(
    gateway: ReplayGateway, tmp_path: Path, check: str, variable: str, content: str | None
) -> None:
    """A file that is invalid or missing fails its own check, and stops no other one."""
    gateway.check_health()
    file = tmp_path / "file.yml"
    if content:
        file.write_text(content, encoding="utf-8")
    result = run_program("doctor", "--json", **gateway.variables(**{variable: str(file)}))
    checks = {one["check"]: one for one in json.loads(result.stdout)["checks"]}

    assert {check: "failed"} == {
        name: one["state"] for name, one in checks.items() if one["state"] not in ("ok", "skipped")
    }
    assert checks[check]["remedy"].startswith(f"{variable}: ")
    assert "ok" == checks["gateway answers"]["state"]


def test_protected_exporter(gateway: ReplayGateway, tmp_path: Path) -> None:
    """An exporter with TLS and a password needs its CA and EXPORTER_PASSWORD."""
    gateway.check_health()
    folder, password = Folder(tmp_path), tmp_path / "password"
    web = folder.write(tls={}, basic_auth_users={USER: hashed()})
    password.write_text(f"{PASSWORD}\n")
    variables = gateway.variables(WEB_CONFIG_FILE=str(web))
    with program(**variables) as running:
        variables["METRICS_PORT"] = str(running.record("Listening")["port"])
        running.record("Updated provider metrics")
        no_authority = run_program("doctor", **variables)
        variables |= {"REQUESTS_CA_BUNDLE": str(folder.ca_path), "EXPORTER_USER": USER}
        good = run_program("doctor", EXPORTER_PASSWORD_FILE=str(password), **variables)
        wrong = run_program("doctor", EXPORTER_PASSWORD="wrong-password", **variables)

    assert (0, 1, 1) == (good.returncode, wrong.returncode, no_authority.returncode)
    assert "HTTP status 401" in wrong.stdout
    assert "EXPORTER_PASSWORD" in wrong.stdout
    assert "wrong-password" not in wrong.stdout + wrong.stderr
    assert "REQUESTS_CA_BUNDLE" in no_authority.stdout


def test_tables_of_the_page() -> None:
    """docs/doctor.md has every URL, credential, state and check, and no other."""

    def rows(pattern: str) -> list[Any]:
        return re.findall(pattern, PAGE, re.M)

    urls = [
        f"| `{s.flag}` | `{s.variable}` | {s.default and f'`{s.default}`'} | {s.meaning} |" for s in SERVERS
    ]
    assert urls == rows(r"^\| `--[a-z]+-url` .*")
    assert [*(server.variable for server in SERVERS), targets.JOB] == rows(r"^\| `--[a-z-]+` \| `(\w+)`")
    credentials = [f"| `{name}` | {meaning} |" for name, meaning in targets.CREDENTIAL_VARIABLES]
    assert credentials == rows(r"^\| `(?:SERVER|EXPORTER|GRAFANA)_.*")
    for server in targets.WITH_ACCESS:
        assert f"`{server.prefix}`" in PAGE
    states = [(f"`{MARKS[state]}`", f"`{state}`") for state in State]
    assert states == rows(r"^\| (`[^`]+`) \| (`[^`]+`) \| [A-Z]")
    table = PAGE.split("## What it checks")[1].split("\n\n")[1]
    names = re.findall(r"`([^`/]+)`", "".join(line.split("|")[1] for line in table.splitlines()))
    assert [check.name.removeprefix("gateway ") for check in CHECKS] == [
        name.removeprefix("gateway ") for name in names
    ]


def test_examples_of_the_page() -> None:
    """The two examples have every check in order but those of files that are not set, and their end."""
    by_mark = {mark: state for state, mark in MARKS.items()}
    unset = {name: not_set(variable) for name, variable in FILES.items()}
    examples = re.findall(r"^```text\n((?:ok|FAILED).*?)^```", PAGE, re.M | re.S)
    for example in examples:
        lines = [line for line in example.splitlines() if line and not line.startswith(" ")]
        states = {line[11:34].rstrip(): line[:11].rstrip() for line in lines[:-2]}
        assert [check.name for check in CHECKS if check.name not in unset] == list(states)
        findings = {**unset, **{name: Finding(by_mark[mark], "") for name, mark in states.items()}}
        results = [Result(name, None, finding) for name, finding in findings.items()]
        assert example.endswith(f"\n{end_as_text(results)}\n")
    assert 2 == len(examples)
