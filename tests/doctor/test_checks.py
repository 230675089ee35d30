"""Tests of the checks' order and dependencies, of the program, and of docs/doctor.md."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from exporter import __version__
from exporter.doctor.checks import (
    CHECKS,
    CLOCKS_DIFFER,
    NO_CREDENTIALS,
    REMEDIES,
    WRONG_CREDENTIALS,
    WRONG_SERVER,
)
from exporter.doctor.report import MARKS, Finding, Result, State, failed, ok, summary
from exporter.doctor.targets import (
    ALERTMANAGER,
    COLLECTOR,
    CREDENTIAL_VARIABLES,
    EXPORTER,
    GRAFANA,
    JOB,
    LOKI,
    PROMETHEUS,
    SERVERS,
    TEMPO,
    Server,
)
from exporter.errors import Outcome
from tests.certificates import PASSWORD, USER, Folder, hashed
from tests.clocks import START_DATE
from tests.doctor.backends import (
    SILENCE,
    Backend,
    Response,
    exposition,
    good_answers,
    log_line,
    real_time,
    streams,
)
from tests.doctor.chain import GRAFANA_TOKEN, Chain
from tests.faults.peer import Gateway, Says
from tests.faults.peer import State as Played
from tests.process import program, run_program
from tests.replay import ReplayGateway

KEY = "test-admin-key"
PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
NEEDING: Mapping[str, set[str]] = {
    EXPORTER: {"exporter poll"},
    PROMETHEUS: {f"prometheus {name}" for name in ("target", "series", "rules", "alerting")},
    ALERTMANAGER: set(),
    COLLECTOR: set(),
    LOKI: {"loki record", "tempo trace"},
    TEMPO: {"tempo trace"},
    GRAFANA: {"grafana data sources", "grafana dashboards"},
}
"""Checks that need a server, by server."""

every_server = pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)


def test_healthy_servers(chain: Chain) -> None:
    """Every check passes, and only the check of the clocks has no URL."""
    results = chain.run()

    assert {State.OK} == {result.finding.state for result in results.values()}
    assert ["clocks"] == [name for name, result in results.items() if result.address is None]


@every_server
def test_server_that_does_not_listen(chain: Chain, server: Server) -> None:
    """The check of the server fails, those that need it are not tried, all others pass."""
    chain.backends[server.name].stop()

    needing = dict.fromkeys(NEEDING[server.name], State.NOT_TRIED)
    assert {server.name: State.FAILED, **needing} == chain.failing()


@every_server
def test_server_without_a_url(chain: Chain, server: Server) -> None:
    """All checks of the server are skipped."""
    del chain.backends[server.name]
    results = chain.run()

    own = {check.name for check in CHECKS if check.server == server.name}
    assert {f"{server.variable} is not set"} == {results[name].finding.found for name in own}
    assert {} == chain.failing()


@every_server
@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (b"\x00garbage", WRONG_SERVER),
        (Response(302), REMEDIES[Outcome.REDIRECT]),
        (Response(404), REMEDIES[Outcome.CLIENT_ERROR]),
        (Response(429), REMEDIES[Outcome.RATE_LIMITED]),
        (Response(500), REMEDIES[Outcome.SERVER_ERROR]),
        (Response(401), WRONG_CREDENTIALS),
    ],
    ids=["garbage", "redirect", "missing", "limited", "failing", "refusing"],
)
def test_failing_server(chain: Chain, server: Server, answer: Any, remedy: str) -> None:
    """The finding has the URL of the server, and the remedy fits the failure."""
    answers = chain.answers(server.name)
    answers.update(dict.fromkeys(answers, answer))
    finding = chain.finding(server.name)

    remedy = NO_CREDENTIALS if remedy == WRONG_CREDENTIALS and not server.credentials else remedy
    # Any text is a valid exposition.
    if (server.name, remedy) != (EXPORTER, WRONG_SERVER):
        assert finding.found.startswith(f"{chain.backends[server.name].url}: ")
        names = {"name": server.title, "variable": server.variable, "credentials": server.credentials}
        assert remedy.format(**names) == finding.remedy
    assert {server.name, *NEEDING[server.name]} == set(chain.failing())


def test_needs_are_earlier_checks() -> None:
    """A check needs earlier checks only, and names are unique."""
    names = [check.name for check in CHECKS]

    assert len(set(names)) == len(names)
    assert [] == [check.name for n, check in enumerate(CHECKS) if not set(check.needs) <= set(names[:n])]


def test_masked_secrets(chain: Chain) -> None:
    """Secrets that a server returns are masked, before the text is truncated."""
    chain.environ["ADMIN_KEY"] = KEY

    def echo(asked: Any) -> Any:
        return {"status": "success", "data": {"version": f"{asked.authorization} {KEY}"}}

    chain.answers(PROMETHEUS)["/api/v1/status/buildinfo"] = echo
    chain.answers(GRAFANA)["/api/health"] = {"database": "ok", "version": "x" * 282 + GRAFANA_TOKEN}
    chain.answers(EXPORTER)["/metrics"] = lambda asked: exposition(START_DATE).replace(
        b'version="', f'version="{asked.authorization} '.encode()
    )

    assert [
        f"version Basic ******** {__version__}, started 3 h ago",
        "version None ********",
        "version " + "x" * 282 + "********",
    ] == chain.found("exporter", "prometheus", "grafana")


def test_clocks_that_agree(chain: Chain) -> None:
    """Differences of up to 30 seconds pass."""
    chain.backends[LOKI].ahead = 29.0

    assert ok("7 agree") == chain.finding("clocks")


def test_clocks_that_differ(chain: Chain) -> None:
    """The finding has each server whose clock differs from the exporter's, and by how much."""
    for backend in chain.backends.values():
        backend.ahead = 1000.0
    chain.answers(EXPORTER)["/metrics"] = exposition(START_DATE + 1000)
    chain.backends[ALERTMANAGER].ahead = 900.0

    assert failed("differ from the exporter: alertmanager -100 s", CLOCKS_DIFFER) == chain.finding("clocks")


def test_clocks_without_exporter(chain: Chain) -> None:
    """Without the exporter, clocks are compared with this machine's; without servers, nothing is."""
    del chain.backends[EXPORTER]
    chain.backends[ALERTMANAGER].ahead = 900.0
    assert failed("differ from this machine: alertmanager +900 s", CLOCKS_DIFFER) == chain.finding("clocks")

    chain.backends.clear()
    assert State.SKIPPED is chain.finding("clocks").state


def test_silent_server(chain: Chain) -> None:
    """A server that never answers fails after 5 seconds."""
    chain.clock.patience = 0.3
    chain.answers(LOKI)["/ready"] = SILENCE

    assert [f"{chain.backends[LOKI].url}: no complete response within 5 s"] == chain.found("loki")
    assert 5 == chain.clock.now


@pytest.fixture
def backends() -> Iterator[dict[str, Backend]]:
    """All servers except the exporter, by the time of the machine."""
    with ExitStack() as stack:
        answers = good_answers(real_time)
        del answers[EXPORTER]
        answers[LOKI]["/loki/api/v1/query_range"] = lambda _: streams(log_line(time.time()))
        yield {name: stack.enter_context(Backend(paths, real_time)) for name, paths in answers.items()}


def test_program(gateway: ReplayGateway, backends: dict[str, Backend]) -> None:
    """With a running exporter and all servers, every check passes, on one screen and as JSON."""
    settings = {"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": KEY, "METRICS_HOST": "127.0.0.1"}
    urls = {server.variable: backends[server.name].url for server in SERVERS if server.name in backends}
    with program(METRICS_PORT="0", **settings) as one:
        port = str(one.record("Listening")["port"])
        one.record("Updated provider metrics")
        variables = {**settings, **urls, "METRICS_PORT": port, "GRAFANA_TOKEN": GRAFANA_TOKEN}
        result = run_program("doctor", **variables)
        as_json = run_program("doctor", "--json", **variables)

    lines = result.stdout.splitlines()
    assert (0, "") == (result.returncode, result.stderr)
    assert f"{len(CHECKS) - 1} checks passed, 1 skipped." == lines[-1]
    assert [check.name for check in CHECKS] == [line[11:34].rstrip() for line in lines[: len(CHECKS)]]
    assert len(lines) <= 25
    version = re.escape(__version__)
    assert re.search(rf"^ok +exporter +version {version}, started \d+ s ago$", result.stdout, re.M)
    assert re.search(
        r"^ok +exporter poll +last successful poll \d+ s ago, 40 providers$", result.stdout, re.M
    )
    document = json.loads(as_json.stdout)
    assert (0, True) == (as_json.returncode, document["ok"])
    assert [check.name for check in CHECKS] == [one["check"] for one in document["checks"]]


def test_program_without_settings() -> None:
    """Without settings and URLs the program fails with exit code 1, and without a traceback."""
    result = run_program("doctor", METRICS_PORT="9")

    assert (1, "") == (result.returncode, result.stderr)
    assert "2 checks failed, 15 skipped. Start with settings." == result.stdout.splitlines()[-1]


@pytest.mark.parametrize("head", [b"no header at all", b"content-length: -1", b"transfer-encoding: what"])
def test_malformed_responses(head: bytes) -> None:
    """No library writes to standard error."""
    response = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nx"
    with Gateway() as peer:
        peer.become(Played({"/metrics": Says(response, stays=False)}))
        result = run_program("doctor", "--exporter-url", f"http://{peer.address}")

    assert (1, "") == (result.returncode, result.stderr)
    assert "FAILED     exporter " in result.stdout


def test_wrong_usage() -> None:
    """Invalid URLs and credentials are exit code 2, and messages without secrets."""
    secret = "very-secret-word"
    result = run_program(
        "doctor", "--loki-url", f"http://me:{secret}@loki", GRAFANA_URL="x", EXPORTER_PASSWORD=secret
    )

    assert (2, "", 3) == (result.returncode, result.stdout, len(result.stderr.splitlines()))
    assert secret not in result.stderr
    assert 2 == run_program("doctor", "--tempo").returncode


def test_protected_exporter(gateway: ReplayGateway, tmp_path: Path) -> None:
    """An exporter with TLS and a password needs its CA and EXPORTER_PASSWORD."""
    folder = Folder(tmp_path)
    web = folder.write(tls={}, basic_auth_users={USER: hashed()})
    settings = {"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": KEY, "METRICS_HOST": "127.0.0.1"}
    settings["WEB_CONFIG_FILE"] = str(web)
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    with program(METRICS_PORT="0", **settings) as one:
        settings["METRICS_PORT"] = str(one.record("Listening")["port"])
        one.record("Updated provider metrics")
        no_authority = run_program("doctor", **settings)
        settings |= {"REQUESTS_CA_BUNDLE": str(folder.ca_path), "EXPORTER_USER": USER}
        good = run_program("doctor", EXPORTER_PASSWORD_FILE=str(password), **settings)
        wrong = run_program("doctor", EXPORTER_PASSWORD="wrong-password", **settings)

    assert (0, 1, 1) == (good.returncode, wrong.returncode, no_authority.returncode)
    assert "HTTP status 401" in wrong.stdout
    assert "EXPORTER_PASSWORD" in wrong.stdout
    assert "wrong-password" not in wrong.stdout + wrong.stderr
    assert "REQUESTS_CA_BUNDLE" in no_authority.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_signal(gateway: ReplayGateway, number: signal.Signals) -> None:
    """A diagnosis that a signal ends does not exit with 0."""
    gateway.silent = True
    with program("doctor", GATEWAY_API_URL=gateway.url, ADMIN_KEY=KEY) as running:
        assert gateway.reached.wait(20)
        code, _ = running.end(number)

    assert 0 != code


def row(*cells: str) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def test_tables_of_the_page() -> None:
    """docs/doctor.md has every URL, credential, state and check, and no other."""
    urls = [
        row(f"`{s.flag}`", f"`{s.variable}`", f"`{s.default}`" if s.default else "", s.meaning)
        for s in SERVERS
    ]
    assert urls == re.findall(r"^\| `--[a-z]+-url` .*", PAGE, re.M)
    assert [*(server.variable for server in SERVERS), JOB] == re.findall(
        r"^\| `--[a-z-]+` \| `(\w+)`", PAGE, re.M
    )
    assert [row(f"`{name}`", meaning) for name, meaning in CREDENTIAL_VARIABLES] == re.findall(
        r"^\| `(?:EXPORTER|GRAFANA)_.*", PAGE, re.M
    )
    assert [(f"`{MARKS[state]}`", f"`{state}`") for state in State] == re.findall(
        r"^\| (`[^`]+`) \| (`[^`]+`) \| [A-Z]", PAGE, re.M
    )
    table = PAGE.split("## What it checks")[1].split("\n\n")[1]
    names = re.findall(r"`([^`/]+)`", "".join(line.split("|")[1] for line in table.splitlines()))
    assert [check.name.removeprefix("gateway ") for check in CHECKS] == [
        name.removeprefix("gateway ") for name in names
    ]


def test_examples_of_the_page() -> None:
    """The two examples have every check in order, and their summary."""
    for example in re.findall(r"^```text\n((?:ok|FAILED).*?)^```", PAGE, re.M | re.S):
        lines = [line for line in example.splitlines() if line and not line.startswith(" ")]
        states = {line[11:34].rstrip(): line[:11].rstrip() for line in lines[:-1]}
        assert [check.name for check in CHECKS] == list(states)
        by_mark = {mark: state for state, mark in MARKS.items()}
        results = [Result(name, None, Finding(by_mark[mark], "")) for name, mark in states.items()]
        assert summary(results) == lines[-1]


def test_imports_of_other_commands() -> None:
    """Other commands do not import the modules of `doctor`, except for its flags."""
    code = (
        "import sys, exporter.cli, exporter.app; "
        "print(sorted(n for n in sys.modules if n.startswith(('exporter.doctor.', 'exporter.check'))))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "['exporter.doctor.targets']\n" == result.stdout
