"""The demo gateway plays its script, and has the manners of the real one."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby, pairwise

import pytest
import requests

from exporter.demo.gateway import (
    GATEWAY,
    HEALTH_STATUSES,
    PROVIDERS,
    SCRIPT,
    DemoGateway,
    Event,
    Record,
    describe,
    state_at,
)

KEY = "demo-key"
START = 1_800_000_000.0
DAY_SECONDS = 2400.0
HALF_HOURS = tuple(step / 2 for step in range(48))
DAY = tuple(state_at(hour, START + hour) for hour in HALF_HOURS)
LISTED = tuple({str(record["slug"]): record for record in state.records} for state in DAY if state.records)
CALM_HOUR = 1.5
SLUGS = tuple(provider.slug for provider in PROVIDERS)
FAULTS = tuple(event for event in SCRIPT if event.who == GATEWAY)
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
FIELDS = [
    "name",
    "slug",
    "description",
    "base_url",
    "api_key_env_var",
    "logo_url",
    "site_url",
    "privacy_policy_url",
    "terms_of_service_url",
    "status_page_url",
    "is_active",
    "supports_streaming",
    "supports_function_calling",
    "supports_vision",
    "supports_image_generation",
    "metadata",
    "id",
    "average_response_time_ms",
    "health_status",
    "last_health_check_at",
    "created_at",
    "updated_at",
]
ERROR_MEMBERS = [
    "type",
    "message",
    "detail",
    "code",
    "status",
    "request_id",
    "timestamp",
    "suggestions",
    "context",
]


class Clock:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        """Start with the demo day."""
        self.now = START

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now

    def move_to(self, hour: float) -> None:
        """Move to an hour of the demo day."""
        self.now = START + hour / 24 * DAY_SECONDS


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[DemoGateway, Clock]]:
    """Serve one gateway for all tests, with a clock to move through its day."""
    clock = Clock()
    with DemoGateway(KEY, DAY_SECONDS, clock=clock) as gateway:
        yield gateway, clock


@pytest.fixture
def clock(served: tuple[DemoGateway, Clock]) -> Clock:
    """Return the clock of the gateway, moved to a calm hour."""
    served[1].move_to(CALM_HOUR)
    return served[1]


@pytest.fixture
def url(served: tuple[DemoGateway, Clock], clock: Clock) -> str:
    """Return the address of the gateway in a calm hour."""
    return served[0].url


def ask(url: str, authorization: str = f"Bearer {KEY}", method: str = "GET") -> requests.Response:
    """Send one request with the key, following no redirect."""
    headers = {"authorization": authorization} if authorization else {}
    return requests.request(method, url, headers=headers, allow_redirects=False, timeout=5)


def records_at(hour: float) -> dict[str, Record]:
    """Return the providers at a demo hour by slug."""
    return {str(record["slug"]): record for record in state_at(hour, START + hour).records}


def over_the_day(slug: str, field: str) -> list[object]:
    """Return the values that a field takes one after the other while there is a list, None when absent."""
    values = (listed.get(slug, {}).get(field) for listed in LISTED)
    return [value for value, _ in groupby(values)]


def names(answer: requests.Response) -> list[str]:
    """Return the names in a list answer."""
    return [record["name"] for record in answer.json()]


def age(record: Record, now: float) -> float:
    """Return how many seconds ago a provider was checked."""
    return now - datetime.fromisoformat(str(record["last_health_check_at"])).timestamp()


def fault_hour(field: str, value: object) -> float:
    """Return the middle of the hours in which the script sets a field of the gateway to a value."""
    (event,) = (event for event in FAULTS if event.fields.get(field) == value)
    return (event.start + event.end) / 2


@pytest.mark.parametrize(
    ("field", "course"),
    [
        ("health_status", ["healthy", "degraded", "down", "healthy"]),
        ("health_status", ["unknown"]),
        ("slug", ["deepinfra", None, "deepinfra"]),
        ("is_active", [False]),
        ("average_response_time_ms", [None]),
        ("last_health_check_at", [None]),
    ],
)
def test_some_provider_takes_each_course(field: str, course: list[object]) -> None:
    """Some provider goes through each course that a dashboard has to show."""
    courses = [over_the_day(slug, field) for slug in SLUGS]

    assert course in courses


def test_a_healthy_active_provider_has_no_response_time() -> None:
    """Null response time is not only for providers that were never checked."""
    found = [
        record["slug"]
        for record in records_at(CALM_HOUR).values()
        if record["average_response_time_ms"] is None and record["health_status"] == "healthy"
    ]

    assert ["perplexity"] == found


def test_the_never_checked_provider_is_unknown_null_null() -> None:
    """An active provider that nobody reports on has no health, no time and no check."""
    novita = records_at(CALM_HOUR)["novita"]

    assert (True, "unknown", None, None) == (
        novita["is_active"],
        novita["health_status"],
        novita["average_response_time_ms"],
        novita["last_health_check_at"],
    )


@pytest.mark.parametrize(("field", "value"), [("status", 500), ("status", 401), ("records", ())])
def test_each_fault_happens(field: str, value: object) -> None:
    """The gateway answers 500, refuses the key, and loses its database at some hour."""
    state = state_at(fault_hour(field, value), START)

    assert value == getattr(state, field)


def test_one_answer_is_slow() -> None:
    """A slow answer takes about a second, which any sensible timeout allows."""
    delays = [event.fields["delay_seconds"] for event in FAULTS if "delay_seconds" in event.fields]

    assert 1 == len(delays)
    assert delays[0] == pytest.approx(1, abs=0.5)


def test_faults_last_a_whole_hour_and_leave_calm_hours_between() -> None:
    """A client that polls once per demo hour sees every fault, and every recovery."""
    faults = sorted(FAULTS, key=lambda event: event.start)

    assert all(event.end - event.start >= 1 for event in faults)
    assert all(after.start - before.end >= 1 for before, after in pairwise(faults))


def test_the_first_three_hours_are_calm() -> None:
    """Nothing changes in the first three hours: a row starts later or holds all day."""
    assert all(event.start >= 3 or (event.start, event.end) == (0, 24) for event in SCRIPT)
    assert all(event.start >= 3 for event in FAULTS)


def test_the_day_ends_well() -> None:
    """The last hour is like the first one, so that the repetition joins without a jump."""
    first, last = ({s: r["health_status"] for s, r in records_at(hour).items()} for hour in (0, 23))

    assert first == last


def test_every_row_is_about_somebody() -> None:
    """A row names a provider of the demo or the gateway."""
    assert {event.who for event in SCRIPT} <= {*SLUGS, GATEWAY}


def test_stats_count_the_full_list() -> None:
    """At every half hour the stats count the full list, inactive providers included."""
    for state in DAY:
        active = [record["is_active"] for record in state.records]
        health = [record["health_status"] for record in state.records]
        expected = {
            "total": len(state.records),
            "active": active.count(True),
            "inactive": active.count(False),
            **{status: health.count(status) for status in HEALTH_STATUSES},
        }

        assert list(expected.items()) == list(state.stats().items())


def test_records_have_the_fields_of_the_contract() -> None:
    """A record has the 22 fields of the gateway in its order, at any hour."""
    shapes = {tuple(record) for listed in LISTED for record in listed.values()}

    assert 22 == len(FIELDS)
    assert {tuple(FIELDS)} == shapes


def test_ids_and_slugs_are_unique() -> None:
    """No two providers share an id, a name or a slug."""
    for field in ("id", "name", "slug"):
        assert len(PROVIDERS) == len({getattr(provider, field) for provider in PROVIDERS})


def test_records_are_in_byte_order_of_their_names() -> None:
    """The list is ordered by name as bytes, which puts small letters last."""
    listed = [str(record["name"]) for record in state_at(CALM_HOUR, START).records]

    assert sorted(listed, key=str.encode) == listed
    assert "xAI" == listed[-1]


def test_response_times_are_smooth_integers() -> None:
    """A calm provider's response time moves in small whole steps, over midnight too."""
    times = [listed["openrouter"]["average_response_time_ms"] for listed in (*LISTED, LISTED[0])]
    numbers = [number for number in times if isinstance(number, int)]

    assert times == numbers
    assert len(set(numbers)) > 10
    assert all(abs(after - before) < 30 for before, after in pairwise(numbers))


def test_a_response_time_that_nobody_reports_rests() -> None:
    """The last response time of a silent reporter stays what it was."""
    assert [910] == over_the_day("hyperbolic", "average_response_time_ms")


def test_timestamps_look_like_the_gateways() -> None:
    """A timestamp ends in Z and has six decimals, or none when the fraction is zero."""
    stamps = [
        record[field]
        for record in state_at(CALM_HOUR, START + 1.23).records
        for field in ("last_health_check_at", "created_at", "updated_at")
        if record[field] is not None
    ]

    assert all(TIMESTAMP.fullmatch(str(stamp)) for stamp in stamps)
    assert {True, False} == {"." in str(stamp) for stamp in stamps}


@pytest.mark.parametrize("passed", [0.0, 3.7, 86_400.5])
def test_checks_are_seconds_old_where_a_reporter_works(passed: float) -> None:
    """Providers that are reported on were checked a few seconds before now, whenever that is."""
    now = START + passed
    records = {str(record["slug"]): record for record in state_at(CALM_HOUR, now).records}
    ages = {slug: age(record, now) for slug, record in records.items() if record["last_health_check_at"]}
    old = {slug for slug, seconds in ages.items() if not 0 <= seconds < 10}

    assert {"hyperbolic", "lepton"} == old
    assert all(ages[slug] > 5 * 86_400 for slug in old)


def test_the_stopped_reporter_said_healthy_and_never_again() -> None:
    """A check of a reporter that stopped days ago stays where it was, and so does its word."""
    earlier, later = state_at(1, START).records, state_at(2, START + 100).records
    before, after = (next(r for r in records if r["slug"] == "hyperbolic") for records in (earlier, later))

    assert before == after
    assert ("healthy", True) == (before["health_status"], before["is_active"])


def test_describe_lists_each_row_by_time() -> None:
    """The description has one line per row, in the order of time."""
    lines = describe(240).splitlines()

    assert len(SCRIPT) == len(lines)
    assert sorted(line[:5] for line in lines) == [line[:5] for line in lines]


@pytest.mark.parametrize("event", SCRIPT, ids=lambda event: f"{event.who}-{event.start}")
def test_describe_tells_when_who_and_what(event: Event) -> None:
    """The line of a row has its demo hours, the seconds from the start, its subject and its text."""
    hours = f"{event.start:02d}:00-{event.end:02d}:00"
    offsets = f"(+{event.start}s to +{event.end}s)"

    assert [hours, *offsets.split(), event.who, *event.text.split()] in map(
        str.split, describe(24).splitlines()
    )


def test_describe_counts_long_times_in_minutes() -> None:
    """From a minute on, the time from the start is in minutes and seconds."""
    assert "08:00-09:00  (+6m40s to +7m30s)" in describe(1200)
    assert "10:00-12:00  (+50s to +1m0s)" in describe(120)
    assert "03:00-05:00  (+1.2s to +2.1s)" in describe(10)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("/providers", "/providers/"),
        ("/providers?include_inactive=true&x=1", "/providers/?include_inactive=true&x=1"),
        ("/providers/stats/", "/providers/stats"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_other_end_slash_redirects(url: str, asked: str, told: str, method: str) -> None:
    """A path with the wrong end is a 307 to the absolute right one, query kept and key not looked at."""
    answer = ask(url + asked, authorization="", method=method)

    assert (307, url + told) == (answer.status_code, answer.headers["location"])


def test_the_redirect_is_built_from_the_host_header(url: str) -> None:
    """The target of a redirect is on the host that the client named."""
    answer = requests.get(
        f"{url}/providers", headers={"host": "gateway.example:81"}, allow_redirects=False, timeout=5
    )

    assert "http://gateway.example:81/providers/" == answer.headers["location"]


@pytest.mark.parametrize(
    ("authorization", "status", "code", "message"),
    [
        ("", 403, "PLAN_LIMIT_REACHED", "Plan limit exceeded: Not authenticated"),
        (KEY, 403, "PLAN_LIMIT_REACHED", "Plan limit exceeded: Not authenticated"),
        ("Bearer", 403, "PLAN_LIMIT_REACHED", "Plan limit exceeded: Not authenticated"),
        ("Basic eDp5", 403, "PLAN_LIMIT_REACHED", "Plan limit exceeded: Invalid authentication credentials"),
        ("Bearer other", 401, "INVALID_API_KEY", "Invalid API key"),
        ("Bearer k\u00e9y", 401, "INVALID_API_KEY", "Invalid API key"),
    ],
)
@pytest.mark.parametrize("path", ["/providers/", "/providers/stats"])
def test_requests_without_the_key_are_refused(
    url: str, path: str, authorization: str, status: int, code: str, message: str
) -> None:
    """No key is a 403, a wrong key a 401, each with its code and message."""
    answer = ask(url + path, authorization)
    error = answer.json()["error"]

    assert (status, code, message, status) == (
        answer.status_code,
        error["code"],
        error["message"],
        error["status"],
    )


def test_error_bodies_have_the_shape_of_the_gateway(url: str) -> None:
    """An error body has the nine members of the gateway, and the id of the request."""
    answer = ask(f"{url}/providers/", "Bearer other")
    error = answer.json()["error"]

    assert ERROR_MEMBERS == list(error)
    assert "invalid_api_key" == error["type"]
    assert answer.headers["x-request-id"] == error["request_id"]
    assert TIMESTAMP.fullmatch(error["timestamp"])


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_key_is_accepted_in_any_case_of_the_scheme(url: str, scheme: str) -> None:
    """The word Bearer is accepted in any case."""
    assert 200 == ask(f"{url}/providers/", f"{scheme} {KEY}").status_code


@pytest.mark.parametrize(
    ("query", "inactive"),
    [
        ("", False),
        ("?include_inactive=false&is_active_only=true&unknown=1", False),
        ("?include_inactive=true", True),
        ("?include_inactive=YES", True),
        ("?include_inactive=1&is_active_only=1", True),
        ("?is_active_only=false", True),
        ("?is_active_only=Off", True),
        ("?is_active_only=f&include_inactive=0", True),
    ],
)
def test_inactive_providers_are_listed_on_request(url: str, query: str, inactive: bool) -> None:
    """The list hides inactive providers unless one of two parameters asks for them."""
    answer = ask(f"{url}/providers/{query}")

    assert inactive == ("Lepton" in names(answer))
    assert len(PROVIDERS) - (not inactive) == len(names(answer))


def test_values_that_are_not_boolean_are_complained_about(url: str) -> None:
    """Empty or strange text for a boolean is a 422 that names each."""
    answer = ask(f"{url}/providers/?include_inactive=maybe&is_active_only=")
    found = [(problem["type"], problem["loc"], problem["input"]) for problem in answer.json()["detail"]]

    assert 422 == answer.status_code
    assert [
        ("bool_parsing", ["query", "is_active_only"], ""),
        ("bool_parsing", ["query", "include_inactive"], "maybe"),
    ] == found


def test_answers_are_compact_json(url: str) -> None:
    """A body has no spaces between its tokens and a content type without a charset."""
    answer = ask(f"{url}/providers/stats")

    assert "application/json" == answer.headers["content-type"]
    assert (
        '{"total":14,"active":13,"inactive":1,"healthy":13,"degraded":0,"down":0,"unknown":1}' == answer.text
    )


def test_the_list_is_what_the_state_says(url: str, clock: Clock) -> None:
    """The list of the gateway is the state of the moment, in the same order."""
    answer = ask(f"{url}/providers/?include_inactive=true")

    assert [record["name"] for record in state_at(CALM_HOUR, clock.now).records] == names(answer)
    assert FIELDS == list(answer.json()[0])


def test_large_bodies_are_compressed(url: str) -> None:
    """A client that takes gzip gets the list in it, but not the small stats."""
    encodings = [
        ask(url + path).headers.get("content-encoding") for path in ("/providers/", "/providers/stats")
    ]

    assert ["gzip", None] == encodings


@pytest.mark.parametrize("path", ["/", "/providers", "/providers/", "/nope"])
def test_answers_carry_an_id(url: str, path: str) -> None:
    """Every answer has an id of its own, under two names."""
    headers = ask(url + path).headers

    assert re.fullmatch("req_[0-9a-f]{12}", headers["x-request-id"])
    assert headers["x-request-id"] == headers["x-correlation-id"]


def test_the_id_of_the_client_comes_back(url: str) -> None:
    """A request that brings an id gets it back with a prefix."""
    answer = requests.get(url, headers={"x-request-id": "poll-1"}, timeout=5)

    assert "req_poll-1" == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/nope", "/v1/providers/", "/providers/stats/x"])
def test_unknown_paths_are_not_found(url: str, path: str) -> None:
    """An unknown path is a 404 in the short error shape."""
    answer = ask(url + path)

    assert (404, '{"detail":"Not Found"}') == (answer.status_code, answer.text)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("path", ["/providers/", "/providers/stats"])
def test_other_methods_are_not_allowed(url: str, method: str, path: str) -> None:
    """Anything but GET is a 405 that says so, HEAD included."""
    answer = ask(url + path, method=method)

    assert (405, "GET") == (answer.status_code, answer.headers["allow"])


def test_the_root_shows_the_script(url: str) -> None:
    """Anybody may read what will happen."""
    answer = ask(url, authorization="")

    assert answer.headers["content-type"].startswith("text/plain")
    assert describe(DAY_SECONDS).splitlines() == answer.text.splitlines()


@pytest.mark.parametrize(
    ("status", "code", "names_correlation"),
    [(401, "INVALID_API_KEY", True), (500, "INTERNAL_ERROR", False)],
)
def test_error_faults_are_answered(
    url: str, clock: Clock, status: int, code: str, names_correlation: bool
) -> None:
    """In the hours of an error fault the right key gets the error, on both endpoints."""
    clock.move_to(fault_hour("status", status))
    answers = [ask(url + path) for path in ("/providers/", "/providers/stats")]

    assert [status, status] == [answer.status_code for answer in answers]
    assert code == answers[0].json()["error"]["code"]
    assert names_correlation == ("x-correlation-id" in answers[0].headers)


def test_a_wrong_key_is_refused_before_a_fault(url: str, clock: Clock) -> None:
    """A request without the key learns nothing about the gateway's health."""
    clock.move_to(fault_hour("status", 500))

    assert 403 == ask(f"{url}/providers/", authorization="").status_code


def test_a_lost_database_looks_like_an_empty_one(url: str, clock: Clock) -> None:
    """Without its database the gateway answers 200 with an empty list and seven zeros."""
    clock.move_to(fault_hour("records", ()))
    answers = [ask(url + path) for path in ("/providers/", "/providers/stats")]

    assert [200, 200] == [answer.status_code for answer in answers]
    assert "[]" == answers[0].text
    assert [0] * 7 == list(answers[1].json().values())


def test_a_slow_answer_is_late_and_whole(url: str, clock: Clock) -> None:
    """In a slow hour the answer is right, after the delay of the script."""
    (delay,) = (event.fields["delay_seconds"] for event in FAULTS if "delay_seconds" in event.fields)
    clock.move_to(fault_hour("delay_seconds", delay))
    began = time.monotonic()
    answer = ask(f"{url}/providers/stats")
    took = time.monotonic() - began

    assert (200, len(PROVIDERS)) == (answer.status_code, answer.json()["total"])
    assert delay <= took < delay + 1


def test_the_day_repeats(url: str, clock: Clock) -> None:
    """A fault comes back at its hour of the next day."""
    clock.move_to(24 + fault_hour("status", 500))

    assert 500 == ask(f"{url}/providers/").status_code


def test_the_day_starts_when_the_gateway_is_made() -> None:
    """A gateway with the real clock is in its calm first hours, with fresh checks."""
    with DemoGateway(KEY, day_seconds=3600) as gateway:
        answer = ask(f"{gateway.url}/providers/")

    (groq,) = (record for record in answer.json() if record["slug"] == "groq")
    assert "healthy" == groq["health_status"]
    assert age(groq, time.time()) < 15


def test_a_taken_port_is_an_error_at_once(url: str) -> None:
    """The constructor fails with OSError when it cannot bind."""
    port = int(url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        DemoGateway(KEY, DAY_SECONDS, port=port)


def test_close_is_quick_and_frees_the_port() -> None:
    """Closing with an idle connection open takes about a second at most, and nobody listens any more."""
    gateway = DemoGateway(KEY, DAY_SECONDS)
    gateway.start()
    with requests.Session() as session:
        session.get(gateway.url, timeout=5)
        began = time.monotonic()
        gateway.close()

    assert time.monotonic() - began < 1.5
    with pytest.raises(requests.ConnectionError):
        requests.get(gateway.url, timeout=5)


def test_close_before_start_frees_the_port() -> None:
    """A gateway that was made and never started can be closed."""
    gateway = DemoGateway(KEY, DAY_SECONDS)
    gateway.close()

    with pytest.raises(requests.ConnectionError):
        requests.get(gateway.url, timeout=5)


def test_a_signal_ends_serving_in_the_main_thread() -> None:
    """Serving in the main thread returns after SIGTERM, and the caller's handler hears of it."""
    gateway = DemoGateway(KEY, DAY_SECONDS)
    heard: list[int] = []

    def terminate() -> None:
        requests.get(gateway.url, timeout=5)
        os.kill(os.getpid(), signal.SIGTERM)

    client = threading.Thread(target=terminate)
    previous = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        client.start()
        gateway.serve_forever()
    finally:
        signal.signal(signal.SIGTERM, previous)
        client.join()
        gateway.close()

    assert [signal.SIGTERM] == heard
