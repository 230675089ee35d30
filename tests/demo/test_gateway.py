"""Tests of `exporter.demo.gateway`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest
import requests

from exporter.demo.gateway import DemoGateway
from exporter.demo.script import PROVIDERS, describe, state_at
from tests.clocks import MovedClock
from tests.replay import recorded_body

KEY = "demo-key"
BEARER = f"Bearer {KEY}"
DAY_SECONDS = 24.0
"""An hour of the demo is a second."""
CALM_HOUR, SLOW_HOUR, EMPTY_HOUR, REFUSING_HOUR, FAILING_HOURS = 1.5, 8.5, 13.5, 15.5, (19.0, 43.0)
NO_KEY = (403, "PLAN_LIMIT_REACHED", "Plan limit exceeded: Not authenticated")
OTHER_SCHEME = (403, "PLAN_LIMIT_REACHED", "Plan limit exceeded: Invalid authentication credentials")
WRONG_KEY = (401, "INVALID_API_KEY", "Invalid API key")


CLOCK = MovedClock()
"""The clock of the gateway."""


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The URL of one gateway for all tests."""
    with DemoGateway(KEY, DAY_SECONDS, clock=CLOCK.date) as gateway:
        yield gateway.url


@pytest.fixture
def url(served: str) -> str:
    """The URL of the gateway, at a calm hour."""
    CLOCK.now = CALM_HOUR
    return served


def ask(url: str, authorization: str = BEARER, method: str = "GET", **headers: str) -> requests.Response:
    """Send one request with the key; redirects are not followed, and every response has a request id."""
    headers |= {"authorization": authorization} if authorization else {}
    response = requests.request(method, url, headers=headers, allow_redirects=False, timeout=5)
    assert re.fullmatch("req_[0-9a-f]{12}", response.headers["x-request-id"])
    return response


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/providers", "/providers/"),
        ("/providers?include_inactive=true&x=1", "/providers/?include_inactive=true&x=1"),
        ("/providers/stats/", "/providers/stats"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_redirects(url: str, path: str, target: str, method: str) -> None:
    """Redirects a wrong trailing slash with 307 to the requested host, query included, without a key."""
    response = ask(url + path, authorization="", method=method)

    assert (307, url + target) == (response.status_code, response.headers["location"])
    by_host = ask(url + path, method=method, host="gateway.example:81")
    assert f"http://gateway.example:81{target}" == by_host.headers["location"]


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        *((authorization, NO_KEY) for authorization in ("", KEY, "Bearer")),
        ("Basic eDp5", OTHER_SCHEME),
        *((f"Bearer {key}", WRONG_KEY) for key in ("other", "k\u00e9y")),
    ],
)
@pytest.mark.parametrize("path", ["/providers/", "/providers/stats"])
def test_refusals(url: str, path: str, authorization: str, expected: tuple[int, str, str]) -> None:
    """Returns 403 without a key and 401 for a wrong key, in the format of the gateway."""
    response = ask(url + path, authorization)
    error = response.json()["error"]

    assert expected == (response.status_code, error["code"], error["message"])
    recorded = json.loads(recorded_body("11-list-wrong-key.http"))["error"]
    assert [name for name in recorded if name != "docs_url"] == list(error)
    assert (expected[0], expected[1].lower()) == (error["status"], error["type"])
    assert response.headers["x-request-id"] == error["request_id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", error["timestamp"])


@pytest.mark.parametrize(
    ("query", "inactive"), [("", False), ("?include_inactive=false", False), ("?include_inactive=true", True)]
)
def test_inactive_providers(url: str, query: str, inactive: bool) -> None:
    """The list has inactive providers only on request; the scheme of the key can have any case."""
    names = [record["name"] for record in ask(f"{url}/providers/{query}", f"bearer {KEY}").json()]

    assert (inactive, len(PROVIDERS) - (not inactive)) == ("Lepton" in names, len(names))


CALM_STATS = '{"total":14,"active":13,"inactive":1,"healthy":13,"degraded":0,"down":0,"unknown":1}'


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [("/providers/stats", 200, CALM_STATS), ("/v1/providers/", 404, '{"detail":"Not Found"}')],
)
def test_text(url: str, path: str, status: int, text: str) -> None:
    """Returns compact JSON, not compressed, without charset, and 404 in the short error format."""
    response = ask(url + path)

    assert (status, text) == (response.status_code, response.text)
    assert "application/json" == response.headers["content-type"]
    assert "content-encoding" not in response.headers


def test_list(url: str) -> None:
    """Returns the records of the current state, compressed."""
    response = ask(f"{url}/providers/?include_inactive=true")

    assert json.loads(json.dumps(state_at(CALM_HOUR, CLOCK.date()).records)) == response.json()
    assert "gzip" == response.headers["content-encoding"]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("path", ["/providers/", "/providers/stats"])
def test_other_methods(url: str, method: str, path: str) -> None:
    """Returns 405 for all methods but GET."""
    response = ask(url + path, method=method)

    assert (405, "GET") == (response.status_code, response.headers["allow"])


def test_root(url: str) -> None:
    """Returns the script as text, without authentication."""
    response = ask(url, authorization="")

    assert response.headers["content-type"].startswith("text/plain")
    assert describe(DAY_SECONDS).splitlines() == response.text.splitlines()


@pytest.mark.parametrize(
    ("hour", "status", "code"),
    [(REFUSING_HOUR, 401, "INVALID_API_KEY"), *((hour, 500, "INTERNAL_ERROR") for hour in FAILING_HOURS)],
    ids=["401", "500", "next day"],
)
def test_error_faults(url: str, hour: float, status: int, code: str) -> None:
    """Both endpoints return the error in its hours of each day, for the valid key."""
    CLOCK.now = hour
    responses = [ask(url + path) for path in ("/providers/", "/providers/stats")]

    assert [(status, code)] * 2 == [(one.status_code, one.json()["error"]["code"]) for one in responses]
    assert 403 == ask(f"{url}/providers/", authorization="").status_code


def test_empty_database(url: str) -> None:
    """Returns 200 with an empty list and seven zeros."""
    CLOCK.now = EMPTY_HOUR
    list_, stats = (ask(url + path) for path in ("/providers/", "/providers/stats"))

    assert (200, "[]") == (list_.status_code, list_.text)
    assert (200, [0] * 7) == (stats.status_code, list(stats.json().values()))


def test_slow_responses(url: str) -> None:
    """Returns the complete response after the delay of the script."""
    CLOCK.now = SLOW_HOUR
    began = time.monotonic()
    response = ask(f"{url}/providers/stats")

    assert 0.9 <= time.monotonic() - began < 1.9
    assert (200, len(PROVIDERS)) == (response.status_code, response.json()["total"])


@pytest.mark.parametrize(("host", "name"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost")])
def test_start(host: str, name: str) -> None:
    """The day starts with the gateway; its URL is on the loopback, so that no proxy is used for it."""
    with DemoGateway(KEY, 3600, host) as gateway:
        records = {record["slug"]: record for record in ask(f"{gateway.url}/providers/").json()}

    assert gateway.url.startswith(f"http://{name}:")
    assert "healthy" == records["groq"]["health_status"]


@pytest.mark.parametrize("is_started", [True, False], ids=["started", "not started"])
def test_close(is_started: bool) -> None:
    """Closes the port within about a second, also with an idle connection."""
    gateway = DemoGateway(KEY, DAY_SECONDS)
    with requests.Session() as session:
        if is_started:
            gateway.start()
            session.get(gateway.url, timeout=5)
        began = time.monotonic()
        gateway.close()

    assert time.monotonic() - began < 1.5
    with pytest.raises(requests.ConnectionError):
        requests.get(gateway.url, timeout=5)
