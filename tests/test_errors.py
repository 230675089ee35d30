"""Tests of `exporter.errors`."""

from __future__ import annotations

import re

import pytest

from exporter.config.settings import VARIABLES
from exporter.errors import HINTS, GatewayError, Outcome, SettingsError

FAILURES = tuple(outcome for outcome in Outcome if outcome is not Outcome.OK)


def test_outcomes_are_those_of_the_contract() -> None:
    """The label `outcome` has the values of the contract."""
    assert [
        "ok",
        "timeout",
        "dns",
        "connect",
        "tls",
        "proxy",
        "redirect",
        "unauthorized",
        "forbidden",
        "rate_limited",
        "client_error",
        "server_error",
        "too_large",
        "not_json",
        "wrong_shape",
        "empty",
        "internal",
    ] == [outcome.value for outcome in Outcome]


def test_every_outcome_has_a_hint() -> None:
    """Every outcome has a hint, which is empty only for a success."""
    assert set(Outcome) == set(HINTS)
    assert [Outcome.OK] == [outcome for outcome in Outcome if not HINTS[outcome]]


@pytest.mark.parametrize("outcome", FAILURES, ids=str)
def test_hint_is_unique(outcome: Outcome) -> None:
    """The hint of a failure is one or more whole sentences, and differs from all others."""
    assert re.fullmatch(r"[A-Z].+\.", HINTS[outcome])
    assert [outcome] == [other for other in Outcome if HINTS[other] == HINTS[outcome]]


def test_hints_name_only_variables_that_exist() -> None:
    """All variables in hints exist."""
    named = {name for hint in HINTS.values() for name in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", hint)}

    proxies = {"ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"}
    known = {variable.name for variable in VARIABLES} | {"REQUESTS_CA_BUNDLE"} | proxies
    assert set() == named - known
    assert {"ADMIN_KEY", "FETCH_TIMEOUT", "GATEWAY_API_URL", "SCRAPE_INTERVAL"} <= named


@pytest.mark.parametrize(
    ("outcome", "variable"),
    [
        (Outcome.TIMEOUT, "FETCH_TIMEOUT"),
        (Outcome.DNS, "GATEWAY_API_URL"),
        (Outcome.TLS, "REQUESTS_CA_BUNDLE"),
        (Outcome.REDIRECT, "GATEWAY_API_URL"),
        (Outcome.UNAUTHORIZED, "ADMIN_KEY"),
        (Outcome.FORBIDDEN, "ADMIN_KEY"),
        (Outcome.RATE_LIMITED, "SCRAPE_INTERVAL"),
        (Outcome.CLIENT_ERROR, "GATEWAY_API_URL"),
        (Outcome.TOO_LARGE, "GATEWAY_API_URL"),
        (Outcome.NOT_JSON, "GATEWAY_API_URL"),
        (Outcome.WRONG_SHAPE, "GATEWAY_API_URL"),
    ],
    ids=str,
)
def test_hint_names_what_to_fix(outcome: Outcome, variable: str) -> None:
    """If a setting can fix a failure, the hint names it."""
    assert variable in HINTS[outcome]


def test_settings_error() -> None:
    """A settings error has all problems in order, as values and as text."""
    error = SettingsError(["first", "second"])

    assert ("first", "second") == error.problems
    assert "first; second" == str(error)


def test_gateway_error() -> None:
    """A gateway error has no values of a response yet; its hint ends with the detail."""
    error = GatewayError(Outcome.CONNECT, "connection refused", retry_after=5.0)

    assert "connect: connection refused" == str(error)
    assert (Outcome.CONNECT, "connection refused", 5.0) == (error.outcome, error.detail, error.retry_after)
    assert (None, 0, None) == (error.status, error.attempts, error.request_id)
    assert f"{HINTS[Outcome.CONNECT]} (connection refused)" == error.hint


def test_hint_with_replaced_names() -> None:
    """`names` replaces variables in the hint, but not in the detail."""
    error = GatewayError(Outcome.UNAUTHORIZED, "ADMIN_KEY")
    error.names = (("ADMIN_KEY", "the file that ADMIN_KEY_FILE names"),)

    assert error.hint.endswith("put a valid admin key into the file that ADMIN_KEY_FILE names. (ADMIN_KEY)")
