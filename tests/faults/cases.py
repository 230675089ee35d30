"""Everything that a gateway and the network before it can do to a fetch, as one table.

Each case can be had by its name: `gateway.become(CASES["refused"].state)`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from exporter.errors import Outcome
from exporter.gateway.client import MAX_TRIES
from exporter.gateway.decode import MAX_VALUES
from exporter.model.endpoints import Endpoint
from tests.faults.certificates import Tls
from tests.faults.peer import (
    GOOD_ANSWERS,
    Answer,
    Drips,
    Resets,
    Says,
    Silence,
    State,
    Streams,
    both,
    list_only,
    stats_only,
)
from tests.replay import LIST, LIST_NO_SLASH, STATS, answer, recorded_body, recording

BOTH = tuple(Endpoint)
LIST_ALONE = (Endpoint.PROVIDERS,)
STATS_ALONE = (Endpoint.STATS,)

LIST_BODY = recorded_body("04-list-include-inactive.http")
STATS_BODY = recorded_body("07-stats.http")
COUNTS: Mapping[str, int] = MappingProxyType(json.loads(STATS_BODY))

LATE = "no complete answer before the deadline"
NO_CONNECTION = "no connection before the deadline"
NOT_HTTP = "the answer is not HTTP/1"
TOO_MUCH_HEAD = "headers that are too long or too many"
UNPARSABLE = "bytes that do not parse"
NOT_PACKED = "a body that cannot be decompressed"
NOT_CHUNKED = "a body that is not in the chunks that it announces"
BROKEN_RULES = "an answer that breaks the rules of HTTP"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PACKED_HEAD = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n"
OPEN_END = b"HTTP/1.1 200 OK\r\n\r\n"
ZEROS = b"0" * 65_536
DATABASE_DOWN = Says(recording("16-list-db-down.http"))


@dataclass(frozen=True)
class Case:
    """What the gateway does, and what has to come of it."""

    name: str
    group: str
    title: str
    """In the words of an operator."""
    outcome: Outcome
    state: State
    detail: str = ""
    """Words that the hint of the log record must end with, in its brackets."""
    status: int | None = None
    """HTTP status in the log record of a failure."""
    attempts: int = 1
    failing: tuple[Endpoint, ...] = BOTH
    """The endpoints whose fetch has the outcome; the other one's is good."""
    https: bool = False
    """Whether the exporter is told to speak TLS."""
    shows: Mapping[str, float] = field(default_factory=dict)
    """What `/metrics` must say after a good answer, where that is not all that it said before."""
    record: str = ""
    """Message of the log record that a good answer brings, if any."""

    @property
    def good_state(self) -> State:
        """The gateway before and after."""
        return State(tls=Tls.GOOD if self.https else None)


def ends(data: bytes) -> State:
    """Send these bytes and close, whatever is asked for."""
    return State(both(Says(data, stays=False)))


def says(data: bytes) -> State:
    """Send these bytes and stay, whatever is asked for."""
    return State(both(Says(data)))


def plays(played: Answer) -> State:
    """Answer like this, whatever is asked for."""
    return State(both(played))


def each(make: Callable[[bytes], bytes]) -> State:
    """Answer well, with the recorded bodies, but in a form of its own."""
    listed = Says(make(LIST_BODY), stays=False)
    return State({LIST: listed, LIST_NO_SLASH: listed, STATS: Says(make(STATS_BODY), stays=False)})


def counts(**changes: Any) -> State:
    """Answer the list well, and the counts with some of them changed."""
    return State(stats_only(Says(answer(200, json.dumps({**COUNTS, **changes}).encode()))))


def redirected(location: str, then: str = "") -> State:
    """Redirect every request, and answer well where the path of that is `then` (list) or `then`-stats."""
    listed, counted = location, location.replace(then, f"{then}-stats") if then else location
    answers: dict[str, Answer] = {
        LIST: Says(answer(307, location=listed)),
        LIST_NO_SLASH: Says(answer(307, location=listed)),
        STATS: Says(answer(307, location=counted)),
    }
    if then:
        answers[f"{then}?include_inactive=true"] = Says(answer(200, LIST_BODY))
        answers[f"{then}-stats"] = Says(answer(200, STATS_BODY))
    return State(answers)


def chunked(body: bytes) -> bytes:
    """Return an answer in chunks of a thousand bytes."""
    parts = [body[start : start + 1000] for start in range(0, len(body), 1000)]
    return CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def packed(text: bytes, encoding: str = "gzip") -> bytes:
    """Return an answer whose body is `text`, which is said to be encoded."""
    return answer(200, text, content_encoding=encoding)


def nested(levels: int) -> bytes:
    """Return JSON of that many levels."""
    return b"[" * levels + b"]" * levels


def deepened(body: bytes) -> bytes:
    """Return an answer with 200 levels in a field that is not read."""
    return answer(200, body.replace(b'{"', b'{"x":' + nested(200) + b',"', 1))


def twice(body: bytes) -> bytes:
    """Return an answer with keys that come twice, first with nonsense."""
    return answer(200, body.replace(b'{"', b'{"slug":"x","total":-1,"', 1))


def rows(number: int) -> bytes:
    """Return an answer with a list of that many providers."""
    body = json.dumps([{"slug": f"p{row}", "health_status": "healthy"} for row in range(number)])
    return answer(200, body.encode())


def connect(name: str, title: str, state: State, detail: str, **more: Any) -> Case:
    """Return a case of a connection that breaks, which is tried three times."""
    group = more.pop("group", "The network")
    return Case(name, group, title, Outcome.CONNECT, state, detail, attempts=MAX_TRIES, **more)


def timeout(name: str, title: str, state: State, **more: Any) -> Case:
    """Return a case that only the deadline ends."""
    group = more.pop("group", "The network")
    return Case(name, group, title, Outcome.TIMEOUT, state, **{"detail": LATE, **more})


def tls(name: str, title: str, state: State, detail: str, **more: Any) -> Case:
    """Return a case of TLS that fails."""
    return Case(name, "TLS", title, Outcome.TLS, state, detail, **{"https": True, **more})


def status(
    code: int, outcome: Outcome, attempts: int = 1, suffix: str = "", recorded: str = "", **headers: str
) -> Case:
    """Return a case of one status, as recorded where that was possible."""
    said = "".join(f", `{name.replace('_', '-').title()}: {text}`" for name, text in headers.items())
    data = recording(recorded) if recorded else answer(code, b"{}", **headers)
    title = f"Status {code}{said}{' (recorded)' if recorded else ''}"
    detail = f"HTTP status {code}"
    name = f"status-{code}{suffix}"
    return Case(name, "Answers", title, outcome, says(data), detail, status=code, attempts=attempts)


def redirect(name: str, title: str, location: str, detail: str, **more: Any) -> Case:
    """Return a case of a redirect that is not followed."""
    state = redirected(location)
    return Case(name, "Redirects", title, Outcome.REDIRECT, state, detail, status=307, **more)


def proxied(name: str, title: str, refusal: bytes, detail: str, **more: Any) -> Case:
    """Return a case of a proxy that lets nobody through."""
    return Case(name, "Proxies", title, Outcome.PROXY, State(refusal=refusal), detail, **more)


def good(name: str, group: str, title: str, state: State, **more: Any) -> Case:
    """Return a case that is no failure."""
    return Case(name, group, title, Outcome.OK, state, **more)


def body(name: str, title: str, outcome: Outcome, data: bytes, detail: str, **more: Any) -> Case:
    """Return a case of an answer with status 200 whose body is bad."""
    said = Says(data, stays=False)
    failing = more.get("failing", BOTH)
    answers = (
        both(said) if failing == BOTH else list_only(said) if failing == LIST_ALONE else stats_only(said)
    )
    return Case(name, "Bodies", title, outcome, State(answers), detail, status=200, **more)


NETWORK = (
    connect("refused", "Nobody listens", State(listens=False), "Connection refused"),
    timeout(
        "backlog",
        "The handshake is not answered: the queue is full",
        State(accepts=False),
        detail=NO_CONNECTION,
    ),
    timeout("silent", "The connection is accepted, and nothing comes", plays(Silence())),
    timeout(
        "silent-list",
        "The same, for the list alone",
        State(list_only(Silence())),
        failing=LIST_ALONE,
    ),
    timeout(
        "dripping-headers",
        "Headers a byte a second",
        plays(Drips(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n")),
    ),
    timeout(
        "dripping-body",
        "A body a byte a second",
        plays(Drips(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b"[")),
        status=200,
    ),
    connect("closed", "Closed without an answer", ends(b""), "closed without an answer"),
    connect(
        "closed-stats",
        "The same, for the counts alone",
        State(stats_only(Says(b"", stays=False))),
        "closed without an answer",
        failing=STATS_ALONE,
    ),
    connect("reset", "Reset without an answer", plays(Resets()), "Connection reset by peer"),
    connect(
        "reset-in-body",
        "Reset in the middle of the body",
        plays(Resets(answer(200, LIST_BODY)[:-500])),
        "Connection reset by peer",
        status=200,
    ),
)

TLS_CASES = (
    good(
        "tls",
        "TLS",
        "A certificate of the authority in `REQUESTS_CA_BUNDLE`",
        State(tls=Tls.GOOD),
        https=True,
    ),
    tls("expired", "An expired certificate", State(tls=Tls.EXPIRED), "certificate has expired"),
    tls(
        "wrong-name",
        "A certificate for another name",
        State(tls=Tls.WRONG_NAME),
        "certificate is not valid for '127.0.0.1'.",
    ),
    tls(
        "untrusted",
        "A certificate of an unknown authority",
        State(tls=Tls.UNTRUSTED),
        "unable to get local issuer certificate",
    ),
    tls(
        "client-certificate-1.2",
        "The gateway wants a certificate of ours, TLS 1.2",
        State(tls=Tls.WANTS_CERTIFICATE_1_2),
        "alert handshake failure",
    ),
    tls(
        "client-certificate-1.3",
        "The gateway wants a certificate of ours, TLS 1.3",
        State(tls=Tls.WANTS_CERTIFICATE_1_3),
        "alert certificate required",
    ),
    tls("plain-on-tls", "https:// to a port that speaks plain HTTP", State(), "wrong version number"),
    tls(
        "tls-on-plain-alert",
        "http:// to a TLS port that answers by an alert",
        ends(b"\x15\x03\x03\x00\x02\x02\x46"),
        "the port speaks TLS: it needs https://",
        https=False,
    ),
    connect(
        "tls-on-plain",
        "http:// to a TLS port that hangs up",
        State(tls=Tls.GOOD),
        "closed without an answer",
        group="TLS",
    ),
)

ANSWERS = (
    status(401, Outcome.UNAUTHORIZED, recorded="11-list-wrong-key.http"),
    status(403, Outcome.FORBIDDEN, recorded="14-list-user-key-not-admin.http"),
    status(404, Outcome.CLIENT_ERROR),
    status(407, Outcome.CLIENT_ERROR),
    status(418, Outcome.CLIENT_ERROR),
    status(429, Outcome.RATE_LIMITED, recorded="34-rate-limited.http"),
    status(429, Outcome.RATE_LIMITED, MAX_TRIES, suffix="-seconds", retry_after="1"),
    status(429, Outcome.RATE_LIMITED, suffix="-date", retry_after="Fri, 01 Jan 2100 00:00:00 GMT"),
    status(429, Outcome.RATE_LIMITED, MAX_TRIES, suffix="-negative", retry_after="-1"),
    status(429, Outcome.RATE_LIMITED, suffix="-huge", retry_after="1" + "0" * 30),
    status(429, Outcome.RATE_LIMITED, MAX_TRIES, suffix="-text", retry_after="soon"),
    status(500, Outcome.SERVER_ERROR),
    Case(
        "one-broken-row",
        "Answers",
        "One broken row: the list is a 500, the counts are good (recorded)",
        Outcome.SERVER_ERROR,
        State(list_only(Says(recording("21-list-one-row-null-health.http")))),
        "HTTP status 500",
        status=500,
        failing=LIST_ALONE,
    ),
    status(502, Outcome.SERVER_ERROR, MAX_TRIES),
    status(503, Outcome.SERVER_ERROR, MAX_TRIES),
    status(504, Outcome.SERVER_ERROR, MAX_TRIES),
    status(103, Outcome.SERVER_ERROR),
    status(999, Outcome.SERVER_ERROR),
    good(
        "100-continue",
        "Answers",
        "100 Continue before the answer",
        each(lambda text: CONTINUE + answer(200, text)),
    ),
    timeout(
        "only-100-continue",
        "100 Continue, over and over",
        plays(Drips(b"", CONTINUE, seconds=0.05, size=len(CONTINUE))),
        group="Answers",
    ),
    connect(
        "not-http", "Text that is not HTTP", ends(b"220 mail.example ESMTP\r\n"), NOT_HTTP, group="Answers"
    ),
    connect("nul-bytes", "Nothing but NUL bytes", ends(b"\0" * 5000), NOT_HTTP, group="Answers"),
    connect("http-2", "HTTP/2", ends(b"HTTP/2 200 OK\r\n\r\n{}"), NOT_HTTP, group="Answers"),
    connect(
        "status-line",
        "A status that is no number",
        ends(b"HTTP/1.1 good\r\n\r\n{}"),
        NOT_HTTP,
        group="Answers",
    ),
    connect(
        "header-1-mib",
        "A header of 1 MiB",
        plays(Streams(b"HTTP/1.1 200 OK\r\nx: ", b"y" * 65_536, 16, b"\r\n\r\n{}")),
        TOO_MUCH_HEAD,
        group="Answers",
    ),
    connect(
        "headers-1000",
        "1000 headers",
        plays(Streams(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", 1000, b"\r\n{}")),
        TOO_MUCH_HEAD,
        group="Answers",
    ),
    connect(
        "headers-without-end",
        "Headers without end",
        plays(Streams(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 100)),
        TOO_MUCH_HEAD,
        group="Answers",
    ),
    connect(
        "two-lengths",
        "Two lengths that contradict each other",
        ends(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
        "headers that contradict each other",
        group="Answers",
    ),
    Case(
        "half-headers",
        "Answers",
        "Closed in the middle of the headers",
        Outcome.NOT_JSON,
        ends(b"HTTP/1.1 200 OK\r\nx: y\r\n"),
        "0 bytes that do not parse",
        status=200,
    ),
    good(
        "no-header-name",
        "Answers",
        "A header line without a colon that sends our key back, which stays out of the log",
        each(lambda text: b"HTTP/1.1 200 OK\r\nAuthorization Bearer test-admin-key\r\n\r\n" + text),
    ),
)

REDIRECTS = (
    good("redirect", "Redirects", "To another path", redirected("/v2/providers", "/v2/providers")),
    redirect(
        "redirect-elsewhere",
        "To another host, to which no connection is made",
        "http://{elsewhere}/providers",
        "to another place: http://localhost:",
    ),
    redirect("redirect-file", "To a file", "file:///etc/passwd", "to another place: file://"),
    redirect("redirect-no-url", "To what is no URL", "http://[", "to an address that is no URL"),
    redirect(
        "redirect-loop",
        "To itself",
        "",
        "a redirect loop",
    ),
    Case(
        "redirect-to-https",
        "Redirects",
        "From http:// to https:// on the same host: the key is sent once",
        Outcome.REDIRECT,
        State(
            {
                target: Says(answer(301, location=f"https://127.0.0.1{target}"))
                for target in (LIST, LIST_NO_SLASH, STATS)
            }
        ),
        "it redirects to https://127.0.0.1: set GATEWAY_API_URL to that",
        status=301,
    ),
    good(
        "redirect-slash",
        "Redirects",
        "To our path with a slash, on the host and without the prefix that a proxy asked for",
        State(
            {
                **GOOD_ANSWERS,
                STATS: Says(answer(307, location=f"http://internal:8080{STATS}/")),
                f"{STATS}/": Says(answer(200, STATS_BODY)),
            }
        ),
    ),
    Case(
        "redirect-nowhere",
        "Redirects",
        "Without a target",
        Outcome.REDIRECT,
        says(answer(302)),
        "HTTP status 302",
        status=302,
    ),
)

BODIES = (
    body("html", "HTML", Outcome.NOT_JSON, answer(200, b"<!doctype html><title>Log in</title>"), UNPARSABLE),
    body("no-body", "No body", Outcome.NOT_JSON, answer(200), "0 bytes that do not parse"),
    Case(
        "status-204", "Bodies", "204 No Content", Outcome.NOT_JSON, says(answer(204)), UNPARSABLE, status=204
    ),
    Case(
        "status-206",
        "Bodies",
        "206 with a part of the document",
        Outcome.NOT_JSON,
        says(answer(206, STATS_BODY[:-40], content_range="bytes 0-60/101")),
        UNPARSABLE,
        status=206,
    ),
    body(
        "half-json",
        "JSON that ends in the middle",
        Outcome.NOT_JSON,
        answer(200, LIST_BODY[:5000]),
        UNPARSABLE,
    ),
    body(
        "top-object",
        "An object where the list should be",
        Outcome.WRONG_SHAPE,
        answer(200, b'{"providers": []}'),
        "not an array",
        failing=LIST_ALONE,
    ),
    body(
        "top-array",
        "A list where the counts should be",
        Outcome.WRONG_SHAPE,
        answer(200, b"[1, 2, 3]"),
        "not seven whole numbers from 0 up",
        failing=STATS_ALONE,
    ),
    *(
        body(
            f"literal-{word.strip('-').lower()}{'-negative' if word[0] == '-' else ''}",
            f"{word} for a number",
            Outcome.NOT_JSON,
            answer(200, f'[{{"slug": "a", "average_response_time_ms": {word}}}]'.encode()),
            UNPARSABLE,
        )
        for word in ("NaN", "Infinity", "-Infinity")
    ),
    good("duplicate-keys", "Bodies", "Keys that come twice: the last one counts", each(twice)),
    good("deep-200", "Bodies", "200 levels below a field that is not read", each(deepened)),
    body("deep-100000", "100,000 levels", Outcome.NOT_JSON, answer(200, nested(100_000)), UNPARSABLE),
    body(
        "digits-5000",
        "A number of 5,000 digits",
        Outcome.NOT_JSON,
        answer(200, b'[{"slug": "a", "id": ' + b"9" * 5000 + b"}]"),
        UNPARSABLE,
    ),
    body("utf-16", "UTF-16", Outcome.NOT_JSON, answer(200, STATS_BODY.decode().encode("utf-16")), UNPARSABLE),
    body(
        "bom",
        "UTF-8 with a byte order mark",
        Outcome.NOT_JSON,
        answer(200, b"\xef\xbb\xbf" + STATS_BODY),
        UNPARSABLE,
    ),
    body(
        "invalid-utf-8", "Invalid UTF-8", Outcome.NOT_JSON, answer(200, b'[{"slug": "caf\xe9"}]'), UNPARSABLE
    ),
    body(
        "surrogate",
        "Half a surrogate pair",
        Outcome.NOT_JSON,
        answer(200, rb'[{"slug": "\ud83d"}]'),
        UNPARSABLE,
    ),
    good("gzip", "Bodies", "gzip", each(lambda text: packed(gzip.compress(text)))),
    good("deflate", "Bodies", "deflate", each(lambda text: packed(zlib.compress(text), "deflate"))),
    good("chunked", "Bodies", "In chunks", each(chunked)),
    good(
        "until-close",
        "Bodies",
        "Without a length, until the connection closes",
        each(lambda text: OPEN_END + text),
    ),
    good(
        "unknown-encoding",
        "Bodies",
        "Plain JSON that is said to be `snappy`",
        each(lambda text: packed(text, "snappy")),
    ),
    body(
        "zstd",
        "An encoding that was not asked for",
        Outcome.NOT_JSON,
        packed(b"\x28\xb5\x2f\xfd\x04\x00", "snappy"),
        UNPARSABLE,
    ),
    body("broken-gzip", "gzip that is none", Outcome.NOT_JSON, packed(STATS_BODY), NOT_PACKED),
    body(
        "bad-checksum",
        "gzip with a wrong checksum",
        Outcome.NOT_JSON,
        packed(gzip.compress(STATS_BODY)[:-8] + b"12345678"),
        NOT_PACKED,
    ),
    body(
        "half-gzip",
        "gzip that ends in the middle",
        Outcome.NOT_JSON,
        packed(gzip.compress(LIST_BODY)[:2000]),
        UNPARSABLE,
    ),
    body(
        "many-encodings",
        "Twenty encodings on top of each other",
        Outcome.NOT_JSON,
        packed(b"{}", ", ".join(["gzip"] * 20)),
        NOT_PACKED,
    ),
    body(
        "length-too-small",
        "Content-Length smaller than the body",
        Outcome.NOT_JSON,
        answer(200, STATS_BODY)[: -len(STATS_BODY)].replace(b"length: ", b"length: 3\r\nx: ") + STATS_BODY,
        "3 bytes that do not parse",
    ),
    connect(
        "length-too-large",
        "Content-Length larger than the body",
        ends(answer(200, LIST_BODY)[:-7]),
        "closed in the middle of the answer",
        group="Bodies",
        status=200,
    ),
    connect(
        "half-chunk",
        "A chunk that ends in the middle",
        ends(CHUNKED + b"99\r\n[{"),
        "closed in the middle of the answer",
        group="Bodies",
        status=200,
    ),
    connect(
        "bad-chunk",
        "A chunk whose length is no number",
        ends(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"),
        NOT_CHUNKED,
        group="Bodies",
        status=200,
    ),
    connect(
        "negative-chunk",
        "A chunk of negative length",
        ends(CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n"),
        BROKEN_RULES,
        group="Bodies",
        status=200,
    ),
    connect(
        "long-chunk-line",
        "A chunk's length of 1 MiB",
        plays(Streams(CHUNKED, ZEROS, 16)),
        BROKEN_RULES,
        group="Bodies",
        status=200,
    ),
    timeout(
        "trailers-without-end",
        "Trailers without end",
        plays(Drips(CHUNKED + b"0\r\n", b"x: y\r\n", seconds=0.05, size=6)),
        group="Bodies",
        status=200,
    ),
    Case(
        "endless",
        "Bodies",
        "A body without end",
        Outcome.TOO_LARGE,
        plays(Streams(OPEN_END, ZEROS)),
        "bytes",
        status=200,
    ),
    Case(
        "bomb",
        "Bodies",
        "A gzip bomb",
        Outcome.TOO_LARGE,
        plays(Streams(PACKED_HEAD, gzip.compress(ZEROS * 16))),
        "bytes",
        status=200,
    ),
    body(
        "bomb-in-bomb",
        "A gzip bomb in a gzip bomb",
        Outcome.TOO_LARGE,
        packed(gzip.compress(gzip.compress(ZEROS * 16) * 100), "gzip, gzip"),
        "bytes",
    ),
    body(
        "too-many-values",
        "A list of 1,100,000 empty objects",
        Outcome.TOO_LARGE,
        answer(200, b"[" + b"{}," * 1_100_000 + b"{}]"),
        f"more than {MAX_VALUES} values",
        failing=LIST_ALONE,
    ),
    good(
        "rows-10000",
        "Bodies",
        "A list of 10,000 providers",
        State(list_only(Says(rows(10_000)))),
        shows={"gatewayz_providers_listed": 10_000},
        record="Provider list may be cut",
    ),
    good(
        "rows-1000",
        "Bodies",
        "A list of exactly 1,000 providers, which may be cut",
        State(list_only(Says(rows(1000)))),
        shows={"gatewayz_providers_listed": 1000},
        record="Provider list may be cut",
    ),
    Case(
        "database-down",
        "Bodies",
        "Empty answers after good ones: the gateway's database is down (recorded)",
        Outcome.EMPTY,
        State(
            {
                LIST: DATABASE_DOWN,
                LIST_NO_SLASH: DATABASE_DOWN,
                STATS: Says(recording("17-stats-db-down.http")),
            }
        ),
        "an empty answer after one with data",
        status=200,
    ),
    good(
        "counts-disagree",
        "Bodies",
        "Counts that disagree with the list",
        counts(total=99, healthy=3),
        shows={
            "gatewayz_providers_total": 99,
            "gatewayz_providers_healthy": 3,
            "gatewayz_providers_listed": 40,
        },
    ),
    *(
        Case(
            f"counts-{name}",
            "Bodies",
            f"A count that is {what}",
            Outcome.WRONG_SHAPE,
            counts(active=value),
            "not seven whole numbers from 0 up",
            status=200,
            failing=STATS_ALONE,
        )
        for name, what, value in (
            ("negative", "negative", -1),
            ("fraction", "a fraction", 1.5),
            ("huge", "beyond 2^53", 10**300),
            ("boolean", "a boolean", True),
            ("null", "null", None),
            ("text", "a text", "7"),
        )
    ),
    body(
        "counts-missing",
        "A count that is missing",
        Outcome.WRONG_SHAPE,
        answer(200, b'{"total": 1}'),
        "not seven whole numbers from 0 up",
        failing=STATS_ALONE,
    ),
)

PAGE = b"<html>Access denied</html>"
PROXIED = (
    good("proxy", "Proxies", "http:// by way of a proxy with a password", State()),
    good(
        "proxy-tunnel", "Proxies", "https:// by way of the tunnel of a proxy", State(tls=Tls.GOOD), https=True
    ),
    *(
        proxied(
            f"proxy-connect-{code}",
            f"The proxy answers CONNECT by {code}",
            answer(code, PAGE),
            f"HTTP status {code} to CONNECT",
            attempts=attempts,
            https=True,
        )
        for code, attempts in ((403, 1), (407, 1), (502, MAX_TRIES))
    ),
    proxied(
        "proxy-connect-closed",
        "The proxy answers CONNECT by nothing",
        b"",
        "closed without an answer",
        attempts=MAX_TRIES,
        https=True,
    ),
    proxied(
        "proxy-407", "The proxy answers http:// by 407", answer(407, PAGE), "HTTP status 407", status=407
    ),
    *(
        proxied(
            f"proxy-{code}",
            f"The proxy answers http:// by a page with status {code}",
            answer(code, PAGE, content_type="text/html"),
            f"HTTP status {code}, not in the gateway's form",
            status=code,
            attempts=attempts,
        )
        for code, attempts in ((403, 1), (503, MAX_TRIES))
    ),
)
"""The cases of a gateway behind a proxy."""

ALL = NETWORK + TLS_CASES + ANSWERS + REDIRECTS + BODIES
CASES: Mapping[str, Case] = MappingProxyType({case.name: case for case in ALL})
"""Every case by its name, in the order of the table."""
