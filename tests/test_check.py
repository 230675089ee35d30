"""Tests of the command `check`."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from exporter import check
from exporter.errors import HINTS, Outcome
from tests.openapi import errors_of
from tests.process import invoke, program, run_program
from tests.replay import KEY, LIST, STATS, ReplayGateway, answer

GOLDEN = Path(__file__).parent / "golden"


def run_check(gateway: ReplayGateway, *arguments: str) -> tuple[int, str]:
    """Run the command; return exit code and output."""
    result = invoke("check", *arguments, GATEWAY_API_URL=gateway.url, ADMIN_KEY=KEY)
    assert "" == result.stderr
    return result.exit_code, result.stdout


def test_good_gateway(gateway: ReplayGateway) -> None:
    """Exit code 0; the output is the golden one, except for durations."""
    result = run_program("check", GATEWAY_API_URL=gateway.url, ADMIN_KEY=KEY)
    head, table = result.stdout.split("\n\n", 1)

    assert (0, "") == (result.returncode, result.stderr)
    fetches = [line.split()[:2] for line in head.splitlines()]
    assert [["ok", "/providers"], ["ok", "/providers/stats"]] == fetches
    assert (GOLDEN / "check.txt").read_text(encoding="utf-8") == table


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [(answer(401), Outcome.UNAUTHORIZED), (answer(503, x_request_id="req_42"), Outcome.SERVER_ERROR)],
    ids=["unauthorized", "server_error"],
)
def test_failing_endpoint(gateway: ReplayGateway, reply: bytes, outcome: Outcome) -> None:
    """Exit code 1; the output has outcome, hint and request id, and the data of the other endpoint."""
    gateway.answers[STATS] = reply

    code, text = run_check(gateway)

    assert 1 == code
    assert [] == [part for part in (f", {outcome}\n", HINTS[outcome], "aimo") if part not in text]
    assert ("req_42" in text) is (outcome is Outcome.SERVER_ERROR)


@pytest.mark.parametrize(
    ("recorded", "found"),
    [
        ({LIST: "16-list-db-down.http", STATS: "17-stats-db-down.http"}, "no providers"),
        ({LIST: "19-list-empty-table.http"}, "no providers"),
        ({STATS: "17-stats-db-down.http"}, "no providers in the counts"),
    ],
    ids=["database down", "empty list", "zero counts"],
)
def test_empty_gateway(gateway: ReplayGateway, recorded: dict[str, str], found: str) -> None:
    """Exit code 1 with the cause, for `check` and `doctor`."""
    for target, name in recorded.items():
        gateway.replay(target, name)

    code, text = run_check(gateway)
    document = json.loads(run_check(gateway, "--json")[1])
    doctor = invoke("doctor", **gateway.variables())

    assert (1, 1) == (code, doctor.exit_code)
    assert f"\nFAILED {found}\n       {check.NO_PROVIDERS}\n" in text
    assert (False, check.NO_PROVIDERS) == (document["ok"], document["hint"])
    assert f" FAILED gateway answers {found} > {check.NO_PROVIDERS} " in " ".join(doctor.stdout.split())


def test_json(gateway: ReplayGateway) -> None:
    """`--json` prints one JSON object; unknown values are null."""
    gateway.check_health()
    code, text = run_check(gateway, "--json")
    document = json.loads(text)

    assert (0, True, "") == (code, document["ok"], document["hint"])
    endpoints = document["status"]["endpoints"]
    assert [("/providers", "ok", 2), ("/providers/stats", "ok", 1)] == [
        (fetch["path"], fetch["outcome"], fetch["attempts"]) for fetch in endpoints
    ]
    assert (40, 40) == (document["status"]["gateway_counts"]["total"], len(document["providers"]))
    assert "down" == document["providers"][1]["health"]

    gateway.answers[LIST] = answer(500)
    code, text = run_check(gateway, "--json")
    document = json.loads(text)

    assert (1, False, None) == (code, document["ok"], document["providers"])


def test_overdue_health_checks(gateway: ReplayGateway) -> None:
    """The recorded ones are months old: both outputs say so, and the poll has succeeded."""
    code, text = run_check(gateway)
    document = json.loads(run_check(gateway, "--json")[1])
    gateway.check_health()

    assert 0 == code
    overdue = "Health checks are overdue: 30 of 34 active providers"
    assert f"\nNote: {overdue}\n      {check.OVERDUE}\n" in text
    assert (True, check.OVERDUE) == (document["ok"], document["hint"])
    assert overdue == document["status"]["headline"]
    assert "Note: " not in run_check(gateway)[1]


def test_json_is_as_described(gateway: ReplayGateway) -> None:
    """The status and the providers are as docs/openapi.json describes them."""
    document = json.loads(run_check(gateway, "--json")[1])

    assert [] == errors_of(document["status"], "/api/v1/status")
    assert [] == errors_of({"date": None, "providers": document["providers"]}, "/api/v1/providers")


def test_raw(gateway: ReplayGateway) -> None:
    """`--raw` prints the fields of the records with examples; a failure is printed as by `check`."""
    code, text = run_check(gateway, "--raw")
    gateway.answers[LIST] = answer(503)
    failed, error = run_check(gateway, "--raw")

    assert (0, 1) == (code, failed)
    assert "/providers: 40 records\nFIELD" in text
    assert re.search(r"^metadata\.timeout +33 of 40 +30$", text, re.MULTILINE)
    assert "/providers/stats: 1 record\n" in text
    assert "FAILED" not in text
    assert "FAILED /providers" in error


def test_invalid_fields(gateway: ReplayGateway) -> None:
    """Invalid values are counted by field."""
    gateway.answers[LIST] = answer(200, b'[{"slug":"a","is_active":"yes"},{"slug":"b"}]')

    assert "1 x is_active is invalid" in run_check(gateway)[1]


@pytest.mark.parametrize("command", ["check", "doctor"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
def test_signal(gateway: ReplayGateway, number: signal.Signals, command: str) -> None:
    """A signal never ends a check or a diagnosis with exit code 0."""
    gateway.silent = True
    with program(command, GATEWAY_API_URL=gateway.url, ADMIN_KEY=KEY) as running:
        assert gateway.reached.wait(20)

        code, _ = running.end(number)

    assert 0 != code
