"""Tests of `exporter.demo.gateway`."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator

import pytest
import requests

from exporter.demo.gateway import DemoGateway
from exporter.demo.script import PROVIDERS, describe, state_at
from tests.replay import recorded_body

KEY = "demo-key"
START = 1_800_000_000.0
DAY_SECONDS = 2400.0
CALM_HOUR, SLOW_HOUR, EMPTY_HOUR, REFUSING_HOUR, FAILING_HOUR = 1.5, 8.5, 13.5, 15.5, 19.0
NO_KEY = (403, "PLAN_LIMIT_REACHED", "Plan limit exceeded: Not authenticated")
OTHER_SCHEME = (403, "PLAN_LIMIT_REACHED", "Plan limit exceeded: Invalid authentication credentials")
WRONG_KEY = (401, "INVALID_API_KEY", "Invalid API key")


class Clock:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        """Start with the demo day."""
        self.now = START

    def __call__(self) -> float:
        """Return the Unix time."""
        return self.now

    def move_to(self, hour: float) -> None:
        """Move to an hour of the demo day."""
        self.now = START + hour / 24 * DAY_SECONDS


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[DemoGateway, Clock]]:
    """One gateway for all tests, and its clock."""
    clock = Clock()
    with DemoGateway(KEY, DAY_SECONDS, clock=clock) as gateway:
        yield gateway, clock


@pytest.fixture
def clock(served: tuple[DemoGateway, Clock]) -> Clock:
    """The clock of the gateway, at a calm hour."""
    served[1].move_to(CALM_HOUR)
    return served[1]


@pytest.fixture
def url(served: tuple[DemoGateway, Clock], clock: Clock) -> str:
    """The URL of the gateway, at a calm hour."""
    return served[0].url


def ask(url: str, authorization: str = f"Bearer {KEY}", method: str = "GET") -> requests.Response:
    """Send one request with the key; redirects are not followed."""
    headers = {"authorization": authorization} if authorization else {}
    return requests.request(method, url, headers=headers, allow_redirects=False, timeout=5)


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
    """Redirects a wrong trailing slash with 307, query included, without authentication."""
    response = ask(url + path, authorization="", method=method)

    assert (307, url + target) == (response.status_code, response.headers["location"])


def test_host_of_redirects(url: str) -> None:
    """The target of a redirect has the host of the Host header."""
    response = requests.get(
        f"{url}/providers", headers={"host": "gateway.example:81"}, allow_redirects=False, timeout=5
    )

    assert "http://gateway.example:81/providers/" == response.headers["location"]


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("", NO_KEY),
        (KEY, NO_KEY),
        ("Bearer", NO_KEY),
        ("Basic eDp5", OTHER_SCHEME),
        ("Bearer other", WRONG_KEY),
        ("Bearer k\u00e9y", WRONG_KEY),
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


def test_stats(url: str) -> None:
    """Returns compact JSON, with a content type without charset."""
    response = ask(f"{url}/providers/stats")

    assert "application/json" == response.headers["content-type"]
    assert (
        '{"total":14,"active":13,"inactive":1,"healthy":13,"degraded":0,"down":0,"unknown":1}'
        == response.text
    )


def test_list(url: str, clock: Clock) -> None:
    """Returns the records of the current state."""
    records = ask(f"{url}/providers/?include_inactive=true").json()

    assert json.loads(json.dumps(state_at(CALM_HOUR, clock.now).records)) == records


def test_compression(url: str) -> None:
    """Compresses the list, but not the short stats."""
    paths = ("/providers/", "/providers/stats")

    assert ["gzip", None] == [ask(url + path).headers.get("content-encoding") for path in paths]


@pytest.mark.parametrize("path", ["/", "/providers", "/providers/", "/nope"])
def test_request_ids(url: str, path: str) -> None:
    """Every response has a request id."""
    assert re.fullmatch("req_[0-9a-f]{12}", ask(url + path).headers["x-request-id"])


def test_unknown_path(url: str) -> None:
    """Returns 404 in the short error format."""
    response = ask(f"{url}/v1/providers/")

    assert (404, '{"detail":"Not Found"}') == (response.status_code, response.text)


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
    [
        (REFUSING_HOUR, 401, "INVALID_API_KEY"),
        (FAILING_HOUR, 500, "INTERNAL_ERROR"),
        (24 + FAILING_HOUR, 500, "INTERNAL_ERROR"),
    ],
    ids=["401", "500", "next day"],
)
def test_error_faults(url: str, clock: Clock, hour: float, status: int, code: str) -> None:
    """Both endpoints return the error in its hours of each day, for the valid key."""
    clock.move_to(hour)
    responses = [ask(url + path) for path in ("/providers/", "/providers/stats")]

    assert [(status, code)] * 2 == [(one.status_code, one.json()["error"]["code"]) for one in responses]
    assert 403 == ask(f"{url}/providers/", authorization="").status_code


def test_empty_database(url: str, clock: Clock) -> None:
    """Returns 200 with an empty list and seven zeros."""
    clock.move_to(EMPTY_HOUR)
    list_, stats = (ask(url + path) for path in ("/providers/", "/providers/stats"))

    assert (200, "[]") == (list_.status_code, list_.text)
    assert (200, [0] * 7) == (stats.status_code, list(stats.json().values()))


def test_slow_responses(url: str, clock: Clock) -> None:
    """Returns the complete response after the delay of the script."""
    clock.move_to(SLOW_HOUR)
    began = time.monotonic()
    response = ask(f"{url}/providers/stats")

    assert 0.9 <= time.monotonic() - began < 1.9
    assert (200, len(PROVIDERS)) == (response.status_code, response.json()["total"])


def test_real_clock() -> None:
    """The day starts with the gateway."""
    with DemoGateway(KEY, day_seconds=3600) as gateway:
        records = {record["slug"]: record for record in ask(f"{gateway.url}/providers/").json()}

    assert "healthy" == records["groq"]["health_status"]


@pytest.mark.parametrize(("host", "name"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost")])
def test_url(host: str, name: str) -> None:
    """The URL of a gateway that listens on all addresses is that of the loopback: no proxy is used for it."""
    with DemoGateway(KEY, DAY_SECONDS, host) as gateway:
        assert gateway.url.startswith(f"http://{name}:")
        assert 200 == ask(gateway.url).status_code


def test_port_in_use(url: str) -> None:
    """Raises OSError at once."""
    with pytest.raises(OSError, match="in use"):
        DemoGateway(KEY, DAY_SECONDS, port=int(url.rpartition(":")[2]))


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


def test_signal() -> None:
    """Serving in the main thread ends after SIGTERM, which the caller's handler receives."""
    gateway = DemoGateway(KEY, DAY_SECONDS)
    received: list[int] = []

    def terminate() -> None:
        requests.get(gateway.url, timeout=5)
        os.kill(os.getpid(), signal.SIGTERM)

    client = threading.Thread(target=terminate)
    previous = signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    try:
        client.start()
        gateway.serve_forever()
    finally:
        signal.signal(signal.SIGTERM, previous)
        client.join()
        gateway.close()

    assert [signal.SIGTERM] == received
