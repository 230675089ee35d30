"""Cases that need a network of their own: names that do not resolve, and addresses without a route.

Run as a program inside a namespace that has neither network nor names, from which no packet can leave:

    unshare --net --mount python -m tests.faults.namespace CASE

It sets the namespace up, proves the case there, and prints its row of the matrix as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from enum import Enum, auto
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from exporter.config.environment import prepare
from exporter.errors import Outcome
from exporter.gateway.client import MAX_TRIES
from tests.faults.cases import NO_CONNECTION, Case
from tests.faults.peer import GOOD_ANSWERS, HOST, Answer, Gateway, State
from tests.faults.proof import proved
from tests.replay import LIST, LIST_NO_SLASH

NAME = "gateway.test"
NO_ROUTE = "192.0.2.1"
DNS_PORT = 53
FIRST_PLACE = 100
"""In the matrix, after the other cases of the network."""
NXDOMAIN = b"\x81\x83"
"""Flags of an answer that says that there is no such name."""
ANSWERS: Mapping[str, Answer] = MappingProxyType({**GOOD_ANSWERS, LIST_NO_SLASH: GOOD_ANSWERS[LIST]})
"""Without the recorded redirect, which names another host than ours."""


class Names(Enum):
    """What a look-up of the gateway's name comes to."""

    GOOD = auto()
    NO_ROUTE = auto()
    NO_SUCH_NAME = auto()
    NO_SERVER = auto()
    SILENT_SERVER = auto()


@dataclass(frozen=True)
class Surroundings(State):
    """What the gateway is like, and the way to it."""

    answers: Mapping[str, Answer] = field(default_factory=lambda: ANSWERS)
    names: Names = Names.GOOD


@dataclass(frozen=True)
class NamespaceCase(Case):
    """A case in a namespace of its own."""

    @property
    def good_state(self) -> State:
        """The gateway before and after, with a name that leads to it."""
        return Surroundings()


def _case(name: str, title: str, outcome: Outcome, names: Names, detail: str, **more: Any) -> NamespaceCase:
    return NamespaceCase(name, "The network", title, outcome, Surroundings(names=names), detail, **more)


CASES: Mapping[str, NamespaceCase] = MappingProxyType(
    {
        case.name: case
        for case in (
            _case(
                "no-route",
                "No route to the gateway's address",
                Outcome.CONNECT,
                Names.NO_ROUTE,
                "Network is unreachable",
                attempts=MAX_TRIES,
            ),
            _case(
                "no-such-name",
                "The name server knows no such name",
                Outcome.DNS,
                Names.NO_SUCH_NAME,
                "Name or service not known",
                attempts=MAX_TRIES,
            ),
            _case(
                "no-name-server",
                "No name server can be reached",
                Outcome.DNS,
                Names.NO_SERVER,
                "Temporary failure in name resolution",
                attempts=MAX_TRIES,
            ),
            _case(
                "silent-name-server",
                "The name server never answers",
                Outcome.TIMEOUT,
                Names.SILENT_SERVER,
                NO_CONNECTION,
            ),
        )
    }
)


class NamespacedGateway(Gateway):
    """A gateway with a name, in a namespace whose names and name server are its own."""

    def __init__(self, folder: Path) -> None:
        """Take over the files of the namespace that say what names there are."""
        super().__init__()
        self._hosts, resolver = folder / "hosts", folder / "resolv.conf"
        self._hosts.touch()
        # The resolver gives up after four seconds, so that what the deadline leaves behind ends soon.
        resolver.write_text(f"nameserver {HOST}\noptions timeout:2 attempts:2\n")
        for file in (self._hosts, resolver):
            subprocess.run(["mount", "--bind", file, f"/etc/{file.name}"], check=True)
        self._server: NameServer | None = None

    def become(self, state: State) -> None:
        """Be like this from now on, the way to it included."""
        names = state.names if isinstance(state, Surroundings) else Names.GOOD
        address = {Names.GOOD: HOST, Names.NO_ROUTE: NO_ROUTE}.get(names)
        self._hosts.write_text(f"{address} {NAME}\n" if address else "")
        self._close_server()
        if names in (Names.SILENT_SERVER, Names.NO_SUCH_NAME):
            self._server = NameServer(answers=names is Names.NO_SUCH_NAME)
        super().become(state)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        self._close_server()
        super().__exit__(kind, error, trace)

    def _close_server(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


class NameServer:
    """A name server that says of every name that there is none, or says nothing."""

    def __init__(self, *, answers: bool) -> None:
        """Begin to serve."""
        self._answers = answers
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, DNS_PORT))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; an empty datagram wakes who waits for one."""
        self._socket.sendto(b"", (HOST, DNS_PORT))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            if not query:
                return
            if self._answers:
                # The query again, with flags that say what became of it, and without its additional records.
                self._socket.sendto(query[:2] + NXDOMAIN + query[4:10] + b"\0\0" + _question(query), client)


def _question(query: bytes) -> bytes:
    """Return the question of a query: a name, which an empty label ends, type and class."""
    return query[12 : query.index(b"\0", 12) + 5]


def main(name: str) -> None:
    """Prove one case, and print its row."""
    prepare(os.environ)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder, NamespacedGateway(Path(folder)) as gateway:
        row = proved(case, list(CASES).index(name) + FIRST_PLACE, gateway, f"http://{NAME}:{gateway.port}")
    print(json.dumps(astuple(row)))


if __name__ == "__main__":
    main(sys.argv[1])
