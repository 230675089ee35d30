"""A gateway that plays any fault on a real socket, byte for byte, until it is reset to good."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count, cycle
from typing import Protocol, Self

from tests.faults.certificates import Tls, server_contexts
from tests.forwarder import Forwarder
from tests.http_server import BACKLOG, Asked, Connection, StubServer, free_port
from tests.http_server import HOST as HOST
from tests.replay import GOOD, LIST, LIST_NO_SLASH, STATS, recording

PATIENCE = 30.0
"""Seconds after which a wait for recovery fails."""
ELSEWHERE = b"{elsewhere}"
"""Replaced in answers by another host of the loopback, for redirects."""


class Answer(Protocol):
    """The answer to a request."""

    def play(self, connection: Connection) -> bool:
        """Answer; return whether the connection stays open."""


@dataclass(frozen=True)
class Says:
    """Sends these bytes; without `stays` it then closes the connection."""

    data: bytes
    stays: bool = True

    def play(self, connection: Connection) -> bool:
        """Send the bytes."""
        connection.send(self.data)
        return self.stays


@dataclass(frozen=True)
class Silence:
    """Never answers the request."""

    def play(self, connection: Connection) -> bool:
        """Wait."""
        connection.wait()
        return False


@dataclass(frozen=True)
class Drips:
    """Sends `head`, and then `size` bytes of `text` every `seconds`, repeatedly."""

    head: bytes
    text: bytes
    seconds: float = 1.0
    size: int = 1

    def play(self, connection: Connection) -> bool:
        """Send until the client closes."""
        connection.send(self.head)
        for start in cycle(range(0, len(self.text), self.size)):
            if connection.wait(self.seconds):
                break
            connection.send(self.text[start : start + self.size])
        return False


@dataclass(frozen=True)
class Streams:
    """Sends `head`, and then `chunk` either `times` times or until the client closes."""

    head: bytes
    chunk: bytes
    times: int | None = None
    tail: bytes = b""

    def play(self, connection: Connection) -> bool:
        """Send until the client closes."""
        connection.send(self.head)
        for number in count():
            if number == self.times or connection.wait(0):
                break
            connection.send(self.chunk)
        connection.send(self.tail)
        return False


@dataclass(frozen=True)
class Resets:
    """Sends these bytes, and resets the connection."""

    data: bytes = b""

    def play(self, connection: Connection) -> bool:
        """Send and reset."""
        connection.send(self.data)
        connection.reset()
        return False


GOOD_ANSWERS: Mapping[str, Answer] = {target: Says(recording(name)) for target, name in GOOD.items()}


def list_only(answer: Answer) -> Mapping[str, Answer]:
    """Return this answer for the list, and the good one for the counts."""
    return {**GOOD_ANSWERS, LIST: answer, LIST_NO_SLASH: answer}


def stats_only(answer: Answer) -> Mapping[str, Answer]:
    """Return this answer for the counts, and the good one for the list."""
    return {**GOOD_ANSWERS, STATS: answer}


def both(answer: Answer) -> Mapping[str, Answer]:
    """Return the same answer for every request."""
    return dict.fromkeys(GOOD_ANSWERS, answer)


@dataclass(frozen=True)
class State:
    """The state of the gateway: its answers, and how clients reach it."""

    answers: Mapping[str, Answer] = field(default_factory=lambda: GOOD_ANSWERS)
    """By target; for other targets the connection closes without an answer."""
    listens: bool = True
    """If false, connections are refused."""
    accepts: bool = True
    """If false, the backlog is full."""
    tls: Tls | None = None
    """Certificate and requirements of TLS; None for plain HTTP."""
    refusal: bytes | None = None
    """The answer of a proxy that forwards nothing."""


class Gateway(StubServer):
    """A gateway on one port of the loopback whose state can change at any time.

    A change closes every connection.
    """

    def __init__(self) -> None:
        """Reserve a port; the gateway is good."""
        super().__init__(port=free_port())
        self._elsewhere = socket.create_server((HOST, 0))
        self._elsewhere.settimeout(0)
        self._state = State()
        self._fillers: list[socket.socket] = []

    def __exit__(self, *error: object) -> None:
        """Close everything."""
        self.stop()
        self._elsewhere.close()

    def become(self, state: State) -> None:
        """Change the state."""
        self.stop()
        self._state = state
        self.tls = server_contexts()[state.tls] if state.tls else None
        if state.listens:
            self.start(BACKLOG if state.accepts else 0)

    def was_reached_elsewhere(self) -> bool:
        """Return whether a client connected to the other host of redirects."""
        try:
            self._elsewhere.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def without_ports(self, text: str) -> str:
        """Replace the ports, which differ in every run."""
        return text.replace(f"localhost:{self._elsewhere.getsockname()[1]}", "localhost:8443")

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Play the answer for the target."""
        played = self._state.answers.get(asked.target)
        if isinstance(played, Says) and ELSEWHERE in played.data:
            host = f"localhost:{self._elsewhere.getsockname()[1]}"
            played = replace(played, data=played.data.replace(ELSEWHERE, host.encode()))
        return played is not None and played.play(connection)

    def start(self, backlog: int = BACKLOG) -> None:
        """Serve; with a backlog of 0 fill it instead of accepting connections."""
        if backlog:
            super().start(backlog)
        else:
            self._listener = socket.create_server((HOST, self.port), backlog=0)
            self._fill()

    def stop(self) -> None:
        """Close the listener and all connections."""
        super().stop()
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _fill(self) -> None:
        """Connect until the backlog is full: the system does not answer further handshakes then."""
        while True:
            filler = socket.socket()
            self._fillers.append(filler)
            filler.settimeout(0.3)
            try:
                filler.connect((HOST, self.port))
            except TimeoutError:
                return


class ProxiedGateway(Gateway):
    """A gateway whose name, `HOST`, only a proxy can resolve."""

    HOST = "another.example"
    """The name in the certificate of `Tls.WRONG_NAME`."""

    def __init__(self) -> None:
        """Prepare the proxy."""
        super().__init__()
        self.proxy = Forwarder(self.address)

    def __enter__(self) -> Self:
        """Start proxy and gateway."""
        self.proxy.start()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        """Close everything."""
        super().__exit__()
        self.proxy.stop()

    def become(self, state: State) -> None:
        """Change the state of gateway and proxy."""
        # Tunnels end at once: a client that does not see the end yet would try once more.
        self.proxy.stop()
        super().become(replace(state, tls=Tls.WRONG_NAME) if state.tls else state)
        self.proxy.refusal = state.refusal
        self.proxy.start()

    def without_ports(self, text: str) -> str:
        """Replace the ports, which differ in every run."""
        return super().without_ports(text).replace(self.proxy.address, "127.0.0.1:3128")
