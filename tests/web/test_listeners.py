"""Tests of `exporter.web.listeners`."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket

import pytest

from exporter.config.settings import WebSettings
from exporter.errors import ListenError
from exporter.web import listeners
from exporter.web.listeners import bind, bind_all


@pytest.mark.parametrize(
    ("host", "reached_at"),
    [("::", ["127.0.0.1", "::1"]), ("localhost", ["127.0.0.1"]), ("0.0.0.0", ["127.0.0.1"])],
)
def test_bind(host: str, reached_at: list[str]) -> None:
    """Each host can be reached at its addresses, and further ones at theirs."""
    first, second = bind_all(WebSettings(host, 0, further=(("127.0.0.2", 0),)))
    with first, second:
        for address in reached_at:
            socket.create_connection((address, first.getsockname()[1]), timeout=5).close()
        socket.create_connection(second.getsockname(), timeout=5).close()


def test_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without IPv6, `::` means all IPv4 addresses."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)

    with bind(WebSettings("::", 0)) as listener:
        assert socket.AF_INET == listener.family


@pytest.mark.parametrize(
    ("number", "text"), [(errno.EADDRNOTAVAIL, ""), (errno.EADDRINUSE, "Address already in use")]
)
def test_ipv6_that_cannot_be_bound(monkeypatch: pytest.MonkeyPatch, number: int, text: str) -> None:
    """Falls back to IPv4 if IPv6 is disabled, but not if the port is taken."""
    create_server = socket.create_server

    def refuse_ipv6(address: tuple[str, int], **options: object) -> socket.socket:
        if options.get("family") == socket.AF_INET6:
            raise OSError(number, os.strerror(number))
        return create_server(address)

    monkeypatch.setattr(socket, "create_server", refuse_ipv6)

    with pytest.raises(ListenError, match=text) if text else contextlib.nullcontext():
        bind(WebSettings("::", 0)).close()


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", "Cannot assign requested address"),
        ("no.such.host.invalid", ""),
        ("xn--\xff", "not a host name"),
        ("\udcff", "not a host name"),
    ],
    ids=["foreign address", "unknown name", "invalid name", "invalid text"],
)
def test_address_that_cannot_be_bound(host: str, reason: str) -> None:
    """The error has host, port and the system's reason."""
    with pytest.raises(ListenError) as caught:
        bind(WebSettings(host, 0))

    assert str(caught.value).startswith(
        f"cannot listen on {host}:0 (METRICS_HOST and METRICS_PORT, or --web.listen-address): {reason}"
    )
    assert not str(caught.value).endswith((": ", "None"))


def test_too_many_connections(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Closes connections above the limit and logs it once; later connections below it are accepted."""
    with bind(WebSettings("127.0.0.1", 0)) as listener, contextlib.ExitStack() as clients:

        def connect() -> socket.socket:
            return clients.enter_context(socket.create_connection(listener.getsockname(), timeout=5))

        listener.setblocking(False)
        with monkeypatch.context() as patch:
            patch.setattr(listeners, "MAX_DESCRIPTORS", 3)
            refused = [connect() for _ in range(3)]
            with pytest.raises(BlockingIOError):
                listener.accept()
        connect()
        listener.accept()[0].close()

        assert [b"", b"", b""] == [client.recv(1) for client in refused]
    assert [("Too many connections", 3)] == [(r.message, vars(r)["limit"]) for r in caplog.records]


def test_descriptor_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit for connections reserves descriptors for polls."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))

    assert 256 - listeners.RESERVED_DESCRIPTORS == listeners.descriptor_limit()
