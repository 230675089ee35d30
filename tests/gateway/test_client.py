"""Requests to the gateway: redirects, retries, limits, and the outcome of each failure."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest

from exporter import __version__
from exporter.config.adminkey import read_key
from exporter.errors import GatewayError, Outcome
from exporter.gateway.client import MAX_REDIRECTS, MAX_TRIES, GatewayClient, Reply
from exporter.gateway.credentials import AdminKey
from exporter.model.endpoints import MEBIBYTE, Endpoint
from exporter.transport.authorities import Authorities
from exporter.transport.connecting import Connector
from tests.clocks import MovedClock
from tests.faults.certificates import Tls, write_authority
from tests.faults.peer import Drips, Gateway, Says, Silence, State, both
from tests.forwarder import Forwarder
from tests.http_server import free_port
from tests.keys import fixed_key, refuse
from tests.network import HOST, Network
from tests.replay import LIST, LIST_NO_SLASH, STATS, Asked, ReplayGateway, answer, recorded_body
from tests.waiting import wait_until

KEY = "test-admin-key"
TIMEOUT = 5.0


class Client(GatewayClient):
    """A client with a timeout."""

    def __init__(
        self,
        url: str,
        endpoint: Endpoint = Endpoint.STATS,
        seconds: float = TIMEOUT,
        key: AdminKey | None = None,
        authorities: Authorities | None = None,
    ) -> None:
        """Fetch from the gateway at `url`."""
        self.clock, self.seconds = MovedClock(), seconds
        super().__init__(endpoint, url, key or fixed_key(KEY), self.clock, authorities)

    def fetch(self) -> Reply:
        """Return a successful response."""
        return self.get(self.clock.age() + self.seconds)

    def body(self) -> bytes:
        """Return the body of a successful response."""
        return self.fetch().body

    def error(self) -> GatewayError:
        """Return the error of a failed fetch."""
        with pytest.raises(GatewayError) as caught:
            self.fetch()
        return caught.value


@pytest.fixture
def stats(gateway: ReplayGateway) -> Iterator[Client]:
    """A client for the counts."""
    with closing(Client(gateway.url)) as client:
        yield client


@pytest.fixture
def providers(gateway: ReplayGateway) -> Iterator[Client]:
    """A client for the list."""
    with closing(Client(gateway.url, Endpoint.PROVIDERS)) as client:
        yield client


def error_at(url: str, seconds: float = TIMEOUT) -> GatewayError:
    """Return the error of a fetch from a URL."""
    with closing(Client(url, seconds=seconds)) as client:
        return client.error()


def test_request(
    stats: Client, gateway: ReplayGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sends the key as a bearer token, not an entry of ~/.netrc, and returns the body."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    assert recorded_body("07-stats.http") == stats.body()
    sent = gateway.asked[0].headers
    assert f"Bearer {KEY}" == sent["Authorization"]
    assert f"provider-metrics-exporter/{__version__}" == sent["User-Agent"]
    assert "application/json" == sent["Accept"]


@pytest.fixture
def key_file(gateway: ReplayGateway, tmp_path: Path) -> Iterator[tuple[Path, Client]]:
    """A key file and its client; the gateway accepts the key `new` only."""
    path = tmp_path / "key"
    path.write_text("old")

    def judge(asked: Asked) -> None:
        known = asked.authorization == "Bearer new"
        gateway.replay(STATS, "07-stats.http" if known else "11-list-wrong-key.http")

    gateway.on_ask = judge
    with closing(Client(gateway.url, key=AdminKey(read_key(path), path, refuse))) as client:
        yield path, client


def test_new_key(key_file: tuple[Path, Client], gateway: ReplayGateway) -> None:
    """A key that changes between two polls is sent with the next one."""
    path, client = key_file
    assert Outcome.UNAUTHORIZED is client.error().outcome
    path.write_text("new")

    assert recorded_body("07-stats.http") == client.body()
    assert ["Bearer old", "Bearer new"] == [asked.authorization for asked in gateway.asked]


def test_new_key_during_a_fetch(key_file: tuple[Path, Client], gateway: ReplayGateway) -> None:
    """After a 401, a new key in the file is tried at once."""
    path, client = key_file
    judge = gateway.on_ask

    def replace_key(asked: Asked) -> None:
        judge(asked)
        path.write_text("new")

    gateway.on_ask = replace_key

    assert recorded_body("07-stats.http") == client.body()
    assert ["Bearer old", "Bearer new"] == [asked.authorization for asked in gateway.asked]
    assert 0 == client.clock.now


def test_key_that_always_changes(key_file: tuple[Path, Client], gateway: ReplayGateway) -> None:
    """A key that changes after each 401 is tried MAX_TRIES times."""
    path, client = key_file
    gateway.replay(STATS, "11-list-wrong-key.http")
    gateway.on_ask = lambda asked: path.write_text(f"key{len(gateway.asked)}")

    assert Outcome.UNAUTHORIZED is client.error().outcome
    assert MAX_TRIES == len(gateway.asked)


def test_redirect_of_the_list(providers: Client, gateway: ReplayGateway) -> None:
    """Follows the recorded redirect with its query, counts it as an attempt, and starts there next time."""
    reply = providers.fetch()

    assert recorded_body("04-list-include-inactive.http") == reply.body
    assert (200, 2, "req_ff872006a4d1") == (reply.status, reply.attempts, reply.request_id)
    providers.body()
    assert [LIST_NO_SLASH, LIST, LIST] == gateway.targets


def test_redirect_after_a_failure(providers: Client, gateway: ReplayGateway) -> None:
    """After a failure at the redirect target, the next poll starts at the configured URL."""
    providers.body()
    gateway.answers[LIST] = answer(404)
    providers.error()

    providers.error()

    assert [LIST_NO_SLASH, LIST, LIST, LIST_NO_SLASH, LIST] == gateway.targets


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/providers/stats2?a=b", "stats2?a=b"])
def test_redirect_on_the_same_host(stats: Client, gateway: ReplayGateway, location: str) -> None:
    """Follows path and query of a redirect to the same host; the port stays as configured."""
    gateway.answers[STATS] = answer(307, location=location)
    gateway.answers["/providers/stats2?a=b"] = answer(200, b"{}")

    assert b"{}" == stats.body()
    assert f"Bearer {KEY}" == gateway.asked[1].authorization


@pytest.mark.parametrize(
    ("location", "detail"),
    [
        ("http://localhost/providers/stats", "to another place: http://localhost"),
        ("http://localhost:8443/x", "to another place: http://localhost:8443"),
        ("http://me:secret@localhost:8443/x", "to another place: http://localhost:8443"),
        ("https://[2001:db8::1]:8443/x", "to another place: https://[2001:db8::1]:8443"),
        ("file:///etc/passwd", "to another place: file://"),
        ("ftp://127.0.0.1/providers/stats/", "to another place: ftp://127.0.0.1"),
        ("http://[/", "to an address that is no URL"),
        ("http://127.0.0.1:port/", "to an address that is no URL"),
        ("//evil.example/", "to another place: http://evil.example"),
    ],
)
def test_redirect_elsewhere(stats: Client, gateway: ReplayGateway, location: str, detail: str) -> None:
    """A redirect to another host fails, and no request is sent there."""
    gateway.answers[STATS] = answer(302, location=location)

    error = stats.error()

    assert (Outcome.REDIRECT, detail, 302, 1) == (error.outcome, error.detail, error.status, error.attempts)
    assert [STATS] == gateway.targets


@pytest.mark.parametrize(
    "location",
    [
        "https://gateway.example/providers/?include_inactive=true",
        "http://internal:8080/providers/",
        "http://127.0.0.1:1/other/prefix/providers/?x=y",
        "http://me:secret@evil.example/providers/#part",
        "//evil.example/providers/",
        "/providers/",
        "http:///providers/",
    ],
)
def test_slash_redirect(gateway: ReplayGateway, location: str) -> None:
    """The gateway's slash redirect is followed on our own origin, prefix and query."""
    first, target = f"/prefix{LIST_NO_SLASH}", f"/prefix{LIST}"
    gateway.answers = {first: answer(307, location=location), target: answer(200, b"[]")}
    with closing(Client(f"{gateway.url}/prefix", Endpoint.PROVIDERS)) as client:
        assert [b"[]", b"[]"] == [client.body(), client.body()]

    assert [first, target, target] == gateway.targets


def test_slash_redirect_of_the_counts(stats: Client, gateway: ReplayGateway) -> None:
    """The slash redirect of the list is none for the counts."""
    gateway.answers[STATS] = answer(307, location="http://internal:8080/providers/stats/")
    gateway.answers[f"{STATS}/"] = answer(200, b"{}")

    assert b"{}" == stats.body()

    gateway.answers[f"{STATS}/"] = answer(307, location="http://internal:8080/providers/")
    assert "to another place: http://internal:8080" == stats.error().detail


@pytest.mark.parametrize(
    ("path", "location", "root"),
    [
        ("", f"https://127.0.0.1{LIST_NO_SLASH}", "https://127.0.0.1"),
        ("", f"https://me:secret@127.0.0.1:8443{LIST_NO_SLASH}", "https://127.0.0.1:8443"),
        ("/prefix", f"https://127.0.0.1/prefix{LIST_NO_SLASH}", "https://127.0.0.1/prefix"),
        ("", "https://127.0.0.1/v2/providers", "https://127.0.0.1/v2"),
    ],
)
def test_redirect_to_https(gateway: ReplayGateway, path: str, location: str, root: str) -> None:
    """A redirect to https:// fails, and the detail names the URL to configure."""
    target = path + LIST_NO_SLASH
    gateway.answers[target] = answer(301, location=location)
    with closing(Client(gateway.url + path, Endpoint.PROVIDERS)) as client:
        error = client.error()

    expected = f"it redirects to {root}: set GATEWAY_API_URL to that"
    assert (Outcome.REDIRECT, expected, [target]) == (error.outcome, error.detail, gateway.targets)
    assert 1 == error.attempts


def test_redirect_to_https_after_the_slash(providers: Client, gateway: ReplayGateway) -> None:
    """A redirect to https:// that adds the slash is followed; the next one fails."""
    gateway.answers[LIST_NO_SLASH] = answer(307, location=f"https://127.0.0.1{LIST}")
    assert recorded_body("04-list-include-inactive.http") == providers.body()

    gateway.answers[LIST] = answer(301, location=f"https://127.0.0.1{LIST}")
    error = providers.error()

    expected = "it redirects to https://127.0.0.1: set GATEWAY_API_URL to that"
    assert (Outcome.REDIRECT, expected) == (error.outcome, error.detail)


@pytest.mark.parametrize(
    ("targets", "detail"),
    [
        ((STATS, "/a", STATS), "a redirect loop"),
        ((STATS, *(f"/{step}" for step in range(MAX_REDIRECTS + 1))), f"more than {MAX_REDIRECTS} redirects"),
    ],
    ids=["loop", "many"],
)
def test_several_redirects(
    stats: Client, gateway: ReplayGateway, targets: tuple[str, ...], detail: str
) -> None:
    """A target is requested once in a fetch, and the number of redirects is limited."""
    gateway.answers |= {one: answer(307, location=other) for one, other in pairwise(targets)}

    error = stats.error()

    expected = (Outcome.REDIRECT, detail, len(targets) - 1)
    assert expected == (error.outcome, error.detail, error.attempts)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("11-list-wrong-key.http", (Outcome.UNAUTHORIZED, "req_4655e680e792", None)),
        ("10-stats-no-authorization.http", (Outcome.FORBIDDEN, "req_f490007337a7", None)),
        ("14-list-user-key-not-admin.http", (Outcome.FORBIDDEN, "req_21d523866752", None)),
        ("15-list-key-not-ascii.http", (Outcome.SERVER_ERROR, "req_85b043109d8e", None)),
        ("21-list-one-row-null-health.http", (Outcome.SERVER_ERROR, "req_3c6c0128e034", None)),
        ("34-rate-limited.http", (Outcome.RATE_LIMITED, None, 60.0)),
    ],
)
def test_recorded_refusals(
    stats: Client, gateway: ReplayGateway, name: str, expected: tuple[object, ...]
) -> None:
    """Refusals of the gateway have their own outcomes and request ids, and are not retried."""
    gateway.replay(STATS, name)

    error = stats.error()

    assert (expected, 1) == ((error.outcome, error.request_id, error.retry_after), error.attempts)


@pytest.mark.parametrize(
    ("status", "outcome", "attempts"),
    [
        (304, Outcome.REDIRECT, 1),
        (400, Outcome.CLIENT_ERROR, 1),
        (401, Outcome.UNAUTHORIZED, 1),
        (403, Outcome.FORBIDDEN, 1),
        (404, Outcome.CLIENT_ERROR, 1),
        (407, Outcome.CLIENT_ERROR, 1),
        (418, Outcome.CLIENT_ERROR, 1),
        (429, Outcome.RATE_LIMITED, MAX_TRIES),
        (500, Outcome.SERVER_ERROR, 1),
        (502, Outcome.SERVER_ERROR, MAX_TRIES),
        (503, Outcome.SERVER_ERROR, MAX_TRIES),
        (504, Outcome.SERVER_ERROR, MAX_TRIES),
        (103, Outcome.SERVER_ERROR, 1),
        (999, Outcome.SERVER_ERROR, 1),
    ],
)
def test_status(stats: Client, gateway: ReplayGateway, status: int, outcome: Outcome, attempts: int) -> None:
    """Each status has an outcome, and only transient ones are retried."""
    gateway.answers[STATS] = answer(status)

    error = stats.error()

    assert (outcome, status, attempts) == (error.outcome, error.status, error.attempts)


def test_recovery_within_a_fetch(
    stats: Client, gateway: ReplayGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch succeeds when a retry does."""
    good = gateway.answers[STATS]
    gateway.answers[STATS] = answer(503, retry_after="1")
    sleep = Mock(side_effect=lambda seconds: gateway.answers.update({STATS: good}))
    monkeypatch.setattr(stats.clock, "sleep", sleep)

    assert 2 == stats.fetch().attempts
    sleep.assert_called_once_with(1.0)


def test_status_of_the_last_attempt(providers: Client, gateway: ReplayGateway) -> None:
    """The error has the status of the last attempt only."""
    del gateway.answers[LIST]

    error = providers.error()

    assert (Outcome.CONNECT, None, None) == (error.outcome, error.status, error.request_id)


@pytest.mark.parametrize(
    ("retry_after", "attempts", "seconds"),
    [
        *[
            ("4", 2, 4.0),
            (f"{TIMEOUT:.0f}", 1, 0.0),
            ("60", 1, 0.0),
            ("Fri, 01 Jan 2100 00:00:00 GMT", 1, 0.0),
        ],
        *[("1e9", 3, 0.75), ("soon", 3, 0.75), ("-1", 3, 0.75), ("", 3, 0.75)],
    ],
)
def test_retry_after(
    stats: Client, gateway: ReplayGateway, retry_after: str, attempts: int, seconds: float
) -> None:
    """Retry-After is used before the deadline; if it is invalid, the delays are 0.25 s and 0.5 s."""
    gateway.answers[STATS] = answer(429, retry_after=retry_after)

    assert (attempts, seconds) == (stats.error().attempts, stats.clock.now)


def test_close(stats: Client, gateway: ReplayGateway) -> None:
    """Closes the idle connection."""
    stats.body()
    assert not gateway.closed.is_set()

    stats.close()

    assert gateway.closed.wait(10)


def test_deadline_in_the_past(stats: Client, gateway: ReplayGateway) -> None:
    """No request is sent after the deadline."""
    stats.seconds = 0

    assert (Outcome.TIMEOUT, []) == (stats.error().outcome, gateway.asked)


def test_refused_connection() -> None:
    """A refused connection is `connect` after three attempts, with the system's text."""
    error = error_at(f"http://127.0.0.1:{free_port()}")

    assert (Outcome.CONNECT, "Connection refused", 3) == (error.outcome, error.detail, error.attempts)


def test_unknown_host() -> None:
    """A host that does not resolve is `dns`."""
    assert Outcome.DNS is error_at("http://gateway.invalid").outcome


@pytest.fixture
def forwarder(gateway: ReplayGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forwarder]:
    """A proxy for all hosts."""
    with Forwarder(gateway.url.removeprefix("http://")) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://{proxy.address}")
        yield proxy


PAGE = b"<html>no</html>"


@pytest.mark.parametrize(
    ("refusal", "outcome", "attempts"),
    [
        (answer(403, PAGE, content_type="text/html"), Outcome.PROXY, 1),
        (answer(407, PAGE, content_type="text/html"), Outcome.PROXY, 1),
        (answer(502), Outcome.PROXY, MAX_TRIES),
        (answer(503, PAGE), Outcome.PROXY, MAX_TRIES),
        (answer(504, PAGE, retry_after="60"), Outcome.PROXY, 1),
        (answer(403, b"{}", content_type="application/json"), Outcome.FORBIDDEN, 1),
        (answer(403, PAGE, x_request_id="req_1"), Outcome.FORBIDDEN, 1),
        (answer(503, b"{}", content_type="application/json; charset=utf-8"), Outcome.SERVER_ERROR, MAX_TRIES),
        (answer(401, PAGE), Outcome.UNAUTHORIZED, 1),
        (answer(404, PAGE), Outcome.CLIENT_ERROR, 1),
        (answer(500, PAGE), Outcome.SERVER_ERROR, 1),
    ],
)
def test_forwarded_refusal(forwarder: Forwarder, refusal: bytes, outcome: Outcome, attempts: int) -> None:
    """An error page through a proxy is the proxy's, unless it has the gateway's form."""
    forwarder.refusal = refusal

    error = error_at("http://gateway.example")

    assert (outcome, attempts) == (error.outcome, error.attempts)
    assert int(refusal.split()[1]) == error.status


def test_hint_of_a_forwarded_refusal(forwarder: Forwarder) -> None:
    """The hint names the proxy and the status."""
    forwarder.refusal = answer(403, PAGE)

    error = error_at("http://gateway.example")

    seen = f"http://{forwarder.address} from ALL_PROXY, or a server behind it: HTTP status 403, not in the "
    assert error.hint.endswith(f"({seen}gateway's form)")


@pytest.mark.parametrize(("status", "attempts"), [(407, 1), (403, 1), (502, MAX_TRIES)])
def test_refused_tunnel(forwarder: Forwarder, status: int, attempts: int) -> None:
    """A refused tunnel is requested once, an unavailable one three times."""
    forwarder.refusal = answer(status)

    error = error_at("https://gateway.example")

    assert (Outcome.PROXY, None, attempts) == (error.outcome, error.status, error.attempts)
    assert ["gateway.example:443"] * attempts == forwarder.targets
    assert not any("Authorization" in asked.headers for asked in forwarder.asked)


def test_silent_gateway(gateway: ReplayGateway) -> None:
    """A gateway that does not answer is a `timeout`."""
    gateway.silent = True

    assert Outcome.TIMEOUT is error_at(gateway.url, 0.2).outcome


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_size_limit(stats: Client, gateway: ReplayGateway, encoding: str) -> None:
    """A body above the limit is `too_large`, counted after decompression; one at the limit is not."""
    compress = gzip.compress if encoding == "gzip" else bytes
    gateway.answers[STATS] = answer(200, compress(b"1" * MEBIBYTE), content_encoding=encoding)
    assert b"1" * MEBIBYTE == stats.body()

    gateway.answers[STATS] = answer(200, compress(b"1" * (MEBIBYTE + 1)), content_encoding=encoding)
    assert Outcome.TOO_LARGE is stats.error().outcome


HEAD = b"HTTP/1.1 200 OK\r\n"
TWO_LENGTHS = b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "outcome", "detail"),
    [
        (b"", Outcome.CONNECT, "closed without an answer"),
        (HEAD + b"content-length: 9\r\n\r\n{}", Outcome.CONNECT, "closed in the middle of the answer"),
        (CHUNKED + b"9\r\n{}", Outcome.CONNECT, "closed in the middle of the answer"),
        (CHUNKED + b"zz\r\n{}", Outcome.CONNECT, "a body that is not in the chunks that it announces"),
        (CHUNKED + b"-2\r\n{}", Outcome.CONNECT, "an answer that breaks the rules of HTTP"),
        (CHUNKED + b"0" * 70_000, Outcome.CONNECT, "an answer that breaks the rules of HTTP"),
        (b"220 mail.example ESMTP\r\n", Outcome.CONNECT, "the answer is not HTTP/1"),
        (b"HTTP/2 200 OK\r\n\r\n", Outcome.CONNECT, "the answer is not HTTP/1"),
        (b"\x15\x03\x03\x00\x02\x02\x46", Outcome.TLS, "the port speaks TLS: it needs https://"),
        (HEAD + b"x: y\r\n" * 101, Outcome.CONNECT, "headers that are too long or too many"),
        (HEAD + b"x: " + b"y" * 70_000, Outcome.CONNECT, "headers that are too long or too many"),
        (HEAD + TWO_LENGTHS, Outcome.CONNECT, "headers that contradict each other"),
        (HEAD + b"content-encoding: gzip\r\n\r\n{}", Outcome.NOT_JSON, "a body that cannot be decompressed"),
        (b"HTTP/1.1 302 x\r\nlocation: /\xe9\r\n\r\n", Outcome.REDIRECT, "to an address that is no URL"),
    ],
)
def test_broken_response(
    stats: Client, gateway: ReplayGateway, data: bytes, outcome: Outcome, detail: str
) -> None:
    """A violation of HTTP has an outcome and a detail for operators, and no text with the key."""
    gateway.answers[STATS] = data
    gateway.closing = True

    error = stats.error()

    assert (outcome, detail) == (error.outcome, error.detail)
    assert KEY not in f"{error} {error!r} {error.hint} {error.__cause__!r}"


def test_https_to_a_plain_port(gateway: ReplayGateway) -> None:
    """TLS to a plain HTTP port is `tls`."""
    assert Outcome.TLS is error_at(f"https://{gateway.address}").outcome


def test_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authorities of the settings are trusted, not those of the environment."""
    path = write_authority(tmp_path / "ca.pem")
    with Gateway() as peer:
        peer.become(State(both(Says(answer(200, b"{}"))), tls=Tls.GOOD))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
        assert Outcome.TLS is error_at(f"https://{peer.address}").outcome

        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing.pem"))
        authorities = Authorities("SSL_CERT_FILE", path)
        with closing(Client(f"https://{peer.address}", authorities=authorities)) as client:
            assert b"{}" == client.body()


def aborted(url: str, is_waiting: Callable[[GatewayClient], object]) -> GatewayError:
    """Start a fetch, abort it when it waits, and return the error of the abort."""
    with closing(Client(url, seconds=60)) as client:

        def fetch() -> None:
            with suppress(GatewayError):
                client.fetch()

        thread = threading.Thread(target=fetch)
        thread.start()
        wait_until(lambda: is_waiting(client))
        error = client.abort()
        thread.join(10)
    assert not thread.is_alive()
    return error


@pytest.mark.parametrize(
    "head",
    [
        *(None, b"", HEAD + b"content-length: 9999\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"),
        HEAD + b"connection: close\r\ncontent-length: 9999\r\n\r\n",
    ],
    ids=["silence", "headers", "body", "HTTP/1.0", "close"],
)
def test_abort(head: bytes | None) -> None:
    """An abort ends a fetch from a peer that is silent, or sends headers or body slowly."""
    status = 200 if head else None
    with Gateway() as peer:
        peer.become(State(both(Silence() if head is None else Drips(head, b"HTTP/1.1", 0.02))))
        error = aborted(f"http://{peer.address}", lambda client: peer.asked and client._status == status)

    assert (Outcome.TIMEOUT, 1, status) == (error.outcome, error.attempts, error.status)


def test_abort_while_decompressing(providers: Client, gateway: ReplayGateway) -> None:
    """An abort ends a fetch whose body takes seconds to decompress."""
    slow = gzip.compress(gzip.compress(b"0" * MEBIBYTE) * 500)
    gateway.answers[LIST] = answer(200, slow * 10, content_encoding="gzip, gzip")
    # The limit of the size is reached after 0.3 s at the earliest.
    timer = threading.Timer(0.1, providers.abort)
    timer.start()

    error = providers.error()
    timer.join()

    assert Outcome.TIMEOUT is error.outcome


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, gateway: ReplayGateway) -> Iterator[Network]:
    """A host with several addresses; 127.0.0.1 is the gateway's."""
    with Network(monkeypatch) as running:
        running.port = urlsplit(gateway.url).port or 0
        yield running


@pytest.mark.parametrize("way", ["direct", "proxy"])
def test_silent_addresses(network: Network, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """A timeout names the addresses that were tried, also those of a proxy."""
    network.name(network.silent("127.0.2.1"), network.silent("::1"))
    url = f"http://{HOST}:{network.port}"
    if way == "proxy":
        monkeypatch.setenv("http_proxy", url)

    error = error_at("http://elsewhere.example" if way == "proxy" else url, 0.5)

    expected = "no connection before the deadline: tried 127.0.2.1, ::1"
    assert (Outcome.TIMEOUT, expected) == (error.outcome, error.detail)


def test_abort_while_connecting(network: Network) -> None:
    """An abort ends a fetch that is connecting; the error names the address."""
    network.name(network.silent("127.0.2.1"))
    url = f"http://{HOST}:{network.port}"
    error = aborted(url, lambda client: "tried" in client._connection.timeout_detail)

    assert "no connection before the deadline: tried 127.0.2.1" == error.detail


def test_early_abort(stats: Client, gateway: ReplayGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """An abort before the connection is open ends the fetch when it opens."""
    gateway.silent = True
    connect = Connector.connect

    def aborted(connector: Connector, seconds: float) -> socket.socket:
        sock = connect(connector, seconds)
        stats.abort()
        return sock

    monkeypatch.setattr(Connector, "connect", aborted)

    assert Outcome.CONNECT is stats.error().outcome


def test_abort_before_a_fetch(stats: Client) -> None:
    """An abort before a fetch does not affect it."""
    stats.abort()

    assert recorded_body("07-stats.http") == stats.body()
