"""`doctor` walks the chain: it names what is broken, and only what follows from it."""

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
    NOT_ASKED,
    REFUSED,
    REMEDIES,
    WRONG_SERVER,
    Check,
    walk,
)
from exporter.doctor.context import Case
from exporter.doctor.report import MARKS, Finding, State, ok
from exporter.doctor.targets import (
    ALERTMANAGER,
    COLLECTOR,
    CREDENTIALS,
    EXPORTER,
    GRAFANA,
    JOB,
    LOKI,
    PROMETHEUS,
    STAGES,
    TEMPO,
    Addresses,
    Stage,
)
from exporter.errors import Outcome
from tests.certificates import PASSWORD, USER, Folder, hashed
from tests.clocks import START_DATE, MovedClock
from tests.doctor.backends import Backend, Refusal, exposition, good_answers, log_line, real_time, streams
from tests.doctor.walks import GRAFANA_TOKEN, Chain, chain, nobody_polls, sick
from tests.faults.peer import Gateway, Says
from tests.faults.peer import State as Played
from tests.process import invoke, program, run_program
from tests.replay import ReplayGateway

KEY = "test-admin-key"
PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
BEHIND: Mapping[str, set[str]] = {
    EXPORTER: {"exporter", "exporter poll"},
    PROMETHEUS: {"prometheus", *(f"prometheus {name}" for name in ("target", "series", "rules", "alerting"))},
    ALERTMANAGER: {"alertmanager"},
    COLLECTOR: {"collector"},
    LOKI: {"loki", "loki record", "tempo trace"},
    TEMPO: {"tempo", "tempo trace"},
    GRAFANA: {"grafana", "grafana data sources", "grafana dashboards"},
}
"""What cannot be well when a server is gone."""
ALL_STAGES = [stage.name for stage in STAGES]


@pytest.fixture
def good() -> Iterator[Chain]:
    """A chain that is well."""
    with chain() as running:
        yield running


def test_all_well(good: Chain) -> None:
    """Every check of a chain that is well says so."""
    results = good.walk()

    assert {State.OK} == {result.finding.state for result in results.values()}
    assert {"clocks": None} == {name: None for name, result in results.items() if result.address is None}


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_server_that_is_gone(good: Chain, stage: str) -> None:
    """A server that is gone is named; what needs it is not tried, and everything else is well."""
    good.backends[stage].__exit__(None, None, None)

    assert {stage: State.FAILED, **dict.fromkeys(BEHIND[stage] - {stage}, State.NOT_TRIED)} == good.sick()


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_server_without_an_address(good: Chain, stage: str) -> None:
    """A server without an address is skipped with all that asks it, and nothing is sick for that."""
    del good.backends[stage]
    results = good.walk()
    (variable,) = [one.variable for one in STAGES if one.name == stage]

    asked = {check.name for check in CHECKS if check.stage == stage}
    assert {f"{variable} is not set"} == {results[name].finding.found for name in asked}
    assert {} == sick(results)


@pytest.mark.parametrize("stage", ALL_STAGES)
@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (b"\x00garbage", WRONG_SERVER),
        (Refusal(302), REMEDIES[Outcome.REDIRECT]),
        (Refusal(404), REMEDIES[Outcome.CLIENT_ERROR]),
        (Refusal(429), REMEDIES[Outcome.RATE_LIMITED]),
        (Refusal(500), REMEDIES[Outcome.SERVER_ERROR]),
        (Refusal(401), REFUSED),
    ],
    ids=["garbage", "redirect", "missing", "limited", "failing", "refusing"],
)
def test_server_that_answers_badly(good: Chain, stage: str, answer: Any, remedy: str) -> None:
    """Whatever a server answers is one clear line, with what to do about it."""
    answers = good.answers(stage)
    answers.update(dict.fromkeys(answers, answer))
    results = good.walk()
    result = results[stage]
    (row,) = [one for one in STAGES if one.name == stage]

    expected = NOT_ASKED if remedy == REFUSED and not row.credentials else remedy
    if (stage, remedy) != (EXPORTER, WRONG_SERVER):
        assert result.finding.found.startswith(f"{good.backends[stage].url}: ")
        assert (
            expected.format(name=row.title, variable=row.variable, credentials=row.credentials)
            == result.finding.remedy
        )
    assert State.FAILED is result.finding.state
    assert BEHIND[stage] == set(sick(results))


def test_every_outcome_has_a_remedy() -> None:
    """Whatever a question can end with is answered by words of its own or by those for a wrong server."""
    rest = set(Outcome) - set(REMEDIES)

    assert {
        Outcome.OK,
        Outcome.EMPTY,
        Outcome.UNAUTHORIZED,
        Outcome.FORBIDDEN,
        Outcome.TOO_LARGE,
        Outcome.NOT_JSON,
        Outcome.WRONG_SHAPE,
    } == rest


def test_needs_are_checks_before() -> None:
    """What a check needs is the name of one before it."""
    seen: set[str] = set()
    for check in CHECKS:
        assert set(check.needs) <= seen
        seen.add(check.name)
    assert len(CHECKS) == len(seen)


def test_secrets_are_masked(good: Chain) -> None:
    """Servers that send back what they were told do not get it shown."""
    good.environ["ADMIN_KEY"] = KEY

    def echo(asked: Any) -> Any:
        return {"status": "success", "data": {"version": f"{asked.authorization} {KEY}"}}

    good.answers(PROMETHEUS)["/api/v1/status/buildinfo"] = echo
    good.answers(GRAFANA)["/api/health"] = lambda asked: {"database": "ok", "version": asked.authorization}
    good.answers(EXPORTER)["/metrics"] = lambda asked: exposition(START_DATE).replace(
        b'version="', f'version="{asked.authorization} '.encode()
    )
    results = good.walk()

    assert [
        f"version Basic ******** {__version__}, started 3 h ago",
        "version None ********",
        "version Bearer ********",
    ] == [results[name].finding.found for name in ("exporter", "prometheus", "grafana")]


def test_secret_at_the_cut(good: Chain) -> None:
    """Of a secret that stands where a long text is cut, no part is left."""
    good.answers(GRAFANA)["/api/health"] = {"database": "ok", "version": "x" * 282 + GRAFANA_TOKEN}

    assert "version " + "x" * 282 + "********" == good.told("grafana")[1]


def test_clocks_agree(good: Chain) -> None:
    """Clocks that differ by the seconds of a slow network agree."""
    good.backends[LOKI].ahead = 29.0

    assert (State.OK, "7 agree") == good.told("clocks")


def test_clock_that_is_wrong(good: Chain) -> None:
    """A server whose clock is apart from the exporter's is named, with direction and seconds."""
    for backend in good.backends.values():
        backend.ahead = 1000.0
    good.answers(EXPORTER)["/metrics"] = exposition(START_DATE + 1000)
    good.backends[ALERTMANAGER].ahead = 900.0
    finding = good.walk()["clocks"].finding

    assert (State.FAILED, "apart from the exporter: alertmanager -100 s", CLOCKS_DIFFER) == (
        finding.state,
        finding.found,
        finding.remedy,
    )


def test_clocks_without_exporter(good: Chain) -> None:
    """Without the exporter this machine's clock is the measure; without anybody there is none."""
    del good.backends[EXPORTER]
    good.backends[ALERTMANAGER].ahead = 900.0
    assert (State.FAILED, "apart from this machine: alertmanager +900 s") == good.told("clocks")

    good.backends.clear()
    assert State.SKIPPED is good.told("clocks")[0]


def test_whole_walk_is_bounded() -> None:
    """When all together takes too long, the rest is not tried."""
    clock = MovedClock()

    def slow(case: Case) -> Finding:
        clock.sleep(70)
        return ok("slow")

    results = list(walk(Case({}, Addresses(), clock, nobody_polls), [Check(n, slow) for n in "abc"]))

    assert [State.OK, State.OK, State.NOT_TRIED] == [result.finding.state for result in results]
    assert "120 s have passed" == results[-1].finding.found


def test_silent_server_is_bounded(good: Chain) -> None:
    """A server that never answers costs its few seconds, and is named."""
    release = [False]

    def wait(_: object) -> bytes:
        while not release[0]:
            time.sleep(0.05)
        return b""

    good.clock.patience = 0.3
    good.answers(LOKI)["/ready"] = wait
    try:
        state, found = good.told("loki")
    finally:
        release[0] = True

    assert (State.FAILED, True) == (state, found.endswith("no complete answer within 5 s"))
    assert 5 == good.clock.now


@pytest.fixture
def backends() -> Iterator[dict[str, Backend]]:
    """All other servers, by the time of the machine."""
    with ExitStack() as running:
        answers = good_answers(real_time)
        del answers[EXPORTER]
        yield {stage: running.enter_context(Backend(paths, real_time)) for stage, paths in answers.items()}


def variables(backends: Mapping[str, Backend], gateway: ReplayGateway, port: int) -> dict[str, str]:
    """Return the environment of a doctor that knows all of them."""
    urls = {stage.variable: backends[stage.name].url for stage in STAGES if stage.name in backends}
    return {
        **urls,
        "GATEWAY_API_URL": gateway.url,
        "ADMIN_KEY": KEY,
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": str(port),
        "GRAFANA_TOKEN": GRAFANA_TOKEN,
    }


def test_program(gateway: ReplayGateway, backends: dict[str, Backend]) -> None:
    """The program tells of a running exporter and all others that they are well, on one screen."""
    backends[LOKI].answers["/loki/api/v1/query_range"] = lambda _: streams(log_line(time.time()))
    with program(
        GATEWAY_API_URL=gateway.url, ADMIN_KEY=KEY, METRICS_HOST="127.0.0.1", METRICS_PORT="0"
    ) as one:
        port = one.record("Listening")["port"]
        one.record("Updated provider metrics")
        result = run_program("doctor", **variables(backends, gateway, port))
        as_json = invoke("doctor", "--json", **variables(backends, gateway, port))

    lines = result.stdout.splitlines()
    assert (0, "", f"All is well: {len(CHECKS) - 1} checks, 1 skipped.") == (
        result.returncode,
        result.stderr,
        lines[-1],
    )
    assert [check.name for check in CHECKS] == [line[11:34].rstrip() for line in lines[: len(CHECKS)]]
    assert len(lines) <= 25
    assert re.search(
        rf"^ok +exporter +version {re.escape(__version__)}, started \d+ s ago$", result.stdout, re.M
    )
    assert re.search(r"^ok +exporter poll +last good poll \d+ s ago, 40 providers$", result.stdout, re.M)
    document = json.loads(as_json.stdout)
    assert (0, True, [check.name for check in CHECKS]) == (
        as_json.exit_code,
        document["ok"],
        [one["check"] for one in document["checks"]],
    )


def test_program_without_anything() -> None:
    """Without settings and addresses it is not well, all the same in words and without a traceback."""
    result = invoke("doctor", METRICS_PORT="9")

    assert (1, "") == (result.exit_code, result.stderr)
    assert "Not well: 2 failed, 15 skipped. Begin with settings." == result.stdout.splitlines()[-1]


@pytest.mark.parametrize("head", [b"no header at all", b"content-length: -1", b"transfer-encoding: what"])
def test_libraries_say_nothing(head: bytes) -> None:
    """Odd answers are told in our words, and in no library's on standard error."""
    odd = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nx"
    with Gateway() as peer:
        peer.become(Played({"/metrics": Says(odd, stays=False)}))
        result = run_program("doctor", "--exporter-url", f"http://{peer.address}")

    assert (1, "") == (result.returncode, result.stderr)
    assert "FAILED     exporter " in result.stdout


def test_wrong_usage() -> None:
    """Addresses and credentials that cannot be used are told at once, with exit code 2 and without them."""
    secret = "very-secret-word"
    result = invoke(
        "doctor", "--loki-url", f"http://me:{secret}@loki", GRAFANA_URL="x", EXPORTER_PASSWORD=secret
    )

    assert (2, "", 3) == (result.exit_code, result.stdout, len(result.stderr.splitlines()))
    assert secret not in result.stderr
    assert 2 == invoke("doctor", "--tempo").exit_code


def test_protected_exporter(gateway: ReplayGateway, tmp_path: Path) -> None:
    """An exporter behind TLS and a password is asked by its own name, authority and password file."""
    folder = Folder(tmp_path)
    web = folder.write(tls={}, basic_auth_users={USER: hashed()})
    settings = {
        "GATEWAY_API_URL": gateway.url,
        "ADMIN_KEY": KEY,
        "METRICS_HOST": "127.0.0.1",
        "WEB_CONFIG_FILE": str(web),
    }
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    with program(METRICS_PORT="0", **settings) as one:
        port = str(one.record("Listening")["port"])
        one.record("Updated provider metrics")
        settings |= {"METRICS_PORT": port, "REQUESTS_CA_BUNDLE": folder.ca_path, "EXPORTER_USER": USER}
        good = invoke("doctor", EXPORTER_PASSWORD_FILE=str(password), **settings)
        wrong = invoke("doctor", EXPORTER_PASSWORD="wrong-password", **settings)
        stranger = invoke(
            "doctor",
            "--exporter-url",
            f"https://localhost:{port}",
            **{**settings, "EXPORTER_USER": "", "REQUESTS_CA_BUNDLE": ""},
        )

    assert (0, 1, 1) == (good.exit_code, wrong.exit_code, stranger.exit_code)
    assert "HTTP status 401" in wrong.stdout
    assert "EXPORTER_PASSWORD" in wrong.stdout
    assert "REQUESTS_CA_BUNDLE" in stranger.stdout
    assert "wrong-password" not in wrong.stdout + wrong.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_broken_off(gateway: ReplayGateway, number: signal.Signals) -> None:
    """A walk that a signal ends never says that all is well."""
    gateway.silent = True
    with program("doctor", GATEWAY_API_URL=gateway.url, ADMIN_KEY=KEY) as running:
        assert gateway.reached.wait(20)
        code, _ = running.end(number)

    assert 0 != code


def row(*cells: str) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_page_has_every_address(stage: Stage) -> None:
    """The page has each address with flag, variable, default and meaning."""
    default = f"`{stage.default}`" if stage.default else ""

    assert row(f"`{stage.flag}`", f"`{stage.variable}`", default, stage.meaning) in PAGE


def test_page_has_nothing_else() -> None:
    """The tables of the page name what there is, and no more."""
    assert [*(stage.variable for stage in STAGES), JOB] == re.findall(
        r"^\| `--[a-z-]+` \| `(\w+)`", PAGE, re.M
    )
    assert [row(f"`{name}`", meaning) for name, meaning in CREDENTIALS] == [
        line for line in PAGE.splitlines() if re.match(r"\| `(EXPORTER|GRAFANA)_", line)
    ]
    assert [(f"`{MARKS[state]}`", f"`{state}`") for state in State] == re.findall(
        r"^\| (`[^`]+`) \| (`[^`]+`) \| [A-Z]", PAGE, re.M
    )
    told = PAGE.split("## What it checks")[1].split("\n\n")[1]
    named = re.findall(r"`([^`/]+)`", "".join(line.split("|")[1] for line in told.splitlines()))
    assert [check.name.removeprefix("gateway ") for check in CHECKS] == [
        name.removeprefix("gateway ") for name in named
    ]


def test_examples_are_of_this_version() -> None:
    """The two examples have every check in its place, and the last line that belongs to them."""
    good, broken = re.findall(r"^```text\n((?:ok|FAILED).*?)^```", PAGE, re.M | re.S)

    for example in (good, broken):
        lines = [line for line in example.splitlines() if line and not line.startswith(" ")]
        assert [check.name for check in CHECKS] == [line[11:34].rstrip() for line in lines[:-1]]
        assert {line[:11].rstrip() for line in lines[:-1]} <= set(MARKS.values())
    assert good.splitlines()[-1].startswith("All is well: ")
    assert "Not well: 1 failed, 1 skipped. Begin with loki." == broken.splitlines()[-1]


def test_help_does_without() -> None:
    """No other command imports what only the doctor needs."""
    names = ("doctor.walk", "doctor.case", "doctor.diagnosis", "doctor.inquiry", "check")
    code = (
        "import sys, exporter.cli, exporter.app; "
        f"print([n for n in {names} if f'exporter.{{n}}' in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == result.stdout
