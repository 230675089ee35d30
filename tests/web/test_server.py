"""The socket is bound before anything else begins, for both address families where there are both."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import selectors
import socket
import threading
import time
from typing import Any

import pytest
from starlette.applications import Starlette

from exporter.config.settings import WebSettings
from exporter.errors import ListenError
from exporter.web import server


@pytest.mark.parametrize(
    ("host", "reached_at"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("::1", ["::1"]),
        ("::", ["127.0.0.1", "::1"]),
        ("localhost", ["127.0.0.1"]),
        ("0.0.0.0", ["127.0.0.1"]),
    ],
)
def test_bind(host: str, reached_at: list[str]) -> None:
    """Each host is reached where a person expects it."""
    with server.bind(WebSettings(host, 0)) as listener:
        port = listener.getsockname()[1]
        for address in reached_at:
            socket.create_connection((address, port), timeout=5).close()


def test_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no IPv6, `::` means every IPv4 address."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)

    with server.bind(WebSettings("::", 0)) as listener:
        assert socket.AF_INET == listener.family


@pytest.mark.parametrize(
    ("number", "text"), [(errno.EADDRNOTAVAIL, ""), (errno.EADDRINUSE, "Address already in use")]
)
def test_ipv6_that_cannot_be_bound(monkeypatch: pytest.MonkeyPatch, number: int, text: str) -> None:
    """IPv6 that is switched off gives way to IPv4; a port that is taken does not."""
    create_server = socket.create_server

    def refuse_ipv6(address: tuple[str, int], **options: object) -> socket.socket:
        if options.get("family") == socket.AF_INET6:
            raise OSError(number, os.strerror(number))
        return create_server(address)

    monkeypatch.setattr(socket, "create_server", refuse_ipv6)

    if text:
        with pytest.raises(ListenError, match=text):
            server.bind(WebSettings("::", 0))
    else:
        server.bind(WebSettings("::", 0)).close()


def test_bind_all() -> None:
    """Every address is listened on, the main one first."""
    listeners = server.bind_all(WebSettings("127.0.0.1", 0, further=(("127.0.0.2", 0), ("::1", 0))))

    for listener, host in zip(listeners, ("127.0.0.1", "127.0.0.2", "::1"), strict=True):
        with listener:
            socket.create_connection((host, listener.getsockname()[1]), timeout=5).close()


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", "Cannot assign requested address"),
        ("no.such.host.invalid", ""),
        ("xn--\xff", "not a host name"),
        ("\udcff", "not a host name"),
    ],
    ids=["not ours", "no such name", "no name", "no text"],
)
def test_address_that_cannot_be_bound(host: str, reason: str) -> None:
    """The error names host, port and the system's reason."""
    with pytest.raises(ListenError) as caught:
        server.bind(WebSettings(host, 0))

    assert str(caught.value).startswith(
        f"cannot listen on {host}:0 (METRICS_HOST and METRICS_PORT, or --web.listen-address): {reason}"
    )
    assert not str(caught.value).endswith((": ", "None"))


def test_too_many_connections(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Connections beyond the limit are closed, which is told once; those below it are served again."""
    with server.bind(WebSettings("127.0.0.1", 0)) as listener, contextlib.ExitStack() as clients:
        listener.setblocking(False)
        with monkeypatch.context() as patch:
            patch.setattr(server, "MAX_DESCRIPTORS", 3)
            refused = [clients.enter_context(connect(listener)) for _ in range(3)]
            with pytest.raises(BlockingIOError):
                listener.accept()
        clients.enter_context(connect(listener))
        accepted, _ = listener.accept()
        accepted.close()

        assert [b"", b"", b""] == [client.recv(1) for client in refused]
    assert [("Too many connections", 3)] == [(r.message, vars(r)["limit"]) for r in caplog.records]


def connect(listener: socket.socket) -> socket.socket:
    """Return a connection to a listener."""
    return socket.create_connection(listener.getsockname(), timeout=5)


def test_limit_of_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the descriptors that the system allows are kept for polls."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))

    assert 256 - server.RESERVED_DESCRIPTORS == server.descriptor_limit()


@pytest.mark.parametrize("moment", ["before", "while"])
def test_reload(moment: str) -> None:
    """A signal to reload is answered once by a running server, also one that came before it ran."""
    reloads: list[str] = []
    running = server.Server(Starlette(), on_reload=lambda: reloads.append(threading.current_thread().name))
    if moment == "before":
        running.handle_reload(1, None)
    thread = threading.Thread(
        target=running.run, args=([server.bind(WebSettings("127.0.0.1", 0))],), name="loop"
    )
    thread.start()
    deadline = time.monotonic() + 10
    while not reloads and time.monotonic() < deadline:
        if moment == "while" and running.started:
            running.handle_reload(1, None)
            moment = "sent"
        time.sleep(0.01)
    running.should_exit = True
    thread.join(10)

    assert ["loop"] == reloads


def test_taken_port() -> None:
    """A port that somebody else listens on cannot be bound."""
    with server.bind(WebSettings("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(ListenError) as caught:
            server.bind(WebSettings("127.0.0.1", port))

    assert str(caught.value).endswith("--web.listen-address): Address already in use")


class CountingSelector(selectors.DefaultSelector):
    """Counts how often the event loop looks for what there is to do."""

    looks = 0

    def select(self, timeout: float | None = None) -> Any:
        """Count, and look."""
        self.looks += 1
        return super().select(timeout)


def test_at_rest() -> None:
    """A server without requests does nothing until it is asked to end, from any thread; then it ends."""
    selector = CountingSelector()
    running = server.Server(Starlette())
    with server.bind(WebSettings("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
                runner.run(running.serve([listener]))

        thread = threading.Thread(target=serve)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        time.sleep(0.1)
        looks = selector.looks
        time.sleep(0.5)
        at_rest = selector.looks - looks
        running.should_exit = True
        thread.join(5)

        assert 0 == at_rest
        assert not thread.is_alive()
        # Whoever asks once more, when all is over, does no harm.
        running.should_exit = True


def test_connection_at_the_moment_of_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """A connection that is accepted as the end begins is closed, and not waited for."""
    running = server.Server(Starlette())

    async def serve(listener: server.Listener) -> bytes:
        serving = asyncio.create_task(running.serve([listener]))
        while not running.started:
            await asyncio.sleep(0.01)
        with connect(listener) as client:
            # In the next turn the loop accepts it: its transport is made with the end on its way.
            await asyncio.sleep(0)
            running.should_exit = True
            await serving
            return client.recv(1)

    with server.bind(WebSettings("127.0.0.1", 0)) as listener:
        assert b"" == asyncio.run(serve(listener))
    assert [] == [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]


def test_asked_to_end_before_it_serves() -> None:
    """A server that is asked to end before it has begun ends at once."""
    running = server.Server(Starlette())
    running.should_exit = True

    with server.bind(WebSettings("127.0.0.1", 0)) as listener:
        running.run([listener])

    assert running.should_exit
