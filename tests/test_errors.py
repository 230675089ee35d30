"""Failures are values of one closed set, and each says what to do about it."""

from __future__ import annotations

import re

import pytest

from exporter.config.settings import VARIABLES
from exporter.errors import HINTS, ExporterError, GatewayError, ListenError, Outcome, SettingsError

FAILURES = tuple(outcome for outcome in Outcome if outcome is not Outcome.OK)


def test_outcomes_are_those_of_the_contract() -> None:
    """The label `outcome` has exactly the values of the contract, in its order."""
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
    """No outcome is without an entry in the table of hints."""
    assert set(Outcome) == set(HINTS)


@pytest.mark.parametrize("outcome", FAILURES, ids=str)
def test_hint_is_a_sentence_of_its_own(outcome: Outcome) -> None:
    """A failure's hint is one or more whole sentences that no other failure has."""
    assert re.fullmatch(r"[A-Z].+\.", HINTS[outcome])
    assert [outcome] == [other for other in Outcome if HINTS[other] == HINTS[outcome]]


def test_success_needs_no_hint() -> None:
    """There is nothing to do about a success."""
    assert "" == HINTS[Outcome.OK]


def test_hints_name_only_variables_that_exist() -> None:
    """Every variable that a hint tells people to set can be set."""
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
    """A failure that a setting can mend has a hint with the name of that setting."""
    assert variable in HINTS[outcome]


@pytest.mark.parametrize(
    "error",
    [SettingsError(["x"]), ListenError("x"), GatewayError(Outcome.DNS, "x")],
    ids=lambda error: type(error).__name__,
)
def test_errors_have_one_root(error: Exception) -> None:
    """Every error of the exporter can be caught as an ExporterError."""
    assert isinstance(error, ExporterError)


def test_settings_error_keeps_every_problem() -> None:
    """All problems are kept in their order, as values and in the text."""
    error = SettingsError(["first", "second"])

    assert ("first", "second") == error.problems
    assert "first; second" == str(error)


def test_gateway_error_before_any_answer() -> None:
    """A new error knows outcome and detail, and nothing of an answer that has not come."""
    error = GatewayError(Outcome.CONNECT, "connection refused")

    assert "connect: connection refused" == str(error)
    assert (Outcome.CONNECT, "connection refused") == (error.outcome, error.detail)
    assert (None, None, 0, None) == (error.status, error.retry_after, error.attempts, error.request_id)


def test_hint_names_what_is_in_use() -> None:
    """A hint names what is in use, and not the usual variable; what was seen stays as it is."""
    error = GatewayError(Outcome.UNAUTHORIZED, "ADMIN_KEY")
    error.names = (("ADMIN_KEY", "the file that ADMIN_KEY_FILE names"),)

    assert error.hint.endswith("put a valid admin key into the file that ADMIN_KEY_FILE names. (ADMIN_KEY)")


def test_gateway_error_keeps_retry_after() -> None:
    """The wait that the gateway asked for is kept."""
    assert 5.0 == GatewayError(Outcome.RATE_LIMITED, "429", retry_after=5.0).retry_after


def test_hint_says_what_to_do_and_what_was_seen() -> None:
    """The hint of an error is that of its outcome, with what was seen in parentheses."""
    error = GatewayError(Outcome.FORBIDDEN, "HTTP 403")

    assert f"{HINTS[Outcome.FORBIDDEN]} (HTTP 403)" == error.hint
