"""Table of the faults of the gateway and of the network before it.

Other modules select a case by name: `gateway.become(CASES["refused"].state)`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

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
NO_ANSWER = "closed without an answer"
CUT = "closed in the middle of the answer"
NOT_HTTP = "the answer is not HTTP/1"
LONG_HEAD = "headers that are too long or too many"
UNPARSABLE = "bytes that do not parse"
NOT_PACKED = "a body that cannot be decompressed"
NOT_CHUNKED = "a body that is not in the chunks that it announces"
BROKEN_RULES = "an answer that breaks the rules of HTTP"
NO_COUNTS = "not seven whole numbers from 0 up"
CUT_LIST = "Provider list may be cut"
HEAD = b"HTTP/1.1 200 OK\r\n"
OPEN_END = HEAD + b"\r\n"
GZIP_HEAD = HEAD + b"content-encoding: gzip\r\n\r\n"
END = b"\r\n\r\n{}"
OPEN_LENGTH = HEAD + b"content-length: 9999\r\n\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ZEROS = b"0" * 65_536
C = TypeVar("C", bound="Case")


@dataclass(frozen=True)
class Case:
    """A fault and its expected result."""

    name: str
    title: str
    """The fault in the words of an operator."""
    outcome: Outcome
    state: State
    detail: str = ""
    """Part of the hint's detail in the log record."""
    status: int | None = None
    """HTTP status in the log record of a failure."""
    attempts: int = 1
    failing: tuple[Endpoint, ...] = BOTH
    """The endpoints with the outcome; the fetch of the other one succeeds."""
    https: bool = False
    """Whether the exporter uses TLS."""
    shows: Mapping[str, float] = field(default_factory=dict)
    """Expected series after a good answer; empty if `/metrics` must not change."""
    record: str = ""
    """Message of the warning that a good answer causes, if any."""
    group: str = ""
    """Heading of the table in the matrix."""

    @property
    def good_state(self) -> State:
        """The gateway before and after the fault."""
        return State(tls=Tls.GOOD if self.https else None)


def grouped(group: str, *cases: C) -> tuple[C, ...]:
    """Return the cases with their group."""
    return tuple(replace(case, group=group) for case in cases)


def ends(data: bytes) -> State:
    """Answer every request with these bytes, and close the connection."""
    return State(both(Says(data, stays=False)))


def says(data: bytes) -> State:
    """Answer every request with these bytes, and keep the connection open."""
    return State(both(Says(data)))


def stats_ends(content: bytes) -> State:
    """Answer with the recorded list and this body for the counts, and close the connection."""
    return State(stats_only(Says(answer(200, content), stays=False)))


def plays(played: Answer) -> State:
    """Answer every request like this."""
    return State(both(played))


def each(make: Callable[[bytes], bytes]) -> State:
    """Answer with the recorded bodies in another encoding."""
    listed = Says(make(LIST_BODY), stays=False)
    return State({LIST: listed, LIST_NO_SLASH: listed, STATS: Says(make(STATS_BODY), stays=False)})


def counts(**changes: Any) -> State:
    """Answer with the recorded list, and with counts that have these changes."""
    return State(stats_only(Says(answer(200, json.dumps({**COUNTS, **changes}).encode()))))


def redirected(location: str, path: str = "") -> State:
    """Redirect every request; with `path` answer there (list) and at `path`-stats."""
    counted = location.replace(path, f"{path}-stats") if path else location
    answers: dict[str, Answer] = dict.fromkeys((LIST, LIST_NO_SLASH), Says(answer(307, location=location)))
    answers[STATS] = Says(answer(307, location=counted))
    if path:
        answers[f"{path}?include_inactive=true"] = Says(answer(200, LIST_BODY))
        answers[f"{path}-stats"] = Says(answer(200, STATS_BODY))
    return State(answers)


def chunked(content: bytes) -> bytes:
    """Return an answer in chunks of 1,000 bytes."""
    parts = [content[start : start + 1000] for start in range(0, len(content), 1000)]
    return CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def encoded(name: str, encode: Callable[[bytes], bytes]) -> State:
    """Answer with the recorded bodies in an encoding."""
    return each(lambda text: answer(200, encode(text), content_encoding=name))


def with_key(key: bytes) -> State:
    """Answer with the recorded bodies; the first object begins with another key and value."""
    return each(lambda text: answer(200, text.replace(b'{"', b"{" + key + b',"', 1)))


def good(name: str, title: str, state: State, **more: Any) -> Case:
    """Return a case that is not a failure."""
    return Case(name, title, Outcome.OK, state, **more)


def connect(name: str, title: str, state: State, detail: str, **more: Any) -> Case:
    """Return a case of a broken connection, which is retried."""
    return Case(name, title, Outcome.CONNECT, state, detail, attempts=MAX_TRIES, **more)


def timeout(name: str, title: str, state: State, detail: str = LATE, **more: Any) -> Case:
    """Return a case that only the deadline ends."""
    return Case(name, title, Outcome.TIMEOUT, state, detail, **more)


def tls(name: str, title: str, kind: Tls | None, detail: str) -> Case:
    """Return a case of a server with which TLS fails; None is a server without TLS."""
    return Case(name, title, Outcome.TLS, State(tls=kind), detail, https=True)


def cut(name: str, title: str, data: bytes, detail: str) -> Case:
    """Return a case of an answer that breaks off or breaks the protocol in its body."""
    return connect(name, title, ends(data), detail, status=200)


def status(
    code: int, outcome: Outcome, attempts: int = 1, suffix: str = "", recorded: str = "", **headers: str
) -> Case:
    """Return a case of one status, with the recorded answer if there is one."""
    title = "".join(f", `{name.replace('_', '-').title()}: {text}`" for name, text in headers.items())
    title = f"Status {code}{title}{' (recorded)' if recorded else ''}"
    state = says(recording(recorded) if recorded else answer(code, b"{}", **headers))
    name, detail = f"status-{code}{suffix}", f"HTTP status {code}"
    return Case(name, title, outcome, state, detail, status=code, attempts=attempts)


def redirect(name: str, title: str, state: State, detail: str, status: int = 307) -> Case:
    """Return a case of a redirect that is not followed."""
    return Case(name, title, Outcome.REDIRECT, state, detail, status)


def body(name: str, title: str, content: bytes, detail: str = UNPARSABLE, **headers: str) -> Case:
    """Return a case of a body that is not JSON."""
    return Case(name, title, Outcome.NOT_JSON, ends(answer(200, content, **headers)), detail, status=200)


def packed(name: str, title: str, content: bytes, detail: str = NOT_PACKED, encoding: str = "gzip") -> Case:
    """Return a case of a body that cannot be decoded."""
    return body(name, title, content, detail, content_encoding=encoding)


def wrong_counts(name: str, title: str, state: State) -> Case:
    """Return a case of invalid counts."""
    return Case(name, title, Outcome.WRONG_SHAPE, state, NO_COUNTS, 200, failing=STATS_ALONE)


def too_large(name: str, title: str, state: State, detail: str = "bytes", **more: Any) -> Case:
    """Return a case of a body above the size limit."""
    return Case(name, title, Outcome.TOO_LARGE, state, detail, status=200, **more)


def many_rows(name: str, title: str, number: int) -> Case:
    """Return a case of a list with that many providers."""
    content = json.dumps([{"slug": f"p{row}", "health_status": "healthy"} for row in range(number)])
    state = State(list_only(Says(answer(200, content.encode()))))
    return good(name, title, state, shows={"gatewayz_providers_listed": number}, record=CUT_LIST)


def proxied(name: str, title: str, refusal: bytes, detail: str, **more: Any) -> Case:
    """Return a case of a proxy that forwards nothing."""
    return Case(name, title, Outcome.PROXY, State(refusal=refusal), detail, **more)


NETWORK = grouped(
    "The network",
    connect("refused", "No listener on the port", State(listens=False), "Connection refused"),
    timeout("backlog", "TCP handshake not answered: full backlog", State(accepts=False), NO_CONNECTION),
    timeout("silent", "No answer on an accepted connection", plays(Silence())),
    timeout("silent-list", "No answer for the list only", State(list_only(Silence())), failing=LIST_ALONE),
    timeout("dripping-headers", "Headers at one byte per second", plays(Drips(HEAD, b"x: y\r\n"))),
    timeout("dripping-body", "Body at one byte per second", plays(Drips(OPEN_LENGTH, b"[")), status=200),
    connect("closed", "Connection closed without an answer", ends(b""), NO_ANSWER),
    connect(
        "closed-stats",
        "Connection closed without an answer for the counts only",
        State(stats_only(Says(b"", stays=False))),
        NO_ANSWER,
        failing=STATS_ALONE,
    ),
    connect("reset", "Connection reset without an answer", plays(Resets()), "Connection reset by peer"),
    connect(
        "reset-in-body",
        "Connection reset in the middle of the body",
        plays(Resets(answer(200, LIST_BODY)[:-500])),
        "Connection reset by peer",
        status=200,
    ),
)

TLS_CASES = grouped(
    "TLS",
    good("tls", "Certificate of the CA in `REQUESTS_CA_BUNDLE`", State(tls=Tls.GOOD), https=True),
    tls("expired", "Expired certificate", Tls.EXPIRED, "certificate has expired"),
    tls("wrong-name", "Certificate for another host name", Tls.WRONG_NAME, "is not valid for '127.0.0.1'."),
    tls("untrusted", "Certificate of an unknown CA", Tls.UNTRUSTED, "unable to get local issuer certificate"),
    *(
        tls(f"client-certificate-{version}", f"Client certificate required, TLS {version}", kind, detail)
        for version, kind, detail in (
            ("1.2", Tls.WANTS_CERTIFICATE_1_2, "alert handshake failure"),
            ("1.3", Tls.WANTS_CERTIFICATE_1_3, "alert certificate required"),
        )
    ),
    tls("plain-on-tls", "https:// to a port for plain HTTP", None, "wrong version number"),
    Case(
        "tls-on-plain-alert",
        "http:// to a TLS port that answers with an alert",
        Outcome.TLS,
        ends(b"\x15\x03\x03\x00\x02\x02\x46"),
        "the port speaks TLS: it needs https://",
    ),
    connect("tls-on-plain", "http:// to a TLS port that hangs up", State(tls=Tls.GOOD), NO_ANSWER),
)

LIMITED = Outcome.RATE_LIMITED
ANSWERS = grouped(
    "Answers",
    status(401, Outcome.UNAUTHORIZED, recorded="11-list-wrong-key.http"),
    status(403, Outcome.FORBIDDEN, recorded="14-list-user-key-not-admin.http"),
    *(status(code, Outcome.CLIENT_ERROR) for code in (404, 407, 418)),
    status(429, LIMITED, recorded="34-rate-limited.http"),
    status(429, LIMITED, MAX_TRIES, "-seconds", retry_after="1"),
    status(429, LIMITED, suffix="-date", retry_after="Fri, 01 Jan 2100 00:00:00 GMT"),
    status(429, LIMITED, MAX_TRIES, "-negative", retry_after="-1"),
    status(429, LIMITED, suffix="-huge", retry_after="1" + "0" * 30),
    status(429, LIMITED, MAX_TRIES, "-text", retry_after="soon"),
    status(500, Outcome.SERVER_ERROR),
    Case(
        "one-broken-row",
        "Status 500 for the list because of one broken row (recorded)",
        Outcome.SERVER_ERROR,
        State(list_only(Says(recording("21-list-one-row-null-health.http")))),
        "HTTP status 500",
        status=500,
        failing=LIST_ALONE,
    ),
    *(status(code, Outcome.SERVER_ERROR, MAX_TRIES) for code in (502, 503, 504)),
    *(status(code, Outcome.SERVER_ERROR) for code in (103, 999)),
    good("100-continue", "100 Continue before the answer", each(lambda text: CONTINUE + answer(200, text))),
    timeout("only-100-continue", "Endless 100 Continue", plays(Drips(b"", CONTINUE, 0.05, len(CONTINUE)))),
    connect("not-http", "Text that is not HTTP", ends(b"220 mail.example ESMTP\r\n"), NOT_HTTP),
    connect("nul-bytes", "Only NUL bytes", ends(b"\0" * 5000), NOT_HTTP),
    connect("http-2", "HTTP/2", ends(b"HTTP/2 200 OK\r\n\r\n{}"), NOT_HTTP),
    connect("status-line", "Status that is not a number", ends(b"HTTP/1.1 good\r\n\r\n{}"), NOT_HTTP),
    connect("header-1-mib", "Header of 1 MiB", plays(Streams(HEAD + b"x: ", ZEROS, 16, END)), LONG_HEAD),
    connect("headers-1000", "1,000 headers", plays(Streams(HEAD, b"x: y\r\n", 1000, b"\r\n{}")), LONG_HEAD),
    connect("headers-without-end", "Endless headers", plays(Streams(HEAD, b"x: y\r\n" * 100)), LONG_HEAD),
    connect(
        "two-lengths",
        "Two different Content-Length headers",
        ends(HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
        "headers that contradict each other",
    ),
    Case(
        "half-headers",
        "Connection closed in the middle of the headers",
        Outcome.NOT_JSON,
        ends(HEAD + b"x: y\r\n"),
        "0 bytes that do not parse",
        status=200,
    ),
    good(
        "no-header-name",
        "Header line without a colon that contains the admin key; the key is not logged",
        each(lambda text: HEAD + b"Authorization Bearer test-admin-key\r\n\r\n" + text),
    ),
)

SLASH_ANSWERS: Mapping[str, Answer] = {
    **GOOD_ANSWERS,
    STATS: Says(answer(307, location=f"http://internal:8080{STATS}/")),
    f"{STATS}/": Says(answer(200, STATS_BODY)),
}
TO_HTTPS: Mapping[str, Answer] = {
    target: Says(answer(301, location=f"https://127.0.0.1{target}")) for target in GOOD_ANSWERS
}
REDIRECTS = grouped(
    "Redirects",
    good("redirect", "To another path", redirected("/v2/providers", "/v2/providers")),
    redirect(
        "redirect-elsewhere",
        "To another host; no connection is made to it",
        redirected("http://{elsewhere}/providers"),
        "to another place: http://localhost:",
    ),
    redirect("redirect-file", "To a file", redirected("file:///etc/passwd"), "to another place: file://"),
    redirect("redirect-no-url", "To an invalid URL", redirected("http://["), "to an address that is no URL"),
    redirect("redirect-loop", "To itself", redirected(""), "a redirect loop"),
    redirect(
        "redirect-to-https",
        "From http:// to https:// on the same host: the key is sent once",
        State(TO_HTTPS),
        "it redirects to https://127.0.0.1: set GATEWAY_API_URL to that",
        301,
    ),
    good("redirect-slash", "To our path with a slash, on the internal host of a proxy", State(SLASH_ANSWERS)),
    redirect("redirect-nowhere", "Without a target", says(answer(302)), "HTTP status 302", 302),
)

DATABASE_DOWN = Says(recording("16-list-db-down.http"))
BODIES = grouped(
    "Bodies",
    body("html", "HTML", b"<!doctype html><title>Log in</title>"),
    body("no-body", "No body", b"", "0 bytes that do not parse"),
    Case("status-204", "204 No Content", Outcome.NOT_JSON, says(answer(204)), UNPARSABLE, status=204),
    Case(
        "status-206",
        "206 with a part of the document",
        Outcome.NOT_JSON,
        says(answer(206, STATS_BODY[:-40], content_range="bytes 0-60/101")),
        UNPARSABLE,
        status=206,
    ),
    body("half-json", "Truncated JSON", LIST_BODY[:5000]),
    Case(
        "top-object",
        "Object instead of the list",
        Outcome.WRONG_SHAPE,
        State(list_only(Says(answer(200, b'{"providers": []}'), stays=False))),
        "not an array",
        status=200,
        failing=LIST_ALONE,
    ),
    wrong_counts("top-array", "List instead of the counts", stats_ends(b"[1, 2, 3]")),
    *(
        body(
            f"literal-{name}",
            f"{word} as a number",
            f'[{{"slug": "a", "average_response_time_ms": {word}}}]'.encode(),
        )
        for name, word in (("nan", "NaN"), ("infinity", "Infinity"), ("infinity-negative", "-Infinity"))
    ),
    good("duplicate-keys", "Duplicate keys: the last one counts", with_key(b'"slug":"x","total":-1')),
    good("deep-200", "200 levels in an unused field", with_key(b'"x":' + b"[" * 200 + b"]" * 200)),
    body("deep-100000", "100,000 levels", b"[" * 100_000 + b"]" * 100_000),
    body("digits-5000", "Number of 5,000 digits", b'[{"slug": "a", "id": ' + b"9" * 5000 + b"}]"),
    body("utf-16", "UTF-16", STATS_BODY.decode().encode("utf-16")),
    body("bom", "UTF-8 with a byte order mark", b"\xef\xbb\xbf" + STATS_BODY),
    body("invalid-utf-8", "Invalid UTF-8", b'[{"slug": "caf\xe9"}]'),
    body("surrogate", "Lone surrogate", rb'[{"slug": "\ud83d"}]'),
    good("gzip", "gzip", encoded("gzip", gzip.compress)),
    good("deflate", "deflate", encoded("deflate", zlib.compress)),
    good("chunked", "Chunked", each(chunked)),
    good("until-close", "Without a length, until the connection closes", each(lambda text: OPEN_END + text)),
    good("unknown-encoding", "Plain JSON with `Content-Encoding: snappy`", encoded("snappy", bytes)),
    packed("zstd", "Unsupported encoding", b"\x28\xb5\x2f\xfd\x04\x00", UNPARSABLE, "snappy"),
    packed("broken-gzip", "Plain JSON with `Content-Encoding: gzip`", STATS_BODY),
    packed("bad-checksum", "gzip with a wrong checksum", gzip.compress(STATS_BODY)[:-8] + b"12345678"),
    packed("half-gzip", "Truncated gzip", gzip.compress(LIST_BODY)[:2000], UNPARSABLE),
    packed("many-encodings", "Twenty nested encodings", b"{}", encoding=", ".join(["gzip"] * 20)),
    Case(
        "length-too-small",
        "Content-Length smaller than the body",
        Outcome.NOT_JSON,
        ends(answer(200, STATS_BODY).replace(b"length: ", b"length: 3\r\nx: ")),
        "3 bytes that do not parse",
        status=200,
    ),
    cut("length-too-large", "Content-Length larger than the body", answer(200, LIST_BODY)[:-7], CUT),
    cut("half-chunk", "Truncated chunk", CHUNKED + b"99\r\n[{", CUT),
    cut("bad-chunk", "Chunk with an invalid length", CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", NOT_CHUNKED),
    cut("negative-chunk", "Chunk with a negative length", CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n", BROKEN_RULES),
    connect(
        "long-chunk-line",
        "Chunk whose length is 1 MiB of digits",
        plays(Streams(CHUNKED, ZEROS, 16)),
        BROKEN_RULES,
        status=200,
    ),
    timeout(
        "trailers-without-end",
        "Endless trailers",
        plays(Drips(CHUNKED + b"0\r\n", b"x: y\r\n", seconds=0.05, size=6)),
        status=200,
    ),
    too_large("endless", "Endless body", plays(Streams(OPEN_END, ZEROS))),
    too_large("bomb", "gzip bomb", plays(Streams(GZIP_HEAD, gzip.compress(ZEROS * 16)))),
    too_large(
        "bomb-in-bomb",
        "gzip bomb in a gzip bomb",
        ends(answer(200, gzip.compress(gzip.compress(ZEROS * 16) * 100), content_encoding="gzip, gzip")),
    ),
    too_large(
        "too-many-values",
        "List of 1,100,000 empty objects",
        State(list_only(Says(answer(200, b"[" + b"{}," * 1_100_000 + b"{}]"), stays=False))),
        f"more than {MAX_VALUES} values",
        failing=LIST_ALONE,
    ),
    many_rows("rows-10000", "List of 10,000 providers", 10_000),
    many_rows("rows-1000", "List of exactly 1,000 providers, which may be incomplete", 1000),
    Case(
        "database-down",
        "Empty answers after good ones: the gateway's database is down (recorded)",
        Outcome.EMPTY,
        State({**both(DATABASE_DOWN), STATS: Says(recording("17-stats-db-down.http"))}),
        "an empty answer after one with data",
        status=200,
    ),
    good(
        "counts-disagree",
        "Counts that contradict the list",
        counts(total=99, healthy=3),
        shows={
            f"gatewayz_providers_{name}": n for name, n in (("total", 99), ("healthy", 3), ("listed", 40))
        },
    ),
    wrong_counts("counts-negative", "Negative count", counts(active=-1)),
    wrong_counts("counts-fraction", "Count with a fraction", counts(active=1.5)),
    wrong_counts("counts-huge", "Count above 2^53", counts(active=10**300)),
    wrong_counts("counts-boolean", "Boolean count", counts(active=True)),
    wrong_counts("counts-null", "Count that is null", counts(active=None)),
    wrong_counts("counts-text", "Count that is a string", counts(active="7")),
    wrong_counts("counts-missing", "Missing count", stats_ends(b'{"total": 1}')),
)

PAGE = b"<html>Access denied</html>"
PROXIED = grouped(
    "Proxies",
    good("proxy", "http:// through a proxy with a password", State()),
    good("proxy-tunnel", "https:// through a tunnel of a proxy", State(tls=Tls.GOOD), https=True),
    *(
        proxied(
            f"proxy-connect-{code}",
            f"The proxy answers CONNECT with {code}",
            answer(code, PAGE),
            f"HTTP status {code} to CONNECT",
            attempts=attempts,
            https=True,
        )
        for code, attempts in ((403, 1), (407, 1), (502, MAX_TRIES))
    ),
    proxied(
        "proxy-connect-closed",
        "The proxy closes the connection after CONNECT",
        b"",
        NO_ANSWER,
        attempts=MAX_TRIES,
        https=True,
    ),
    proxied("proxy-407", "The proxy answers with 407", answer(407, PAGE), "HTTP status 407", status=407),
    *(
        proxied(
            f"proxy-{code}",
            f"The proxy answers with a page and status {code}",
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
"""Every case by name, in the order of the table."""
