"""Cases that need a network of their own: names that do not resolve, and addresses without a route.

Runs in a network namespace without names, which no packet can leave:

    unshare --net --mount python -m tests.faults.namespace CASE

Tests the case there, and prints its row of the matrix as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from enum import Enum, auto
from pathlib import Path
from socketserver import BaseRequestHandler, UDPServer
from types import MappingProxyType

from exporter.config.environment import prepare
from exporter.errors import Outcome
from exporter.gateway.client import MAX_TRIES
from tests.faults.cases import NO_CONNECTION, Case, grouped
from tests.faults.peer import GOOD_ANSWERS, HOST, Answer, Gateway, State
from tests.faults.proof import proved
from tests.replay import LIST, LIST_NO_SLASH

NAME = "gateway.test"
NO_ROUTE = "192.0.2.1"
DNS_PORT = 53
FIRST_PLACE = 100
"""Position in the matrix, after the other cases of the network."""
NXDOMAIN = b"\x81\x83"
"""Flags of an answer without such a name."""
ANSWERS: Mapping[str, Answer] = MappingProxyType({**GOOD_ANSWERS, LIST_NO_SLASH: GOOD_ANSWERS[LIST]})
"""Without the recorded redirect, which contains another host."""


class Names(Enum):
    """The result of a look-up of the gateway's name."""

    GOOD = auto()
    NO_ROUTE = auto()
    NO_SUCH_NAME = auto()
    NO_SERVER = auto()
    SILENT_SERVER = auto()


@dataclass(frozen=True)
class NamedState(State):
    """The state of the gateway and of its name."""

    answers: Mapping[str, Answer] = field(default_factory=lambda: ANSWERS)
    names: Names = Names.GOOD


@dataclass(frozen=True)
class NamespaceCase(Case):
    """A case in a namespace."""

    @property
    def good_state(self) -> State:
        """The gateway before and after the fault, with a name that resolves."""
        return NamedState()


def _case(
    name: str, title: str, case: tuple[Outcome, Names, str], attempts: int = MAX_TRIES
) -> NamespaceCase:
    outcome, names, detail = case
    return NamespaceCase(name, title, outcome, NamedState(names=names), detail, attempts=attempts)


UNREACHABLE = Outcome.CONNECT, Names.NO_ROUTE, "Network is unreachable"
UNKNOWN = Outcome.DNS, Names.NO_SUCH_NAME, "Name or service not known"
NO_SERVER = Outcome.DNS, Names.NO_SERVER, "Temporary failure in name resolution"
SILENT = Outcome.TIMEOUT, Names.SILENT_SERVER, NO_CONNECTION
ALL = grouped(
    "The network",
    _case("no-route", "No route to the gateway's address", UNREACHABLE),
    _case("no-such-name", "The name does not exist", UNKNOWN),
    _case("no-name-server", "No name server is reachable", NO_SERVER),
    _case("silent-name-server", "The name server never answers", SILENT, attempts=1),
)
CASES: Mapping[str, NamespaceCase] = MappingProxyType({case.name: case for case in ALL})


class NoSuchName(BaseRequestHandler):
    """Answers a query to a name server that knows no name."""

    def handle(self) -> None:
        """Send the query with other flags and without additional records."""
        query, server = self.request
        # The question is a name, which an empty label ends, type and class.
        question = query[12 : query.index(b"\0", 12) + 5]
        server.sendto(query[:2] + NXDOMAIN + query[4:10] + b"\0\0" + question, self.client_address)


NAME_SERVERS = {Names.NO_SUCH_NAME: NoSuchName, Names.SILENT_SERVER: BaseRequestHandler}


class NamespacedGateway(Gateway):
    """A gateway with a name, in a namespace with a name server of its own."""

    def __init__(self, folder: Path) -> None:
        """Replace the namespace's files for names."""
        super().__init__()
        self._hosts, resolver = folder / "hosts", folder / "resolv.conf"
        self._hosts.touch()
        # The resolver gives up after four seconds, so that a look-up ends soon after the deadline.
        resolver.write_text(f"nameserver {HOST}\noptions timeout:2 attempts:2\n")
        for file in (self._hosts, resolver):
            subprocess.run(["mount", "--bind", file, f"/etc/{file.name}"], check=True)
        self._server: UDPServer | None = None

    def become(self, state: State) -> None:
        """Change the state of gateway and name."""
        names = state.names if isinstance(state, NamedState) else Names.GOOD
        address = {Names.GOOD: HOST, Names.NO_ROUTE: NO_ROUTE}.get(names)
        self._hosts.write_text(f"{address} {NAME}\n" if address else "")
        self._close_server()
        if handler := NAME_SERVERS.get(names):
            self._server = UDPServer((HOST, DNS_PORT), handler)
            threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        super().become(state)

    def __exit__(self, *error: object) -> None:
        """Close everything."""
        self._close_server()
        super().__exit__()

    def _close_server(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def main(name: str) -> None:
    """Test one case, and print its row."""
    prepare(os.environ)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder, NamespacedGateway(Path(folder)) as gateway:
        row = proved(case, ALL.index(case) + FIRST_PLACE, gateway, f"http://{NAME}:{gateway.port}")
    print(json.dumps(astuple(row)))


if __name__ == "__main__":
    main(sys.argv[1])
