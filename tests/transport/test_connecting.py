"""Connections to a host with several addresses, some of which refuse or do not answer."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from exporter.transport.connecting import ATTEMPT_DELAY_SECONDS, MAX_NAMED, NO_CONNECTION, Connector
from tests.network import HOST, Network

SECONDS = 2.0
LONG_SECONDS = 60.0
GOOD = "127.0.1.1"
SILENT = tuple(f"127.0.2.{number}" for number in range(1, 11))
REFUSING = "127.0.3.1"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """A host with addresses of the loopback."""
    with Network(monkeypatch) as running:
        yield running


def unprepared(sock: socket.socket) -> None:
    """Leave the socket as it is."""


def connector(
    network: Network,
    prepare: Callable[[socket.socket], None] = unprepared,
    is_aborted: Callable[[], bool] = bool,
    host: str = HOST,
) -> Connector:
    """Return a connector to the host, by default without an abort."""
    return Connector(host, network.port, prepare, is_aborted)


def peer(network: Network, seconds: float = SECONDS) -> str:
    """Connect, and return the address that accepted."""
    with connector(network).connect(seconds) as sock:
        return str(sock.getpeername()[0])


@pytest.mark.parametrize(
    ("addresses", "seconds"),
    [
        ([SILENT[0], GOOD, "127.0.1.2"], SECONDS),
        ([GOOD, SILENT[0], "127.0.1.2"], SECONDS),
        (["::1", GOOD], SECONDS),
        ([*SILENT[:8], GOOD], SECONDS),
        ([*SILENT, GOOD], SECONDS),
        ([*SILENT[:3], GOOD], ATTEMPT_DELAY_SECONDS),
        ([REFUSING, GOOD], LONG_SECONDS),
    ],
    ids=["first", "second", "IPv6", "many", "more", "short deadline", "refusal"],
)
def test_other_addresses(network: Network, addresses: list[str], seconds: float) -> None:
    """Silent and refusing addresses, in any number, leave time for one that accepts."""
    for address in addresses:
        if address.startswith("127.0.1."):
            network.accepting(address)
        elif address != REFUSING:
            network.silent(address)
    network.name(*addresses)

    assert GOOD == peer(network, seconds)


def test_slow_address(network: Network) -> None:
    """A pending attempt continues while later ones start."""
    network.name(network.silent(SILENT[0]), network.silent(SILENT[1]))
    threading.Timer(2 * ATTEMPT_DELAY_SECONDS, network.recover, [SILENT[0]]).start()

    assert SILENT[0] == peer(network, LONG_SECONDS)


def test_all_silent(network: Network) -> None:
    """Without an answer in time, the error names the addresses that were tried."""
    network.name(*map(network.silent, SILENT[:2]), network.silent("::1"))
    connecting = connector(network)
    before = time.monotonic()

    with pytest.raises(TimeoutError) as caught:
        connecting.connect(0.5)

    expected = f"{NO_CONNECTION}: tried {SILENT[0]}, {SILENT[1]}, ::1"
    assert (expected, expected) == (caught.value.strerror, connecting.timeout_detail)
    assert time.monotonic() - before < SECONDS


def test_message_is_bounded(network: Network) -> None:
    """The error names the first addresses, and the number of the others."""
    network.name(*map(network.silent, SILENT))

    with pytest.raises(TimeoutError) as caught:
        connector(network).connect(0.5)

    assert f"{SILENT[MAX_NAMED - 1]} and {len(SILENT) - MAX_NAMED} more" in str(caught.value)
    assert SILENT[MAX_NAMED] not in str(caught.value)


def test_all_refuse(network: Network) -> None:
    """If all addresses refuse, the system's error is raised at once."""
    network.accepting(GOOD)
    network.name(REFUSING, "127.0.3.2")

    with pytest.raises(ConnectionRefusedError) as caught:
        connector(network).connect(LONG_SECONDS)

    assert errno.ECONNREFUSED == caught.value.errno


def test_failing_socket_option(network: Network) -> None:
    """An option that the system refuses fails the address, and its socket is closed."""
    listener = network.accepting(GOOD)
    network.name(GOOD, "127.0.1.1")
    seen: list[socket.socket] = []

    def prepare(sock: socket.socket) -> None:
        seen.append(sock)
        sock.bind(listener.getsockname())

    with pytest.raises(OSError, match="Address already in use"):
        connector(network, prepare).connect(SECONDS)

    assert [-1, -1] == [sock.fileno() for sock in seen]


def test_other_sockets_are_closed(network: Network) -> None:
    """Only the returned socket stays open."""
    network.accepting(GOOD)
    network.name(*map(network.silent, SILENT[:2]), REFUSING, GOOD)
    opened: list[socket.socket] = []

    with connector(network, opened.append).connect(SECONDS) as sock:
        assert [sock] == [one for one in opened if one.fileno() != -1]
        assert 4 == len(opened)


@pytest.mark.parametrize("host", ["nobody.invalid", "a..b", f"{'a' * 64}.example"])
def test_unresolvable_host(network: Network, host: str) -> None:
    """An unknown or invalid name is a `gaierror`."""
    with pytest.raises(socket.gaierror):
        connector(network, host=host).connect(SECONDS)


def test_address_in_brackets(network: Network) -> None:
    """An IPv6 address can have brackets."""
    network.accepting("::1")

    with connector(network, host="[::1]").connect(SECONDS) as sock:
        assert "::1" == sock.getpeername()[0]


def test_timeout_while_resolving(network: Network) -> None:
    """Before the host is resolved, the detail names no address."""
    assert NO_CONNECTION == connector(network).timeout_detail
