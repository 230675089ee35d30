"""Tests of the command `check`."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from exporter import check
from exporter.errors import HINTS, Outcome
from tests.process import invoke, program, run_program
from tests.replay import LIST, STATS, ReplayGateway, answer

GOLDEN = Path(__file__).parent / "golden"
KEY = "test-admin-key"


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
    assert ["ok     /providers", "ok     /providers/stats"] == [
        line[:24].rstrip() if "stats" in line else line[:17] for line in head.splitlines()
    ]
    assert (GOLDEN / "check.txt").read_text(encoding="utf-8") == table


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(401), Outcome.UNAUTHORIZED),
        (answer(403), Outcome.FORBIDDEN),
        (answer(307, location="http://elsewhere.invalid/"), Outcome.REDIRECT),
        (answer(200, b"<html>"), Outcome.NOT_JSON),
        (answer(200, b"[]"), Outcome.WRONG_SHAPE),
        (answer(500, x_request_id="req_42"), Outcome.SERVER_ERROR),
    ],
    ids=lambda value: str(value) if isinstance(value, Outcome) else "",
)
def test_failing_endpoint(gateway: ReplayGateway, reply: bytes, outcome: Outcome) -> None:
    """Exit code 1; the output has outcome, hint and request id, and the data of the other endpoint."""
    gateway.answers[STATS] = reply

    code, text = run_check(gateway)

    assert 1 == code
    assert f", {outcome}\n" in text
    assert HINTS[outcome] in text
    assert "aimo" in text
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
    doctor = invoke("doctor", GATEWAY_API_URL=gateway.url, ADMIN_KEY=KEY, METRICS_PORT="0")

    assert (1, 1) == (code, doctor.exit_code)
    assert f"\nFAILED {found}\n       {check.NO_PROVIDERS}\n" in text
    assert (False, check.NO_PROVIDERS) == (document["ok"], document["hint"])
    assert re.search(rf"^FAILED +gateway answers +{found}$", doctor.stdout, re.MULTILINE)


def test_unknown_host() -> None:
    """Exit code 1 with the outcome of both endpoints."""
    result = invoke("check", GATEWAY_API_URL="https://gateway.invalid", ADMIN_KEY=KEY)

    assert (1, 2) == (result.exit_code, result.stdout.count(", dns\n"))


def test_json(gateway: ReplayGateway) -> None:
    """`--json` prints one JSON object; unknown values are null."""
    code, text = run_check(gateway, "--json")
    document = json.loads(text)

    assert (0, True, "") == (code, document["ok"], document["hint"])
    assert [("providers", "ok", 2), ("stats", "ok", 1)] == [
        (fetch["endpoint"], fetch["outcome"], fetch["attempts"]) for fetch in document["fetches"]
    ]
    assert 40 == document["stats"]["total"]
    assert (40, "down") == (len(document["providers"]), document["providers"][1]["health"])

    gateway.answers[LIST] = answer(500)
    code, text = run_check(gateway, "--json")
    document = json.loads(text)

    assert (1, False, None) == (code, document["ok"], document["providers"])


def test_invalid_fields(gateway: ReplayGateway) -> None:
    """Invalid values are counted by field."""
    gateway.answers[LIST] = answer(200, b'[{"slug":"a","is_active":"yes"},{"slug":"b"}]')

    assert "1 x is_active is invalid" in run_check(gateway)[1]


def test_warnings_of_settings(gateway: ReplayGateway) -> None:
    """Warnings about settings are printed to stderr."""
    result = invoke("check", GATEWAY_API_URL=gateway.url, ADMIN_KEY=KEY, FETCH_TIMEOUT="100")

    assert result.stderr.startswith("Note: FETCH_TIMEOUT is cut")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
def test_signal(gateway: ReplayGateway, number: signal.Signals) -> None:
    """A signal never ends the command with exit code 0."""
    gateway.silent = True
    with program("check", GATEWAY_API_URL=gateway.url, ADMIN_KEY=KEY) as running:
        assert gateway.reached.wait(20)

        code, _ = running.end(number)

    assert 0 != code
