"""A gateway that plays any fault on a real socket, byte for byte, and is good again when it is told to."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import cycle
from types import TracebackType
from typing import Protocol, Self

from tests.faults.certificates import Tls, server_contexts
from tests.forwarder import Forwarder
from tests.replay import GOOD, LIST, LIST_NO_SLASH, STATS, Asked, recording

HOST = "127.0.0.1"
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
PATIENCE = 30.0
"""Seconds after which a wait for something good counts as in vain."""


class Connection:
    """One connection of the exporter, as the gateway sees it."""

    def __init__(self, sock: socket.socket, stopped: threading.Event, elsewhere: str) -> None:
        """Serve `sock` until it is `stopped`; `elsewhere` is where redirects to another host lead."""
        self._sock = sock
        self._stopped = stopped
        self.elsewhere = elsewhere
        self.is_reset = False

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._sock.sendall(data)

    def wait(self, seconds: float | None = None) -> bool:
        """Let time pass; True as soon as nothing more is to be done."""
        return self._stopped.wait(seconds)

    def reset(self) -> None:
        """Let the connection end by a reset, and not in order."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.is_reset = True


class Answer(Protocol):
    """How a request is answered."""

    def play(self, connection: Connection) -> bool:
        """Answer, and tell whether the connection stays open."""


@dataclass(frozen=True)
class Says:
    """Sends these bytes, and nothing more; without `stays` the connection is closed then."""

    data: bytes
    stays: bool = True

    def play(self, connection: Connection) -> bool:
        """Send, with the place that redirects lead to filled in."""
        connection.send(self.data.replace(b"{elsewhere}", connection.elsewhere.encode()))
        return self.stays


@dataclass(frozen=True)
class Silence:
    """Takes the request, and says nothing for ever."""

    def play(self, connection: Connection) -> bool:
        """Wait."""
        connection.wait()
        return False


@dataclass(frozen=True)
class Drips:
    """Begins with `head`, and goes on with `size` bytes of `text`, over and over, every `seconds`."""

    head: bytes
    text: bytes
    seconds: float = 1.0
    size: int = 1

    def play(self, connection: Connection) -> bool:
        """Send until the other side has had enough."""
        connection.send(self.head)
        for start in cycle(range(0, len(self.text), self.size)):
            if connection.wait(self.seconds):
                break
            connection.send(self.text[start : start + self.size])
        return False


@dataclass(frozen=True)
class Streams:
    """Begins with `head`, and goes on with `chunk`, `times` over, or as long as somebody reads."""

    head: bytes
    chunk: bytes
    times: int | None = None
    tail: bytes = b""

    def play(self, connection: Connection) -> bool:
        """Send until the other side has had enough."""
        connection.send(self.head)
        count = 0
        while (self.times is None or count < self.times) and not connection.wait(0):
            connection.send(self.chunk)
            count += 1
        connection.send(self.tail)
        return False


@dataclass(frozen=True)
class Resets:
    """Sends these bytes, and breaks the connection off."""

    data: bytes = b""

    def play(self, connection: Connection) -> bool:
        """Send and reset."""
        connection.send(self.data)
        connection.reset()
        return False


GOOD_ANSWERS: Mapping[str, Answer] = {target: Says(recording(name)) for target, name in GOOD.items()}


def list_only(answer: Answer) -> Mapping[str, Answer]:
    """Answer the list like this, and the counts well."""
    return {**GOOD_ANSWERS, LIST: answer, LIST_NO_SLASH: answer}


def stats_only(answer: Answer) -> Mapping[str, Answer]:
    """Answer the counts like this, and the list well."""
    return {**GOOD_ANSWERS, STATS: answer}


def both(answer: Answer) -> Mapping[str, Answer]:
    """Answer every request like this."""
    return {LIST: answer, LIST_NO_SLASH: answer, STATS: answer}


@dataclass(frozen=True)
class State:
    """What the gateway is like: what it answers, and how one gets to it."""

    answers: Mapping[str, Answer] = field(default_factory=lambda: GOOD_ANSWERS)
    """By target; what is not there is closed without an answer."""
    listens: bool = True
    """Without it, connections are refused."""
    accepts: bool = True
    """Without it, the queue of those who wait to be accepted is full."""
    tls: Tls | None = None
    """Certificate and demands, where it speaks TLS."""
    refusal: bytes | None = None
    """The answer of the proxy before it, where that lets nobody through."""


class Gateway:
    """A gateway on one port of the loopback; what it is like can be changed at any time.

    A change closes every connection, so that none of before lives on.
    """

    def __init__(self) -> None:
        """Take a port, and be good."""
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._elsewhere = socket.create_server((HOST, 0))
        self._elsewhere.settimeout(0)
        self._changing = threading.Lock()
        self._state = State()
        self._stopped = threading.Event()
        self._connections: set[socket.socket] = set()
        self._fillers: list[socket.socket] = []
        self._accepter: threading.Thread | None = None
        self.asked: list[Asked] = []

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._serve()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        self._stop_serving()
        self._listener.close()
        self._elsewhere.close()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    def become(self, state: State) -> None:
        """Be like this from now on."""
        self._stop_serving()
        self._state = state
        self._serve()

    def was_reached_elsewhere(self) -> bool:
        """Tell whether anybody came to the place that redirects to another host name."""
        try:
            self._elsewhere.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def without_ports(self, text: str) -> str:
        """Replace ports that differ from run to run."""
        return text.replace(f"localhost:{self._elsewhere.getsockname()[1]}", "localhost:8443")

    def _serve(self) -> None:
        self._stopped = threading.Event()
        backlog = 128 if self._state.accepts else 0
        self._listener.close()
        if not self._state.listens:
            return
        self._listener = socket.create_server((HOST, self.port), backlog=backlog)
        if self._state.accepts:
            self._accepter = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
            self._accepter.start()
        else:
            self._fill()

    def _fill(self) -> None:
        """Connect until the queue is full: the next one's handshake is not answered then."""
        while True:
            filler = socket.socket()
            self._fillers.append(filler)
            filler.settimeout(0.3)
            try:
                filler.connect((HOST, self.port))
            except TimeoutError:
                return

    def _stop_serving(self) -> None:
        self._stopped.set()
        # Wakes the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        if self._accepter is not None:
            self._accepter.join(PATIENCE)
            self._accepter = None
        self._listener.close()
        with self._changing:
            for sock in (*self._connections, *self._fillers):
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _accept(self, listener: socket.socket) -> None:
        state, stopped = self._state, self._stopped
        while not stopped.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(sock, state, stopped), daemon=True).start()

    def _converse(self, plain: socket.socket, state: State, stopped: threading.Event) -> None:
        sock = self._secured(plain, state.tls)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock, stopped, f"localhost:{self._elsewhere.getsockname()[1]}")
        with contextlib.suppress(OSError):
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            with sock.makefile("rb") as request:
                while self._answer_one(request, connection, state):
                    pass
        if not connection.is_reset:
            _close_in_order(sock)
        with self._changing:
            self._connections.discard(sock)
        sock.close()

    def _secured(self, plain: socket.socket, tls: Tls | None) -> socket.socket:
        """Put TLS around it where that is wanted; either is closed with the rest when the state changes."""
        with self._changing:
            sock = plain if tls is None else _server_side(plain, tls)
            self._connections.add(sock)
        return sock

    def _answer_one(self, request: io.BufferedIOBase, connection: Connection, state: State) -> bool:
        first = request.read(1)
        if not first.isalpha():
            # Like a real server, for which there is no need to wait for the end of a line that is none.
            connection.send(BAD_REQUEST if first else b"")
            return False
        line = (first + request.readline()).decode("latin-1").split()
        if len(line) != 3:
            return False
        self.asked.append(Asked(line[1], dict(http.client.parse_headers(request).items())))
        answer = state.answers.get(line[1])
        return answer is not None and answer.play(connection)


class ProxiedGateway(Gateway):
    """A gateway that is known to a proxy alone, by the name `HOST`."""

    HOST = "another.example"
    """The name in the certificate of `Tls.WRONG_NAME`."""

    def __init__(self) -> None:
        """Prepare the proxy."""
        super().__init__()
        self.proxy = Forwarder(self.address)

    def __enter__(self) -> Self:
        """Begin to serve, the proxy as well."""
        self.proxy.__enter__()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        super().__exit__(kind, error, trace)
        self.proxy.__exit__()

    def become(self, state: State) -> None:
        """Be like this from now on, behind a proxy that is like this."""
        super().become(replace(state, tls=Tls.WRONG_NAME) if state.tls else state)
        self.proxy.refusal = state.refusal

    def without_ports(self, text: str) -> str:
        """Replace ports that differ from run to run."""
        return super().without_ports(text).replace(self.proxy.address, "127.0.0.1:3128")


def _server_side(plain: socket.socket, tls: Tls) -> ssl.SSLSocket:
    return server_contexts()[tls].wrap_socket(plain, server_side=True, do_handshake_on_connect=False)


def _close_in_order(sock: socket.socket) -> None:
    """Close without a reset, which the system sends when something is left unread."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65_536):
            pass
