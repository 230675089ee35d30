"""Tests of `exporter.errors`."""

from __future__ import annotations

import re

import pytest

from exporter.config.settings import VARIABLES
from exporter.errors import HINTS, GatewayError, Outcome, SettingsError


def test_outcomes_are_those_of_the_contract() -> None:
    """The label `outcome` has the values of the contract."""
    assert (
        *("ok", "timeout", "dns", "connect", "tls", "proxy", "redirect", "unauthorized", "forbidden"),
        *("rate_limited", "client_error", "server_error", "too_large", "not_json", "wrong_shape", "empty"),
        "internal",
    ) == tuple(outcome.value for outcome in Outcome)


def test_hints() -> None:
    """Every outcome but a success has a hint of its own, of one or more whole sentences."""
    hints = {outcome: hint for outcome, hint in HINTS.items() if hint}

    assert set(Outcome) == set(HINTS)
    assert [outcome for outcome in Outcome if outcome is not Outcome.OK] == list(hints)
    assert [] == [hint for hint in hints.values() if not re.fullmatch(r"[A-Z].+\.", hint)]
    assert len(hints) == len(set(hints.values()))


def test_hints_name_only_variables_that_exist() -> None:
    """All variables in hints exist."""
    named = {name for hint in HINTS.values() for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", hint)}

    proxies = {"ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"}
    known = {variable.name for variable in VARIABLES} | {"REQUESTS_CA_BUNDLE"} | proxies
    assert set() == named - known
    assert {"ADMIN_KEY", "FETCH_TIMEOUT", "GATEWAY_API_URL", "SCRAPE_INTERVAL"} <= named


@pytest.mark.parametrize(
    ("outcomes", "variable"),
    [
        ((Outcome.UNAUTHORIZED, Outcome.FORBIDDEN), "ADMIN_KEY"),
        ((Outcome.DNS, Outcome.REDIRECT, Outcome.CLIENT_ERROR, Outcome.TOO_LARGE), "GATEWAY_API_URL"),
        ((Outcome.NOT_JSON, Outcome.WRONG_SHAPE), "GATEWAY_API_URL"),
        ((Outcome.TIMEOUT,), "FETCH_TIMEOUT"),
        ((Outcome.TLS,), "REQUESTS_CA_BUNDLE"),
        ((Outcome.RATE_LIMITED,), "SCRAPE_INTERVAL"),
    ],
)
def test_hint_names_what_to_fix(outcomes: tuple[Outcome, ...], variable: str) -> None:
    """If a setting can fix a failure, the hint names it."""
    assert [] == [outcome for outcome in outcomes if variable not in HINTS[outcome]]


def test_errors() -> None:
    """A settings error has all problems in order; a gateway error has no values of a response yet."""
    settings = SettingsError(["first", "second"])
    error = GatewayError(Outcome.CONNECT, "connection refused", retry_after=5.0)

    assert (("first", "second"), "first; second") == (settings.problems, str(settings))
    assert "connect: connection refused" == str(error)
    assert (Outcome.CONNECT, "connection refused", 5.0) == (error.outcome, error.detail, error.retry_after)
    assert (None, 0, None) == (error.status, error.attempts, error.request_id)


def test_hint_with_replaced_names() -> None:
    """The hint ends with the detail; `names` replaces variables in the hint, but not in the detail."""
    error = GatewayError(Outcome.UNAUTHORIZED, "ADMIN_KEY")
    assert f"{HINTS[Outcome.UNAUTHORIZED]} (ADMIN_KEY)" == error.hint

    error.names = (("ADMIN_KEY", "the file that ADMIN_KEY_FILE names"),)

    assert error.hint.endswith("put a valid admin key into the file that ADMIN_KEY_FILE names. (ADMIN_KEY)")
