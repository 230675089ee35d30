"""Clients that are many, slow, rude or hostile: a scrape answers beside and after them, and polls go on."""

from __future__ import annotations

import os
import random
import resource
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.web.listeners import RESERVED_DESCRIPTORS
from exporter.web.server import MAX_PIPELINED
from tests.faults.matrix import Row
from tests.faults.outside import INTERVAL, MIB, PATIENCE, Exporter, exporter, wait_until
from tests.replay import ReplayGateway

Matrix = Callable[[Row], None]

GROUP = "Clients"
ROUTES = ("/metrics", "/metrics/", "/", "/?q=a", "/-/healthy", "/-/ready", "/nothing")
OPENMETRICS = "application/openmetrics-text;version=1.0.0"

FUZZ_SEED = 20_260_820
FUZZ_SECONDS = 60.0
"""Unless the environment says otherwise (`FUZZ_SECONDS`), for those who want to know more."""
FUZZ_RATE = 400
"""Requests in a second at most."""
GROWTH = 20 * MIB


@pytest.fixture
def running(gateway: ReplayGateway, tmp_path: Path) -> Iterator[Exporter]:
    """The exporter, which polls often."""
    with exporter(gateway, tmp_path / "log", SCRAPE_INTERVAL=INTERVAL) as started:
        started.wait_for_polls(1)
        yield started


@pytest.fixture
def idle(gateway: ReplayGateway, tmp_path: Path) -> Iterator[Exporter]:
    """The exporter between its first poll and its second, so that all sees the same exposition."""
    with exporter(gateway, tmp_path / "log") as started:
        started.wait_for_polls(0)
        started.wait_for("Updated provider metrics")
        yield started


def exchange(running: Exporter, data: bytes, expected: list[list[int]]) -> list[int]:
    """Send bytes, and return the statuses that come back, at the latest when the connection ends."""
    received = b""
    with running.connect() as connection, suppress(ConnectionResetError, BrokenPipeError):
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(data)
        while statuses(received) not in filter(None, expected) and (part := connection.recv(65_536)):
            received += part
    return statuses(received)


def statuses(received: bytes) -> list[int]:
    """Return the status codes in a series of answers."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def is_well(running: Exporter) -> str:
    """Make sure that a scrape answers, polls go on and no bug was logged; return what a scrape says."""
    running.wait_for_polls(2)
    assert [] == [record for record in running.records() if "exc_info" in record]
    return running.up()


def test_many_scrapers(idle: Exporter, matrix: Matrix) -> None:
    """Fifty scrapers at once all get the whole exposition, the same bytes for all of one format."""
    headers = ({"Accept-Encoding": "gzip"}, {"Accept": OPENMETRICS}, {"Accept-Encoding": "identity"})

    def scrape(number: int) -> tuple[str, bytes]:
        response = requests.get(f"{idle.url}/metrics", headers=headers[number % 3], timeout=PATIENCE)
        assert 200 == response.status_code
        return response.headers["Content-Type"], response.content

    with ThreadPoolExecutor(50) as pool:
        answers = Counter(pool.map(scrape, range(500)))
    text, openmetrics = sorted(answers, key=lambda answer: "openmetrics" in answer[0])

    assert 2 == len(answers)
    assert 500 == answers.total()
    names = [family.name for family in parse_text(text[1].decode())]
    assert len(names) == len(list(parse_openmetrics(openmetrics[1].decode())))
    matrix(Row(GROUP, 0, "50 scrape at once, 500 times", "scraped", idle.up(), idle.remarks()))


def test_slow_readers(running: Exporter, matrix: Matrix) -> None:
    """Scrapers that take a byte now and then hold nobody else."""
    with ExitStack() as stack:
        slow = []
        for _ in range(20):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(("127.0.0.1", running.port))
            connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" * MAX_PIPELINED)
            slow.append(connection)
        for _ in range(5):
            assert all(connection.recv(1) for connection in slow)
            running.scrape()
        metrics = is_well(running)

    case = "20 scrapers take a byte at a time"
    matrix(Row(GROUP, 1, case, "scraped beside them", metrics, running.remarks()))


def test_leaving_in_the_middle(running: Exporter, matrix: Matrix) -> None:
    """Clients that go away in the middle of a request or an answer leave nothing behind."""
    request = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
    cuts = [number % (len(request) + 1) for number in range(1000)]

    def leave(cut: int) -> None:
        with running.connect() as connection:
            connection.sendall(request[:cut])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(leave, cuts[:200]))
        threads, descriptors = running.threads(), running.descriptors()
        list(pool.map(leave, cuts[200:]))
    wait_until(lambda: running.descriptors() <= descriptors + 2)
    wait_until(lambda: running.threads() <= threads + 2)

    matrix(Row(GROUP, 2, "1,000 leave in the middle", "scraped", is_well(running), running.remarks()))


ODD: tuple[tuple[str, bytes, list[list[int]]], ...] = (
    ("1 MB of headers", b"GET /metrics HTTP/1.1\r\nx: " + b"a" * MIB, [[431], []]),
    ("100,000 headers", b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 100_000, [[431], []]),
    ("10 pipelined requests", b"GET /-/healthy HTTP/1.1\r\n\r\n" * 10, [[200] * 10]),
    ("Bytes that are not HTTP", bytes(range(256)), [[400]]),
    ("A TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), [[400]]),
    ("The preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [[400]]),
    ("HTTP/0.9", b"GET /metrics\r\n\r\n", [[200]]),
    ("HTTP/1.0", b"GET /-/healthy HTTP/1.0\r\n\r\n", [[200]]),
    ("HEAD", b"HEAD /metrics HTTP/1.1\r\n\r\n", [[200]]),
    ("POST", b"POST /metrics HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", [[405]]),
    (
        "A chunked body",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        [[405]],
    ),
    (
        "A chunk without a size",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nz\r\n",
        [[400]],
    ),
    (
        "Two lengths",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        [[400]],
    ),
    (
        "Length and chunks",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        [[400]],
    ),
    (
        "Expect: 100-continue",
        b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
        [[405]],
    ),
    ("An unknown method", b"BREW /metrics HTTP/1.1\r\n\r\n", [[400]]),
    ("CONNECT", b"CONNECT localhost:1 HTTP/1.1\r\nhost: localhost:1\r\n\r\n", [[400]]),
    ("OPTIONS *", b"OPTIONS * HTTP/1.1\r\n\r\n", [[404]]),
    ("An absolute target", b"GET http://127.0.0.1/-/healthy HTTP/1.1\r\n\r\n", [[200]]),
    ("An absolute target without a path", b"GET http://127.0.0.1 HTTP/1.1\r\n\r\n", [[400]]),
    ("A percent-encoded path", b"GET /%6Detrics HTTP/1.1\r\n\r\n", [[200]]),
    ("A path of broken percent signs", b"GET /%zz%f HTTP/1.1\r\n\r\n", [[404]]),
    ("A path up and away", b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", [[404]]),
    ("A path with bytes above 127", b"GET /\xff\xfe HTTP/1.1\r\n\r\n", [[400]]),
    ("A query of 60 KB", b"GET /?q=" + b"%41" * 20_000 + b" HTTP/1.1\r\n\r\n", [[200]]),
    ("10,000 parameters", b"GET /?" + b"q=1&" * 10_000 + b" HTTP/1.1\r\n\r\n", [[200]]),
    ("Upgrade to h2c", b"GET /-/healthy HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", [[200]]),
    (
        "Upgrade to websocket",
        b"GET /metrics HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        [[200]],
    ),
    (
        "An Accept header of 60 KB",
        b"GET /metrics HTTP/1.1\r\naccept: " + b"a" * 60_000 + b"\r\n\r\n",
        [[200]],
    ),
    (
        "Accept with 10,000 ranges",
        b"GET /metrics HTTP/1.1\r\naccept: " + b"a/b;q=1," * 8_000 + b"\r\n\r\n",
        [[200]],
    ),
    ("A quality that is no number", b"GET /metrics HTTP/1.1\r\naccept: text/plain;q=nan\r\n\r\n", [[200]]),
    (
        "Accept-Encoding with 15,000 codings",
        b"GET /metrics HTTP/1.1\r\naccept-encoding: " + b"gz," * 15_000 + b"\r\n\r\n",
        [[200]],
    ),
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter for all odd requests together."""
    with (
        ReplayGateway() as gateway,
        exporter(gateway, tmp_path_factory.mktemp("odd") / "log", SCRAPE_INTERVAL=INTERVAL) as started,
    ):
        started.wait_for_polls(1)
        yield started


@pytest.mark.parametrize(("place", "case"), list(enumerate(ODD)), ids=[case[0] for case in ODD])
def test_odd_request(
    host: Exporter, matrix: Matrix, place: int, case: tuple[str, bytes, list[list[int]]]
) -> None:
    """An odd request has its answer or is cut off, costs little, and the next scrape is answered."""
    title, data, expected = case

    found = exchange(host, data, expected)

    assert found in expected
    assert "gatewayz_up" in host.scrape()
    assert [] == [record for record in host.records() if "exc_info" in record]
    codes = ", ".join(map(str, found))
    outcome = f"answered ({codes})" if len(expected) == 1 else "refused"
    matrix(Row(GROUP, 10 + place, title, outcome, host.up(), host.remarks()))


VALID = tuple(
    f"{method} {route} HTTP/1.1\r\nhost: x\r\n{headers}\r\n{body}".encode()
    for method in ("GET", "HEAD", "POST")
    for route in ROUTES
    for headers, body in (
        (f"accept: {OPENMETRICS};q=0.5,text/plain;q=0.4\r\naccept-encoding: gzip\r\n", ""),
        ("content-length: 5\r\nexpect: 100-continue\r\n", "12345"),
        (
            "transfer-encoding: chunked\r\nconnection: keep-alive\r\n",
            "3;x=y\r\nabc\r\n0\r\nz: trailer\r\n\r\n",
        ),
        ("connection: upgrade\r\nupgrade: websocket\r\nauthorization: Basic YTpi\r\n", ""),
    )
)
TOKENS = (
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b" ",
        b"\t",
        b":",
        b"%",
        b"%00",
        b"?",
        b"#",
        b"//",
        b"..",
    ),
    *(
        b"HTTP/1.1",
        b"HTTP/9.9",
        b"GET / ",
        b"content-length: ",
        b"transfer-encoding: chunked\r\n",
        b"chunked",
    ),
    *(
        b"-1",
        b"99999999999999999999",
        b"0",
        b"ffffffffffffffff\r\n",
        b";q=",
        b",",
        b"a" * 5000,
        b"\xe2\x82\xac",
    ),
)


def mutated(chance: random.Random) -> bytes:
    """Return one to three valid requests with some mistakes in them."""
    data = bytearray(b"".join(chance.choices(VALID, k=chance.randint(1, 3))))
    for _ in range(chance.randint(1, 6)):
        begin = chance.randrange(len(data) + 1)
        end = min(len(data), begin + chance.choice((1, 1, 2, 5, 20, 100)))
        kind = chance.randrange(5)
        if kind == 0:
            data[begin:end] = b""
        elif kind == 1:
            data[begin:end] = chance.randbytes(end - begin)
        elif kind == 2:
            data[begin:begin] = chance.choice(TOKENS)
        elif kind == 3:
            data[begin:end] = data[begin:end] * chance.choice((2, 10, 100))
        else:
            data[begin:] = data[begin:][::-1] if chance.random() < 0.1 else b""
    return bytes(data)


def attack(running: Exporter, seed: int) -> None:
    """Send one mutated request in one or two parts, and leave in one of several ways."""
    chance = random.Random(seed)
    data = mutated(chance)
    middle = chance.randrange(len(data) + 1)
    with running.connect() as connection, suppress(OSError):
        connection.sendall(data[:middle])
        connection.sendall(data[middle:])
        if chance.random() < 0.8:
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass


def test_fuzz(running: Exporter, matrix: Matrix) -> None:
    """Requests with mistakes cost neither a scrape, a poll, memory nor descriptors, and raise nothing."""
    seconds = float(os.environ.get("FUZZ_SECONDS", FUZZ_SECONDS))
    deadline = time.monotonic() + seconds

    def fuzz(seed: int) -> None:
        if time.monotonic() < deadline:
            attack(running, seed)

    seeds = range(FUZZ_SEED, FUZZ_SEED + int(seconds * FUZZ_RATE))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fuzz, seeds[:1000]))
        memory, descriptors = running.memory(), running.descriptors()
        list(pool.map(fuzz, seeds[1000:]))
    metrics = is_well(running)
    wait_until(lambda: running.descriptors() <= descriptors + 8)

    assert running.memory() < memory + GROWTH
    matrix(
        Row(GROUP, 3, "Thousands of requests with mistakes in them", "scraped", metrics, running.remarks())
    )


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Let this process open as many descriptors as it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("many_descriptors")
def test_thousand_idle_connections(running: Exporter, matrix: Matrix) -> None:
    """A thousand connections without a complete request are closed after ten seconds, and disturb nobody."""
    with ExitStack() as stack:
        opened: dict[int, tuple[socket.socket, float]] = {}
        watch = select.poll()
        for number in range(1000):
            connection = stack.enter_context(running.connect())
            if number % 2:
                connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n")
            opened[connection.fileno()] = connection, time.monotonic()
            watch.register(connection, select.POLLIN)
        beside = running.up()
        lived = []
        while opened:
            events = watch.poll(PATIENCE * 1000)
            assert events
            for descriptor, _ in events:
                connection, begun = opened.pop(descriptor)
                watch.unregister(descriptor)
                with suppress(ConnectionResetError):
                    assert b"" == connection.recv(1)
                lived.append(time.monotonic() - begun)
        metrics = is_well(running)

    assert min(lived) > 9
    assert beside == metrics
    case = "1,000 connect and say nothing, or half of it"
    matrix(Row(GROUP, 4, case, "scraped beside them", metrics, running.remarks()))


@pytest.mark.usefixtures("many_descriptors")
def test_no_descriptors_left(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """Where few descriptors are allowed, polls keep theirs; scrapes are answered when strangers leave."""
    prefix = ("prlimit", "--nofile=256")
    with exporter(gateway, tmp_path / "log", prefix=prefix, SCRAPE_INTERVAL=INTERVAL) as running:
        running.wait_for_polls(1)
        with ExitStack() as stack:
            for _ in range(500):
                stack.enter_context(running.connect())
            told = running.wait_for("Too many connections")
            with pytest.raises(requests.ConnectionError):
                running.scrape()
            asked = len(gateway.asked)
            wait_until(lambda: len(gateway.asked) > asked + 8)
        wait_until(lambda: running.descriptors() < 50)
        metrics = is_well(running)

    assert 256 - RESERVED_DESCRIPTORS == told["limit"]
    assert 1 == [record["message"] for record in running.records()].count("Too many connections")
    case = "500 connect where 256 descriptors are allowed"
    matrix(Row(GROUP, 5, case, "scraped after them", metrics, running.remarks()))


def test_memory_of_many_answers(running: Exporter, matrix: Matrix) -> None:
    """A thousand scrapes and a thousand status pages leave the memory as it was."""
    times = {"/metrics": 1000, "/": 1000, "/?q=a": 300}
    for path in times:
        running.ask(path, 200)
    before = running.memory()
    for path, number in times.items():
        running.ask(path, number)

    assert running.memory() < before + 5 * MIB
    matrix(Row(GROUP, 6, "1,000 scrapes and 1,300 status pages", "scraped", running.up(), running.remarks()))
