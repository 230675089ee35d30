"""A connection to a host with several addresses, of which some refuse or do not answer."""

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
    """A host whose addresses are on the loopback."""
    with Network(monkeypatch) as running:
        yield running


def unprepared(sock: socket.socket) -> None:
    """Leave the socket as it is."""


def never() -> bool:
    """Do not cut."""
    return False


def connector(
    network: Network,
    prepare: Callable[[socket.socket], None] = unprepared,
    is_cut: Callable[[], bool] = never,
) -> Connector:
    """Return what connects to the host."""
    return Connector(HOST, network.port, prepare, is_cut)


def peer(network: Network, seconds: float = SECONDS) -> str:
    """Connect to the host, and return the address that accepted."""
    with connector(network).connect(seconds) as sock:
        return str(sock.getpeername()[0])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_silent_address_of_three(network: Network, place: int) -> None:
    """One address that does not answer costs no connection, wherever it stands."""
    addresses = [GOOD, "127.0.1.2"]
    for address in addresses:
        network.accepting(address)
    addresses.insert(place, network.silent(SILENT[0]))
    network.name(*addresses)

    assert next(address for address in addresses if address != SILENT[0]) == peer(network)


def test_silent_ipv6_address_first(network: Network) -> None:
    """An IPv6 address that does not answer leaves time for the IPv4 address behind it."""
    network.accepting(GOOD)
    network.name(network.silent("::1"), GOOD)

    assert GOOD == peer(network)


@pytest.mark.parametrize("count", [8, len(SILENT)])
def test_many_silent_addresses(network: Network, count: int) -> None:
    """The deadline is shared between all addresses, whatever their number."""
    network.accepting(GOOD)
    network.name(*map(network.silent, SILENT[:count]), GOOD)

    assert GOOD == peer(network)


def test_short_deadline(network: Network) -> None:
    """A deadline shorter than the usual delay is shared as well."""
    network.accepting(GOOD)
    network.name(*map(network.silent, SILENT[:3]), GOOD)

    assert GOOD == peer(network, ATTEMPT_DELAY_SECONDS)


def test_refusing_address_first(network: Network) -> None:
    """An address that refuses is followed by the next one at once, however long the deadline."""
    network.accepting(GOOD)
    network.name(REFUSING, GOOD)

    assert GOOD == peer(network, LONG_SECONDS)


def test_overtaken_attempt_goes_on(network: Network) -> None:
    """An address that accepts late wins over later ones that do not accept at all."""
    network.name(network.silent(SILENT[0]), network.silent(SILENT[1]))
    threading.Timer(2 * ATTEMPT_DELAY_SECONDS, network.recover, [SILENT[0]]).start()

    assert SILENT[0] == peer(network, LONG_SECONDS)


def test_all_silent(network: Network) -> None:
    """When no address answers in time, the message names those that were tried."""
    network.name(*map(network.silent, SILENT[:2]), network.silent("::1"))
    connecting = connector(network)
    before = time.monotonic()

    with pytest.raises(TimeoutError) as caught:
        connecting.connect(0.5)

    expected = f"{NO_CONNECTION}: tried {SILENT[0]}, {SILENT[1]}, ::1"
    assert (expected, expected) == (caught.value.strerror, connecting.lateness)
    assert time.monotonic() - before < SECONDS


def test_message_is_bounded(network: Network) -> None:
    """Of many addresses the message names the first, and the number of the others."""
    network.name(*map(network.silent, SILENT))

    with pytest.raises(TimeoutError) as caught:
        connector(network).connect(0.5)

    assert f"{SILENT[MAX_NAMED - 1]} and {len(SILENT) - MAX_NAMED} more" in str(caught.value)
    assert SILENT[MAX_NAMED] not in str(caught.value)


def test_all_refuse(network: Network) -> None:
    """When every address refuses, the error is the system's own, at once."""
    network.accepting(GOOD)
    network.name(REFUSING, "127.0.3.2")

    with pytest.raises(ConnectionRefusedError) as caught:
        connector(network).connect(LONG_SECONDS)

    assert errno.ECONNREFUSED == caught.value.errno


def test_socket_that_cannot_be_prepared(network: Network) -> None:
    """An option that the system refuses fails that address, and leaves no socket open."""
    listener = network.accepting(GOOD)
    network.name(GOOD, "127.0.1.1")
    seen: list[socket.socket] = []

    def prepare(sock: socket.socket) -> None:
        seen.append(sock)
        sock.bind(listener.getsockname())

    with pytest.raises(OSError, match="Address already in use"):
        connector(network, prepare).connect(SECONDS)

    assert [-1, -1] == [sock.fileno() for sock in seen]


def test_losers_are_closed(network: Network) -> None:
    """Of all sockets that were opened, only the one that is returned stays open."""
    network.accepting(GOOD)
    network.name(*map(network.silent, SILENT[:2]), REFUSING, GOOD)
    opened: list[socket.socket] = []

    with connector(network, opened.append).connect(SECONDS) as sock:
        assert [sock] == [one for one in opened if one.fileno() != -1]
        assert 4 == len(opened)


@pytest.mark.parametrize("host", ["nobody.invalid", "a..b", f"{'a' * 64}.example"])
def test_name_without_address(host: str) -> None:
    """A name that is unknown or not valid is an error of the resolver."""
    with pytest.raises(socket.gaierror):
        Connector(host, 1, unprepared, never).connect(SECONDS)


def test_address_in_brackets(network: Network) -> None:
    """An IPv6 address may have the brackets of a URL."""
    port = network.accepting("::1").getsockname()[1]

    with Connector("[::1]", port, unprepared, never).connect(SECONDS) as sock:
        assert "::1" == sock.getpeername()[0]


def test_cut(network: Network) -> None:
    """A connector that is cut comes back long before its deadline."""
    network.name(network.silent(SILENT[0]))
    cut = threading.Event()
    connecting = connector(network, is_cut=cut.is_set)
    threading.Timer(0.1, cut.set).start()
    before = time.monotonic()

    with pytest.raises(TimeoutError):
        connecting.connect(LONG_SECONDS)

    assert time.monotonic() - before < LONG_SECONDS / 2


def test_before_anything_was_tried(network: Network) -> None:
    """While the name is being resolved there is no address to name."""
    assert NO_CONNECTION == connector(network).lateness
