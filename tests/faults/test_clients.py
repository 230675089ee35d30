"""Many, slow, impolite and hostile clients: scrapes beside and after them succeed, and polls continue."""

from __future__ import annotations

import os
import random
import resource
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from bench.fleet import Moment, fleet
from exporter.web.listeners import RESERVED_DESCRIPTORS
from exporter.web.server import MAX_PIPELINED
from tests.faults.matrix import Matrix, Row
from tests.faults.outside import INTERVAL, MIB, PATIENCE, Exporter, exporter
from tests.replay import LIST, ReplayGateway, answer
from tests.waiting import wait_until

GROUP = "Clients"
ROUTES = ("/metrics", "/metrics/", "/", "/?q=a", "/-/healthy", "/-/ready", "/nothing")
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
REQUEST = b"GET /metrics HTTP/1.1\r\nhost: x\r\n"

FUZZ_SEED = 20_260_820
FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
FUZZ_RATE = 400
"""Limit of requests per second."""
READERS = 100
MAX_FOR_READERS = 64 * MIB
"""Much less than one body per reader, which would be 450 MiB."""


@pytest.fixture
def running(gateway: ReplayGateway, tmp_path: Path) -> Iterator[Exporter]:
    """An exporter with a short interval."""
    with exporter(gateway, tmp_path / "log", SCRAPE_INTERVAL=INTERVAL) as started:
        started.wait_for_polls(1)
        yield started


def is_well(running: Exporter) -> str:
    """Require that polls continue and no exception was logged; return `gatewayz_up` for the matrix."""
    running.wait_for_polls(2)
    assert [] == [record for record in running.records() if "exc_info" in record]
    return running.up()


def slow_reader(running: Exporter, requests: bytes) -> socket.socket:
    """Return a connection with a small buffer after these requests."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(("127.0.0.1", running.port))
    connection.sendall(requests)
    return connection


def test_many_scrapers(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """Fifty concurrent scrapers all get the whole exposition, with the same bytes in each format."""
    headers = ({"Accept-Encoding": "gzip"}, {"Accept": OPENMETRICS}, {"Accept-Encoding": "identity"})
    with exporter(gateway, tmp_path / "log") as idle:
        idle.wait_for("Updated provider metrics")

        def scrape(number: int) -> tuple[str, bytes]:
            response = requests.get(f"{idle.url}/metrics", headers=headers[number % 3], timeout=PATIENCE)
            assert 200 == response.status_code
            return response.headers["Content-Type"], response.content

        with ThreadPoolExecutor(50) as pool:
            answers = Counter(pool.map(scrape, range(500)))
        metrics = idle.up()
    text, openmetrics = sorted(answers, key=lambda answer: "openmetrics" in answer[0])

    assert (2, 500) == (len(answers), answers.total())
    names = [family.name for family in parse_text(text[1].decode())]
    assert len(names) == len(list(parse_openmetrics(openmetrics[1].decode())))
    matrix(Row(GROUP, 0, "50 concurrent scrapers, 500 scrapes", "scraped", metrics, idle.warnings()))


def test_slow_readers(running: Exporter, matrix: Matrix) -> None:
    """Scrapers that read single bytes delay no other client."""
    requests = b"GET /metrics HTTP/1.1\r\n\r\n" * MAX_PIPELINED
    with ExitStack() as stack:
        slow = [stack.enter_context(slow_reader(running, requests)) for _ in range(20)]
        for _ in range(5):
            assert all(connection.recv(1) for connection in slow)
            running.scrape()
        metrics = is_well(running)

    title = "20 scrapers read single bytes"
    matrix(Row(GROUP, 1, title, "scraped meanwhile", metrics, running.warnings()))


def test_disconnects(running: Exporter, matrix: Matrix) -> None:
    """Clients that disconnect during a request or response leave no thread and no descriptor."""
    request = REQUEST + b"\r\n"
    cuts = [number % (len(request) + 1) for number in range(1000)]

    def leave(cut: int) -> None:
        with running.connect() as connection:
            connection.sendall(request[:cut])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(leave, cuts[:200]))
        threads, descriptors = running.threads(), running.descriptors()
        list(pool.map(leave, cuts[200:]))
    wait_until(lambda: running.descriptors() <= descriptors + 2)
    # The thread pool ends idle threads when it is used again.
    wait_until(lambda: running.scrape() and running.threads() <= threads + 2)

    title = "1,000 disconnects during a request or response"
    matrix(Row(GROUP, 2, title, "scraped", is_well(running), running.warnings()))


POST, CHUNKS = b"POST / HTTP/1.1\r\n", b"transfer-encoding: chunked\r\n"
WEBSOCKET = b"connection: upgrade\r\nupgrade: websocket\r\n"
ODD: tuple[tuple[str, bytes, list[int]], ...] = (
    ("1 MB of headers", REQUEST + b"x: " + b"a" * MIB, [431]),
    ("100,000 headers", REQUEST + b"a: b\r\n" * 100_000, [431]),
    ("10 pipelined requests", b"GET /-/healthy HTTP/1.1\r\n\r\n" * 10, [200] * 10),
    ("Bytes that are not HTTP", bytes(range(256)), [400]),
    ("TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), [400]),
    ("HTTP/2 connection preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    ("HTTP/0.9", b"GET /metrics\r\n\r\n", [200]),
    ("HTTP/1.0", b"GET /-/healthy HTTP/1.0\r\n\r\n", [200]),
    ("HEAD", b"HEAD /metrics HTTP/1.1\r\n\r\n", [200]),
    ("POST", b"POST /metrics HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", [405]),
    ("Chunked body", POST + CHUNKS + b"\r\n3\r\nabc\r\n0\r\n\r\n", [405]),
    ("Chunk without a size", POST + CHUNKS + b"\r\nz\r\n", [400]),
    ("Two Content-Length headers", POST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab", [400]),
    ("Content-Length and chunks", POST + b"content-length: 1\r\n" + CHUNKS + b"\r\n0\r\n\r\n", [400]),
    ("Expect: 100-continue", POST + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n", [405]),
    ("Unknown method", b"BREW /metrics HTTP/1.1\r\n\r\n", [400]),
    ("CONNECT", b"CONNECT localhost:1 HTTP/1.1\r\nhost: localhost:1\r\n\r\n", [400]),
    ("OPTIONS *", b"OPTIONS * HTTP/1.1\r\n\r\n", [404]),
    ("Absolute target", b"GET http://127.0.0.1/-/healthy HTTP/1.1\r\n\r\n", [200]),
    ("Absolute target without a path", b"GET http://127.0.0.1 HTTP/1.1\r\n\r\n", [400]),
    ("Percent-encoded path", b"GET /%6Detrics HTTP/1.1\r\n\r\n", [200]),
    ("Path with invalid percent-encoding", b"GET /%zz%f HTTP/1.1\r\n\r\n", [404]),
    ("Path traversal", b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", [404]),
    ("Path with bytes above 127", b"GET /\xff\xfe HTTP/1.1\r\n\r\n", [400]),
    ("Query of 60 KB", b"GET /?q=" + b"%41" * 20_000 + b" HTTP/1.1\r\n\r\n", [200]),
    ("10,000 parameters", b"GET /?" + b"q=1&" * 10_000 + b" HTTP/1.1\r\n\r\n", [200]),
    ("Upgrade to h2c", b"GET /-/healthy HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", [200]),
    (
        "Upgrade to WebSocket",
        REQUEST
        + WEBSOCKET
        + b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        [200],
    ),
    ("Accept header of 60 KB", REQUEST + b"accept: " + b"a" * 60_000 + b"\r\n\r\n", [200]),
    ("Accept header with 8,000 ranges", REQUEST + b"accept: " + b"a/b;q=1," * 8_000 + b"\r\n\r\n", [200]),
    ("Invalid quality value", REQUEST + b"accept: text/plain;q=nan\r\n\r\n", [200]),
    (
        "Accept-Encoding header with 15,000 codings",
        REQUEST + b"accept-encoding: " + b"gz," * 15_000 + b"\r\n\r\n",
        [200],
    ),
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter for all unusual requests."""
    log = tmp_path_factory.mktemp("odd") / "log"
    with ReplayGateway() as gateway, exporter(gateway, log, SCRAPE_INTERVAL=INTERVAL) as started:
        started.wait_for_polls(1)
        yield started


@pytest.mark.parametrize("place", range(len(ODD)), ids=[title for title, *_ in ODD])
def test_unusual_request(host: Exporter, matrix: Matrix, place: int) -> None:
    """An unusual request is answered or refused, and the next scrape succeeds."""
    title, data, expected = ODD[place]
    # A refusal may come as a reset before the answer is read.
    refused = expected == [431]
    received, codes = b"", list[int]()
    with host.connect() as connection, suppress(ConnectionResetError, BrokenPipeError):
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(data)
        while codes != expected and (part := connection.recv(65_536)):
            received += part
            codes = [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]

    assert codes in ([expected, []] if refused else [expected])
    assert "gatewayz_up" in host.scrape()
    assert [] == [record for record in host.records() if "exc_info" in record]
    outcome = "refused" if refused else f"answered ({', '.join(map(str, dict.fromkeys(codes)))})"
    matrix(Row(GROUP, 10 + place, title, outcome, host.up(), host.warnings()))


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
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\x00", b"\xff", b" ", b"\t", b":", b"%", b"%00", b"?", b"#"),
    *(b"//", b"..", b"HTTP/1.1", b"HTTP/9.9", b"GET / ", b"content-length: ", CHUNKS, b"chunked", b"-1"),
    *(b"0", b"9" * 20, b"ffffffffffffffff\r\n", b";q=", b",", b"a" * 5000, b"\xe2\x82\xac"),
)


def mutated(chance: random.Random) -> bytes:
    """Return one to three valid requests with some mutations."""
    data = bytearray(b"".join(chance.choices(VALID, k=chance.randint(1, 3))))
    for _ in range(chance.randint(1, 6)):
        begin = chance.randrange(len(data) + 1)
        end = min(len(data), begin + chance.choice((1, 1, 2, 5, 20, 100)))
        match chance.randrange(5):
            case 0:
                data[begin:end] = b""
            case 1:
                data[begin:end] = chance.randbytes(end - begin)
            case 2:
                data[begin:begin] = chance.choice(TOKENS)
            case 3:
                data[begin:end] = data[begin:end] * chance.choice((2, 10, 100))
            case _:
                data[begin:] = data[begin:][::-1] if chance.random() < 0.1 else b""
    return bytes(data)


def test_fuzz(running: Exporter, matrix: Matrix) -> None:
    """Mutated requests stop no scrape and no poll, leak no memory and no descriptor, and log no exception."""
    deadline = time.monotonic() + FUZZ_SECONDS

    def attack(seed: int) -> None:
        if time.monotonic() >= deadline:
            return
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

    seeds = range(FUZZ_SEED, FUZZ_SEED + int(FUZZ_SECONDS * FUZZ_RATE))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attack, seeds[:1000]))
        memory, descriptors = running.memory(), running.descriptors()
        list(pool.map(attack, seeds[1000:]))
    metrics = is_well(running)
    wait_until(lambda: running.descriptors() <= descriptors + 8)

    assert running.memory() < memory + 20 * MIB
    matrix(Row(GROUP, 3, "Thousands of invalid requests", "scraped", metrics, running.warnings()))


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Raises the limit of descriptors of this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("many_descriptors")
def test_idle_connections(running: Exporter, matrix: Matrix) -> None:
    """A thousand connections without a complete request are closed after ten seconds, and delay nobody."""
    begun = time.monotonic()
    with ExitStack() as stack:
        opened = [stack.enter_context(running.connect()) for _ in range(1000)]
        watch = select.poll()
        for connection in opened:
            watch.register(connection, select.POLLIN)
        for connection in opened[::2]:
            connection.sendall(REQUEST)
        meanwhile = running.up()
        assert [] == watch.poll((begun + 9 - time.monotonic()) * 1000)
        for connection in opened:
            with suppress(ConnectionResetError):
                assert b"" == connection.recv(1)
        metrics = is_well(running)

    assert meanwhile == metrics
    title = "1,000 connections with no request or half of one"
    matrix(Row(GROUP, 4, title, "scraped meanwhile", metrics, running.warnings()))


@pytest.mark.usefixtures("many_descriptors")
def test_no_descriptors_left(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """With few descriptors polls continue, and scrapes succeed once other clients disconnect."""
    prefix = ("prlimit", "--nofile=256")
    with exporter(gateway, tmp_path / "log", prefix=prefix, SCRAPE_INTERVAL=INTERVAL) as running:
        running.wait_for_polls(1)
        with ExitStack() as stack:
            for _ in range(500):
                stack.enter_context(running.connect())
            record = running.wait_for("Too many connections")
            with pytest.raises(requests.ConnectionError):
                running.scrape()
            asked = len(gateway.asked)
            wait_until(lambda: len(gateway.asked) > asked + 8)
        wait_until(lambda: running.descriptors() < 50)
        metrics = is_well(running)

    assert 256 - RESERVED_DESCRIPTORS == record["limit"]
    assert 1 == [record["message"] for record in running.records()].count("Too many connections")
    title = "500 connections with a limit of 256 descriptors"
    matrix(Row(GROUP, 5, title, "scraped afterwards", metrics, running.warnings()))


def test_memory_of_many_responses(running: Exporter, matrix: Matrix) -> None:
    """A thousand scrapes and a thousand status pages do not increase the memory."""
    times = {"/metrics": 1000, "/": 1000, "/?q=a": 300}
    for path in times:
        running.ask(path, 200)
    before = running.memory()
    for path, number in times.items():
        running.ask(path, number)

    assert running.memory() < before + 5 * MIB
    title = "1,000 scrapes and 1,300 status pages"
    matrix(Row(GROUP, 6, title, "scraped", running.up(), running.warnings()))


def test_silent_readers(gateway: ReplayGateway, tmp_path: Path, matrix: Matrix) -> None:
    """Clients that do not read the response for 10,000 providers cost little memory, and delay no scrape."""
    gateway.answers[LIST] = answer(200, fleet(10_000)[Moment.FIRST].providers)
    request = b"GET /metrics HTTP/1.1\r\naccept-encoding: identity\r\n\r\n"
    with ExitStack() as stack:
        running = stack.enter_context(exporter(gateway, tmp_path / "log", SCRAPE_INTERVAL="600"))
        # The list is published later than the first poll is logged.
        running.connect().close()
        wait_until(lambda: "provider-09999" in running.scrape())
        before = running.reset_peak()
        silent = [stack.enter_context(slow_reader(running, request)) for _ in range(READERS)]
        assert all(connection.recv(1) for connection in silent)
        text, metrics, growth = running.scrape(), running.up(), running.memory("VmHWM") - before

    assert "provider-09999" in text
    assert growth < MAX_FOR_READERS, f"{growth / MIB:.0f} MiB"
    title = "100 scrapers do not read 4 MiB each"
    matrix(Row(GROUP, 7, title, "scraped meanwhile", metrics, running.warnings()))
